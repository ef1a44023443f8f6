"""The train task's operator and guard, with real trainings: a worker that is killed, a task that is marked failed, a retry."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trainings import history, house, options

REPOSITORY = Path(__file__).resolve().parents[1]
TASK = """
import json, os, sys
sys.path.insert(0, "plugins")
import stage_task
operator = stage_task.stage("train", config="demo")
operator.log.info = lambda _, line: print(line, flush=True)
import signal
signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
outcome = operator.run(json.loads(sys.argv[1]))
print(f"ended with {outcome.code}: {outcome.error or outcome.last_output}", flush=True)
"""
"""What Airflow's task runner does: `execute` in the main thread, `on_kill` in the handler of SIGTERM."""


class Task:
    """One try of the task, in a process of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        command = json.dumps([sys.executable, "-m", "midefics", *arguments, "--outlive", "60"])
        environment = {**os.environ, "MIDEFICS_HOME": str(home), "AIRFLOW_HOME": str(home / "airflow")}
        environment |= {"MIDEFICS_STORE": "", "MLFLOW_TRACKING_URI": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TASK, command], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []

    def says(self, text: str) -> str:
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return line
        raise AssertionError("\n".join(self.lines))

    def end(self, by: signal.Signals) -> None:
        self.process.send_signal(by)


@pytest.mark.timeout(600)
def test_a_retry_follows_the_training_that_survived_its_worker(tiny_base: Path, tmp_path: Path) -> None:
    home = house(tmp_path / "home", tiny_base)
    training = options(max_steps=150, batch_size=8, checkpoint_every="20 steps", validations=0)
    first = Task(home, *training)
    first.says("train 1 of 150")
    first.end(signal.SIGKILL)
    second = Task(home, *training)
    number = int(second.says("is at this training already").split("process ")[1].split()[0])
    assert os.getpgid(number) == number  # the guard's child, alive without guard and task
    # Marked failed, or cleared: the second try ends the training that the first one started; it saves.
    second.end(signal.SIGTERM)
    assert "ended with 75" in second.says("ended with")
    second.process.wait()
    log = home / "trainings"
    wait_for(lambda: "the same command goes on from there" in "".join(path.read_text() for path in log.glob("*.log")))
    third = Task(home, *training)
    third.says("going on after step")
    manifest = json.loads(third.says("ended with 0").split(": ", 1)[1])
    assert [int(one["step"]) for one in history(home, manifest)] == list(range(1, 151))
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("midefics").experiment_id])
    assert run.info.status == "FINISHED"
    for task in (first, second, third):
        task.process.stdout.close()
        task.process.wait()


def wait_for(holds, within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
