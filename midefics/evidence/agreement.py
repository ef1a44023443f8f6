"""Decisions of two or more people on the same conversations in, how far they agree out: shares and Cohen's kappa."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

ALL = "all"
"""Stands for every source together."""


class Vote(NamedTuple):
    """One person's decision, as far as agreement goes."""

    source: str
    conversation: tuple[str, ...]
    reviewer: str
    decision: str


class Agreement(NamedTuple):
    """How far two people agree on what both have decided."""

    source: str
    reviewers: tuple[str, str]
    conversations: int
    share: float
    """Of the conversations on which both decided alike."""
    kappa: float | None
    """Cohen 1960: 1 full agreement, 0 no more than chance. None where both always said one and the same: chance alone
    would have them agree, and the measure says nothing."""


def agreements(votes: Iterable[Vote]) -> list[Agreement]:
    """Every two people who have a conversation in common, of every source and of all together.

    Args:
        votes: at most one of each person on each conversation.
    """
    found: dict[tuple[str, tuple[str, str]], list[tuple[str, str]]] = defaultdict(list)
    for source, pair, decisions in _pairs(votes):
        found[source, pair].append(decisions)
        found[ALL, pair].append(decisions)
    order = sorted(found, key=lambda key: (key[0] != ALL, key))
    return [Agreement(source, pair, *_measured(found[source, pair])) for source, pair in order]


def cohens_kappa(decisions: Sequence[tuple[str, str]]) -> float | None:
    """(observed - expected) / (1 - expected) agreement of two people's decisions."""
    count = len(decisions)
    one, other = Counter(first for first, _ in decisions), Counter(second for _, second in decisions)
    expected = sum(one[word] * other[word] for word in one) / count**2
    return None if expected == 1 else (_share(decisions) - expected) / (1 - expected)


def _pairs(votes: Iterable[Vote]) -> Iterable[tuple[str, tuple[str, str], tuple[str, str]]]:
    by_conversation: dict[tuple[str, ...], list[Vote]] = defaultdict(list)
    for vote in votes:
        by_conversation[vote.conversation].append(vote)
    for cast in by_conversation.values():
        for one, other in combinations(sorted(cast, key=lambda vote: vote.reviewer), 2):
            yield one.source, (one.reviewer, other.reviewer), (one.decision, other.decision)


def _measured(decisions: Sequence[tuple[str, str]]) -> tuple[int, float, float | None]:
    return len(decisions), _share(decisions), cohens_kappa(decisions)


def _share(decisions: Sequence[tuple[str, str]]) -> float:
    return sum(one == other for one, other in decisions) / len(decisions)
