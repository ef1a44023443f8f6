"""Commands in, servers that outlive us out: started once, found again, ended with all they started and nothing else.

Every server has a record, `local/<name>.json` under MIDEFICS_HOME, with its process's number and birth time: a number that the
kernel has given to somebody else since is never signalled. Its log is `local/<name>.log`.
"""

import contextlib
import hashlib
import json
import logging
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from midefics.errors import ServiceError
from midefics.local.ports import HOST
from midefics.records import Record

log = logging.getLogger(__name__)

TOKEN = "MIDEFICS_SERVER"  # noqa: S105 (the name of a mark, no secret)
"""Environment variable that marks a server and all it starts: what has left its session is found by it."""
GRACE_S = 8.0
"""Between SIGTERM and SIGKILL."""
UNWANTED = "PYTHONDONTWRITEBYTECODE"
"""Without compiled files each of Airflow's processes takes 6 s to import it, not 2."""
FLEETING = ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT")
"""Variables that differ from start to start without meaning anything."""
SAME_BIRTH_S = 2.0
"""The clock that birth times are counted from may be corrected by this much."""


class Running(Record):
    """A server of ours, as its record tells."""

    name: str
    pid: int
    born: float
    """Seconds since the epoch, from the kernel."""
    token: str
    port: int
    url: str
    fingerprint: str
    """Of what it was started with: a server that would be started otherwise today is not used again."""


class Server(NamedTuple):
    """What is needed to start one."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int

    def fingerprint(self) -> str:
        """Digest of the command and of the variables that matter to it."""
        matters = ("MIDEFICS_", "MLFLOW_", "OPENAI_", "AIRFLOW_")
        chosen = {
            key: value for key, value in self.environment.items() if key.startswith(matters) and key not in FLEETING
        }
        return hashlib.sha256(json.dumps([list(self.command), chosen], sort_keys=True).encode()).hexdigest()


class Processes:
    """The servers under one MIDEFICS_HOME."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "local"

    def log_file(self, name: str) -> Path:
        """Where a server's output goes; the run before it is kept beside as `.1`."""
        return self.folder / f"{name}.log"

    def find(self, name: str) -> Running | None:
        """The server of this name if it still runs; the record of one that does not is removed, with what it left behind."""
        record = self._record(name)
        if record and not _alive(record):
            self.stop(name)
            return None
        return record

    def start(self, server: Server) -> Running:
        """Starts a server in a session of its own, unless it runs already; one that was started otherwise is replaced.

        Raises:
            ServiceError: its program can't be started.
        """
        if running := self.find(server.name):
            if running.fingerprint == server.fingerprint():
                return running
            log.info("%s: its settings have changed, starting it again", server.name)
            self.stop(server.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        token = uuid.uuid4().hex
        output = self.log_file(server.name)
        if output.exists():
            output.replace(output.with_suffix(".log.1"))
        try:
            with output.open("wb") as file:
                process = subprocess.Popen(
                    server.command,
                    env={key: value for key, value in server.environment.items() if key != UNWANTED} | {TOKEN: token},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ServiceError(f"{server.name} does not start: {server.command[0]}: {error.strerror}") from error
        record = Running(
            name=server.name,
            pid=process.pid,
            born=psutil.Process(process.pid).create_time(),
            token=token,
            port=server.port,
            url=f"http://{HOST}:{server.port}",
            fingerprint=server.fingerprint(),
        )
        part = self._file(server.name).with_suffix(".part")
        part.write_text(record.model_dump_json(), encoding="utf-8")
        part.replace(self._file(server.name))
        log.info("%s: started as process %s at %s", server.name, record.pid, record.url)
        return record

    def stop(self, *names: str) -> list[str]:
        """Ends servers and everything they started: SIGTERM, then SIGKILL; returns the names of those that ran."""
        records = [record for record in map(self._record, names) if record]
        families = [(record, list(_family(record))) for record in records]
        everybody = [process for _, family in families for process in family]
        _signal(everybody, signal.SIGTERM)
        psutil.wait_procs(everybody, timeout=GRACE_S)
        for record in records:
            # Asked again: what was started meanwhile, and what did not listen.
            while left := list(_family(record)):
                _signal(left, signal.SIGKILL)
                psutil.wait_procs(left, timeout=1)
            self._file(record.name).unlink(missing_ok=True)
        return [record.name for record, family in families if family]

    def stop_all(self) -> list[str]:
        """Ends every server on record; returns the names of those that ran."""
        return self.stop(*(file.stem for file in sorted(self.folder.glob("*.json"))))

    def last_lines(self, name: str, count: int = 15) -> list[str]:
        """The end of a server's log."""
        try:
            return self.log_file(name).read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        except OSError:
            return []

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _record(self, name: str) -> Running | None:
        try:
            return Running.model_validate_json(self._file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            self._file(name).unlink(missing_ok=True)
            return None


def _alive(record: Running) -> bool:
    try:
        process = psutil.Process(record.pid)
        return _same(process, record) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _same(process: psutil.Process, record: Running) -> bool:
    return abs(process.create_time() - record.born) < SAME_BIRTH_S


def _family(record: Running) -> Iterator[psutil.Process]:
    """The server, its descendants, the members of its session, and whatever bears its mark."""
    session: int | None = record.pid
    descendants: set[psutil.Process] = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(record.pid)
        if _same(leader, record):
            descendants = {leader, *leader.children(recursive=True)}
        else:
            session = None  # the number belongs to a stranger now, and so may its session
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = process in descendants or os.getsid(process.pid) == session or _bears(process, record.token)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _bears(process: psutil.Process, token: str) -> bool:
    try:
        return process.environ().get(TOKEN) == token
    except (psutil.Error, OSError):
        return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
