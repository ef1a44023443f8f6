"""A service's rate limit headers in, the moment each request may leave out: one gate that all workers share.

What the service allows, requests and tokens, is learnt from its first answers (`x-ratelimit-limit/remaining/reset-…`,
buckets that refill evenly); a configured ceiling holds where it is lower. A 429 with a `Retry-After` closes the gate for
everybody: were each worker to wait for itself, all of them would wake for the one slot that it speaks of. A 429 that says
nothing may be a limit's or a whim: only where they come as a limit's do, many or one after the other, all slow down.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from midefics.services.bucket import Bucket
from midefics.services.outcome_window import OutcomeWindow
from midefics.services.rate_headers import limit_told, retry_after, spent

WAIT_UNTOLD_S = 1.0
"""Length of the first pause after 429s that name none; a single one costs its own request at most so much."""
RECENT, LIMITS_SHARE, LIMITS_ROW = 40, 0.25, 5
"""A quarter of so many answers, or so many one after the other, are a limit's 429s: of 5 % at random it takes 50,000 answers
to see the one, and three millions to see the other."""
LONGEST_UNTOLD_S = 30.0
SLOWEST_GUESS = 1.0
"""Requests per second after the first 429s, at least: a fixed `Retry-After: 20` does not mean three a minute."""
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
        self._turns = self._closures = self._drains = 0
        self._volleys = self._volleys_in_a_row = 0
        self._slowed_at = 0
        """The last turn that was given out before the last slowing down: what comes of those up to it is no news."""
        self._recent = OutcomeWindow(RECENT, LIMITS_SHARE, LIMITS_ROW)

    async def enter(self, tokens: int) -> int:
        """Returns when a request of so many tokens may leave; the number of its turn is for what comes of it."""
        while True:
            closures, drains = self._closures, self._drains
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
            self.tokens.give_back(tokens)
            if drains == self._drains:
                self.requests.give_back(1)

    def welcome(self, turn: int, headers: Mapping[str, str]) -> None:
        """An answer came: believe its headers; where it has none, dare a little more than before."""
        self._volleys_in_a_row = 0
        self.leave(turn)
        if turn > self._slowed_at:
            self._recent.add(True)
        # The service has not counted those who had their turn after this one.
        later = [tokens for other, tokens in self._on_the_way.items() if other > turn]
        if not self._learn(headers, later):
            self.requests.faster(_PROBE if self._volleys < 2 else _SPEED_UP)

    def refuse(self, turn: int, headers: Mapping[str, str]) -> float:
        """A 429 came; returns the seconds until the request may come again.

        Where it names a pause, or is a limit's, nobody leaves so long.
        """
        self.leave(turn)
        told, is_news = retry_after(headers), turn > self._slowed_at
        self._learn(headers, [])
        if is_news:
            self._recent.add(False)
        of_a_limit = is_news and (self._recent.mostly_fails() or spent(headers))
        if of_a_limit:
            self._slow_down(told)
        elif told is None:
            return random.uniform(0.5, 1) * WAIT_UNTOLD_S if is_news else 0.0  # noqa: S311 (jitter)
        pause = min(WAIT_UNTOLD_S * 2 ** (self._volleys_in_a_row - 1), LONGEST_UNTOLD_S) if told is None else told
        self._close(pause, empty=of_a_limit or not is_news)
        return pause

    def _slow_down(self, told: float | None) -> None:
        self.requests.slow_down(_SLOW_DOWN, self._guess(told))
        self._volleys += 1
        self._volleys_in_a_row += 1
        self._slowed_at = self._turns
        self._recent.forget()

    def _close(self, pause: float, empty: bool) -> None:
        """Lets nobody leave for so long; `empty`: what was thought to be left of the limit is not there."""
        self._closures += 1
        self._opens = max(self._opens, time.monotonic() + pause)
        if empty:
            self._drains += 1
            self.requests.drain(1.0, self._opens)

    def leave(self, turn: int) -> None:
        """Nothing came of a turn, or all that was to come."""
        self._on_the_way.pop(turn, None)

    def _learn(self, headers: Mapping[str, str], uncounted: Sequence[int]) -> bool:
        limits = ((self.requests, "requests", len(uncounted)), (self.tokens, "tokens", sum(uncounted)))
        told = [(bucket, limit, amount) for bucket, kind, amount in limits if (limit := limit_told(headers, kind))]
        for bucket, limit, amount in told:
            bucket.learn(limit, amount)
        return bool(told)

    def _guess(self, told: float | None) -> float:
        # A pause told to the millisecond is when one slot is free, so its inverse is the rate; whole seconds are a
        # custom, and what went well of late tells more.
        if told and told < 1:
            return 1 / max(told, 0.01)
        return max(self._recent.rate(), SLOWEST_GUESS)
