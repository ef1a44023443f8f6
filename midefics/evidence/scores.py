"""Answers and truths in, scores and paired intervals out."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from midefics.records import Record


class Answered(Record):
    """One held-out question and everybody's answer to it."""

    id: str
    """The image's."""
    source: str
    group: str
    question: str
    truth: str
    before: str
    """The base model's answer."""
    after: str
    """The tuned model's."""
    swapped: str
    """The tuned model's, shown another image of the same source."""
    majority: str
    """The most frequent answer to this question in training, looking at nothing."""


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def normalised(text: str) -> str:
    """Lower case, words and digits only, single spaces: what exact match compares."""
    return " ".join(re.findall(r"\w+", text.lower()))


def exact_match(answer: str, truth: str) -> float:
    """1 where both say the same words in the same order, else 0."""
    return float(normalised(answer) == normalised(truth))


def token_f1(answer: str, truth: str) -> float:
    """Harmonic mean of the precision and recall of words, as SQuAD counts them (Rajpurkar et al. 2016)."""
    said, true = normalised(answer).split(), normalised(truth).split()
    shared = (Counter(said) & Counter(true)).total()
    return 2 * shared / (len(said) + len(true)) if shared else 0.0


METRICS: dict[str, Callable[[str, str], float]] = {"exact_match": exact_match, "token_f1": token_f1}


def mean_difference(
    first: Sequence[float], second: Sequence[float], groups: Sequence[str], resamples: int, seed: int
) -> Interval:
    """Mean of `first - second` over the questions, with a percentile bootstrap over whole groups.

    Questions about one patient are not independent, so patients (lesions, articles) are drawn, not questions.

    Args:
        first: one score for each question.
        second: the other's score for the same question.
        groups: whom each question is about.
        resamples: bootstrap resamples.
        seed: of the draws.
    """
    from scipy.stats import bootstrap

    sums: dict[str, float] = defaultdict(float)
    for group, one, other in zip(groups, first, second, strict=True):
        sums[group] += one - other
    counts = Counter(groups)
    differences, sizes = (
        np.array([sums[group] for group in counts]),
        np.array([counts[group] for group in counts], dtype=float),
    )
    value = float(differences.sum() / sizes.sum())
    if len(counts) < 2:
        return Interval(value, -1.0, 1.0)
    drawn = bootstrap(
        (differences, sizes), lambda d, n, axis: d.sum(axis=axis) / n.sum(axis=axis),
        paired=True, vectorized=True, n_resamples=resamples, method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Interval(value, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def mean_score(scores: Sequence[float], groups: Sequence[str], resamples: int, seed: int) -> Interval:
    """Mean score with the same interval."""
    return mean_difference(scores, [0.0] * len(scores), groups, resamples, seed)
