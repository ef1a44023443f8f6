"""A configuration's name in, finished runs out: archives read, the data set they made, the model that it started."""

import logging
import time
from pathlib import Path
from typing import Any

from midefics.errors import MideficsError
from midefics.local.airflow_api import AirflowApi
from midefics.local.board import Board
from midefics.local.platform import DAGS
from midefics.local.steps import Instance, steps

log = logging.getLogger(__name__)

INGEST, DATA, MODEL = DAGS
SECONDS_BETWEEN_LOOKS = 1.5
PATIENCE_S = 60.0
"""For the asset event to start the model run."""
APPROVE = "approve"
READING_S = 4.0
"""Answered within a second, Airflow 3.3.2 takes the waiting task for a failed one and asks once more."""
SIGNATURE = "midefics demo"
"""The person that the demo plays."""
TAIL = 15


class FailedRunError(MideficsError):
    """A task of the demo failed."""


class Follower:
    """Follows the runs; knows them by id, so that they can be ended when somebody interrupts."""

    def __init__(self, api: AirflowApi, home: Path, board: Board) -> None:
        self.api = api
        self.runs: dict[str, str] = {}
        """DAG id to run id, as they start."""
        self.instances: list[dict[str, Any]] = []
        self._home, self._board = home, board

    def go(self, config: str) -> None:
        """Triggers the reading of the archives and follows until a model is promoted.

        Where nothing is new, nothing is published: then the model is trained again, on the data set that is there.

        Raises:
            FailedRunError: a task failed, or what was published started no run.
        """
        for dag_id in DAGS:
            for run_id in self.api.clear_way(dag_id):
                self._board.say(f"ended the run {run_id} of {dag_id} that an earlier demo left behind")
            self.api.unpause(dag_id)
        self._begin(INGEST, self.api.trigger(INGEST, {"config": config}))
        if self._state(INGEST, "publish_archives") == "success":
            self._begin(DATA, self._wait_for_run(DATA, INGEST))
        elif self.api.last_state(DATA) != "success":  # what was published last has not become a data set
            self._begin(DATA, self.api.trigger(DATA, {"config": config}))
        if self._state(DATA, "publish_dataset") == "success":
            self._begin(MODEL, self._wait_for_run(MODEL, DATA))
        else:
            self._board.say(
                "No archive has changed, so there is no new data set: training again on the one that is there."
            )
            self._begin(MODEL, self.api.trigger(MODEL, {"config": config}))

    def _begin(self, dag_id: str, run_id: str) -> None:
        self.runs[dag_id] = run_id
        self._board.say(f"{dag_id}: {self.api.run_page(dag_id, run_id)}")
        self._follow(dag_id)

    def _state(self, dag_id: str, task_id: str) -> str | None:
        mine = (each for each in self.instances if (each["dag_id"], each["task_id"]) == (dag_id, task_id))
        return next((each["state"] for each in mine), None)

    def end_runs(self) -> None:
        """Ends what still runs."""
        for dag_id, run_id in self.runs.items():
            if self.api.run_state(dag_id, run_id) in ("queued", "running"):
                self.api.end_run(dag_id, run_id)

    def result(self, dag_id: str, task_id: str) -> dict[str, Any]:
        """The manifest that a task returned; of the first source where it is mapped."""
        mine = [each for each in self.instances if each["dag_id"] == dag_id and each["task_id"] == task_id]
        map_index = min(int(each["map_index"]) for each in mine)
        return dict(self.api.result(dag_id, self.runs[dag_id], task_id, map_index) or {})

    def _follow(self, dag_id: str) -> None:
        answered: set[tuple[str, int]] = set()
        while True:
            state = self.api.run_state(dag_id, self.runs[dag_id])
            self._look()
            if state == "success":
                return
            if state == "failed":
                raise self._failure(dag_id)
            for asking in (each for each in self.instances if each["state"] == "awaiting_input"):
                if (asked := (asking["task_id"], asking["try_number"])) not in answered:
                    self._approve() if asking["task_id"] == APPROVE else self._leave_to_you(asking)
                    answered.add(asked)
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _look(self) -> None:
        self.instances = [
            instance for dag_id, run_id in self.runs.items() for instance in self.api.task_instances(dag_id, run_id)
        ]
        self._board.show(steps(self._home, self.instances))

    def _wait_for_run(self, dag_id: str, source: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if run_id := self.api.run_started_by(dag_id, self.runs[source]):
                return run_id
            time.sleep(SECONDS_BETWEEN_LOOKS / 2)
        raise FailedRunError(f"{source} has published something new, but no run of {dag_id} within {PATIENCE_S:.0f} s")

    def _approve(self) -> None:
        question = self.api.question(MODEL, self.runs[MODEL], APPROVE)
        self._board.say(f"\nAirflow asks: {question['subject']}\n")
        self._board.say_markdown(question["body"])
        time.sleep(READING_S)
        self.api.answer(MODEL, self.runs[MODEL], APPROVE, "Approve", {"signature": SIGNATURE})
        self._board.say(
            f"Approved through Airflow's API, signed `{SIGNATURE}`. In your own runs you are asked in the UI.\n"
        )

    def _leave_to_you(self, asking: Instance) -> None:
        """Nobody spends another's money unasked."""
        question = self.api.question(asking["dag_id"], asking["dag_run_id"], asking["task_id"])
        page = self.api.run_page(asking["dag_id"], asking["dag_run_id"])
        self._board.say(f"\nAirflow asks you: {question['subject']} Answer at {page}/tasks/{asking['task_id']}\n")

    def _failure(self, dag_id: str) -> FailedRunError:
        failed = [each for each in self.instances if each["state"] == "failed"]
        if not failed:
            page = self.api.run_page(dag_id, self.runs[dag_id])
            return FailedRunError(f"the run was ended from outside; see {page}")
        self._board.say("\n".join(["", *self.api.log_lines(failed[0])[-TAIL:], ""]))
        name = " ".join(filter(None, [failed[0]["task_id"], failed[0]["rendered_map_index"]]))
        return FailedRunError(f"{name} failed; its log is {log_file(self._home, failed[0])}")


def log_file(home: Path, instance: Instance) -> Path:
    """Where Airflow keeps the log of a task's last try."""
    mapped = [f"map_index={instance['map_index']}"] if instance["map_index"] >= 0 else []
    parts = (
        f"dag_id={instance['dag_id']}",
        f"run_id={instance['dag_run_id']}",
        f"task_id={instance['task_id']}",
        *mapped,
    )
    return home.joinpath("airflow", "logs", *parts, f"attempt={instance['try_number'] or 1}.log")
