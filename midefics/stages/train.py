"""A data set in, a low-rank adapter out; every step's figures go to MLflow as they come."""

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.model_calls import exchanges
from midefics.records import Manifest
from midefics.services import Services

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from midefics.vlm.collate import Sample

log = logging.getLogger(__name__)


def run(config: RunConfig, dataset: Manifest, *, services: Services) -> Manifest:
    """Fine-tunes the 4-bit base model on the train split.

    The adapter's digest covers weights and losses but no times: the same data set and configuration on the same kind of
    machine give the same digest.

    Raises:
        DataError: the data set has no train split.
        ModelError: the base model can't be loaded, or training diverged.
        ServiceError: MLflow does not answer.
    """
    from midefics.vlm.adapter import add_adapter
    from midefics.vlm.base import locate
    from midefics.vlm.fit import fit, planned_steps
    from midefics.vlm.load import load_base

    tracking = services.tracking
    location = locate(config.base_model, services.settings.home, services.progress)
    loaded = add_adapter(load_base(*location), config.train.lora, config.seed)
    samples, validation = _samples(config, dataset, services, loaded.processor.tokenizer)
    log.info(
        "train: %s conversations, %s to validate on, from %s in nf4", len(samples), len(validation), config.base_model
    )
    steps: dict[int, dict[str, float]] = {}

    with services.storage.draft("adapter", [dataset.digest]) as draft:
        tags = {"dataset_digest": dataset.digest, "base_model": config.base_model, "quantisation": "nf4, double"}
        name = f"{config.name} on {dataset.digest[:8]}"
        with (
            tracking.run(config.register_.experiment, name, tags, _flat(config)) as run_id,
            services.progress.track("train", planned_steps(len(samples), config.train)) as counter,
        ):

            def tell(step: int, figures: dict[str, float]) -> None:
                tracking.log(run_id, figures, step)
                steps.setdefault(step, {}).update(figures)
                counter.advance(step - counter.done, f"loss {figures['loss']:.3f}" if "loss" in figures else None)

            fitted = fit(
                loaded,
                samples,
                validation,
                config.train,
                seed=config.seed,
                folder=services.settings.home / "cache" / "trainer",
                tell=tell,
            )
        _save(loaded.model, config, draft.path)
        _write_history(steps, draft.path / "history.json")
        draft.rows = len(samples)
        draft.facts.update(
            run_id=run_id, base_model=config.base_model, steps=fitted.steps, tokens=fitted.tokens,
            loss_first=round(fitted.loss_first, 4), loss_last=round(fitted.loss_last, 4),
            tokens_per_second=round(fitted.tokens / fitted.seconds),
        )  # fmt: skip
    log.info(
        "train: %s steps, loss %.3f to %.3f, %.1f s", fitted.steps, fitted.loss_first, fitted.loss_last, fitted.seconds
    )
    return draft.manifest


def _samples(
    config: RunConfig, dataset: Manifest, services: Services, tokenizer: "PreTrainedTokenizerBase"
) -> "tuple[list[Sample], list[Sample]]":
    from midefics.vlm.chat import encode
    from midefics.vlm.collate import Sample

    splits: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    for row in services.storage.rows(dataset):
        if row.split in ("train", "validation") and row.turns:
            for turns, image in ((row.turns, row.image), (row.text_only, None)):
                pieces = exchanges(turns) if config.train.sample == "turn" else [turns] if turns else []
                encoded = [encode(piece, tokenizer, image is not None, config.train.max_length) for piece in pieces]
                splits[row.split] += [Sample(*one, image=image) for one in encoded]
    if not splits["train"]:
        raise DataError(
            f"dataset {dataset.digest[:16]} has no training rows; assemble it with a smaller assemble.test_share"
        )
    return splits["train"], splits["validation"]


def _save(model: "PeftModel", config: RunConfig, folder: Path) -> None:
    # The path a base model was loaded from is this machine's affair.
    model.peft_config["default"].base_model_name_or_path = config.base_model
    # Left to decide by itself whether the embeddings changed, peft looks for the base model on the hub.
    model.save_pretrained(folder / "adapter", safe_serialization=True, save_embedding_layers=False)


def _write_history(steps: dict[int, dict[str, float]], path: Path) -> None:
    kept = ("loss", "learning_rate", "validation_loss")
    history = [
        {"step": step} | {key: figures[key] for key in kept if key in figures}
        for step, figures in sorted(steps.items())
    ]
    path.write_text(json.dumps(history), encoding="utf-8")


def _flat(config: RunConfig) -> dict[str, object]:
    """The configuration as MLflow parameters: `train.lora.r`."""

    def walk(prefix: str, value: object) -> list[tuple[str, object]]:
        if isinstance(value, dict):
            return [pair for key, inner in value.items() for pair in walk(f"{prefix}.{key}" if prefix else key, inner)]
        return [(prefix, value)]

    content = config.model_dump(mode="json", by_alias=True, exclude={"sources"})
    return dict(walk("", content)) | {
        "sources": ",".join(config.sources),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
