"""Failures and answers in, whether to go on out: a circuit breaker for a service that is down."""

import asyncio
import random
import time

FAILURES_IN_A_ROW = 10
"""So many attempts without an answer, one after the other, and the service counts as down."""
PROBES = 3
"""Single requests that are let through, one after each pause, before the run gives up."""
FIRST_PAUSE_S = 1.0
"""Before the first probe; twice as long before each further one, shortened at random by up to a half."""


class Breaker:
    """Closed, all may ask; open, nobody does; half open, one asks and decides for all."""

    def __init__(self) -> None:
        self._failures = self._probes = 0
        self._opens: float | None = None
        """When the next probe may leave; None while closed."""
        self._probing = False
        self._changed = asyncio.Event()

    async def enter(self) -> bool:
        """Returns when a request may be sent, and whether it is the one that decides."""
        while self._opens is not None:
            wait = self._opens - time.monotonic()
            if not self._probing and wait <= 0:
                self._probing = True
                return True
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), None if self._probing else wait)
            except TimeoutError:
                continue
        return False

    def answered(self) -> None:
        """The service is there: whatever it said, it spoke."""
        self._failures = self._probes = 0
        self._opens, self._probing = None, False
        self._changed.set()

    def failed(self, probe: bool) -> bool:
        """No answer; returns whether the service counts as down for good."""
        self._failures += 1
        if not probe and (self._opens is not None or self._failures < FAILURES_IN_A_ROW):
            return False
        self._probes += probe
        self._probing = False
        self._opens = time.monotonic() + FIRST_PAUSE_S * 2**self._probes * random.uniform(0.5, 1)  # noqa: S311 (jitter)
        self._changed.set()
        return self._probes >= PROBES
