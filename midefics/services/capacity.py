"""How requests fare in, how many may be under way at once out: more while all goes well, fewer when it does not."""

import asyncio
from collections import deque

FIRST = 8.0
"""Requests under way at once before anything is known of the service."""
_CUT = 0.7
_NEAR_THE_END = 0.5
"""Share of the time-out from which on answers count as too slow: fewer at once before none comes in time."""
_SMOOTHING = 0.2


class Capacity:
    """Doubles with every round of answers until the first trouble, then grows by one a round; a trouble cuts it.

    Troubles are time-outs, broken connections, 5xx, and answers that take more than half of the time-out.

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
        self._troubled = False
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
        if self._seconds > self._slow_s:
            self.trouble(entered)
            return
        self.limit = min(self._most, self.limit + (1 / self.limit if self._troubled else 1.0))
        self._wake()

    def trouble(self, entered: int) -> None:
        """None came. Those that were under way at the last cut only say the same again."""
        if entered > self._cut_at:
            self._troubled, self._cut_at = True, self._left
            self.limit = max(1.0, self.limit * _CUT)

    def _wake(self) -> None:
        room = int(self.limit) - self.under_way
        while self._waiting and room > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                room -= 1
