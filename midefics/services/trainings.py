"""A training's identity in; the right to train it, for one process at a time, and word from whoever has it out.

Processes of one machine part by a file lock, which the kernel frees however its holder dies. Machines that share storage
part by a heartbeat in it, `trainings/<training>.json`, which also tells followers how far the work is and what came of it.
"""

import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

import psutil
from pydantic import ValidationError

from midefics.records import Manifest, Record
from midefics.services.object_store import ObjectStore

log = logging.getLogger(__name__)

BEAT_S = 5.0
DEAD_AFTER_S = 60.0
"""A process on another machine whose heartbeat stands still for so long is taken for dead."""
SETTLED_AFTER_S = 2.0
"""Two machines that claim in the same moment have both written by then; the one that wrote last has it."""
LONG_DEAD_S = 1200.0
"""Nobody's clock is that wrong."""


class Process(Record):
    """One process on one machine, never mistaken for a later one with its number."""

    host: str
    number: int
    born: float

    @classmethod
    def ours(cls) -> "Process":
        """This one."""
        return cls(host=socket.gethostname(), number=os.getpid(), born=psutil.Process().create_time())

    @property
    def here(self) -> bool:
        """Whether it is one of this machine's."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it still runs; only known of those that are `here`."""
        try:
            found = psutil.Process(self.number)
            return abs(found.create_time() - self.born) < 1.0 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class State(Record):
    """What is known of a training."""

    owner: str
    """Of one claim: no two have the same."""
    process: Process
    beat: int = 0
    state: Literal["running", "finished", "ended"] = "running"
    step: int = 0
    steps: int = 0
    note: str = ""
    run_id: str = ""
    """MLflow's."""
    manifest: Manifest | None = None
    """Of the adapter, once it is there."""


class Pace(NamedTuple):
    """How long machines wait for each other, in seconds."""

    beat_s: float = BEAT_S
    dead_after_s: float = DEAD_AFTER_S
    settled_after_s: float = SETTLED_AFTER_S


class Pulse:
    """Watches whether the holder of a training is alive."""

    def __init__(self, dead_after_s: float = DEAD_AFTER_S) -> None:
        self._dead_after_s = dead_after_s
        self._seen: tuple[str, int] | None = None
        self._changed = 0.0

    def beats(self, state: State) -> bool:
        """A process here is looked for; one elsewhere must have moved its heartbeat lately, by our own clock."""
        if state.state != "running":
            return False
        if state.process.here:
            return state.process.alive
        if self._seen != (state.owner, state.beat):
            self._seen, self._changed = (state.owner, state.beat), time.monotonic()
        return time.monotonic() - self._changed < self._dead_after_s


class Trainings:
    """What is known of trainings, in storage and on this machine.

    Args:
        store: the heartbeats are in it, where other machines see them.
        home: the locks are under it.
        shared: other machines may use the same storage.
        pace: how long they wait for each other.
    """

    def __init__(self, store: ObjectStore, home: Path, shared: bool, pace: Pace = Pace()) -> None:  # noqa: B008 (frozen)
        self.store, self.shared, self.pace = store, shared, pace
        self._locks = home / "trainings"

    def state(self, training: str) -> State | None:
        """What its last holder told of it."""
        stored = self.store.read(self.key(training))
        with suppress(ValidationError):
            return State.model_validate_json(stored.content) if stored else None
        return None

    def abandoned(self, training: str, process: Process) -> bool:
        """Whether nobody trains it any more for sure: the process is gone, or has been silent for 20 minutes."""
        if process.here:
            return not process.alive
        stored = self.store.read(self.key(training))
        return stored is not None and time.time() - stored.changed.timestamp() > LONG_DEAD_S

    @contextmanager
    def lock(self, training: str) -> Iterator[bool]:
        """Whether this process alone has the training on this machine, for as long as the block runs."""
        self._locks.mkdir(parents=True, exist_ok=True)
        with (self._locks / f"{training[:16]}.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def take(self, training: str) -> State | None:
        """Claims a training whose lock we have; None where another machine has it or was quicker."""
        first = before = self.state(training)
        pulse = Pulse(self.pace.dead_after_s)
        while first and before and pulse.beats(before):
            if before.process.here or (before.owner, before.beat) != (first.owner, first.beat):
                return None
            log.info(
                "train: waiting up to %.0f s for a sign of life from %s", self.pace.dead_after_s, before.process.host
            )
            time.sleep(min(1.0, self.pace.beat_s))
            before = self.state(training)
        run_id = before.run_id if before and before.state != "finished" else ""
        ours = State(owner=uuid.uuid4().hex, process=Process.ours(), run_id=run_id)
        self.write(training, ours)
        if self.shared:
            time.sleep(self.pace.settled_after_s)
            now = self.state(training)
            return ours if now and now.owner == ours.owner else None
        return ours

    def write(self, training: str, state: State) -> None:
        """Tells everybody."""
        self.store.write(self.key(training), state.model_dump_json().encode() + b"\n")

    def ask_to_stop(self, training: str, state: State) -> None:
        """Passes a request to stop on to the process that trains: by a signal here, by a note elsewhere."""
        if state.process.here:
            with suppress(ProcessLookupError):
                os.kill(state.process.number, signal.SIGTERM)
        else:
            self.store.write(self._note(training), json.dumps({"owner": state.owner}).encode())

    def asked_to_stop(self, training: str, owner: str) -> bool:
        """Whether a follower on another machine wants this claim to end."""
        stored = self.store.read(self._note(training))
        with suppress(ValueError, LookupError, TypeError):
            return stored is not None and bool(json.loads(stored.content)["owner"] == owner)
        return False

    def followed(self, training: str) -> Path:
        """A file that followers on this machine touch."""
        self._locks.mkdir(parents=True, exist_ok=True)
        return self._locks / f"{training[:16]}.followed"

    def talk_to_a_file(self, training: str) -> None:
        """Puts a log file in the place of standard output and error that nobody reads any more."""
        with (self._locks / f"{training[:16]}.log").open("ab") as file:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(file.fileno(), stream.fileno())

    @staticmethod
    def key(training: str) -> str:
        """Of the heartbeat."""
        return f"trainings/{training[:16]}.json"

    @staticmethod
    def _note(training: str) -> str:
        return f"trainings/{training[:16]}.stop"
