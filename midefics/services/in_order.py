"""Rows settled in any order in, the rows themselves in their own order out, each as soon as all before it are settled."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

from midefics.services.conversations import Written
from midefics.services.requests import Request

LOT = 20
"""Rows that are handed on together: few, for whoever answers waits meanwhile; not one, for each lot asks the ledger."""

Asker = TypeVar("Asker")
Asked = tuple[Asker, Request | None]
"""Somebody, and what is asked for them; nothing where they need no answer."""


class SettledPrefix:
    """How many of the first are settled without a gap."""

    def __init__(self) -> None:
        self.reached = 0
        self._beyond: set[int] = set()

    def settle(self, place: int) -> None:
        """One is settled, whatever those before it are."""
        self._beyond.add(place)
        while self.reached in self._beyond:
            self._beyond.remove(self.reached)
            self.reached += 1


class InOrder(Generic[Asker]):
    """Hands on what came of each asker.

    Args:
        asked: all, in the order in which they are to be handed on.
        became: looks up what came of a lot.
        take: told of each, once; None came of those for whom nothing was asked.
    """

    def __init__(
        self,
        asked: Iterable[Asked[Asker]],
        became: Callable[[list[Asked[Asker]]], Iterable[Written | None]],
        take: Callable[[Asker, Written | None], None],
    ) -> None:
        self._asked, self._became, self._take = iter(asked), became, take
        self._requests = 0
        """Of those that were handed on."""

    def go_on(self, reached: int) -> None:
        """Hands on whole lots, as far as the first so many requests are settled."""
        while reached - self._requests >= LOT and self._hand_on():
            pass

    def end(self) -> None:
        """Hands on all that are left: every request is settled."""
        while self._hand_on():
            pass

    def _hand_on(self) -> bool:
        lot = list(islice(self._asked, LOT))
        self._requests += sum(request is not None for _, request in lot)
        for (asker, _), written in zip(lot, self._became(lot), strict=True):
            self._take(asker, written)
        return bool(lot)
