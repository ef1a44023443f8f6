"""How requests fare in, how many may be under way at once out: more while they go well, fewer when many do not."""

import asyncio
from collections import deque

from midefics.services.outcome_window import OutcomeWindow

FIRST = 8.0
"""Requests under way at once before anything is known of the service."""
RECENT, MUCH, ROW = 40, 0.3, 5
"""Failures that are so large a share of so many outcomes, or so many one after the other, are a service's that has too much to
do: of one in ten at random it takes thousands of outcomes to see the one, and a hundred thousand to see the other."""
_CUT = 0.7
_NEAR_THE_END = 0.5
"""Share of the time-out from which on answers count as too slow: fewer at once before none comes in time."""
_SMOOTHING = 0.2


class Capacity:
    """Doubles with every round of answers until the first cut, then grows by one a round.

    It is cut where failures (time-outs, broken connections, 5xx) are a large share of late, and where answers take more than
    half of the time-out. A single failure is the business of its own request.

    Args:
        most: never more at once.
        timeout_s: of one request.
    """

    def __init__(self, most: int, timeout_s: float) -> None:
        self.limit = min(FIRST, float(most))
        self.under_way = 0
        self._most, self._slow_s = float(most), timeout_s * _NEAR_THE_END
        self._seconds = 0.0
        """An answer takes, smoothed."""
        self._recent = OutcomeWindow(RECENT, MUCH, ROW)
        self._was_cut = False
        self._left = self._cut_at = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Returns when there is room for one more; the number is for `leave`."""
        while self.under_way >= int(self.limit):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()  # its place, if it had one already, is another's
                raise
        self.under_way += 1
        self._left += 1
        return self._left

    def leave(self) -> None:
        """One is no longer under way."""
        self.under_way -= 1
        self._wake()

    def went_well(self, entered: int, seconds: float) -> None:
        """An answer came."""
        self._seconds += (seconds - self._seconds) * (_SMOOTHING if self._seconds else 1.0)
        if entered > self._cut_at:
            self._recent.add(True)
        if self._seconds > self._slow_s:
            self._cut(entered)
            return
        self.limit = min(self._most, self.limit + (1 / self.limit if self._was_cut else 1.0))
        self._wake()

    def trouble(self, entered: int) -> None:
        """None came."""
        if entered > self._cut_at:
            self._recent.add(False)
            if self._recent.mostly_fails():
                self._cut(entered)

    def _cut(self, entered: int) -> None:
        """Those that were under way at the last cut only say the same again."""
        if entered > self._cut_at:
            self._was_cut, self._cut_at = True, self._left
            self.limit = max(1.0, self.limit * _CUT)
            self._recent.forget()

    def _wake(self) -> None:
        room = int(self.limit) - self.under_way
        while self._waiting and room > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                room -= 1
