"""A folder in, an `airflow standalone` over it out: SQLite, this machine alone, quick enough for a demo."""

import importlib.util
import os
import sys
from pathlib import Path

from midefics.errors import ServiceError
from midefics.local.places import checkout
from midefics.local.ports import HOST, choose_port, unused_port
from midefics.local.processes import Processes, Server

NAME = "airflow"
DEFAULT_PORT = 8080


def server(home: Path, processes: Processes, asked_for: int | None, tracking_uri: str) -> Server:
    """The server over `airflow/` in this home; keeps its port while it runs.

    Raises:
        ServiceError: Airflow is not installed, or the port asked for is taken.
    """
    if importlib.util.find_spec("airflow") is None:
        raise ServiceError("Airflow is not installed here; run `make setup`")
    running = processes.find(NAME)
    port = running.port if running else choose_port("Airflow", DEFAULT_PORT, asked_for, "MIDEFICS_AIRFLOW_PORT")
    # Somebody else's Airflow may be configured in this shell: its database is none of our business.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    ours = environment(home, port) | {"MIDEFICS_HOME": str(home), "MLFLOW_TRACKING_URI": tracking_uri}
    # `airflow standalone` finds its components by name; and no proxy stands between the parts of one machine.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    local = ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST, "localhost"]))
    command = [sys.executable, "-m", "airflow", "standalone"]
    return Server(NAME, command, kept | ours | {"PATH": path, "NO_PROXY": local, "no_proxy": local}, port)


def environment(home: Path, port: int) -> dict[str, str]:
    """Airflow's settings, as the variables that it reads."""
    url = f"http://{HOST}:{port}"
    settings = {
        "CORE__DAGS_FOLDER": str(checkout("dags")),
        "CORE__PLUGINS_FOLDER": str(checkout("plugins")),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        # Two cores: more than this at once only makes each slower.
        "CORE__PARALLELISM": "3",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow' / 'airflow.db'}",
        "API__HOST": HOST,
        "API__PORT": str(port),
        "API__BASE_URL": url,
        "API__EXPOSE_CONFIG": "False",
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "SCHEDULER__JOB_HEARTBEAT_SEC": "2",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "LOGGING__LOGGING_LEVEL": "INFO",
        "LOGGING__WORKER_LOG_SERVER_PORT": str(unused_port()),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(unused_port()),
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {"AIRFLOW_HOME": str(home / "airflow")} | {f"AIRFLOW__{key}": value for key, value in settings.items()}
