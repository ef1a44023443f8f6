"""A folder in, an MLflow server over it out: SQLite and plain files, which work without the server too."""

import os
import sys
from pathlib import Path

import httpx

from midefics.local.ports import HOST, choose_port
from midefics.local.processes import Processes, Server

NAME = "mlflow"
DEFAULT_PORT = 5000


def server(home: Path, processes: Processes, asked_for: int | None) -> Server:
    """The server over `mlflow/` in this home; keeps its port while it runs."""
    running = processes.find(NAME)
    port = running.port if running else choose_port("MLflow", DEFAULT_PORT, asked_for, "MIDEFICS_MLFLOW_PORT")
    folder = home / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--default-artifact-root", (folder / "artifacts").as_uri()),
        "--no-serve-artifacts",
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", f"{HOST}:{port},localhost:{port}"),
    ]
    ours = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return Server(NAME, command, kept | ours, port)


def is_healthy(url: str) -> bool:
    """Whether the server answers, and to the address that its clients use."""
    try:
        answer = httpx.get(f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def run_url(url: str, run_id: str) -> str:
    """The page of a run.

    Falls back to the server's front page where MLflow does not know the run.
    """
    answer = httpx.get(f"{url}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=5, trust_env=False)
    if answer.is_error:
        return url
    return f"{url}/#/experiments/{answer.json()['run']['info']['experiment_id']}/runs/{run_id}"
