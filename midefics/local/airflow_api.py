"""Questions and orders to a running Airflow in, its answers out: the part of its REST API that a demo needs."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from midefics.errors import ServiceError

log = logging.getLogger(__name__)

READS = 4
"""How often a question is put before its failure counts: a busy SQLite answers the next time."""
SECONDS_BETWEEN_READS = 1.0
ACTIVE = ("running", "queued")
JSON = Any
"""Whatever Airflow answers."""


class AirflowApi:
    """A client of one Airflow; keeps a token and asks for a new one when it has run out."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def is_healthy(self) -> bool:
        """Whether database, scheduler and DAG processor say that they are well."""
        try:
            parts = self._http.get("/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        return all(parts[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def knows(self, dag_id: str) -> bool:
        """Whether the DAG processor has read this DAG."""
        return self._send("GET", f"/dags/{dag_id}", allowed=(404,)).status_code == httpx.codes.OK

    def import_errors(self) -> list[str]:
        """Why DAG files could not be read, the last line each."""
        errors = self._get("/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def add_pools(self, pools: Mapping[str, Mapping[str, JSON]]) -> None:
        """Makes the pools that are not there yet: a task in a missing pool waits for ever."""
        for name, pool in pools.items():
            self._send("POST", "/pools", allowed=(409,), json={"name": name, **pool})

    def unpause(self, dag_id: str) -> None:
        """Lets the scheduler run a DAG."""
        self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def clear_way(self, dag_id: str) -> list[str]:
        """Ends what an earlier, killed demo left behind and would block the next run; returns the runs ended."""
        self._send("DELETE", f"/dags/{dag_id}/assets/queuedEvents", allowed=(404,))
        runs = self._get(f"/dags/{dag_id}/dagRuns", {"state": ACTIVE, "limit": 100})["dag_runs"]
        for run in runs:
            self.end_run(dag_id, run["dag_run_id"])
        if runs:
            # Airflow 3.3.2 takes a DAG for fully occupied until its file is read again: no asset event would start it.
            self._send("PUT", f"/parseDagFile/{self._get(f'/dags/{dag_id}')['file_token']}", allowed=(409,))
        return [run["dag_run_id"] for run in runs]

    def end_run(self, dag_id: str, run_id: str) -> None:
        """Marks a run failed, which ends its tasks."""
        self._send("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", allowed=(404, 409), json={"state": "failed"})

    def trigger(self, dag_id: str, conf: Mapping[str, JSON]) -> str:
        """Starts a run and returns its id."""
        answer = self._send("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        return str(answer.json()["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """`queued`, `running`, `success` or `failed`."""
        return str(self._get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def last_state(self, dag_id: str) -> str | None:
        """The state of a DAG's newest run; `None` where it never ran."""
        runs = self._get(f"/dags/{dag_id}/dagRuns", {"limit": 1, "order_by": "-run_after"})["dag_runs"]
        return str(runs[0]["state"]) if runs else None

    def run_started_by(self, dag_id: str, source_run_id: str) -> str | None:
        """The run of this DAG that an asset event of another DAG's run has started, once there is one."""
        runs = self._get(f"/dags/{dag_id}/dagRuns", {"limit": 5, "order_by": "-run_after"})["dag_runs"]
        for run in runs:
            # Asked about a run that has not begun yet, Airflow 3.3.2 answers 500: it can't write the missing date.
            if run["run_type"] != "asset_triggered" or run["start_date"] is None:
                continue
            events = self._get(f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents")["asset_events"]
            if any(event["source_run_id"] == source_run_id for event in events):
                return str(run["dag_run_id"])
        return None

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, JSON]]:
        """The tasks of a run."""
        return list(self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", {"limit": 100})["task_instances"])

    def result(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> JSON:
        """What a task returned; `None` where it returned nothing."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._send("GET", path, allowed=(404,), params={"map_index": map_index, "deserialize": True})
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.json()["value"]

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, JSON]:
        """What a task asks a person: subject, body, options."""
        return dict(self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"))

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, params: Mapping[str, JSON]) -> None:
        """Answers it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self._send("PATCH", path, json={"chosen_options": [option], "params_input": params})

    def log_lines(self, instance: Mapping[str, JSON]) -> list[str]:
        """The log of a task's last try."""
        path = f"/dags/{instance['dag_id']}/dagRuns/{instance['dag_run_id']}/taskInstances/{instance['task_id']}"
        params = {"map_index": instance["map_index"], "full_content": True}
        content = self._get(f"{path}/logs/{instance['try_number'] or 1}", params)["content"]
        return [str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content]

    def run_page(self, dag_id: str, run_id: str) -> str:
        """The run in the UI."""
        return f"{self.url}/dags/{dag_id}/runs/{run_id}"

    def _get(self, path: str, params: Mapping[str, JSON] | None = None) -> JSON:
        for _ in range(READS - 1):
            try:
                return self._send("GET", path, params=params).json()
            except ServiceError as error:
                log.debug("asking again: %s", error)
                time.sleep(SECONDS_BETWEEN_READS)
        return self._send("GET", path, params=params).json()

    def _send(self, method: str, path: str, *, allowed: Iterable[int] = (), **kwargs: JSON) -> httpx.Response:
        try:
            answer = self._http.request(method, f"/api/v2{path}", **kwargs)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
                self._http.headers["Authorization"] = f"Bearer {token}"
                answer = self._http.request(method, f"/api/v2{path}", **kwargs)
        except httpx.HTTPError as error:
            raise ServiceError(
                f"Airflow at {self.url} does not answer: {str(error) or type(error).__name__}"
            ) from error
        if answer.is_error and answer.status_code not in allowed:
            raise ServiceError(f"Airflow refused {method} {path} with {answer.status_code}: {answer.text[:300]}")
        return answer
