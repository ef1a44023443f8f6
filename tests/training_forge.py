"""Trainings as real processes without the ten seconds of imports: `midefics` in forks of one process that has them all.

Run as a script it reads requests, a JSON object a line: `{"start": …}` forks and answers with the process's number, `{"wait": number}`
waits for its end and answers with its exit code, negative for a signal.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def serve() -> None:
    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import transformers.trainer  # noqa: F401

    import midefics.__main__
    import midefics.vlm.fit
    import midefics.vlm.load  # noqa: F401

    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)  # noqa: T201
        else:
            print(fork(**request["start"]), flush=True)  # noqa: T201


def fork(arguments: list[str], environment: dict[str, str], output: str, log: str, **habits: Any) -> int:
    number = os.fork()
    if number:
        return number
    os.setpgid(0, 0)
    for path, descriptor in ((output, 1), (log, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(environment)
    sys.argv = ["midefics", *arguments]
    behave(**habits)
    from midefics.__main__ import main

    code: Any = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def behave(
    kill_at: int | None = None,
    kill_in: str = "on_step_end",
    kill_by: int = signal.SIGKILL,
    pace_s: float = 0.0,
    largest_file: int | None = None,
) -> None:
    """Makes transformers' own Trainer end the process at a step, or take its time; and the disk refuse large files."""
    import resource

    from transformers import TrainerCallback
    from transformers.trainer import DEFAULT_CALLBACKS

    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    class Habits(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            time.sleep(pace_s)

    def kill(_self: Any, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if state.global_step >= (kill_at or 0):
            os.kill(os.getpid(), kill_by)

    if kill_at is not None:
        setattr(Habits, kill_in, kill)
    DEFAULT_CALLBACKS.append(Habits)


class Forge:
    """Starts trainings; the test's side of it."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._ask(None)

    def start(self, home: Path, *arguments: str, **habits: Any) -> "Training":
        folder = home / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{len(list(folder.iterdir())):03d}"
        variables = ("MIDEFICS_STORE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
        kept = (
            *variables,
            "AWS_ENDPOINT_URL_S3",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "MLFLOW_TRACKING_URI",
        )
        environment = {"MIDEFICS_HOME": str(home)} | {key: os.environ.get(key, "") for key in kept}
        environment = {key: value for key, value in environment.items() if value or key == "MIDEFICS_STORE"}
        # MLflow's client puts the address of whatever this test run talked to last into the environment.
        environment["MLFLOW_TRACKING_URI"] = os.environ.get("SHARED_MLFLOW", "")
        request = {"arguments": arguments, "environment": environment, **habits}
        request |= {"output": str(folder / f"{name}.out"), "log": str(folder / f"{name}.log")}
        Path(request["log"]).touch()
        return Training(self, int(self._ask({"start": request})), folder / name)

    def wait(self, number: int) -> int:
        return int(self._ask({"wait": number}))

    def _ask(self, request: Any) -> str:
        if request:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return str(self._process.stdout.readline())


class Training:
    """One process."""

    def __init__(self, forge: Forge, number: int, files: Path) -> None:
        self._forge, self.number, self._files = forge, number, files

    @property
    def log(self) -> str:
        return self._files.with_suffix(".log").read_text(encoding="utf-8", errors="replace")

    def end(self) -> int:
        return self._forge.wait(self.number)

    def manifest(self) -> dict[str, Any]:
        code = self.end()
        assert code == 0, self.log[-4000:]
        return json.loads(self._files.with_suffix(".out").read_text().splitlines()[-1])

    def says(self, text: str, within_s: float = 240.0) -> None:
        deadline = time.monotonic() + within_s
        while text not in self.log:
            assert time.monotonic() < deadline, f"{text!r} not in\n{self.log[-3000:]}"
            time.sleep(0.05)


if __name__ == "__main__":
    serve()
