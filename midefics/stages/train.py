"""A data set in, a low-rank adapter out; every step's figures go to MLflow as they come.

One process at a time trains the same thing: a second one follows it. One that was killed is gone on with, from its newest
checkpoint and in its MLflow run, to the same adapter. Where several processes train together the first of them is that one,
and the others lend it their hands.
"""

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from midefics.config import RunConfig
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.checkpoints import Checkpoints
from midefics.services.stopping import StopRequest
from midefics.stages.launching import launch, must_launch
from midefics.stages.resuming import Manner, Ours, identity, one_at_a_time
from midefics.stages.training_samples import TrainingSamples, training_samples

if TYPE_CHECKING:
    from peft import PeftModel

    from midefics.services.progress import Counter
    from midefics.vlm.fit import Fitted
    from midefics.vlm.load import Loaded
    from midefics.vlm.ranks import Ranks
    from midefics.vlm.samples import SampleAnswers

log = logging.getLogger(__name__)

START, MADE = "start", "made"
"""What the first process tells the others: the step that all go on from, and the adapter's manifest."""


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
        ModelError: the base model can't be loaded, the GPU is too small, or training diverged.
        ServiceError: MLflow does not answer.
        StoppedError: SIGTERM or Ctrl-C came; what is needed to go on is kept.
        StorageError: a checkpoint or the adapter can't be stored.
    """
    if must_launch(config):
        return launch(config, dataset, services, {"fresh": fresh, "outlive_s": outlive_s})
    manner = Manner(bool(fresh), float(outlive_s) if outlive_s else None)
    if config.train.world == 1:
        return one_at_a_time(config, dataset, services, manner, lambda ours: _train(config, dataset, services, ours))
    from midefics.vlm.ranks import Ranks

    ranks = Ranks(config.train.world)
    if not ranks.first:
        return _help(config, dataset, services, ranks)
    with ranks.leading():
        made = one_at_a_time(
            config, dataset, services, manner, lambda ours: _lead(config, dataset, services, ours, ranks)
        )
        ranks.tell(MADE, made.model_dump(mode="json"))
    return made


def _lead(config: RunConfig, dataset: Manifest, services: Services, ours: Ours, ranks: "Ranks") -> Manifest:
    ranks.tell(START, ours.start.step if ours.start else 0)
    with ranks.together():
        return _train(config, dataset, services, ours)


def _help(config: RunConfig, dataset: Manifest, services: Services, ranks: "Ranks") -> Manifest:
    """Computes with the first process if that trains, and returns what it returns."""
    with StopRequest().listening() as stop:
        word = ranks.hear(START, MADE)
        if START in word:
            with ranks.together(), ranks.to_the_end():
                _compute(config, dataset, services, word[START], stop)
        return Manifest.model_validate(ranks.hear(MADE)[MADE])


def _compute(config: RunConfig, dataset: Manifest, services: Services, step: int, stop: StopRequest) -> None:
    from midefics.vlm.checkpoints import Keeper
    from midefics.vlm.fit import fit
    from midefics.vlm.ranks import first_of_each_machine
    from midefics.vlm.samples import SampleAnswers

    checkpoints = Checkpoints(services.storage.store, identity(config, dataset), config.train.keep_checkpoints)
    with first_of_each_machine():
        start = checkpoints.at(step) if step else None
    settled, loaded, data = _prepared(config, dataset, services)
    asked = SampleAnswers(data.held_out, config.train.sample_answers)

    def tell(step: int, figures: dict[str, float]) -> None:
        # Where every process holds a share of the weights, none can answer alone.
        if config.train.parallel == "fsdp" and "validation_loss" in figures and asked.asked:
            asked.ask(loaded, step)

    fit(
        loaded, data.train, data.validation, settled.train,
        seed=config.seed, folder=services.settings.home / "cache" / "trainer", tell=tell,
        keeper=Keeper(checkpoints, config.train.checkpoint_every, start, stop, dict),
    )  # fmt: skip


def _prepared(config: RunConfig, dataset: Manifest, services: Services) -> "tuple[RunConfig, Loaded, TrainingSamples]":
    """The model with a fresh adapter, what it learns from, and the configuration with what is left to memory decided."""
    from midefics.vlm.adapter import add_adapter
    from midefics.vlm.base import locate
    from midefics.vlm.device import check_device
    from midefics.vlm.load import load_base
    from midefics.vlm.ranks import first_of_each_machine
    from midefics.vlm.room import check_room, gpu_bytes, settle

    check_device(config.base_model)
    with first_of_each_machine():
        location = locate(config.base_model, services.settings.home, services.progress)
    available = gpu_bytes() if config.train.parallel == "ddp" else None  # the plan knows no shares
    check_room(config, services.settings.home, longest=1, available=available)
    loaded = add_adapter(load_base(*location), config.train.lora, config.seed)
    data = training_samples(config, dataset, services, loaded)
    sizes = len(data.train), len(data.validation)
    log.info("train: %s conversations, %s to validate on, from %s in nf4", *sizes, config.base_model)
    longest = max(len(sample.input_ids) for sample in data.train)
    return settle(config, services.settings.home, longest, available), loaded, data


def _train(config: RunConfig, dataset: Manifest, services: Services, ours: Ours) -> Manifest:
    from midefics.vlm.ranks import first_of_each_machine

    with first_of_each_machine():
        pass  # the checkpoint that we start from is here already; the others look for theirs now
    config, loaded, data = _prepared(config, dataset, services)
    tags = {"dataset_digest": dataset.digest, "base_model": config.base_model, "quantisation": "nf4, double"}
    name = f"{config.name} on {dataset.digest[:8]}"

    with services.storage.draft("adapter", [dataset.digest]) as draft:
        with services.tracking.run(
            config.register_.experiment, name, tags | ours.tags, _flat(config), ours.run_id
        ) as run_id:
            ours.heartbeat.found_run(run_id)
            fitted = _fit(config, services, ours, loaded, data)
        _save(loaded.model, fitted, config, draft.path)
        (draft.path / "history.json").write_text(json.dumps(fitted.history), encoding="utf-8")
        draft.rows = len(data.train)
        draft.facts.update(
            run_id=run_id, base_model=config.base_model, steps=fitted.steps, kept_step=fitted.kept_step,
            tokens=fitted.tokens, loss_first=round(fitted.loss_first, 4), loss_last=round(fitted.loss_last, 4),
            tokens_per_second=round(fitted.tokens / fitted.seconds), padding=round(fitted.padding, 4),
            turns_dropped=data.turns_dropped, nothing_to_learn=fitted.nothing_to_learn,
            unreadable=data.unreadable + fitted.unreadable,
        )  # fmt: skip
    log.info(
        "train: %s steps, loss %.3f to %.3f, adapter of step %s, %.1f s",
        fitted.steps, fitted.loss_first, fitted.loss_last, fitted.kept_step, fitted.seconds,
    )  # fmt: skip
    return draft.manifest


def _fit(config: RunConfig, services: Services, ours: Ours, loaded: "Loaded", data: TrainingSamples) -> "Fitted":
    from midefics.vlm.checkpoints import Keeper
    from midefics.vlm.fit import fit, planned_steps
    from midefics.vlm.samples import SampleAnswers

    start, run_id = ours.start, ours.heartbeat.state.run_id
    asked = SampleAnswers(data.held_out, config.train.sample_answers, start.facts["answers"] if start else None)
    steps = planned_steps(data.train, config.train)
    with services.progress.track("train", steps) as counter:
        if start:
            log.info("train: going on after step %s of %s, in MLflow run %s", start.step, steps, run_id)
            counter.go_on(start.step)
        return fit(
            loaded,
            data.train,
            data.validation,
            config.train,
            seed=config.seed,
            folder=services.settings.home / "cache" / "trainer",
            tell=_Teller(services, ours, counter, loaded, asked).tell,
            keeper=Keeper(
                ours.checkpoints,
                config.train.checkpoint_every,
                start,
                ours.stop,
                lambda: {"run_id": run_id, "answers": asked.given},
            ),
        )


class _Teller:
    """Tells a step's figures to everybody; MLflow not those that it has from a process that was killed after them."""

    def __init__(
        self, services: Services, ours: Ours, counter: "Counter", loaded: "Loaded", asked: "SampleAnswers"
    ) -> None:
        self._tracking, self._heartbeat, self._counter = services.tracking, ours.heartbeat, counter
        self._loaded, self._asked = loaded, asked
        self._run_id = ours.heartbeat.state.run_id
        self._known = {name: self._tracking.last_step(self._run_id, name) for name in ("loss", "validation_loss")}

    def tell(self, step: int, figures: dict[str, float]) -> None:
        if step > self._known["loss" if "loss" in figures else "validation_loss"]:
            self._tracking.log(self._run_id, figures, step)
        note = f"loss {figures['loss']:.3f}" if "loss" in figures else None
        self._counter.advance(step - self._counter.done, note)
        self._heartbeat.progress(step, self._counter.total or 0, self._counter.note)
        if "validation_loss" in figures and self._asked.asked:
            self._asked.ask(self._loaded, step)
            self._tracking.log_text(self._run_id, self._asked.page(), "samples.html")


def _save(model: "PeftModel", fitted: "Fitted", config: RunConfig, folder: Path) -> None:
    # The path a base model was loaded from is this machine's affair.
    model.peft_config["default"].base_model_name_or_path = config.base_model
    # Left to decide by itself whether the embeddings changed, peft looks for the base model on the hub.
    model.save_pretrained(
        folder / "adapter", safe_serialization=True, save_embedding_layers=False, state_dict=fitted.learnt
    )
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
