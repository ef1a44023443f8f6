"""A model and samples in, a trained model out: transformers' Trainer, with the figures told as they come."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate.utils import gather_object
from transformers import PrinterCallback

from midefics.config import TrainConfig
from midefics.errors import ModelError, StoppedError
from midefics.vlm.arguments import arguments
from midefics.vlm.batch import Batches, Samples
from midefics.vlm.best import Best
from midefics.vlm.chat import IGNORED
from midefics.vlm.checkpoints import CheckpointedTrainer, CutShort, Keeper
from midefics.vlm.collate import Sample
from midefics.vlm.feed import batches, padding, ranks
from midefics.vlm.frozen import digest, frozen_outputs
from midefics.vlm.load import Loaded
from midefics.vlm.ranks import first_of_each_machine
from midefics.vlm.sharding import shard
from midefics.vlm.speed import faster, settled
from midefics.vlm.watch import Tell, Watcher

log = logging.getLogger(__name__)


class Fitted(NamedTuple):
    """What a training run came to."""

    steps: int
    """Taken, over all processes that had a part in the run."""
    loss_first: float
    """Mean of the first tenth of the logged losses: one batch alone says little."""
    loss_last: float
    """Mean of the last tenth."""
    tokens: int
    """Real ones, padding not counted."""
    seconds: float
    padding: float
    """Share of the computed positions that were padding; of packed rows, the share of their room left empty."""
    nothing_to_learn: int
    """Samples left out, because nothing in them carries a label."""
    unreadable: int
    """Samples skipped, because their picture can't be decoded."""
    history: list[dict[str, float]]
    """`step` with its `loss` and `learning_rate`, and its `validation_loss` where there was one."""
    kept_step: int
    """The step whose adapter the model has now."""
    learnt: dict[str, torch.Tensor]
    """That adapter, by the names of the model's parameters."""


def fit(
    loaded: Loaded,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    tell: Tell,
    keeper: Keeper | None = None,
) -> Fitted:
    """Trains every parameter of the model that asks for a gradient.

    Args:
        loaded: the model; changed in place.
        train: what to learn from.
        validation: whose loss is watched; may be empty.
        config: the hyperparameters.
        seed: of the order of the samples and of dropout.
        folder: scratch space of the Trainer; frozen outputs are kept beside it.
        tell: called at every logged step, and after each validation, when it may use the model.
        keeper: keeps checkpoints, and knows the one to go on from; None: nothing is kept.

    Raises:
        ModelError: there is nothing to learn from, a picture can't be decoded and none may be skipped, or the loss is
            no longer a number, or runs away.
        StoppedError: somebody wants the process to end; the state is kept.
        StorageError: the state could not be kept.
    """
    learnable, watched = Samples(with_labels(train)), Samples(with_labels(validation))
    if not len(learnable):
        raise ModelError("no training conversation holds an answer; nothing can be learnt")
    config = settled(config, loaded)
    steps = planned_steps(train, config)
    waste = padding(learnable.lengths, batches(learnable.lengths, config, seed, 0), config)
    log.info("fit: %s steps of %s batches, %.2f %% padding", steps, config.batching, 100 * waste)
    watcher = Watcher(tell, config.divergence)
    collate = _batches(loaded, [*learnable.samples, *watched.samples], config, folder)
    if config.parallel == "fsdp":
        shard(loaded)
    trainer = CheckpointedTrainer(
        config, watcher, keeper,
        model=loaded.model, args=arguments(config, steps, bool(len(watched)), seed, folder),
        train_dataset=learnable, eval_dataset=watched if len(watched) else None,
        data_collator=collate,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    best = Best(trainer, config)
    trainer.add_callback(best)
    try:
        with faster(loaded, config):
            _train(trainer, best, keeper)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU's memory was full at step {trainer.state.global_step + 1} ({str(error).split('. ')[0]}); lower "
            "train.batch_size or train.tokens_per_batch and raise train.accumulation, or set "
            "train.gradient_checkpointing=on"
        ) from error
    kept_step = best.put_back()
    return _fitted(trainer, kept_step, waste, len(train) - len(learnable), trainer.learnt())


def _train(trainer: CheckpointedTrainer, best: Best, keeper: Keeper | None) -> None:
    if keeper is None:
        trainer.train()
        return
    try:
        with keeper.stop.gentle():
            trainer.train(resume_from_checkpoint=str(keeper.start.folder) if keeper.start else None)
    except CutShort:
        if not best.enough:
            trainer.keep(validation_due=True)
            raise StoppedError(_stopped(trainer, keeper)) from None
    if trainer.state.global_step < trainer.state.max_steps and not best.enough:
        raise StoppedError(_stopped(trainer, keeper))


def _stopped(trainer: CheckpointedTrainer, keeper: Keeper) -> str:
    done, steps = trainer.state.global_step, trainer.state.max_steps
    why = keeper.stop.reason or "another of its processes was told to"
    return f"train: stopped at step {done} of {steps} ({why}); the same command goes on from there"


def _fitted(
    trainer: CheckpointedTrainer, kept_step: int | None, waste: float, left_out: int, learnt: dict[str, torch.Tensor]
) -> Fitted:
    history: dict[int, dict[str, float]] = {}
    for entry in trainer.state.log_history:
        names = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
        figures = {new: entry[old] for old, new in names.items() if old in entry}
        if figures:
            history.setdefault(entry["step"], {"step": entry["step"]}).update(figures)
    losses = [figures["loss"] for figures in history.values() if "loss" in figures]
    tenth = max(1, len(losses) // 10)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    step = trainer.state.global_step
    unreadable = set(gather_object(sorted(trainer.unreadable)))
    return Fitted(
        step, first, last, trainer.watcher.tokens, trainer.seconds, waste, left_out, len(unreadable),
        list(history.values()), step if kept_step is None else kept_step, learnt,
    )  # fmt: skip


def planned_steps(train: Sequence[Sample], config: TrainConfig) -> int:
    """Optimizer steps that a run takes, on as many ranks as there are."""
    if config.max_steps or not (kept := with_labels(train)):
        return config.max_steps or 0
    world = ranks()
    made = batches(Samples(kept).lengths, config, 0, 0, world)
    return math.ceil(config.epochs * len(made) / world / config.accumulation)


def with_labels(samples: Sequence[Sample]) -> list[Sample]:
    """Those that something can be learnt from; the first token of a sample is never predicted."""
    return [sample for sample in samples if any(label != IGNORED for label in sample.labels[1:])]


def _batches(loaded: Loaded, samples: Sequence[Sample], config: TrainConfig, folder: Path) -> Batches:
    packed, frozen = config.batching == "packed", None
    if packed and not loaded.family.supports.packing:
        raise ModelError("train.batching: packed is not exact with this base model; take tokens")
    if config.frozen_outputs and not loaded.family.supports.cached_vision:
        log.warning("fit: this base model can't be shown its towers' outputs; they are computed for every batch")
    elif config.frozen_outputs:
        pictures = {digest(sample.image): sample.image for sample in samples if sample.image is not None}
        with first_of_each_machine():
            frozen = frozen_outputs(loaded, pictures, folder.parent / "frozen", config.frozen_outputs_gb)
    return Batches(loaded, packed, frozen or None)
