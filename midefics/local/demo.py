"""A configuration in, a promoted model out, on this machine: what `make demo` runs and `make down` ends."""

import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console

from midefics.config import Settings, load_config
from midefics.errors import MideficsError, ServiceError
from midefics.local import airflow
from midefics.local.board import Board
from midefics.local.follow import Follower
from midefics.local.platform import start
from midefics.local.processes import Processes
from midefics.local.summary import addresses, comparison, save, summarise
from midefics.services import Services

log = logging.getLogger(__name__)

INTERRUPTED = 130
ENDING = (signal.SIGTERM, signal.SIGHUP)


def run_demo(settings: Settings, config: str = "demo") -> int:
    """Runs the whole way under Airflow; the servers stay up afterwards.

    Returns:
        0, 1 where a task failed, 130 where somebody interrupted: then what was started is ended again.

    Raises:
        MideficsError: the configuration, the machine or a server is not as it should be.
    """
    load_config(config)
    processes, console, started = Processes(settings.home), Console(), list[str]()
    follower: Follower | None = None
    with _one_at_a_time(settings.home), _ending_signals_interrupt():
        try:
            if not processes.find(airflow.NAME):
                console.print("Starting Airflow and MLflow; the first time takes about a minute.")
            platform = start(settings, processes, started)
            with Board(console) as board:
                follower = Follower(platform.api, settings.home, board)
                follower.go(config)
            summary = summarise(follower, Services(settings), platform.mlflow_url)
            console.print(comparison(summary))
            console.print(addresses(summary), highlight=False, soft_wrap=True)
            console.print(
                f"\nWritten to {save(summary, settings.home)}. Everything stays up until `make down`.", soft_wrap=True
            )
        except KeyboardInterrupt:
            _undo(processes, started, follower, console)
            return INTERRUPTED
        except MideficsError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 (the command line's own voice)
            console.print("What is up stays up, to look into; `make down` ends it.")
            return 1
    return 0


def stop(settings: Settings) -> None:
    """Ends every server that a demo in this home has started, and nothing else."""
    stopped = Processes(settings.home).stop_all()
    log.info("stopped: %s", ", ".join(stopped) or "nothing was running")


def _undo(processes: Processes, started: list[str], follower: Follower | None, console: Console) -> None:
    # A second Ctrl-C must not leave half of it running.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console.print(f"Interrupted; stopping {', '.join(started) or 'the runs'}.")
    if follower and "airflow" not in started:
        with contextlib.suppress(ServiceError):
            follower.end_runs()
    processes.stop(*started)


@contextlib.contextmanager
def _ending_signals_interrupt() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Holds the demo's lock, which the kernel lets go of however we end."""
    file = home / "local" / "demo.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ServiceError(
                f"a demo runs already in {home} (process {lock.read().strip()}); wait for it or end it"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
