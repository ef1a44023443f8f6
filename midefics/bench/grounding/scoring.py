"""Rows and a set of phrasings in, what the checker makes of them out: false alarms and catches, by kind.

A corrupted conversation counts as caught where a problem of its own kind is found. Of the good ones, as many as of the
corrupted, every kind of problem is a false alarm.
"""

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from midefics.bench.grounding.corruptions import CORRUPTIONS, Case, Gaps, corrupted
from midefics.bench.grounding.gaps import Metadata, gaps
from midefics.bench.grounding.phrasing import Exchange, Phrasing
from midefics.grounding import problems
from midefics.records import Turn

Row = tuple[str, Metadata]
TURNS = (4, 5)


class Rate(NamedTuple):
    """A share of counted things."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share; 1 where there was nothing to count."""
        return self.hits / self.of if self.of else 1.0

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's interval; E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), 209."""
        if not self.of:
            return 0.0, 1.0
        share, n = self.value, self.of
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


class Scores(NamedTuple):
    """What the checker made of a set."""

    good: int
    false_alarms: int
    """Good conversations with a problem."""
    alarms: dict[str, int]
    """Good conversations with a problem of a kind, by the kind."""
    corrupted: dict[str, int]
    """How many, by the corruption's name."""
    caught: dict[str, int]
    """Those with a problem of the fitting kind, by the corruption's name."""
    examples: tuple[str, ...]
    """What went wrong."""

    @property
    def precision(self) -> Rate:
        """Of the conversations with a problem, the share that are corrupted."""
        caught = sum(self.caught.values())
        return Rate(caught, caught + self.false_alarms)

    @property
    def recall(self) -> Rate:
        """Of the corrupted conversations, the share that is caught for the right reason."""
        return Rate(sum(self.caught.values()), sum(self.corrupted.values()))

    def precision_of(self, name: str) -> Rate:
        """Of all conversations with a problem of a corruption's kind, those that are so corrupted."""
        caught = self.caught.get(name, 0)
        return Rate(caught, caught + self.alarms.get(CORRUPTIONS[name].kind, 0))

    def recall_of(self, name: str) -> Rate:
        """Of the conversations corrupted so, the share that is caught."""
        return Rate(self.caught.get(name, 0), self.corrupted.get(name, 0))


def scored(rows: Sequence[Row], phrasings: Iterable[Phrasing], per_row: int, seed: int = 5) -> Scores:
    """What the checker makes of conversations about the rows in some phrasings; of the corruptions, the rarest so far is next."""
    tally = _Tally(random.Random(seed))  # noqa: S311 (a choice of examples, no secret)
    for phrasing in phrasings:
        for case in cases(rows, phrasing, per_row, seed):
            tally.take(case, phrasing)
    return tally.scores()


class _Tally:
    """Counts while it corrupts."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._good = self._false_alarms = 0
        self._alarms, self._tried, self._caught = Counter[str](), Counter[str](), Counter[str]()
        self._examples: list[str] = []

    def take(self, case: Case, phrasing: Phrasing) -> None:
        """Checks a conversation as it is, and corrupted."""
        fit = ((name, corrupted(name, case, self._rng, phrasing)) for name in self._rarest_first())
        name, turns = next(((name, turns) for name, turns in fit if turns), ("", None))
        if turns is None:
            return
        self._good += 1
        self._tried[name] += 1
        self._check_good(case)
        if CORRUPTIONS[name].kind in _kinds(case, turns):
            self._caught[name] += 1
        else:
            self._examples.append(
                f"missed: {name} in {[turn for turn in turns if turn not in case.turns]} of {case.metadata}"
            )

    def scores(self) -> Scores:
        """What was counted."""
        return Scores(
            self._good,
            self._false_alarms,
            dict(self._alarms),
            dict(self._tried),
            dict(self._caught),
            tuple(self._examples),
        )

    def _rarest_first(self) -> list[str]:
        return sorted(CORRUPTIONS, key=lambda name: self._tried[name])

    def _check_good(self, case: Case) -> None:
        wrong = problems(case.source, case.metadata, case.turns)
        self._false_alarms += bool(wrong)
        self._alarms.update({problem.kind for problem in wrong})
        self._examples += [
            f"false alarm: {problem} in {case.turns[problem.turn - 1]} of {case.metadata}" for problem in wrong
        ]


def _kinds(case: Case, turns: tuple[Turn, ...]) -> set[str]:
    return {problem.kind for problem in problems(case.source, case.metadata, turns)}


def cases(rows: Sequence[Row], phrasing: Phrasing, per_row: int, seed: int = 5) -> Iterator[Case]:
    """Conversations about every row: an opening, and some of what may follow."""
    rng = random.Random(seed)  # noqa: S311 (a choice of examples, no secret)
    for source, metadata in rows:
        for _ in range(per_row):
            words = gaps(source, metadata, rng.randrange(100))
            openings, later = (_fitting(part.get(source, ()), words) for part in (phrasing.openings, phrasing.later))
            if openings and len(later) >= TURNS[0]:
                chosen = [rng.choice(openings), *rng.sample(later, rng.choice(TURNS) - 1)]
                yield Case(source, metadata, tuple(Turn(question=asked, answer=told) for asked, told in chosen))


def _fitting(exchanges: Sequence[Exchange], words: Gaps) -> list[Exchange]:
    fit = []
    for question, answer in exchanges:
        try:
            fit.append((question.format(**words), answer.format(**words)))
        except KeyError:
            continue
    return fit
