"""The platform on one machine: its parts, and (slow) the whole of it with fake stages."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from midefics.config import Settings
from midefics.errors import ServiceError
from midefics.local import airflow
from midefics.local.demo import run_demo
from midefics.local.places import progress_file
from midefics.local.processes import Processes
from midefics.local.steps import seconds_by_stage, steps

FAKE = Path(__file__).with_name("fake_midefics.py")


def instance(task_id: str, map_index: int = -1, name: str | None = None, **kwargs: object) -> dict[str, object]:
    blank = {"state": "success", "start_date": None, "end_date": None, "try_number": 1}
    where = {"dag_id": "midefics_data", "dag_run_id": "manual__1", "task_id": task_id}
    return blank | where | {"map_index": map_index, "rendered_map_index": name or str(map_index)} | kwargs


def test_steps_show_the_whole_way_when_nothing_has_begun(tmp_path: Path):
    assert [step.stage for step in steps(tmp_path, [])] == [
        *("ingest", "validate", "label", "assemble", "train", "evaluate", "register", "approve", "promote")
    ]


def test_steps_name_the_source_when_a_sister_task_knows_it(tmp_path: Path):
    found = steps(tmp_path, [instance("validate", 0, "isic"), instance("label", 0, state="queued")])
    assert [(step.stage, step.source, step.word) for step in found[1:3]] == [
        ("validate", "isic", "done"),
        ("label", "isic", "queued"),
    ]


def test_a_question_about_money_is_shown_while_it_waits(tmp_path: Path):
    asked = steps(tmp_path, [instance("estimate", 0), instance("spending", state="awaiting_input")])
    assert [(step.stage, step.word) for step in asked if step.state] == [("spending", "asks a person")]
    answered = steps(tmp_path, [instance("estimate", 0), instance("spending")])
    assert [step for step in answered if step.state] == []


def test_steps_read_the_progress_that_a_stage_tells(tmp_path: Path):
    file = progress_file(tmp_path, "midefics_ingest", "manual__1", "ingest", 0)
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"name": "images", "done": 3, "total": 9, "note": "isic"}))
    assert (
        steps(tmp_path, [instance("ingest", 0, "isic", dag_id="midefics_ingest")])[0].progress == "images 3 of 9 isic"
    )


def test_seconds_of_a_stage_run_from_its_first_start_to_its_last_end():
    spans = [("12:00:00", "12:00:10"), ("12:00:05", "12:00:20")]
    made = [
        instance("label", index, start_date=f"2026-01-01T{start}+00:00", end_date=f"2026-01-01T{end}+00:00")
        for index, (start, end) in enumerate(spans)
    ]
    assert seconds_by_stage(made) == {"label": 20.0}


def test_airflow_server_ignores_the_airflow_that_the_shell_is_set_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "theirs")
    environment = airflow.server(tmp_path, Processes(tmp_path), None, "http://127.0.0.1:5000").environment
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith(f"sqlite:///{tmp_path}")
    assert "AIRFLOW__CORE__FERNET_KEY" not in environment
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_second_demo_is_refused_when_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "local").mkdir()
    monkeypatch.setenv("MIDEFICS_HOME", str(tmp_path))
    with (tmp_path / "local" / "demo.lock").open("w") as lock:
        lock.write("123")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ServiceError, match=r"runs already .*process 123"):
            run_demo(Settings())


@pytest.fixture
def home(tmp_path: Path):
    yield tmp_path
    Processes(tmp_path).stop_all()


def demo(home: Path) -> subprocess.Popen[str]:
    FAKE.chmod(0o755)
    python = home / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {"MIDEFICS_HOME": str(home), "MIDEFICS_PYTHON": str(python)}
    command = [sys.executable, "-m", "midefics", "demo"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.services
def test_demo_goes_the_whole_way_again_and_again_whoever_is_killed(home: Path):
    # The second finds what a killed driver and a killed Airflow have left behind, the third servers that are well.
    first = demo(home)
    for line in first.stdout or ():
        if line.startswith("validate"):
            break
    os.kill(first.pid, signal.SIGKILL)
    os.kill(json.loads((home / "local" / "airflow.json").read_text())["pid"], signal.SIGKILL)
    for _ in range(2):
        output, _ = demo(home).communicate(timeout=240)
        summary = json.loads((home / "demo" / "summary.json").read_text())
        assert summary["difference_ci"] == [0.4, 0.6], output
        assert set(summary["seconds"]) >= {"ingest", "train", "promote"}
        (home / "demo" / "summary.json").unlink()


@pytest.mark.slow
@pytest.mark.services
def test_interrupted_demo_stops_what_it_started(home: Path):
    process = demo(home)
    for line in process.stdout or ():
        if line.startswith("ingest"):
            break
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    time.sleep(0.5)
    running = [
        each for each in psutil.process_iter(["cmdline", "status"]) if each.info["status"] != psutil.STATUS_ZOMBIE
    ]
    assert [each.info["cmdline"] for each in running if str(home) in " ".join(each.info["cmdline"] or [])] == []
    assert list((home / "local").glob("*.json")) == []
