"""A service's rate limit headers in, the moment each request may leave out: one gate that all workers share.

What the service allows, requests and tokens, is learnt from its first answers (`x-ratelimit-limit/remaining/reset-…`,
buckets that refill evenly); a configured ceiling holds where it is lower. A 429 closes the gate for everybody: were each
worker to wait for itself, all of them would wake for the one slot that `Retry-After` speaks of.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from midefics.services.bucket import Bucket
from midefics.services.rate_headers import limit_told, retry_after

WAIT_UNTOLD_S = 1.0
"""Length of the first pause after a 429 that names none."""
LONGEST_UNTOLD_S = 30.0
SLOWEST_GUESS = 1.0
"""Requests per second after the first 429, at least: a fixed `Retry-After: 20` does not mean three a minute."""
_PROBE, _SPEED_UP, _SLOW_DOWN = 1.1, 1.02, 0.7


class Ceilings(NamedTuple):
    """What the configuration allows, whatever the service would."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst: bool = True
    """Whether a minute's worth may leave at once."""


UNLIMITED = Ceilings()


class Gate:
    """Times are of `time.monotonic`, rates are per second."""

    def __init__(self, ceilings: Ceilings = UNLIMITED) -> None:
        self.requests = Bucket(ceilings.requests_per_minute, ceilings.burst)
        self.tokens = Bucket(ceilings.tokens_per_minute, ceilings.burst)
        self._on_the_way: dict[int, int] = {}
        """Tokens of each turn that was given out and not yet answered."""
        self._opens = 0.0
        self._turns = self._answered = self._closures = 0
        self._volleys = self._volleys_in_a_row = 0
        self._began: float | None = None

    async def enter(self, tokens: int) -> int:
        """Returns when a request of so many tokens may leave; the number of its turn is for what comes of it."""
        self._began = self._began or time.monotonic()
        while True:
            closures = self._closures
            self._turns += 1
            turn = self._turns
            self._on_the_way[turn] = tokens
            closed = max(0.0, self._opens - time.monotonic())
            wait = closed + max(self.requests.take(1, closed), self.tokens.take(tokens, closed))
            try:
                if wait > 0:
                    await asyncio.sleep(wait)
            except asyncio.CancelledError:
                self.leave(turn)
                raise
            if closures == self._closures:
                return turn
            self.leave(turn)  # another's 429 has voided every turn given out before

    def welcome(self, turn: int, headers: Mapping[str, str]) -> None:
        """An answer came: believe its headers; where it has none, dare a little more than before."""
        self._answered += 1
        self._volleys_in_a_row = 0
        self.leave(turn)
        # The service has not counted those who had their turn after this one.
        later = [tokens for other, tokens in self._on_the_way.items() if other > turn]
        if not self._learn(headers, later):
            self.requests.faster(_PROBE if self._volleys < 2 else _SPEED_UP)

    def refuse(self, turn: int, headers: Mapping[str, str]) -> float:
        """A 429 came: nobody leaves for as long as it asks; returns that time in seconds."""
        self.leave(turn)
        told = retry_after(headers)
        pause = min(WAIT_UNTOLD_S * 2**self._volleys_in_a_row, LONGEST_UNTOLD_S) if told is None else told
        now = time.monotonic()
        if now >= self._opens:  # the first of a volley; the rest of it only says the same again
            self._volleys += 1
            self._volleys_in_a_row += 1
            if not self._learn(headers, []):
                self.requests.slow_down(_SLOW_DOWN, self._guess(told, pause, now))
        self._closures += 1
        self._opens = max(self._opens, now + pause)
        self.requests.drain(1.0, self._opens)
        return pause

    def leave(self, turn: int) -> None:
        """Nothing came of a turn, or all that was to come."""
        self._on_the_way.pop(turn, None)

    def _learn(self, headers: Mapping[str, str], uncounted: Sequence[int]) -> bool:
        limits = ((self.requests, "requests", len(uncounted)), (self.tokens, "tokens", sum(uncounted)))
        told = [(bucket, limit, amount) for bucket, kind, amount in limits if (limit := limit_told(headers, kind))]
        for bucket, limit, amount in told:
            bucket.learn(limit, amount)
        return bool(told)

    def _guess(self, told: float | None, pause: float, now: float) -> float:
        # A pause told to the millisecond is when one slot is free, so its inverse is the rate; whole seconds are a
        # custom, and what went well until now may tell more.
        if told and told < 1:
            return 1 / max(told, 0.01)
        went_well = self._answered / max(now - (self._began or now), 0.1)
        return max(1 / max(pause, 0.05), went_well / 2, SLOWEST_GUESS)
