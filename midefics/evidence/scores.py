"""Answers and truths in, scores out."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from midefics.records import Record, Role


class Answered(Record):
    """One held-out question and everybody's answer to it."""

    id: str
    """The image's."""
    source: str
    role: Role = "train"
    """`evaluation`: of a set that others made to evaluate on."""
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


def token_recall(answer: str, truth: str) -> float:
    """Share of the truth's words that are in the answer: what LLaVA-Med reports of open questions (Li et al. 2023)."""
    said, true = Counter(normalised(answer).split()), Counter(normalised(truth).split())
    return (said & true).total() / true.total() if true else 0.0


def rouge_l(answer: str, truth: str) -> float:
    """F measure of the longest common subsequence of words (Lin 2004)."""
    return float(_rouge().score(truth, answer)["rougeL"].fmeasure)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped] # no stubs

    return RougeScorer(["rougeL"])


def bleu(answers: Sequence[str], truths: Sequence[str]) -> float:
    """Corpus BLEU, from 0 to 1, as sacrebleu counts it (Post 2018): case aside, 13a tokens, exponential smoothing."""
    from sacrebleu import corpus_bleu

    return float(corpus_bleu(list(answers), [list(truths)], lowercase=True).score) / 100 if answers else 0.0


METRICS: dict[str, Callable[[str, str], float]] = {"exact_match": exact_match, "token_f1": token_f1,
    "token_recall": token_recall, "rouge_l": rouge_l}  # fmt: skip
