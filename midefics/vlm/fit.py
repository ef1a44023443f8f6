"""A model and samples in, a trained model out: transformers' Trainer, with the figures told as they come."""

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import Trainer

from midefics.config import TrainConfig
from midefics.errors import ModelError
from midefics.vlm.arguments import arguments
from midefics.vlm.collate import Sample, collate
from midefics.vlm.load import Loaded
from midefics.vlm.watch import Tell, Watcher


class Fitted(NamedTuple):
    """What a training run came to."""

    steps: int
    loss_first: float
    """Mean of the first tenth of the logged losses: one batch alone says little."""
    loss_last: float
    """Mean of the last tenth."""
    tokens: int
    """Real ones, padding not counted."""
    seconds: float


def fit(
    loaded: Loaded,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    tell: Tell,
) -> Fitted:
    """Trains every parameter of the model that asks for a gradient.

    Args:
        loaded: the model; changed in place.
        train: what to learn from.
        validation: whose loss is watched; may be empty.
        config: the hyperparameters.
        seed: of the order of the samples and of dropout.
        folder: scratch space of the Trainer.
        tell: called at every logged step.

    Raises:
        ModelError: there is nothing to learn from, or the loss is no longer a number.
    """
    if not any(label >= 0 for sample in train for label in sample.labels):
        raise ModelError("no training conversation holds an answer; nothing can be learnt")
    steps = planned_steps(len(train), config)
    watcher = Watcher(tell)
    trainer = Trainer(
        model=loaded.model,
        args=arguments(config, steps, bool(validation), seed, folder),
        train_dataset=_Counted(train, watcher),
        eval_dataset=list(validation) or None,
        data_collator=partial(collate, processor=loaded.processor, side="right"),
        callbacks=[watcher],
    )
    for other in [
        callback for callback in trainer.callback_handler.callbacks if type(callback).__name__ == "PrinterCallback"
    ]:
        trainer.remove_callback(other)
    started = time.monotonic()
    trainer.train()
    tenth = max(1, len(watcher.losses) // 10)
    first, last = (sum(part) / tenth for part in (watcher.losses[:tenth], watcher.losses[-tenth:]))
    return Fitted(steps, first, last, watcher.tokens, time.monotonic() - started)


def planned_steps(samples: int, config: TrainConfig) -> int:
    """Optimizer steps that a run takes."""
    batches = math.ceil(samples / config.batch_size)
    return config.max_steps or math.ceil(config.epochs * batches / config.accumulation)


class _Counted(torch.utils.data.Dataset):
    """The samples, with the tokens counted as they are taken."""

    def __init__(self, samples: Sequence[Sample], watcher: Watcher) -> None:
        self.samples, self.watcher = samples, watcher

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.watcher.tokens += len(self.samples[index].input_ids)
        return self.samples[index]
