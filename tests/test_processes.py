import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from midefics.errors import ServiceError
from midefics.local.ports import choose_port, is_free
from midefics.local.processes import Processes, Server

SLEEPER = "import time; time.sleep(60)"
# A server that starts a child, and a grandchild in a session of its own, and tells their numbers.
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
moved = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], start_new_session=True)
print(child.pid, moved.pid, flush=True)
time.sleep(60)
"""


def server(code: str = SLEEPER, name: str = "thing") -> Server:
    return Server(name, [sys.executable, "-c", code], dict(os.environ), 1234)


@pytest.fixture
def processes(tmp_path: Path):
    processes = Processes(tmp_path)
    yield processes
    processes.stop_all()


def children_of(processes: Processes) -> list[int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if words := processes.log_file("thing").read_text().split():
            return [int(word) for word in words]
        time.sleep(0.05)
    raise AssertionError("the server told no numbers")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_start_gives_the_running_server_when_asked_twice(processes: Processes):
    assert processes.start(server()).pid == processes.start(server()).pid


def test_start_replaces_a_server_when_its_settings_have_changed(processes: Processes):
    before = processes.start(server())
    changed = server()._replace(environment={**os.environ, "MIDEFICS_SALT": "other"})
    assert processes.start(changed).pid != before.pid
    assert gone(before.pid)


def test_stop_ends_children_too_when_they_have_moved_to_another_session(processes: Processes):
    pid = processes.start(server(PARENT)).pid
    family = [pid, *children_of(processes)]
    assert processes.stop("thing") == ["thing"]
    assert all(gone(each) for each in family)
    assert processes.stop("thing") == []


def test_find_cleans_up_orphans_when_the_server_was_killed(processes: Processes):
    pid = processes.start(server(PARENT)).pid
    family = children_of(processes)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert processes.find("thing") is None
    assert all(gone(each) for each in family)


def test_stop_leaves_a_process_alone_when_it_only_has_the_number(processes: Processes):
    processes.start(server())
    processes.stop("thing")
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    try:
        record = {
            "name": "thing",
            "pid": stranger.pid,
            "born": 1.0,
            "token": "t",
            "port": 1,
            "url": "u",
            "fingerprint": "f",
        }
        (processes.folder / "thing.json").write_text(json.dumps(record))
        assert processes.find("thing") is None
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_stop_kills_when_a_server_does_not_listen(processes: Processes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("midefics.local.processes.GRACE_S", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(0, flush=True); time.sleep(60)"
    pid = processes.start(server(deaf)).pid
    children_of(processes)
    processes.stop("thing")
    assert gone(pid)


def test_find_forgets_a_record_when_it_is_not_readable(processes: Processes):
    processes.folder.mkdir(parents=True)
    (processes.folder / "thing.json").write_text("{half")
    assert processes.find("thing") is None


def test_start_names_the_program_when_it_is_missing(processes: Processes):
    with pytest.raises(ServiceError, match="/no/such/program"):
        processes.start(Server("thing", ["/no/such/program"], {}, 1))


def test_choose_port_takes_the_next_one_when_the_default_is_taken(caplog: pytest.LogCaptureFixture):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        assert port < choose_port("Thing", port, None, "THING_PORT") <= port + 50
        assert f"port {port} is taken by" in caplog.text
        assert f"process {os.getpid()}" in caplog.text


def test_choose_port_refuses_when_the_port_asked_for_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} is taken .*THING_PORT"):
            choose_port("Thing", 1, port, "THING_PORT")
