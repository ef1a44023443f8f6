"""Names in, paths out: where the pieces that run apart find each other's files."""

import re
from pathlib import Path

from midefics.errors import ServiceError

REPOSITORY = Path(__file__).resolve().parents[2]


def progress_file(home: Path, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Path:
    """Where a task's stage writes how far it is."""
    name = task_id if map_index < 0 else f"{task_id}-{map_index}"
    return home.joinpath("progress", *(_plain(part) for part in (dag_id, run_id, f"{name}.json")))


def checkout(name: str) -> Path:
    """A file or folder of the checkout that the package does not carry: `dags`, `plugins`, `docker/pools.json`.

    Raises:
        ServiceError: midefics was installed without its checkout.
    """
    path = REPOSITORY / name
    if not path.exists():
        raise ServiceError(
            f"{path} is missing: the demo runs from a checkout of the repository, not from an installed package"
        )
    return path


def _plain(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", part)
