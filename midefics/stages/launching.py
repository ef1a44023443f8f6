"""A training for several processes in; they are started by torchrun's own agent, and what came of them out.

The process that was called only starts them and passes signals on. The first of them takes the place of a process that
trains alone: lock, heartbeat, MLflow run, checkpoints and adapter are its own; the others only compute. They die with the
process that started them, and with each other.
"""

import ctypes
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from midefics import errors
from midefics.config import RunConfig, Settings
from midefics.errors import LostError, MideficsError, ServiceError, StoppedError
from midefics.records import Manifest, Record
from midefics.services import Services
from midefics.services.progress import Progress
from midefics.stages.resuming import identity

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

log = logging.getLogger(__name__)

AGAIN = "the same command goes on from the newest checkpoint"
MEET_WITHIN_S = 900
NOTICED_AFTER_S = 2.0
"""Whoever lost another process waits so long: the agent is to find the dead one first, and then ends those that wait."""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


class Outcome(Record):
    """What a process left behind."""

    rank: int
    at: float
    manifest: Manifest | None = None
    error: str = ""
    """The name of one of our own; of any other, `LostError`."""
    message: str = ""


class Call(NamedTuple):
    """What every process is given."""

    config: RunConfig
    dataset: Manifest
    settings: Settings
    progress_file: Path | None
    options: Mapping[str, str | None]
    level: int
    """Of the log."""
    outcomes: Path


def must_launch(config: RunConfig) -> bool:
    """Whether several processes are to train and torchrun has not started this one as one of them."""
    return config.train.world > 1 and "RANK" not in os.environ


def launch(config: RunConfig, dataset: Manifest, services: Services, options: Mapping[str, str | None]) -> Manifest:
    """Starts this machine's processes and waits for them.

    Raises:
        LostError: one of them died; the others were ended.
        MideficsError: whatever one of them ran into.
        StoppedError: SIGTERM or Ctrl-C came; what is needed to go on is kept.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError

    train, failed = config.train, ""
    log.info("train: %s processes on each of %s machines, %s", train.processes, train.nodes, train.parallel)
    level = logging.getLogger().getEffectiveLevel()
    with tempfile.TemporaryDirectory(prefix="midefics-ranks-") as scratch, _signals_passed_on() as told:
        call = Call(config, dataset, services.settings, services.progress.file, options, level, Path(scratch))
        try:
            _run(call)
        except ChildFailedError as error:
            failed = _who_died(error)
        except RendezvousError as error:
            raise ServiceError(f"train: the machines did not meet at {train.rendezvous}: {error}") from error
        return came_of(sorted(_outcomes(Path(scratch)), key=lambda one: one.at), failed, bool(told))


def _run(call: Call) -> None:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    train = call.config.train
    for noisy in ("torch.distributed.elastic", "torch.distributed.launcher", "torch.multiprocessing.spawn"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    settings = LaunchConfig(
        min_nodes=train.nodes,
        max_nodes=train.nodes,
        nproc_per_node=train.processes,
        run_id=identity(call.config, call.dataset)[:16] if train.nodes > 1 else uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=(train.nodes > 1 and train.rendezvous) or "localhost:0",
        rdzv_configs={"timeout": MEET_WITHIN_S},
        max_restarts=0,
        local_addr=None if train.nodes > 1 else "localhost",
        logs_specs=DefaultLogsSpecs(log_dir=str(call.outcomes / "torchrun")),
        # SIGTERM and Ctrl-C are ours: the agent's way with them leaves no time to save.
        signals_to_handle="SIGQUIT",
    )
    elastic_launch(settings, as_rank)(call)


def as_rank(call: Call) -> None:
    """One of the processes, from its first line to its last."""
    launcher = os.getppid()
    os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the launcher alone, which passes it on
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != launcher:
        os._exit(1)
    outcome = _tried(call, int(os.environ["RANK"]))
    part = call.outcomes / f"{outcome.rank}.part"
    part.write_text(outcome.model_dump_json(), encoding="utf-8")
    part.replace(part.with_suffix(".json"))
    sys.stdout.flush()
    sys.stderr.flush()
    if outcome.error == LostError.__name__:
        time.sleep(NOTICED_AFTER_S)
    if not outcome.manifest:
        # Leaving in the usual way, a process waits for the others to do the same.
        os._exit(1)


def _tried(call: Call, rank: int) -> Outcome:
    from midefics.services.logs import set_up
    from midefics.stages.train import run

    set_up(call.level if rank == 0 else max(call.level, logging.WARNING))
    services = Services(call.settings, Progress(call.progress_file) if rank == 0 else Progress(silent=True))
    try:
        made = run(call.config, call.dataset, services=services, **call.options)
        return Outcome(rank=rank, at=time.time(), manifest=made)
    except MideficsError as error:
        return Outcome(rank=rank, at=time.time(), error=type(error).__name__, message=str(error))
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        log.debug("%s", text)
        last = " ".join(str(error).split()) or type(error).__name__
        return Outcome(
            rank=rank, at=time.time(), error=LostError.__name__, message=f"train: rank {rank}: {last}; {AGAIN}"
        )


@contextmanager
def _signals_passed_on() -> Iterator[list[int]]:
    """What came is in the list."""
    told: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        ranks = multiprocessing.active_children()
        for process in ranks:
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, number)
        if not ranks:
            raise StoppedError(f"stopped ({signal.Signals(number).name}) before there was anything to save")

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _who_died(error: "ChildFailedError") -> str:
    """The first that was killed, for a person; empty where all left by themselves."""
    for rank, failure in sorted(error.failures.items(), key=lambda item: item[1].timestamp):
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            return f"rank {rank} (process {failure.pid}) was killed by {signal.Signals(-failure.exitcode).name}"
    return ""


def _outcomes(folder: Path) -> Iterator[Outcome]:
    for path in folder.glob("*.json"):
        yield Outcome.model_validate(json.loads(path.read_text(encoding="utf-8")))


def came_of(outcomes: list[Outcome], killed: str, told: bool) -> Manifest:
    """The first error is the cause of those after it."""
    if killed:
        raise LostError(f"train: {killed}, and the others were ended; {AGAIN}")
    errors_ = [one for one in outcomes if one.error]
    for one in errors_ or outcomes:
        if one.manifest:
            return one.manifest
        raise getattr(errors, one.error, MideficsError)(one.message)
    if told:
        raise StoppedError("stopped before there was anything to save")
    raise LostError(f"train: the processes left without a word; {AGAIN}")
