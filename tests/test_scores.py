import pytest

from midefics.config import PromoteConfig
from midefics.evidence.rules import as_markdown, assess
from midefics.evidence.scores import exact_match, token_f1


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
