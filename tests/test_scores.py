import pytest

from midefics.config import PromoteConfig
from midefics.evidence.rules import as_markdown, assess
from midefics.evidence.scores import exact_match, mean_difference, token_f1


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("It is benign.", "it is  BENIGN", 1.0),
        ("It is malignant.", "It is benign.", 0.0),
        ("", "yes", 0.0),
        ("5 mm", "5 mm.", 1.0),
    ],
)
def test_exact_match_ignores_case_and_punctuation_only(answer: str, truth: str, score: float) -> None:
    assert exact_match(answer, truth) == score


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    # shared / said / true words: 3/3/3, 2/3/3, 0/1/1, 2/2/4 -> 2 * 2 / (2 + 4)
    [("a b c", "a b c", 1.0), ("a b c", "a b d", 2 / 3), ("x", "y", 0.0), ("a b", "a b c d", 2 / 3), ("", "a", 0.0)],
)
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(answer: str, truth: str, score: float) -> None:
    assert token_f1(answer, truth) == pytest.approx(score)


def test_mean_difference_weighs_questions_and_draws_groups() -> None:
    # Group a: three questions, all won; group b: one, lost. (3 * 1 + 1 * -1) / 4 = 0.5
    interval = mean_difference([1, 1, 1, 0], [0, 0, 0, 1], ["a", "a", "a", "b"], resamples=500, seed=0)
    assert interval.value == 0.5
    # Two groups: the resamples are (a, a), (a, b), (b, b) alone, so the ends are those of a and b.
    assert (interval.low, interval.high) == (-1.0, 1.0)


def test_interval_is_wider_when_questions_share_a_patient() -> None:
    first, second = [1.0, 0.0] * 40, [0.0] * 80
    alone = mean_difference(first, second, [str(n) for n in range(80)], 2000, 0)
    # Ten patients with eight questions each, all right or all wrong: ten observations, not eighty.
    shared = mean_difference([1.0] * 40 + [0.0] * 40, second, [str(n // 8) for n in range(80)], 2000, 0)
    assert alone.value == shared.value == 0.5
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


def test_interval_matches_the_normal_approximation() -> None:
    # 100 independent coins, 60 heads: standard error sqrt(.6 * .4 / 100) = 0.049, so 0.6 +- 0.096.
    interval = mean_difference([1.0] * 60 + [0.0] * 40, [0.0] * 100, [str(n) for n in range(100)], 5000, 0)
    assert interval.low == pytest.approx(0.504, abs=0.015)
    assert interval.high == pytest.approx(0.696, abs=0.015)


def test_one_group_alone_shows_nothing() -> None:
    interval = mean_difference([1.0, 1.0], [0.0, 0.0], ["a", "a"], 100, 0)
    assert (interval.low, interval.high) == (-1.0, 1.0)


FACTS = {
    "difference": 0.5,
    "difference_low": 0.4,
    "difference_high": 0.6,
    "visual_gain": 0.2,
    "visual_gain_low": 0.1,
    "visual_gain_high": 0.3,
}


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, [True, True]),
        ({"difference_low": 0.0}, [False, True]),
        ({"visual_gain_low": -0.01}, [True, False]),
        ({"difference_low": float("nan")}, [False, True]),
    ],
)
def test_rules_want_the_whole_interval_above_the_bar(changes: dict[str, float], passed: list[bool]) -> None:
    decided = assess(FACTS | changes, PromoteConfig())
    assert [one.passed for one in decided] == passed
    assert as_markdown(decided).count("**fail**") == passed.count(False)
