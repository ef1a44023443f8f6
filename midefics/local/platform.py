"""Settings in, a healthy MLflow and Airflow out."""

import json
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from midefics.config import Settings
from midefics.errors import ServiceError
from midefics.local import airflow, mlflow
from midefics.local.airflow_api import AirflowApi
from midefics.local.places import checkout
from midefics.local.processes import Processes, Server
from midefics.local.settings import load_local_settings

log = logging.getLogger(__name__)

PATIENCE_S = 180.0
"""For a server to become healthy: its databases are made at the first start."""
DAGS = ("midefics_ingest", "midefics_data", "midefics_model")


class Platform(NamedTuple):
    """What is up."""

    api: AirflowApi
    mlflow_url: str
    started: tuple[str, ...]
    """The servers that were not there before."""


def start(settings: Settings, processes: Processes, started: list[str]) -> Platform:
    """Starts what does not run yet, both at once, and waits until all of it is well.

    Args:
        settings: places and addresses; an MLflow server of the user's own is used as it is.
        processes: the servers of this home.
        started: takes the names of the servers started, as they are: whoever interrupts us knows what to end.

    Raises:
        ServiceError: a server died, or is not well after three minutes.
    """
    wanted = load_local_settings()
    tracking_uri = settings.mlflow_tracking_uri
    if tracking_uri is None:
        tracking_uri = _start(processes, mlflow.server(settings.home, processes, wanted.mlflow_port), started)
    server = airflow.server(settings.home, processes, wanted.airflow_port, tracking_uri)
    api = AirflowApi(_start(processes, server, started))
    if settings.mlflow_tracking_uri is None:
        _wait(processes, mlflow.NAME, lambda: mlflow.is_healthy(tracking_uri))
    _wait(processes, airflow.NAME, api.is_healthy)
    _wait(processes, airflow.NAME, lambda: _dags_are_read(api))
    api.add_pools(json.loads(checkout("docker/pools.json").read_text(encoding="utf-8")))
    return Platform(api, tracking_uri, tuple(started))


def _start(processes: Processes, server: Server, started: list[str]) -> str:
    before = processes.find(server.name)
    running = processes.start(server)
    if before is None or before.pid != running.pid:
        started.append(server.name)
    return running.url


def _dags_are_read(api: AirflowApi) -> bool:
    if errors := api.import_errors():
        raise ServiceError(f"Airflow can't read its DAGs: {'; '.join(errors)}")
    return all(api.knows(dag_id) for dag_id in DAGS)


def _wait(processes: Processes, name: str, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_ready():
        if processes.find(name) is None:
            raise ServiceError(
                f"{name} ended while it started: {_telling_line(processes, name)}; see {processes.log_file(name)}"
            )
        if time.monotonic() > deadline:
            raise ServiceError(f"{name} is not well after {PATIENCE_S:.0f} s; see {processes.log_file(name)}")
        time.sleep(0.3)


def _telling_line(processes: Processes, name: str) -> str:
    lines = [line.strip() for line in processes.last_lines(name, 200) if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return (telling or lines or ["its log is empty"])[-1]
