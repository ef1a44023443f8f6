"""What one limit allows in, how long a request must wait for its share out: a bucket that refills evenly."""

import time

from midefics.services.rate_headers import Limit

_OVERTAKEN = 0.5


class Bucket:
    """Of requests or of tokens; no limit until one is configured or told.

    Args:
        per_minute: a configured ceiling.
        burst: whether a minute's worth may leave at once; else all are spread evenly.
    """

    def __init__(self, per_minute: float | None = None, burst: bool = True) -> None:
        self._ceiling = per_minute / 60 if per_minute else None
        self._burst = burst
        self.rate = self._ceiling
        """A second; None as long as nobody has named a limit."""
        self._size = self._room(per_minute)
        self._level = self._size
        """What may leave at once; below zero, so much is waiting for its turn."""
        self._told = False
        self._counted = time.monotonic()
        """When the level was right; in the future while the gate is closed."""

    def take(self, amount: float, closed: float = 0.0) -> float:
        """Takes its share for one request; returns the seconds until it is there, after the gate has opened.

        Args:
            amount: to take; a request larger than the whole bucket waits for a full one.
            closed: seconds until the gate opens.
        """
        if self.rate is None:
            return 0.0
        self._refill()
        self._level -= min(amount, max(self._size, 1.0))
        pending = max(0.0, self._counted - time.monotonic() - closed)
        return pending + max(0.0, -self._level) / self.rate

    def learn(self, limit: Limit, uncounted: float) -> None:
        """Believes what an answer tells of the limit.

        Args:
            limit: as told.
            uncounted: what requests took that the service had not yet counted.
        """
        self._refill()
        self.rate = min(limit.rate, self._ceiling) if self._ceiling else limit.rate
        self._size = min(self._size, self._room(limit.size))
        # Once our own count is right, theirs only tells of others: answers overtake one another, and some of what looks
        # uncounted has been. To believe the least of all answers would give a share away with each one overtaken.
        share = _OVERTAKEN if self._told else 1.0
        self._told = True
        self._level = min(self._level, self._size, limit.remaining - share * uncounted)

    def faster(self, factor: float) -> None:
        """Dares more, where a limit was only guessed."""
        if self.rate is not None and not self._told:
            self._refill()
            self.rate = min(self.rate * factor, self._ceiling or float("inf"))

    def slow_down(self, factor: float, guess: float) -> None:
        """Too many left: the rate falls by the factor, or to the guess where that is lower and nobody has named a limit.

        What the service tells of its limit is right, whatever the others do that share it; what is configured may be too
        much, but no guess is better.
        """
        if self._told:
            return
        self._refill()
        if self.rate is None:
            self.rate = guess
        else:
            self.rate = self.rate * factor if self._ceiling else min(self.rate * factor, guess)
        self._size = min(self._size, max(1.0, self.rate))

    def give_back(self, amount: float) -> None:
        """Takes back the share of a request that did not leave."""
        self._level = min(self._size, self._level + min(amount, max(self._size, 1.0)))

    def drain(self, level: float, until: float) -> None:
        """Whatever was thought to be there, only so much is, at that time."""
        self._level, self._counted = min(level, self._size), max(self._counted, until)

    def _room(self, minute: float | None) -> float:
        if not self._burst:
            return 1.0
        return minute or float("inf")

    def _refill(self) -> None:
        now = time.monotonic()
        if now > self._counted:
            self._level = min(self._size, self._level + (now - self._counted) * (self.rate or 0.0))
            self._counted = now
