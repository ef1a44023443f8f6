"""SIGTERM and Ctrl-C in; a request to stop out, which the work takes up where it can save first."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from midefics.errors import StoppedError


class StopRequest:
    """Whether somebody wants the work to end; inside `gentle()` that is only noted, elsewhere it raises."""

    def __init__(self) -> None:
        self.reason = ""
        """`SIGTERM`, or why the process itself wants to stop; empty as long as nobody does."""
        self._gentle = False

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Takes SIGTERM and SIGINT while the block runs; in a thread beside the main one, none.

        Raises:
            StoppedError: a signal came outside of `gentle()`.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def gentle(self) -> Iterator[None]:
        """The work in the block looks at `reason` itself, and leaves in its own time."""
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False

    def ask(self, reason: str) -> None:
        """Stops our own process, from any thread."""
        self.reason = self.reason or reason
        os.kill(os.getpid(), signal.SIGTERM)

    def _told(self, number: int, _frame: FrameType | None) -> None:
        again, self.reason = bool(self.reason), self.reason or signal.Signals(number).name
        if number == signal.SIGINT and again:
            raise KeyboardInterrupt
        if not self._gentle:
            raise StoppedError(f"stopped ({self.reason}) before there was anything to save")
