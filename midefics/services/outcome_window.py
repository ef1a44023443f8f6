"""What became of requests in, whether their failures are more than chance out: the share among the latest of them."""

import time
from collections import deque


class OutcomeWindow:
    """The latest outcomes.

    Args:
        size: so many of them are looked at.
        share: of failures, from which on they are no chance.
        least: failures in a row, which are none either.
    """

    def __init__(self, size: int, share: float, least: int) -> None:
        self._share, self._least = share, least
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=size)
        self._in_a_row = 0
        self._since = time.monotonic()

    def add(self, well: bool) -> None:
        """Takes in the next outcome."""
        if self._full:
            self._since = self._outcomes[0][0]
        self._outcomes.append((time.monotonic(), well))
        self._in_a_row = 0 if well else self._in_a_row + 1

    def mostly_fails(self) -> bool:
        """Whether failures make up their share, or came so many in a row as it takes in any case."""
        failures = sum(not well for _, well in self._outcomes)
        # A few outcomes tell of no share: three failures at the beginning may well be chance.
        return self._in_a_row >= self._least or (self._full and failures >= self._share * len(self._outcomes))

    def rate(self) -> float:
        """Requests that went well in a second, over the time of the outcomes."""
        return sum(well for _, well in self._outcomes) / max(time.monotonic() - self._since, 0.1)

    def forget(self) -> None:
        """Looks only at what comes from now on."""
        self._outcomes.clear()
        self._in_a_row, self._since = 0, time.monotonic()

    @property
    def _full(self) -> bool:
        return len(self._outcomes) == self._outcomes.maxlen
