"""A label task whose batches are under way: the real operator, command, trigger and server, without and (slow) within an Airflow."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from midefics.local import airflow as local_airflow
from midefics.local.airflow_api import AirflowApi
from midefics.local.ports import unused_port
from midefics.local.processes import Processes, Server
from tests.batch_server import BatchService, batch_service
from tests.rows import make_row, make_services, stored

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG = """
name: tried
base_model: tiny-idefics
sources: {isic: {path: x}}
label: {mode: batch, batch_poll_s: 0.5}
"""


@pytest.fixture(scope="module")
def stage_task(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    import stage_task

    return stage_task


@pytest.fixture
def service() -> Iterator[BatchService]:
    with batch_service() as running:
        yield running


@pytest.fixture
def label(stage_task: Any, service: BatchService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A label task over three rows, and the context that it runs in."""
    home = tmp_path / "home"
    manifest = stored(make_services(home), "validated", [make_row(number) for number in range(3)])
    config = tmp_path / "tried.yaml"
    config.write_text(CONFIG)
    for name, value in {"MIDEFICS_HOME": str(home), "OPENAI_BASE_URL": service.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MIDEFICS_STORE", raising=False)
    monkeypatch.setattr("stage_wait.AT_LEAST_S", 0.0)  # for an Airflow's sake, and here is none
    monkeypatch.chdir(REPOSITORY)
    task = stage_task.stage("label", config=str(config), inputs=manifest.model_dump(mode="json"))
    instance = SimpleNamespace(dag_id="midefics_data", run_id="manual", task_id="label", map_index=-1)
    return task, {"ti": instance}


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An Airflow that says of its triggerer what the test wants; None: nobody answers."""
    told: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = json.dumps({"triggerer": {"status": told[0]}}).encode()
            self.send_response(200 if self.path == "/air/api/v2/monitor/health" else 404)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/air"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"{address}/execution/")
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


async def first_event(trigger: Any) -> Any:
    return await anext(aiter(trigger.run()))


def fired(trigger: Any) -> Any:
    """The event of a trigger that has been through Airflow's database."""
    from airflow.sdk.module_loading import import_string

    path, arguments = trigger.serialize()
    return asyncio.run(first_event(import_string(path)(**json.loads(json.dumps(arguments)))))


def test_a_task_leaves_its_worker_until_its_batches_are_done(label: Any, service: BatchService, health: Any) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    health.append("healthy")
    task, context = label
    service.looks_before_done = 2
    with pytest.raises(TaskDeferred) as left:
        task.execute(context)
    event = fired(left.value.trigger)
    with pytest.raises(TaskDeferred) as left_again:
        task.resume_execution(left.value.method_name, {"event": event.payload}, context)
    event = fired(left_again.value.trigger)
    made = task.resume_execution(left_again.value.method_name, {"event": event.payload}, context)
    assert (made["kind"], made["rows"], len(service.batches)) == ("conversations", 3, 1)
    assert len(service.paid) == len(set(service.paid)) == 3


def test_a_cleared_task_finds_its_batches_again(label: Any, service: BatchService, health: Any) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    health.append("healthy")
    task, context = label
    with pytest.raises(TaskDeferred):
        task.execute(context)
    assert task.execute(context)["rows"] == 3
    assert len(service.batches) == 1


def test_a_task_says_that_no_triggerer_runs_and_waits_itself(label: Any, service: BatchService, health: Any) -> None:
    health.append(None)
    task, context = label
    seen: list[str] = []
    task.log.warning = lambda line: seen.append(line)
    service.looks_before_done = 3
    assert task.execute(context)["rows"] == 3
    assert seen[1:] == [
        "no triggerer runs, so this task holds its worker while it waits; start one with `airflow triggerer`"
    ]


def test_a_trigger_fires_at_its_moment(stage_task: Any) -> None:
    from datetime import UTC, datetime, timedelta

    from stage_wait import MomentTrigger

    moment = datetime.now(UTC) + timedelta(seconds=0.3)
    assert fired(MomentTrigger(moment.isoformat())).payload == moment.isoformat()
    assert datetime.now(UTC) >= moment


@pytest.mark.parametrize(
    ("code", "last_output", "again"),
    [
        (75, '{"run_again_in_s": 60.0}', True),
        (75, "", False),
        (75, "3", False),
        (75, '{"kind": "conversations"}', False),
        (1, '{"run_again_in_s": 60.0}', False),
        (0, '{"run_again_in_s": 60.0}', False),
    ],
)
def test_only_work_under_way_is_waited_for(stage_task: Any, code: int, last_output: str, again: bool) -> None:
    from stage_wait import moment_to_run_again

    assert (moment_to_run_again(code, last_output) is not None) is again


@pytest.mark.parametrize(("status", "away"), [("healthy", False), ("unhealthy", True), (None, True)])
def test_airflow_is_asked_whether_a_triggerer_runs(
    stage_task: Any, health: Any, status: str | None, away: bool
) -> None:
    from stage_wait import no_triggerer_runs

    health.append(status)
    assert no_triggerer_runs() is away


def test_an_airflow_that_does_not_answer_is_not_objected_to(stage_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from stage_wait import no_triggerer_runs

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://127.0.0.1:1/execution/")
    assert no_triggerer_runs() is False


DAG = """
from airflow.sdk import dag
from stage_task import stage

@dag(schedule=None)
def waiting():
    stage("label", config={config!r}, inputs={uri!r})

waiting()
"""


@pytest.fixture
def airflow(label: Any, tmp_path: Path) -> Iterator[Server]:
    """An Airflow that knows one DAG, of that task alone; not started."""
    task, _ = label
    home = tmp_path / "home"
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "waiting.py").write_text(DAG.format(config=task.config, uri=task.inputs["uri"]))
    server = local_airflow.server(home, Processes(home), unused_port(), "http://127.0.0.1:1")
    ours = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"), "PYTHONPATH": str(REPOSITORY)}
    yield server._replace(environment=server.environment | ours)
    Processes(home).stop_all()


def wait_for(claim: Callable[[], object], patience_s: float = 150) -> None:
    deadline = time.monotonic() + patience_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.services
def test_within_airflow_a_waiting_task_holds_no_slot_and_comes_back(
    airflow: Server, service: BatchService, tmp_path: Path
) -> None:
    service.looks_before_done = 1_000_000
    api = AirflowApi(Processes(tmp_path / "home").start(airflow).url)
    wait_for(api.is_healthy)
    wait_for(lambda: api.knows("waiting"))
    api.unpause("waiting")
    run = api.trigger("waiting", {})

    def waits() -> bool:
        pool = api._get("/pools/default_pool")
        return (pool["deferred_slots"], pool["running_slots"], pool["queued_slots"]) == (1, 0, 0)

    wait_for(waits)
    wait_for(lambda: [batch["looks"] for batch in service.batches.values()] >= [2])
    wait_for(waits)
    service.looks_before_done = 1
    wait_for(lambda: api.run_state("waiting", run) in ("success", "failed"))
    label = api.task_instances("waiting", run)[0]
    assert label["state"] == "success", "\n".join(api.log_lines(label))
    assert api.result("waiting", run, "label")["rows"] == 3
    assert (len(service.batches), label["try_number"]) == (1, 1)
    assert len(service.paid) == len(set(service.paid)) == 3


@pytest.mark.slow
@pytest.mark.services
def test_dags_test_waits_without_scheduler_or_triggerer(airflow: Server, service: BatchService, tmp_path: Path) -> None:
    service.looks_before_done = 2
    for arguments in (["db", "migrate"], ["dags", "test", "waiting"]):
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(
            command, env=airflow.environment, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "running trigger in line" in done.stdout + done.stderr
    assert (len(service.batches), len(service.paid)) == (1, 3)
