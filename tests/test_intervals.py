"""Intervals and tests against closed forms worked out by hand, and against simulated experiments whose truth is known."""

from itertools import repeat

import numpy as np
import pytest

from midefics.evidence.hypotheses import holm, mcnemar, questions_needed
from midefics.evidence.intervals import mean_difference, mean_score
from midefics.evidence.scores import Answered
from midefics.evidence.summary import summary


def test_mean_difference_weighs_questions_and_counts_groups() -> None:
    # Group a: three questions, all won; group b: one, lost. (3 * 1 + 1 * -1) / 4 = 0.5
    interval = mean_difference([1, 1, 1, 0], [0, 0, 0, 1], ["a", "a", "a", "b"])
    # Two groups say next to nothing: one degree of freedom reaches beyond all that is possible.
    assert interval == (0.5, -1.0, 1.0)


def test_interval_is_students_where_every_question_is_its_own_group() -> None:
    # 100 coins, 60 heads: the jackknife's error is the sample's, sqrt(.6 * .4 / 99) = .04924; t(99) = 1.9842
    interval = mean_difference([1.0] * 60 + [0.0] * 40, [0.0] * 100, [str(n) for n in range(100)])
    assert interval == pytest.approx((0.6, 0.6 - 0.09770, 0.6 + 0.09770), abs=1e-5)


def test_score_interval_is_wilsons_where_every_question_is_its_own_group() -> None:
    # 12 of 20: Wilson's with Student's 2.0930 at n = 19 (the jackknife's error is sqrt(.6 * .4 / 19)):
    # centre (.6 + 4.3807/38) / (1 + 4.3807/19) = .58126, half 2.0930/1.23056 * sqrt(.24/19 + 4.3807/1444) = .21284
    interval = mean_score([1.0] * 12 + [0.0] * 8, [str(n) for n in range(20)])
    assert interval == pytest.approx((0.6, 0.36842, 0.79410), abs=2e-4)


def test_interval_is_wider_when_questions_share_a_patient() -> None:
    first, second = [1.0, 0.0] * 40, [0.0] * 80
    alone = mean_difference(first, second, [str(n) for n in range(80)])
    # Ten patients with eight questions each, all right or all wrong: ten observations, not eighty.
    shared = mean_difference([1.0] * 40 + [0.0] * 40, second, [str(n // 8) for n in range(80)])
    assert alone.value == shared.value == 0.5
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


def test_one_group_alone_shows_nothing() -> None:
    assert mean_difference([1.0, 1.0], [0.0, 0.0], ["a", "a"]) == (1.0, -1.0, 1.0)
    assert mean_score([1.0, 1.0], ["a", "a"]) == (1.0, 0.0, 1.0)


def test_where_nothing_varies_the_interval_is_as_wide_as_few_groups_make_it() -> None:
    twenty = [str(n) for n in range(20)]
    # No group differs: 1 - .025 ** (1 / 20) = .1684 of them might.
    assert mean_difference([1.0] * 20, [1.0] * 20, twenty) == pytest.approx((0.0, -0.16843, 0.16843), abs=1e-5)
    assert mean_score([0.0] * 20, twenty).high == pytest.approx(0.1797, abs=1e-3)
    assert mean_score([0.0] * 20, twenty).low == 0.0


def experiment(chance: np.random.Generator, groups: int, base: float, effect: float) -> tuple[list[float], ...]:
    """Right and wrong answers of two models about patients with one to eight questions, some harder for both."""
    first: list[float] = []
    second: list[float] = []
    about: list[str] = []
    for group in range(groups):
        size, ease = int(chance.integers(1, 9)), float(chance.normal())
        for scores, level in ((first, base), (second, base + effect)):
            scores += chance.binomial(1, 1 / (1 + np.exp(-(level + ease))), size).astype(float).tolist()
        about += repeat(str(group), size)
    return second, first, about


def expected(level: float) -> float:
    ease, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((weights / (1 + np.exp(-(level + ease)))).sum() / weights.sum())


@pytest.mark.parametrize(
    ("groups", "base", "effect"), [(20, -1.0, 1.0), (40, -3.0, 2.0), (60, 0.0, 0.0), (40, 2.0, 1.0)]
)
def test_intervals_cover_the_truth_in_93_to_97_of_100_experiments(groups: int, base: float, effect: float) -> None:
    chance = np.random.default_rng(2026)
    difference, score = expected(base + effect) - expected(base), expected(base + effect)
    covered = np.zeros(2)
    for _ in range(1000):
        second, first, about = experiment(chance, groups, base, effect)
        one, other = mean_difference(second, first, about), mean_score(second, about)
        covered += [one.low <= difference <= one.high, other.low <= score <= other.high]
    assert np.all((covered >= 930) & (covered <= 970)), covered


def test_a_candidate_that_is_no_better_is_proposed_in_at_most_5_of_100_experiments() -> None:
    chance = np.random.default_rng(7)
    proposed = 0
    for _ in range(1000):
        second, first, about = experiment(chance, 40, 0.0, 0.0)
        proposed += mean_difference(second, first, about).low > 0
    assert proposed <= 50


def test_mcnemar_counts_only_what_one_of_the_two_got_right() -> None:
    # 8 against 1 of 9 discordant questions: 2 * (1 + 9) / 512 = 0.0390625
    found = mcnemar([1] * 8 + [0] + [1] * 20, [0] * 8 + [1] + [1] * 20)
    assert found == (8, 1, pytest.approx(0.0390625))
    assert mcnemar([1, 0], [1, 0]).p_value == 1.0


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    # .01 * 3 = .03, .03 * 2 = .06, .04 * 1 = .04 but not below .06
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})


@pytest.mark.parametrize(("difference", "share", "needed"), [(0.10, 0.3, 233), (0.05, 0.3, 940), (0.03, 0.3, 2614)])
def test_questions_needed_are_those_of_the_literature(difference: float, share: float, needed: int) -> None:
    assert questions_needed(difference, share) == pytest.approx(needed, abs=1)
    assert questions_needed(0.0, share) is None


def answered(source: str, role: str, after: str) -> Answered:
    return Answered(
        id=f"{source}/1", source=source, role=role, group=source, question="q", truth="yes",
        before="no", after=after, swapped="no", majority="no",
    )  # fmt: skip


def test_sets_made_by_others_are_no_part_of_the_headline() -> None:
    figures = summary([answered("isic", "train", "yes"), answered("vqa_rad", "evaluation", "no")])
    assert (figures["questions"], figures["after"], figures["vqa_rad/after"]) == (1.0, 1.0, 0.0)
    assert summary([answered("vqa_rad", "evaluation", "no")])["questions"] == 1.0


def test_closed_and_open_questions_are_scored_apart() -> None:
    closed = answered("isic", "train", "Yes, it is.")
    opened = closed.model_copy(update={"question": "what is it", "truth": "a benign nevus", "after": "a nevus"})
    figures = summary([closed, opened])
    assert figures["after_closed"] == 1.0
    assert figures["after_open_token_recall"] == pytest.approx(2 / 3)
    assert "after_open_token_recall" not in summary([closed])


def test_an_open_difference_tells_how_many_questions_would_decide_it() -> None:
    won, lost = answered("isic", "train", "yes"), answered("isic", "train", "no")
    rows = [won] * 3 + [lost.model_copy(update={"before": "yes"})] * 2 + [lost] * 15
    figures = summary([one.model_copy(update={"group": str(n)}) for n, one in enumerate(rows)])
    # 3 against 2 of 20: a difference of .05 at a discordant share of .25
    assert figures["difference"] == pytest.approx(0.05)
    assert figures["questions_needed"] == questions_needed(0.05, 0.25)
    assert figures["isic/mcnemar_holm"] == figures["mcnemar_p"] == 1.0
    assert "questions_needed" not in summary([won.model_copy(update={"group": str(n)}) for n in range(20)])
