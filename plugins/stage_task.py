"""A stage's name and the manifests it consumes in, its manifest out: any stage of midefics as an Airflow task.

The only file that knows both worlds. A stage runs as `midefics STAGE … --json` in its own process: CUDA and forked task
processes do not mix, and Airflow's environment needs no torch. Its lines go to the task's log as they come, its last line of
standard output is the manifest and becomes the XCom, and it ends with the task, whichever way the task ends: except for a
training whose worker was killed, which goes on, and which the task's next try finds and follows. A stage that leaves
work under way at a service (exit code 75, and the seconds after which to come again) is run again then; its task holds no worker
meanwhile, and a task that was killed or cleared finds that work again, because the stage does.
"""

import json
import selectors
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from stage_links import EvaluationReportLink, MlflowRunLink, ProfileLink, ReviewLink, ValidationPagesLink
from stage_wait import MomentTrigger, moment_to_run_again, no_triggerer_runs

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

GUARD = Path(__file__).with_name("stage_guard.py")
GPU_STAGES = ("train", "evaluate", "register")
"""Load the base model, which is quantised to other bytes on a CPU than on a GPU. Wait for a slot of the pool `gpu`, and go to workers that listen to the queue `gpu`."""
OUTLIVES_S = {"train": 1800}
"""How long a stage goes on without its task until nobody can be expected to follow it any more; then it saves and leaves.
Airflow needs five minutes to see that a worker is gone."""
PATIENT_STAGES = ("label",)
"""Know the option NO_WAIT."""
NO_WAIT = "--no-wait"
USAGE_ERROR = 2
ERROR = "error: "
SOURCE = "{{ task.source }}"
"""Names a mapped task by its archive."""

Input = str | Mapping[str, Any] | None
"""A manifest, or a reference to one that the command line understands: a uri, a folder, a file."""


class Outcome(NamedTuple):
    """How a stage's process ended."""

    code: int
    last_output: str
    """The last line of standard output."""
    error: str
    """The line with which the command line explains a failure; empty where it gave none."""


class StageOperator(BaseOperator):
    """Runs one stage.

    Args:
        stage: `ingest`, `validate`, …: the command's name.
        config: a shipped configuration's name, or a YAML file's path.
        inputs: the manifests that the stage consumes, one or several.
        arguments: more of the command's arguments, quoted as in a shell (which never sees them).
        source: the archive that a mapped task works on: what the task is called by.
        skip_when: a template; where it renders to `True` the task is skipped.
    """

    template_fields: Sequence[str] = ("source", "config", "inputs", "arguments", "skip_when")
    operator_extra_links: ClassVar = (
        MlflowRunLink(),
        EvaluationReportLink(),
        ValidationPagesLink(),
        ProfileLink(),
        ReviewLink(),
    )
    ui_color = "#e8f0f4"

    def __init__(
        self,
        *,
        stage: str,
        config: str,
        inputs: Any = (),
        arguments: str = "",
        source: str = "",
        skip_when: str = "",
        **kwargs: Any,
    ) -> None:
        gpu = {"queue": "gpu", "pool": "gpu"} if stage in GPU_STAGES else {}
        super().__init__(**gpu | kwargs)
        self.stage = stage
        self.config = config
        self.inputs = inputs
        self.arguments = arguments
        self.source = source
        self.skip_when = skip_when
        self.manifest: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def execute(self, context: "Context") -> dict[str, Any]:
        """Runs the stage and returns its manifest.

        Raises:
            AirflowSkipException: `skip_when` holds.
            TaskDeferred: work is under way at a service; `look_again` follows.
            AirflowFailException: the stage explained a failure that a retry cannot mend.
            AirflowException: anything else; Airflow tries again.
        """
        if self.skip_when == "True":
            raise AirflowSkipException(f"{self.stage}: not in a dry run")
        return self._go_on(context)

    def look_again(self, context: "Context", event: Any = None) -> dict[str, Any]:
        """Runs the stage once more: it goes on with what is under way; ends as `execute` does."""
        del event
        return self._go_on(context)

    def _go_on(self, context: "Context") -> dict[str, Any]:
        command = self.command(context)
        self.log.info("%s", " ".join(argument if len(argument) < 100 else f"{argument[:80]}…" for argument in command))
        outcome = self.run(command)
        if moment := moment_to_run_again(outcome.code, outcome.last_output):
            outcome = self._wait(moment, command)
        self.manifest = _manifest(self.stage, outcome)
        return self.manifest

    def _wait(self, moment: datetime, command: Sequence[str]) -> Outcome:
        """Leaves the worker until the moment; stays, and lets the stage do the waiting, where nothing would wake the task."""
        if no_triggerer_runs():
            self.log.warning(
                "no triggerer runs, so this task holds its worker while it waits; start one with `airflow triggerer`"
            )
            return self.run([argument for argument in command if argument != NO_WAIT])
        self.log.info("looks again at %s, and holds no worker until then", moment.isoformat(timespec="seconds"))
        return self.defer(trigger=MomentTrigger(moment.isoformat()), method_name="look_again")

    def command(self, context: "Context") -> list[str]:
        """The stage's command line."""
        from midefics.config import load_settings
        from midefics.local.places import progress_file
        from midefics.local.settings import load_local_settings

        instance = context["ti"]
        map_index = -1 if instance.map_index is None else instance.map_index
        progress = progress_file(load_settings().home, instance.dag_id, instance.run_id, instance.task_id, map_index)
        only = ("--only", self.source) if self.stage == "ingest" and self.source else ()
        outlive = ("--outlive", str(OUTLIVES_S[self.stage])) if self.stage in OUTLIVES_S else ()
        no_wait = (NO_WAIT,) if self.stage in PATIENT_STAGES else ()
        python = str(load_local_settings().python or sys.executable)
        options = (
            "--config",
            self.config,
            *only,
            *shlex.split(self.arguments),
            *outlive,
            *no_wait,
            "--json",
            "--progress-file",
            str(progress),
        )
        return [python, "-m", "midefics", self.stage, *options, *_references(self.inputs)]

    def run(self, command: Sequence[str]) -> Outcome:
        """Runs a command under the guard, line for line into the log."""
        outlive = ("--outlive",) if self.stage in OUTLIVES_S else ()
        guarded = (sys.executable, "-I", "-S", str(GUARD), *outlive, *command)
        pipe = subprocess.PIPE
        with subprocess.Popen(guarded, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
            self._process = process
            last_output = error = ""
            try:
                for stream, line in _lines(process):
                    self.log.info("%s", line)
                    last_output = line if stream is process.stdout and line else last_output
                    error = line if stream is process.stderr and line.startswith(ERROR) else error
                return Outcome(process.wait(), last_output, error.removeprefix(ERROR))
            except OSError:  # nobody takes our log: the worker was killed, and we are about to be
                self._let_go()
                raise
            finally:
                self.on_kill()

    def on_kill(self) -> None:
        """Ends the stage and everything it started: SIGTERM, then SIGKILL three seconds later; one that saves gets more."""
        if self._process and self._process.stdin and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                self._process.stdin.write(b".")
                self._process.stdin.flush()
        self._let_go()

    def _let_go(self) -> None:
        if self._process and self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()


def stage(name: str, **kwargs: Any) -> StageOperator:
    """A task called after its stage."""
    return StageOperator(task_id=name, stage=name, **kwargs)


def mapped(name: str, task_id: str = "", **kwargs: Any) -> "OperatorPartial":
    """The same for each of several archives, yet to be expanded; a task is called by its archive."""
    return StageOperator.partial(task_id=task_id or name, stage=name, map_index_template=SOURCE, **kwargs)


def _references(inputs: "Input | Iterable[Input]") -> Iterator[str]:
    if isinstance(inputs, str):
        yield inputs
    elif isinstance(inputs, Mapping):
        yield json.dumps(inputs, separators=(",", ":"))
    else:
        for each in inputs or ():
            yield from _references(each)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[tuple[Any, str]]:
    """Lines of both streams in the order they come; ends when both are closed."""
    with selectors.DefaultSelector() as selector:
        rest = {process.stdout: b"", process.stderr: b""}
        for stream in rest:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                stream: Any = key.fileobj
                chunk = stream.read1(65536)
                *lines, rest[stream] = (rest[stream] + chunk).split(b"\n")
                if not chunk:
                    selector.unregister(stream)
                    lines, rest[stream] = [rest[stream]] if rest[stream] else [], b""
                for line in lines:
                    yield stream, line.decode(errors="backslashreplace").rstrip()


def _manifest(stage: str, outcome: Outcome) -> dict[str, Any]:
    if outcome.code == USAGE_ERROR or (outcome.code == 1 and outcome.error):
        raise AirflowFailException(outcome.error or f"{stage}: the command line was not understood; see the log")
    if outcome.code:
        raise AirflowException(f"{stage} ended with code {outcome.code}: {outcome.error or 'see the log'}")
    try:
        manifest = json.loads(outcome.last_output)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise AirflowException(f"{stage}: the last line of its output is no manifest: {outcome.last_output[:200]!r}")
    return manifest
