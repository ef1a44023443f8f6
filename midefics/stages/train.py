"""A data set in, a low-rank adapter out; every step's figures go to MLflow as they come.

One process at a time trains the same thing: a second one follows it. One that was killed is gone on with, from its newest
checkpoint and in its MLflow run, to the same adapter.
"""

import hashlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from midefics.base_models import base_model
from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.checkpoints import Checkpoint, Checkpoints
from midefics.services.following import follow
from midefics.services.heartbeat import Heartbeat
from midefics.services.stopping import StopRequest
from midefics.services.trainings import Process, Trainings

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from midefics.services.progress import Counter
    from midefics.vlm.collate import Sample
    from midefics.vlm.fit import Fitted
    from midefics.vlm.load import Loaded
    from midefics.vlm.samples import SampleAnswers

log = logging.getLogger(__name__)

OF_NO_CONSEQUENCE = {"checkpoint_every", "keep_checkpoints", "sample_answers"}
"""Keys of `train` that the adapter does not depend on."""


class Ours(NamedTuple):
    """A training that this process has the right to."""

    config: RunConfig
    dataset: Manifest
    services: Services
    identity: str
    checkpoints: Checkpoints
    start: Checkpoint | None
    heartbeat: Heartbeat
    stop: StopRequest


def run(
    config: RunConfig, dataset: Manifest, *, services: Services, fresh: str | None = None, outlive_s: str | None = None
) -> Manifest:
    """Fine-tunes the 4-bit base model on the train split.

    The adapter's digest covers weights and losses but no times: the same data set and configuration on the same kind of
    machine give the same digest, however often the process was killed on the way.

    Args:
        config: the run's.
        dataset: what to learn from.
        services: the outside world.
        fresh: anything: earlier checkpoints of the same training are thrown away.
        outlive_s: how long to go on once the process that started this one is gone and nobody follows; unset: to the end.

    Raises:
        DataError: the data set has no train split.
        ModelError: the base model can't be loaded, or training diverged.
        ServiceError: MLflow does not answer.
        StoppedError: SIGTERM or Ctrl-C came; what is needed to go on is kept.
        StorageError: a checkpoint or the adapter can't be stored.
    """
    training = identity(config, dataset)
    trainings = Trainings(services.storage.store, services.settings.home, shared=services.settings.store is not None)
    checkpoints = Checkpoints(services.storage.store, training, config.train.keep_checkpoints)
    with StopRequest().listening() as stop:
        while True:
            with trainings.lock(training) as ours:
                state = trainings.take(training) if ours else None
                if state:
                    if fresh:
                        checkpoints.clear()
                        state = state.model_copy(update={"run_id": ""})
                    outlives = float(outlive_s) if outlive_s else None
                    with Heartbeat(trainings, training, state, stop, outlives) as heartbeat:
                        _end_the_abandoned(config, services, trainings, state.run_id)
                        start = checkpoints.newest()
                        mine = Ours(config, dataset, services, training, checkpoints, start, heartbeat, stop)
                        return _train(mine)
            manifest = follow(trainings, training, services.progress, stop)
            if manifest:
                return manifest


def identity(config: RunConfig, dataset: Manifest) -> str:
    """What makes two trainings the same: the data set's digest and all of the configuration that changes the result."""
    content = {
        "dataset": dataset.digest,
        "base_model": [config.base_model, base_model(config.base_model).revision],
        "seed": config.seed,
        "train": config.train.model_dump(mode="json", exclude=OF_NO_CONSEQUENCE),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _train(ours: Ours) -> Manifest:
    from midefics.vlm.adapter import add_adapter
    from midefics.vlm.base import locate
    from midefics.vlm.load import load_base
    from midefics.vlm.samples import SampleAnswers

    config, services = ours.config, ours.services
    location = locate(config.base_model, services.settings.home, services.progress)
    loaded = add_adapter(load_base(*location), config.train.lora, config.seed)
    samples, validation, rows = _samples(config, ours.dataset, services, loaded.processor.tokenizer)
    log.info(
        "train: %s conversations, %s to validate on, from %s in nf4", len(samples), len(validation), config.base_model
    )
    asked = SampleAnswers(rows, config.train.sample_answers, ours.start.facts["answers"] if ours.start else None)
    with services.storage.draft("adapter", [ours.dataset.digest]) as draft:
        run_id, fitted = _fit(ours, loaded, samples, validation, asked)
        _save(loaded.model, config, draft.path)
        (draft.path / "history.json").write_text(json.dumps(fitted.history), encoding="utf-8")
        draft.rows = len(samples)
        draft.facts.update(
            run_id=run_id, base_model=config.base_model, steps=fitted.steps, kept_step=fitted.kept_step,
            tokens=fitted.tokens, loss_first=round(fitted.loss_first, 4), loss_last=round(fitted.loss_last, 4),
            tokens_per_second=round(fitted.tokens / fitted.seconds),
        )  # fmt: skip
    ours.heartbeat.finished(draft.manifest)
    ours.checkpoints.clear()
    log.info(
        "train: %s steps, loss %.3f to %.3f, adapter of step %s, %.1f s",
        fitted.steps, fitted.loss_first, fitted.loss_last, fitted.kept_step, fitted.seconds,
    )  # fmt: skip
    return draft.manifest


def _fit(
    ours: Ours, loaded: "Loaded", samples: "list[Sample]", validation: "list[Sample]", asked: "SampleAnswers"
) -> "tuple[str, Fitted]":
    from midefics.vlm.checkpoints import Keeper
    from midefics.vlm.fit import Watching, fit, planned_steps

    config, services, start, tracking = ours.config, ours.services, ours.start, ours.services.tracking
    steps = planned_steps(len(samples), config.train)
    with (
        tracking.run(
            config.register_.experiment,
            f"{config.name} on {ours.dataset.digest[:8]}",
            _tags(ours),
            _flat(config),
            run_id=(start.facts["run_id"] if start else "") or ours.heartbeat.state.run_id,
        ) as run_id,
        services.progress.track("train", steps) as counter,
    ):
        ours.heartbeat.found_run(run_id)
        if start:
            log.info("train: going on after step %s of %s, in MLflow run %s", start.step, steps, run_id)
            counter.go_on(start.step)

        def validated(step: int) -> None:
            if asked.asked:
                asked.ask(loaded, step)
                tracking.log_text(run_id, asked.page(), "samples.html")

        fitted = fit(
            loaded,
            samples,
            validation,
            config.train,
            seed=config.seed,
            folder=services.settings.home / "cache" / "trainer",
            watching=Watching(_Teller(ours, run_id, counter, steps).tell, validated),
            keeper=Keeper(
                ours.checkpoints,
                config.train.checkpoint_every,
                start,
                ours.stop,
                lambda: {"run_id": run_id, "answers": asked.given},
            ),
        )
    return run_id, fitted


class _Teller:
    """Tells a step's figures to everybody; MLflow not those that it has from a process that was killed after them."""

    def __init__(self, ours: Ours, run_id: str, counter: "Counter", steps: int) -> None:
        self._tracking, self._heartbeat = ours.services.tracking, ours.heartbeat
        self._run_id, self._counter, self._steps = run_id, counter, steps
        self._known = {name: self._tracking.last_step(run_id, name) for name in ("loss", "validation_loss")}

    def tell(self, step: int, figures: dict[str, float]) -> None:
        if step > self._known["loss" if "loss" in figures else "validation_loss"]:
            self._tracking.log(self._run_id, figures, step)
        note = f"loss {figures['loss']:.3f}" if "loss" in figures else None
        self._counter.advance(step - self._counter.done, note)
        self._heartbeat.progress(step, self._steps, self._counter.note)


def _end_the_abandoned(config: RunConfig, services: Services, trainings: Trainings, ours: str) -> None:
    """Runs of killed processes that nobody has gone on with: MLflow can't know that they are no longer RUNNING."""
    for run_id, tags in services.tracking.running(config.register_.experiment):
        if run_id == ours or "midefics.process" not in tags:
            continue
        process = Process.model_validate_json(tags["midefics.process"])
        if trainings.abandoned(tags["midefics.training"], process):
            log.info("train: the process of MLflow run %s is gone; the run is ended as KILLED", run_id)
            services.tracking.end(run_id, "KILLED")


def _tags(ours: Ours) -> dict[str, str]:
    return {
        "dataset_digest": ours.dataset.digest,
        "base_model": ours.config.base_model,
        "quantisation": "nf4, double",
        "midefics.training": ours.identity,
        "midefics.process": Process.ours().model_dump_json(),
    }


def _samples(
    config: RunConfig, dataset: Manifest, services: Services, tokenizer: "PreTrainedTokenizerBase"
) -> "tuple[list[Sample], list[Sample], list[Row]]":
    """What is learnt from, what is validated on, and the rows of the latter."""
    from midefics.vlm.chat import encode
    from midefics.vlm.collate import Sample

    splits: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    rows = []
    for row in services.storage.rows(dataset):
        if row.split in ("train", "validation") and row.turns:
            pieces = [row.turns] if config.train.sample == "conversation" else [(turn,) for turn in row.turns]
            encoded = [encode(piece, tokenizer, True, config.train.max_length) for piece in pieces]
            splits[row.split] += [Sample(*one, image=row.image, row=row.id) for one in encoded]
            rows += [row] if row.split == "validation" else []
    if not splits["train"]:
        raise DataError(
            f"dataset {dataset.digest[:16]} has no training rows; assemble it with a smaller assemble.test_share"
        )
    return splits["train"], splits["validation"], rows


def _save(model: "PeftModel", config: RunConfig, folder: Path) -> None:
    # The path a base model was loaded from is this machine's affair.
    model.peft_config["default"].base_model_name_or_path = config.base_model
    # Left to decide by itself whether the embeddings changed, peft looks for the base model on the hub.
    model.save_pretrained(folder / "adapter", safe_serialization=True, save_embedding_layers=False)
    # peft's template of a card; all that it says is that path.
    (folder / "adapter" / "README.md").unlink(missing_ok=True)


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
