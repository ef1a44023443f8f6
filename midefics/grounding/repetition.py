"""Conversations in, one after the other; the same out without the questions that the set already asks too often.

Two questions are near-identical where the same words remain of them, whatever their order, without the small ones and the
ends of words. The first turn stays, and a conversation keeps at least three. The result depends on the order alone.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from midefics.records import Turn

UNTIL = 100
"""Conversations that are let through before shares mean something."""
KEPT = 3
"""Turns that a conversation keeps at least, where it has as many."""
_SMALL = re.compile(
    r"an?|the|this|that|these|it|its|is|are|was|were|be|do|does|did|can|could|would|you|i|we|there|here|what|which|how|of|in|on|at|"
    r"to|for|from|with|and|or|any|some|please|me|tell|about|image|picture|shown?|see|seen|visible|\d+"
)
_ENDINGS = re.compile(r"(?:ings?|ed|es|s)$")


class Questions:
    """Counts what a set asks; feed it the conversations in their order."""

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._asked: Counter[bytes] = Counter()
        self._conversations = 0
        self.thinned = 0
        """Turns taken out so far."""

    def thin(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """The conversation without questions that a larger share of those before it asks than is allowed."""
        self._conversations += 1
        kept: list[Turn] = []
        for place, turn in enumerate(turns):
            key = same_question(turn.question)
            may_go = place > 0 and len(turns) - self._gone(place, kept) > KEPT
            if may_go and self._too_often(key):
                self.thinned += 1
            else:
                kept.append(turn)
                self._asked[key] += 1
        return tuple(kept)

    def _gone(self, place: int, kept: list[Turn]) -> int:
        return place - len(kept)

    def _too_often(self, key: bytes) -> bool:
        enough = self._conversations > UNTIL
        return enough and self._asked[key] >= self._max_share * self._conversations


def same_question(question: str) -> bytes:
    """Eight bytes that near-identical questions share."""
    words = re.findall(r"\w+", question.lower())
    telling = sorted({_ENDINGS.sub("", word) for word in words if not _SMALL.fullmatch(word)})
    return hashlib.sha256(" ".join(telling or words).encode()).digest()[:8]
