"""A fake midefics as a real process: what it prints and how it ends, and what becomes of it in the task."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MANIFEST = {"kind": "images", "uri": "images/0", "rows": 1, "bytes": 1, "digest": "0" * 64}


@pytest.fixture(scope="module")
def stage_task(tmp_path_factory: pytest.TempPathFactory):
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    import stage_task

    return stage_task


@pytest.fixture
def run(stage_task):
    """Runs Python code in the place of midefics, and returns the manifest that the task would return."""

    def run(code: str):
        operator = stage_task.stage("ingest", config="demo")
        return stage_task._manifest("ingest", operator.run([sys.executable, "-c", textwrap.dedent(code)]))

    return run


@pytest.fixture
def fails(stage_task):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    return {"for good": AirflowFailException, "and tries again": AirflowException}


def test_manifest_is_the_last_line_of_standard_output_when_both_streams_are_noisy(run):
    code = f"""
        import sys
        print("a library says hello")
        print({json.dumps(MANIFEST)!r}, flush=True)
        print("late chatter", file=sys.stderr)
        print("without an end of line", end="", file=sys.stderr)
    """
    assert run(code) == MANIFEST


def test_lines_reach_the_log_when_they_are_printed(stage_task, caplog: pytest.LogCaptureFixture):
    operator = stage_task.stage("ingest", config="demo")
    seen: list[tuple[float, str]] = []
    operator.log.info = lambda _, line: seen.append((time.monotonic(), line))
    operator.run([sys.executable, "-c", "import time; print('first', flush=True); time.sleep(0.5); print('second')"])
    assert [line for _, line in seen] == ["first", "second"]
    assert seen[1][0] - seen[0][0] > 0.3


@pytest.mark.parametrize(
    ("code", "how", "says"),
    [
        (
            "import sys; print('error: mura: no such folder', file=sys.stderr); sys.exit(1)",
            "for good",
            "no such folder",
        ),
        ("import sys; print('Usage: midefics', file=sys.stderr); sys.exit(2)", "for good", "not understood"),
        ("import sys; print('error: MLflow is away', file=sys.stderr); sys.exit(75)", "and tries again", "is away"),
        ("raise RuntimeError('a bug')", "and tries again", "code 1"),
        ("import os; os.kill(os.getpid(), 9)", "and tries again", "code 137"),
        ("print('no manifest')", "and tries again", "no manifest"),
        ("print(3)", "and tries again", "no manifest"),
        ("pass", "and tries again", "no manifest"),
    ],
)
def test_task_fails_as_the_exit_code_says(run, fails, code: str, how: str, says: str):
    with pytest.raises(fails[how], match=says) as caught:
        run(code)
    assert type(caught.value) is fails[how]


FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_on_kill_ends_the_stage_and_its_children(stage_task):
    operator = stage_task.stage("ingest", config="demo")
    seen: list[str] = []
    operator.log.info = lambda _, line: (seen.append(line), threading.Timer(0.1, operator.on_kill).start())
    started = time.monotonic()
    outcome = operator.run([sys.executable, "-c", FAMILY])
    assert outcome.code == 128 + signal.SIGTERM
    assert time.monotonic() - started < 10
    assert gone(int(seen[0]), within_s=1)


def test_stage_ends_when_its_task_is_killed():
    guard = [sys.executable, "-I", "-S", str(REPOSITORY / "plugins" / "stage_guard.py"), sys.executable, "-c", FAMILY]
    task = f"""
import subprocess
guard = subprocess.Popen({guard!r}, stdin=subprocess.PIPE, start_new_session=True)
guard.wait()
"""
    with subprocess.Popen([sys.executable, "-c", task], stdout=subprocess.PIPE) as process:
        grandchild = int(process.stdout.readline())
        process.kill()
        assert gone(grandchild, within_s=5)


SAVES = """
import signal, sys, time
def save(*_):
    time.sleep(4)
    print("saved", flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
print("begun", flush=True)
time.sleep(60)
"""


def test_a_training_gets_the_time_to_save_when_its_task_is_ended(stage_task):
    operator = stage_task.stage("train", config="demo")
    operator.log.info = lambda _, line: threading.Timer(0.1, operator.on_kill).start() if line == "begun" else None
    outcome = operator.run([sys.executable, "-c", SAVES])
    assert (outcome.code, outcome.last_output) == (75, "saved")


def test_a_training_goes_on_when_its_task_is_killed():
    guard = [str(REPOSITORY / "plugins" / "stage_guard.py"), "--outlive", sys.executable, "-c", FAMILY]
    task = f"""
import subprocess
guard = subprocess.Popen({[sys.executable, "-I", "-S", *guard]!r}, stdin=subprocess.PIPE, start_new_session=True)
guard.wait()
"""
    with subprocess.Popen([sys.executable, "-c", task], stdout=subprocess.PIPE) as process:
        grandchild = psutil.Process(int(process.stdout.readline()))
        child = grandchild.parent()
        process.kill()
        assert gone(child.ppid(), within_s=5)
        assert child.is_running()
        for left in (grandchild, child):
            left.kill()


def test_references_are_arguments_that_the_command_line_understands(stage_task):
    given = [None, "dataset/0123456789abcdef", [MANIFEST, {"kind": "adapter"}]]
    found = list(stage_task._references(given))
    assert found[0] == "dataset/0123456789abcdef"
    assert [json.loads(reference) for reference in found[1:]] == [MANIFEST, {"kind": "adapter"}]


@pytest.mark.parametrize("name", ["train", "evaluate", "register"])
def test_what_loads_the_base_model_waits_for_a_gpu(stage_task, name):
    task = stage_task.stage(name, config="demo")
    assert (task.queue, task.pool) == ("gpu", "gpu")


@pytest.mark.parametrize("name", ["ingest", "promote"])
def test_what_loads_no_model_waits_for_no_gpu(stage_task, name):
    task = stage_task.stage(name, config="demo")
    assert (task.queue, task.pool) == ("default", "default_pool")
