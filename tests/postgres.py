"""A PostgreSQL server of the tests' own, on a free port of this machine, and a fresh database for each test."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

PASSWORD = "pass/word@1"  # noqa: S105 (of a server that lives as long as the tests)
_ESCAPED = "pass%2Fword%401"
_NUMBERS = count()


class Postgres:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def database(self) -> SecretStr:
        """The address of a new database."""
        name = f"ledger_{next(_NUMBERS)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return SecretStr(f"postgresql://midefics:{_ESCAPED}@127.0.0.1:{self.port}/{name}")

    def _connect(self) -> psycopg.Connection:
        where = {"host": "127.0.0.1", "port": self.port, "user": "midefics", "dbname": "postgres"}
        return psycopg.connect(**where, password=PASSWORD, autocommit=True)

    def wait(self, server: subprocess.Popen[bytes]) -> None:
        """Until it answers."""
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                assert server.poll() is None, "PostgreSQL ended"
                time.sleep(0.05)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Starts a server; skips where there is none to start."""
    programs = _programs()
    home = Path(tempfile.mkdtemp(prefix="midefics-pg-"))
    user = _account(home)
    try:
        (home / "password").write_text(PASSWORD)
        (home / "password").chmod(0o644)
        made = [programs / "initdb", "-D", home / "data", "-U", "midefics", "--pwfile", home / "password", "--no-sync"]
        subprocess.run(
            [*made, "-A", "scram-sha-256"], check=True, capture_output=True, user=user, cwd=home, timeout=120
        )
        port = _free_port()
        options = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [programs / "postgres", "-D", home / "data", "-p", str(port), *settings]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=home)
        try:
            running = Postgres(port)
            running.wait(server)
            yield running
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for whoever is still connected
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _programs() -> Path:
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folder = next((one for one in folders if (one / "postgres").is_file()), None)
    if folder is None:
        pytest.skip("no PostgreSQL server here; `apt-get install postgresql` brings one")
    return folder


def _account(home: Path) -> int | None:
    """PostgreSQL refuses to run as root: then it runs as `nobody`, who must own its folder."""
    if os.getuid():
        return None
    shutil.chown(home, "nobody")
    return home.stat().st_uid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
