"""A conversation in, how doubtful it is out: what a person should look at first.

The score adds up the weights of what is odd about the conversation and, between 0 and 1, how rare the words of its rarest
question are among the questions of its source. It says where to look, not what is wrong.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from midefics.records import Row, Turn
from midefics.review.checked import is_broken_call, is_ungrounded

FEW_TURNS, SHORT, LONG = 3, 3, 80
"""Turns of a conversation, words of an answer: fewer than the first two, or more than the last, are odd."""
RARE = 0.8
"""From this rarity on the question is named."""
_WORD = re.compile(r"\w+")


class Doubt(NamedTuple):
    """How doubtful a conversation is."""

    score: float
    reasons: tuple[str, ...] = ()


class Oddity(NamedTuple):
    """One thing that may be odd about a conversation."""

    reason: str
    weight: float
    holds: Callable[[Row], bool]


class Familiar:
    """How many questions of each source hold a word."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._questions: Counter[str] = Counter()
        self._holding: Counter[tuple[str, str]] = Counter()
        for row in rows:
            self._questions[row.source] += len(row.turns)
            for turn in row.turns:
                self._holding.update((row.source, word) for word in _words(turn.question))

    def rarity(self, source: str, question: str) -> float:
        """0 where every question has these words, 1 where no other has any of them: mean inverse document frequency."""
        asked, words = self._questions[source], _words(question)
        if asked < 2 or not words:
            return 0.0
        inverse = [math.log(asked / max(1, self._holding[source, word])) for word in words]
        return sum(inverse) / len(inverse) / math.log(asked)

    def doubt(self, row: Row) -> Doubt:
        """How doubtful one of these rows is."""
        found = [oddity for oddity in ODDITIES if oddity.holds(row)]
        rarest = max((self.rarity(row.source, turn.question) for turn in row.turns), default=0.0)
        rare = ("a question with rare words",) if rarest >= RARE else ()
        return Doubt(sum(oddity.weight for oddity in found) + rarest, (*(oddity.reason for oddity in found), *rare))


def _twice(texts: Iterable[str]) -> bool:
    folded = [" ".join(text.casefold().split()) for text in texts]
    return len(set(folded)) < len(folded)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _answers_words(turns: Sequence[Turn]) -> list[int]:
    return [len(turn.answer.split()) for turn in turns]


ODDITIES = (
    Oddity("few turns", 1.0, lambda row: len(row.turns) < FEW_TURNS),
    Oddity("a very short answer", 1.0, lambda row: min(_answers_words(row.turns), default=0) < SHORT),
    Oddity("a very long answer", 1.0, lambda row: max(_answers_words(row.turns), default=0) > LONG),
    Oddity("a question asked twice", 2.0, lambda row: _twice(turn.question for turn in row.turns)),
    Oddity("says what the metadata do not support", 3.0, is_ungrounded),
    Oddity("a broken model call", 3.0, is_broken_call),
    Oddity("an answer given twice", 1.0, lambda row: _twice(turn.answer for turn in row.turns)),
)
