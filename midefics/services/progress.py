"""Steps of long work in; a bar on a terminal, lines in a log, and a small file that another process may watch out."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

log = logging.getLogger(__name__)

SECONDS_BETWEEN_FILES = 0.3
SECONDS_BETWEEN_LINES = 5.0


class Counter:
    """Counts the steps of one piece of work."""

    def __init__(self, name: str, total: int | None, file: Path | None, bars: Bars | None) -> None:
        self.name, self.total, self.done, self.note = name, total, 0, ""
        self._file, self._bars = file, bars
        self._bar = bars.add_task(name, total=total, note="") if bars else None
        self._told = self._logged = 0.0
        self._began, self._began_at = time.monotonic(), 0

    def go_on(self, done: int) -> None:
        """Begins with what an earlier process did: it says nothing of how fast this one is."""
        self.done = self._began_at = done
        self._began = time.monotonic()

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far; None where the total or the pace is unknown."""
        made = self.done - self._began_at
        if not self.total or made <= 0:
            return None
        return (self.total - self.done) * (time.monotonic() - self._began) / made

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Some steps are done; the note says how it goes (`loss 0.83`)."""
        self.done += steps
        self.note = self.note if note is None else note
        now = time.monotonic()
        if self._bars and self._bar is not None:
            self._bars.update(self._bar, total=self.total, completed=self.done, note=self.note)
        elif now - self._logged > SECONDS_BETWEEN_LINES:
            self._logged = now
            log.info("%s %s of %s %s%s", self.name, self.done, self.total or "?", self.note, _left(self.left_s))
        if self._file and (now - self._told > SECONDS_BETWEEN_FILES or self.done == self.total):
            self._told = now
            self.tell()

    def tell(self) -> None:
        """Writes the state to the file, whole or not at all."""
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_suffix(".part")
            state = {
                "name": self.name,
                "done": self.done,
                "total": self.total,
                "note": self.note,
                "left_s": self.left_s,
            }
            part.write_text(json.dumps(state))
            part.replace(self._file)


class Progress:
    """Shows how far work is: as a bar where standard error is a terminal, else as a log line every few seconds."""

    def __init__(self, file: Path | None = None, silent: bool = False) -> None:
        self.file, self._silent = file, silent

    @contextmanager
    def track(self, name: str, total: int | None = None) -> Iterator[Counter]:
        """Counts the steps of the block; `total` is how many are expected."""
        if self._silent or not sys.stderr.isatty():
            counter = Counter(name, total, self.file, None)
            counter.tell()
            yield counter
            counter.tell()
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            counter = Counter(name, total, self.file, bars)
            counter.tell()
            yield counter
            counter.tell()


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f", {hours} h {minutes} min left"
    return f", {minutes} min left" if minutes else f", {seconds:.0f} s left"
