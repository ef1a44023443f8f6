"""A service's rate limit headers in, the moment each request may leave out: one gate that all workers share.

What the service allows is learnt from its first answers (`x-ratelimit-limit/remaining/reset-requests`, a bucket that
refills evenly). A 429 closes the gate for everybody: were each worker to wait for itself, all of them would wake for
the one slot that `Retry-After` speaks of.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

WAIT_UNTOLD_S = 1.0
"""Length of the first pause after a 429 that names none."""
LONGEST_UNTOLD_S = 30.0
SLOWEST_GUESS = 1.0
"""Requests per second after the first 429, at least: a fixed `Retry-After: 20` does not mean three a minute."""
_PROBE, _SPEED_UP, _SLOW_DOWN = 1.1, 1.02, 0.7
_PARTS = re.compile(r"([\d.]+)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Gate:
    """Times are of `time.monotonic`, rates are requests per second."""

    def __init__(self) -> None:
        self.rate: float | None = None
        """None as long as the service has shown no limit."""
        self._credit = float("inf")
        """Requests that may leave at once; below zero, that many are waiting for their turn."""
        self._counted = 0.0
        """When the credit was right; in the future while the gate is closed."""
        self._turns = self._answered = self._closures = 0
        self._volleys = self._volleys_in_a_row = 0
        self._began: float | None = None

    async def enter(self) -> int:
        """Returns when this request may leave; the number of its turn is for `welcome`."""
        self._began = self._began or time.monotonic()
        while True:
            closures = self._closures
            self._refill()
            self._credit -= 1
            self._turns += 1
            turn = self._turns
            wait = self._counted - time.monotonic() + (max(0.0, -self._credit) / self.rate if self.rate else 0.0)
            if wait > 0:
                await asyncio.sleep(wait)
            if closures == self._closures:  # else another's 429 has voided every turn given out before
                return turn

    def welcome(self, turn: int, headers: Mapping[str, str], tokens: int) -> None:
        """An answer came: believe its headers; where it has none, dare a little more than before.

        Args:
            turn: that the request had at the gate.
            headers: of the answer.
            tokens: what such a request takes from the limit on tokens: its prompt and the most it may answer.
        """
        self._answered += 1
        self._volleys_in_a_row = 0
        self._refill()
        limits = [seen for kind, cost in (("requests", 1), ("tokens", tokens)) if (seen := _limit(headers, kind, cost))]
        if limits:
            self.rate = min(rate for rate, _ in limits)
            # The service has not counted those who had their turn after this one.
            self._credit = min(self._credit, min(remaining for _, remaining in limits) - (self._turns - turn))
        elif self.rate:
            self.rate *= _PROBE if self._volleys < 2 else _SPEED_UP

    def refuse(self, headers: Mapping[str, str]) -> float:
        """A 429 came: nobody leaves for as long as it asks; returns that time in seconds."""
        pause = retry_after(headers)
        if pause is None:
            pause = min(WAIT_UNTOLD_S * 2**self._volleys_in_a_row, LONGEST_UNTOLD_S)
        now = time.monotonic()
        if now >= self._counted:  # the first of a volley; the rest of it only says the same again
            self._volleys += 1
            self._volleys_in_a_row += 1
            self.rate = self.rate * _SLOW_DOWN if self.rate else self._guess(pause, now)
        self._closures += 1
        self._credit, self._counted = 1.0, max(self._counted, now + pause)
        return pause

    def _guess(self, pause: float, now: float) -> float:
        # Retry-After is mostly when one slot is free, so its inverse is the rate; what went well may tell more.
        went_well = self._answered / max(now - (self._began or now), 0.1)
        return max(1 / max(pause, 0.05), went_well / 2, SLOWEST_GUESS)

    def _refill(self) -> None:
        now = time.monotonic()
        if now > self._counted:
            self._credit += (now - self._counted) * (self.rate or 0.0)
            self._counted = now


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a service asks to wait, from `retry-after-ms` or `Retry-After` (seconds or a date)."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and text:
        try:
            seconds = max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except ValueError:
            return None
    return seconds


def _limit(headers: Mapping[str, str], kind: str, cost: int) -> tuple[float, float] | None:
    # Requests per second, and how many may leave at once.
    limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
    if limit is None or remaining is None:
        return None
    reset = _duration(headers.get(f"x-ratelimit-reset-{kind}"))
    # The bucket regains what it lacks in `reset` seconds; a full one tells no more than its size for a minute.
    rate = (limit - remaining) / reset if reset and limit > remaining else limit / 60
    return max(rate, 0.001) / cost, remaining / cost


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def _duration(text: str | None) -> float | None:
    """OpenAI's form: `20ms`, `1.5s`, `6m0s`."""
    parts = _PARTS.findall(text or "")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None
