"""A small data set and the tiny base model, ready to be trained in a second or two."""

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient

from midefics.records import Manifest, Turn
from midefics.services.storage import Storage
from tests.rows import make_row

STEPS = 12
SET = {
    "train.max_steps": STEPS,
    "train.batch_size": 2,
    "train.accumulation": 2,
    "train.lora.dropout": 0.1,
    "train.checkpoint_every": "3 steps",
    "train.validations": 3,
}
"""20 conversations are 10 batches, 5 steps an epoch: 12 steps end in the third."""


def options(**values: object) -> list[str]:
    """`midefics train` on it; another value of `train.max_steps` is given as `max_steps=20`."""
    chosen = SET | {f"train.{key}": value for key, value in values.items()}
    settings = (f"--set={key}={'null' if value is None else value}" for key, value in chosen.items())
    return ["train", "--config", "demo", "--json", *settings]


def dataset(storage: Storage, rows: int = 20, held_out: int = 4) -> Manifest:
    """Conversations about noise."""
    with storage.draft("dataset") as draft:
        for number in range(rows + held_out):
            turns = (Turn(question="Is it benign?", answer=f"It is lesion number {number % 7}."),)
            draft.add(make_row(number, turns=turns, split="train" if number < rows else "validation"))
    storage.remember("demo", draft.manifest)
    return draft.manifest


@cache
def _mlflow() -> bytes:
    """An empty store: MLflow takes seconds to make one."""
    with TemporaryDirectory() as folder:
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
        return Path(folder, "mlflow.db").read_bytes()


def house(home: Path, base: Path, location: str | None = None) -> Path:
    """A MIDEFICS_HOME with the base model and MLflow's store; the data set is in its storage."""
    shutil.copytree(base, home / "cache" / "base_models" / base.name)
    (home / "mlflow").mkdir()
    (home / "mlflow" / "mlflow.db").write_bytes(_mlflow())
    dataset(Storage.at(location, home))
    return home


def history(home: Path, manifest: dict[str, Any], location: str | None = None) -> list[dict[str, float]]:
    """The losses that a training's adapter came with."""
    folder = Storage.at(location, home).folder(Manifest.model_validate(manifest))
    return json.loads((folder / "history.json").read_text())
