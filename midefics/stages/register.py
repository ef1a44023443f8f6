"""Data set, adapter and evidence in, a version in MLflow's registry out."""

import base64
import logging
import shutil
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import midefics
from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.evidence.card import model_card
from midefics.evidence.papers import ATTRIBUTION, BILL
from midefics.evidence.rules import as_markdown, assess
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.shared_base import SharedBase
from midefics.services.tracking import CHALLENGER
from midefics.stages.shared_base import shared_base

log = logging.getLogger(__name__)

NEEDED_TO_SERVE = ("accelerate", "bitsandbytes", "boto3", "httpx", "mlflow", "numpy", "pandas", "peft", "pillow", "psutil", "pyarrow",
                   "pydantic", "pydantic-settings", "pyyaml", "rich", "tokenizers", "torch", "transformers")  # fmt: skip


def run(
    config: RunConfig, dataset: Manifest, adapter: Manifest, evaluation: Manifest, *, services: Services
) -> Manifest:
    """Registers the adapter with a reference to the quantised base, and makes the version `@challenger`.

    The base is stored once, under its digest, however many versions share it. The adapter is never merged into the
    4-bit weights: rounding the sum again loses much of what was learnt.

    Raises:
        DataError: the evaluation is of another adapter or data set.
    """
    if not {dataset.digest, adapter.digest} <= set(evaluation.parents):
        raise DataError(
            f"evaluation {evaluation.digest[:16]} is not of adapter {adapter.digest[:16]} on dataset {dataset.digest[:16]}; "
            "evaluate that adapter first: `midefics evaluate`"
        )
    started = time.monotonic()
    licences, writers, prompts = _said_of_rows(dataset, services, "licence", "writer", "prompt_version")
    card = model_card(config, dataset, adapter, evaluation, licences, writers)
    assessments = assess(evaluation.facts, config.promote)
    tags = {
        "dataset_digest": dataset.digest, "adapter_digest": adapter.digest, "evaluation_digest": evaluation.digest,
        "base_model": config.base_model, "quantisation": "nf4, double", "prompt_version": ", ".join(prompts), "writer": ", ".join(writers),
        "licences": ", ".join(licences), "exact_match": f"{evaluation.facts['after']:.4f}", "midefics": midefics.__version__,
    }  # fmt: skip
    name, run_id = config.register_.model_name, str(adapter.facts["run_id"])
    base = shared_base(config.base_model, services)
    tags |= {"base_digest": base.digest}
    parents = [dataset.digest, adapter.digest, evaluation.digest, base.digest]
    with (
        services.storage.draft("registration", parents) as draft,
        tempfile.TemporaryDirectory(prefix="midefics-register-") as scratch,
        services.progress.track("register", 2) as counter,
    ):
        log.info("register: %s, adapter %s on %s", name, adapter.digest[:16], config.base_model)
        reference = Path(scratch) / "base.json"
        reference.write_text(SharedBase.of(base, services.storage).model_dump_json(indent=2), encoding="utf-8")
        weights = {"adapter": str(services.storage.folder(adapter) / "adapter"), "base": str(reference)}
        counter.advance(note="uploading")
        version = services.tracking.register(
            run_id, name, card.body, tags, **_model(config, weights, _example(services.storage.rows(dataset)))
        )
        services.tracking.set_alias(name, CHALLENGER, version)
        counter.advance(note=f"version {version}")
        (draft.path / "README.md").write_text(str(card), encoding="utf-8")
        for paper in (ATTRIBUTION, BILL):
            shutil.copyfile(services.storage.folder(dataset) / paper, draft.path / paper)
        services.tracking.log_folder(run_id, draft.path, "papers")
        draft.rows = 1
        draft.facts.update(
            model_name=name, version=version, run_id=run_id, proposable=all(one.passed for one in assessments),
            rules=as_markdown(assessments),
        )  # fmt: skip
    log.info("register: %s version %s, %.1f s", name, version, time.monotonic() - started)
    return draft.manifest


def _said_of_rows(dataset: Manifest, services: Services, *columns: str) -> list[list[str]]:
    found: dict[str, set[str]] = {name: set() for name in columns}
    for row in services.storage.columns(dataset, *columns):
        for name, value in row.items():
            found[name].add(value)
    return [sorted(found[name]) for name in columns]


def _example(rows: Iterable[Row]) -> list[dict[str, str]]:
    row = next(row for row in rows if row.turns)
    return [{"image": base64.b64encode(row.image).decode(), "question": row.turns[0].question}]


def _model(config: RunConfig, weights: dict[str, str], example: list[dict[str, str]]) -> dict[str, Any]:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    package = Path(midefics.__file__).parent
    return {
        "name": "model",
        "python_model": str(package / "vlm" / "served_model.py"),
        "artifacts": weights,
        "code_paths": [str(package)],
        "signature": ModelSignature(
            inputs=Schema([ColSpec(DataType.string, "image", required=False), ColSpec(DataType.string, "question")]),
            outputs=Schema([ColSpec(DataType.string)]),
            params=ParamSchema([ParamSpec("max_new_tokens", DataType.integer, config.evaluate.max_new_tokens)]),
        ),
        "input_example": example,
        "pip_requirements": [f"{needed}=={installed(needed).partition('+')[0]}" for needed in NEEDED_TO_SERVE],
        "metadata": {"base_model": config.base_model, "quantisation": "nf4, double"},
    }
