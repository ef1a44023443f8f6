"""A model and samples in, a trained model out: transformers' Trainer, with the figures told as they come."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from midefics.config import TrainConfig
from midefics.errors import ModelError, StoppedError
from midefics.vlm.arguments import arguments
from midefics.vlm.batches import Named, NamingTrainer
from midefics.vlm.best import Best
from midefics.vlm.checkpoints import CutShort, Keeper
from midefics.vlm.collate import Sample, collate
from midefics.vlm.load import Loaded
from midefics.vlm.watch import Tell, Watcher


class Fitted(NamedTuple):
    """What a training run came to."""

    steps: int
    """Taken, over all processes that had a part in it."""
    loss_first: float
    """Mean of the first tenth of the logged losses: one batch alone says little."""
    loss_last: float
    """Mean of the last tenth."""
    tokens: int
    """Real ones, padding not counted."""
    seconds: float
    history: list[dict[str, float]]
    """`step` with its `loss` and `learning_rate`, and its `validation_loss` where there was one."""
    kept_step: int
    """The step whose adapter the model has now."""


class Watching(NamedTuple):
    """Who is told of a run while it goes on."""

    tell: Tell
    """At every logged step."""
    validated: Callable[[int], None] = lambda _: None
    """After each validation, with its step; it may use the model."""


def fit(
    loaded: Loaded,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    watching: Watching,
    keeper: Keeper | None = None,
) -> Fitted:
    """Trains every parameter of the model that asks for a gradient.

    Args:
        loaded: the model; changed in place.
        train: what to learn from.
        validation: whose loss is watched; may be empty.
        config: the hyperparameters.
        seed: of the order of the samples and of dropout.
        folder: scratch space of the Trainer.
        watching: who is told.
        keeper: keeps checkpoints, and knows the one to go on from; None: nothing is kept.

    Raises:
        ModelError: there is nothing to learn from, or the loss is no longer a number, or runs away.
        StoppedError: somebody wants the process to end; the state is kept.
        StorageError: the state could not be kept.
    """
    if not any(label >= 0 for sample in train for label in sample.labels):
        raise ModelError("no training conversation holds an answer; nothing can be learnt")
    steps = planned_steps(len(train), config)
    start = keeper.start if keeper else None
    before: dict[str, Any] = start.facts if start else {"tokens": 0, "seconds": 0.0, "validation_due": False}
    trainer = NamingTrainer(
        model=loaded.model,
        args=arguments(config, steps, bool(validation), seed, folder),
        train_dataset=list(train),
        eval_dataset=list(validation) or None,
        data_collator=Named(partial(collate, processor=loaded.processor, side="right")),
        keeper=keeper,
    )
    trainer.tokens = before["tokens"]
    began = time.monotonic()
    watcher = Watcher(watching.tell, lambda: trainer.tokens, trainer.batches, config.divergence)
    best = Best(trainer, config)
    for callback in (watcher, best, _Validated(watching.validated)):
        trainer.add_callback(callback)
    trainer.facts = lambda: {"tokens": trainer.tokens, "seconds": before["seconds"] + time.monotonic() - began}
    _silence(trainer)
    _train(trainer, best, keeper, before["validation_due"])
    return _fitted(trainer, best.put_back())


def planned_steps(samples: int, config: TrainConfig) -> int:
    """Optimizer steps that a run takes."""
    batches = math.ceil(samples / config.batch_size)
    return config.max_steps or math.ceil(config.epochs * batches / config.accumulation)


def _train(trainer: NamingTrainer, best: Best, keeper: Keeper | None, validation_due: bool) -> None:
    if keeper is None:
        trainer.train()
        return
    trainer.args.eval_on_start = validation_due
    try:
        with keeper.stop.gentle():
            trainer.train(resume_from_checkpoint=str(keeper.start.folder) if keeper.start else None)
    except CutShort:
        if not best.enough:
            trainer.keep(validation_due=True)
            raise StoppedError(_stopped(trainer, keeper)) from None
    if trainer.state.global_step < trainer.state.max_steps and not best.enough:
        raise StoppedError(_stopped(trainer, keeper))


def _stopped(trainer: NamingTrainer, keeper: Keeper) -> str:
    done, steps = trainer.state.global_step, trainer.state.max_steps
    return f"train: stopped at step {done} of {steps} ({keeper.stop.reason}); the same command goes on from there"


def _fitted(trainer: NamingTrainer, kept_step: int | None) -> Fitted:
    history: dict[int, dict[str, float]] = {}
    for entry in trainer.state.log_history:
        names = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
        figures = {new: entry[old] for old, new in names.items() if old in entry}
        if figures:
            history.setdefault(entry["step"], {"step": entry["step"]}).update(figures)
    losses = [figures["loss"] for figures in history.values() if "loss" in figures]
    tenth = max(1, len(losses) // 10)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    facts, step = trainer.facts(), trainer.state.global_step
    return Fitted(
        step, first, last, facts["tokens"], facts["seconds"], list(history.values()),
        step if kept_step is None else kept_step,
    )  # fmt: skip


def _silence(trainer: NamingTrainer) -> None:
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(callback)


class _Validated(TrainerCallback):
    def __init__(self, validated: Callable[[int], None]) -> None:
        self._validated = validated

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        del args, control, rest
        self._validated(state.global_step)
