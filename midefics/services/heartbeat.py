"""A claimed training in; a thread out that tells everybody that it is alive and how far, and listens for who wants it to end."""

import logging
import multiprocessing
import os
import threading
import time
from types import TracebackType
from typing import Self

import psutil

from midefics.records import Manifest
from midefics.services.stopping import StopRequest
from midefics.services.trainings import State, Trainings

log = logging.getLogger(__name__)


class Heartbeat:
    """Beats while the block runs; the last beat says how it ended.

    Args:
        trainings: where it is told.
        training: its identity.
        state: of our claim.
        stop: asked where another process took the training over, where a follower elsewhere wants it to end, and where
            nobody has watched it for `outlive_s`.
        outlive_s: how long the training goes on once the process that started it is gone, and nobody follows it;
            None: to its end.
    """

    def __init__(
        self, trainings: Trainings, training: str, state: State, stop: StopRequest, outlive_s: float | None = None
    ) -> None:
        self.state = state
        self.lost = False
        """Another process has taken the training over: nothing of it may be touched any more."""
        self._trainings, self._training, self._stop, self._outlive_s = trainings, training, stop, outlive_s
        self._parent, self._orphan_since = starter(), 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        if not self.lost and self.state.state == "running":
            self._tell(state="ended")

    def progress(self, step: int, steps: int, note: str) -> None:
        """Told with the next beat."""
        with self._writing:
            self.state = self.state.model_copy(update={"step": step, "steps": steps, "note": note})

    def found_run(self, run_id: str) -> None:
        """Told at once: whoever goes on with the training takes the MLflow run up."""
        self._tell(run_id=run_id)

    def finished(self, manifest: Manifest) -> None:
        """Told at once: followers return it."""
        self._tell(state="finished", manifest=manifest)

    def _tell(self, **changes: object) -> None:
        with self._writing:
            self.state = self.state.model_copy(update=changes)
            self._trainings.write(self._training, self.state)

    def _beat(self) -> None:
        while not self._end.wait(self._trainings.pace.beat_s):
            for act in (self._tell_of_life, self._look_at_the_parent):
                try:
                    act()
                except Exception as error:  # a thread that ends of it would have others take the training for dead
                    log.warning("train: its heartbeat falters (%s)", error)

    def _tell_of_life(self) -> None:
        if self._trainings.shared:
            self._listen()
        if not self.lost:
            self._tell(beat=self.state.beat + 1)

    def _listen(self) -> None:
        there = self._trainings.state(self._training)
        if there is not None and there.owner != self.state.owner:
            self.lost = True
            self._stop.ask(f"{there.process.host} has taken this training over")
        elif self._trainings.asked_to_stop(self._training, self.state.owner):
            self._stop.ask("a follower on another machine was told to stop")

    def _look_at_the_parent(self) -> None:
        if self._outlive_s is None or starter() == self._parent:
            return
        if not self._orphan_since:
            self._orphan_since = time.time()
            self._trainings.talk_to_a_file(self._training)
            log.info("train: going on without the process that started it, for %.0f s", self._outlive_s)
        watched = self._trainings.followed(self._training)
        last = max(self._orphan_since, watched.stat().st_mtime if watched.exists() else 0.0)
        if time.time() - last > self._outlive_s:
            self._stop.ask(f"nobody has watched it for {self._outlive_s:.0f} s")


def starter() -> int:
    """The process that started this command; between it and one of several that train together stands their launcher."""
    launcher = multiprocessing.parent_process()
    if launcher is None or launcher.pid is None:
        return os.getppid()
    try:
        return psutil.Process(launcher.pid).ppid()
    except psutil.NoSuchProcess:
        return 0
