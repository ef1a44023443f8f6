"""A rate in, the moment each request may leave out: one queue for all threads, which a pause holds up for everybody."""

import threading
import time
from collections.abc import Callable


class Pace:
    """At most so many requests per second, evenly spread, and none while the archive asks for a pause."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._gap = 1 / per_second
        self._lock = threading.Lock()
        self._next = self._closed_until = 0.0

    def enter(self) -> None:
        """Returns when this request may leave."""
        while True:
            with self._lock:
                now = self._clock()
                slot = max(now, self._next)
                self._next = slot + self._gap
            self._sleep(slot - now)
            with self._lock:
                if self._closed_until <= self._clock():
                    return
                self._next = max(self._next, self._closed_until)

    def pause(self, seconds: float) -> None:
        """Nobody leaves for so long, whoever was told to wait."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)
            self._next = max(self._next, self._closed_until)
