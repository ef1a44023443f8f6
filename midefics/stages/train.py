"""A data set in, a low-rank adapter out; every step's figures go to MLflow as they come."""

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from midefics.config import RunConfig
from midefics.errors import DataError, ModelError
from midefics.pictures import BROKEN
from midefics.records import Manifest, Row, Turn
from midefics.services import Services

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peft import PeftModel

    from midefics.vlm.chat import Encoded
    from midefics.vlm.collate import Sample
    from midefics.vlm.load import Loaded

log = logging.getLogger(__name__)


def run(config: RunConfig, dataset: Manifest, *, services: Services) -> Manifest:
    """Fine-tunes the 4-bit base model on the train split.

    The adapter's digest covers weights and losses but no times: the same data set and configuration on the same kind of
    machine give the same digest.

    Raises:
        DataError: the data set has no train split.
        ModelError: the base model can't be loaded, the GPU is too small, or training diverged.
        ServiceError: MLflow does not answer.
    """
    from midefics.vlm.adapter import add_adapter
    from midefics.vlm.base import locate
    from midefics.vlm.fit import fit, planned_steps
    from midefics.vlm.load import load_base
    from midefics.vlm.room import check_room, gpu_bytes, settle

    tracking = services.tracking
    location = locate(config.base_model, services.settings.home, services.progress)
    check_room(config, services.settings.home, longest=1, available=gpu_bytes())
    loaded = add_adapter(load_base(*location), config.train.lora, config.seed)
    data = _samples(config, dataset, services, loaded)
    sizes = len(data.train), len(data.validation)
    log.info("train: %s conversations, %s to validate on, from %s in nf4", *sizes, config.base_model)
    longest = max(len(sample.input_ids) for sample in data.train)
    config = settle(config, services.settings.home, longest, gpu_bytes())
    steps: dict[int, dict[str, float]] = {}

    with services.storage.draft("adapter", [dataset.digest]) as draft:
        tags = {"dataset_digest": dataset.digest, "base_model": config.base_model, "quantisation": "nf4, double"}
        name = f"{config.name} on {dataset.digest[:8]}"
        with (
            tracking.run(config.register_.experiment, name, tags, _flat(config)) as run_id,
            services.progress.track("train", planned_steps(data.train, config.train)) as counter,
        ):

            def tell(step: int, figures: dict[str, float]) -> None:
                tracking.log(run_id, figures, step)
                steps.setdefault(step, {}).update(figures)
                counter.advance(step - counter.done, f"loss {figures['loss']:.3f}" if "loss" in figures else None)

            fitted = fit(
                loaded,
                data.train,
                data.validation,
                config.train,
                seed=config.seed,
                folder=services.settings.home / "cache" / "trainer",
                tell=tell,
            )
        _save(loaded.model, config, draft.path)
        _write_history(steps, draft.path / "history.json")
        draft.rows = len(data.train)
        draft.facts.update(
            run_id=run_id, base_model=config.base_model, steps=fitted.steps, tokens=fitted.tokens,
            loss_first=round(fitted.loss_first, 4), loss_last=round(fitted.loss_last, 4),
            tokens_per_second=round(fitted.tokens / fitted.seconds), padding=round(fitted.padding, 4),
            turns_dropped=data.turns_dropped, nothing_to_learn=fitted.nothing_to_learn,
            unreadable=data.unreadable + fitted.unreadable,
        )  # fmt: skip
    log.info(
        "train: %s steps, loss %.3f to %.3f, %.1f s", fitted.steps, fitted.loss_first, fitted.loss_last, fitted.seconds
    )
    return draft.manifest


class _Samples(NamedTuple):
    train: "list[Sample]"
    validation: "list[Sample]"
    turns_dropped: int
    """For want of room in `train.max_length`."""
    unreadable: int
    """Left out, because their picture does not even tell its size."""


def _samples(config: RunConfig, dataset: Manifest, services: Services, loaded: "Loaded") -> _Samples:
    from midefics.vlm.collate import Sample

    splits: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    dropped = unreadable = 0
    for row in services.storage.rows(dataset):
        if row.split in ("train", "validation") and row.turns:
            pieces = [row.turns] if config.train.sample == "conversation" else [(turn,) for turn in row.turns]
            for piece in pieces:
                if made := _encoded(row, piece, config, loaded):
                    splits[row.split].append(Sample(*made[0], image=row.image, id=row.id))
                    dropped += made[1]
                else:
                    unreadable += 1
    if not splits["train"]:
        raise DataError(
            f"dataset {dataset.digest[:16]} has no training rows; assemble it with a smaller assemble.test_share"
        )
    return _Samples(splits["train"], splits["validation"], dropped, unreadable)


def _encoded(row: Row, turns: "Sequence[Turn]", config: RunConfig, loaded: "Loaded") -> "tuple[Encoded, int] | None":
    try:
        return loaded.family.encode_what_fits(turns, loaded.processor, row.image, config.train.max_length)
    except ModelError as error:
        raise ModelError(f"{row.id}: {error}; raise it, or assemble the data set without the row") from error
    except BROKEN as error:
        if config.train.bad_images == "skip":
            return None
        raise ModelError(f"the image of {row.id} can't be decoded: {error}; or set train.bad_images: skip") from error


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
