"""Batches in, the same with the names of their rows out: a loss that goes wrong is traced to what caused it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from midefics.vlm.checkpoints import CheckpointedTrainer
from midefics.vlm.collate import Sample

ROWS, TOKENS = "rows", "tokens"
NAMED = 8


class Batch(NamedTuple):
    """What one forward and backward pass took, and its part of the step's loss."""

    rows: tuple[str, ...]
    loss: torch.Tensor


class Named:
    """A collate function that puts the rows' names and the number of real tokens into each batch, under keys that no model sees."""

    def __init__(self, collate: Callable[[Sequence[Sample]], dict[str, Any]]) -> None:
        self._collate = collate

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Collates."""
        tokens = sum(len(sample.input_ids) for sample in samples)
        return self._collate(samples) | {ROWS: [sample.row for sample in samples], TOKENS: tokens}


class NamingTrainer(CheckpointedTrainer):
    """Knows the rows of each batch since the last look, and counts the tokens learnt from: padding is none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokens = 0
        self._batches: list[Batch] = []

    def batches(self) -> list[Batch]:
        """Those since the last call: of one step, where it is called after each."""
        taken, self._batches = self._batches, []
        return taken

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """One pass; the loss stays where it is, so that nothing waits for the GPU."""
        rows = tuple(inputs.pop(ROWS, ()))
        self.tokens += inputs.pop(TOKENS, 0)
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._batches.append(Batch(rows, loss))
        return loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        for key in (ROWS, TOKENS):
            inputs.pop(key, None)
        return super()._prepare_inputs(inputs)


def told(batches: Sequence[Batch]) -> str:
    """The rows of some batches for a person: no more than a few names."""
    rows = list(dict.fromkeys(row for batch in batches for row in batch.rows if row))
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{', '.join(rows[:NAMED])}{more}" if rows else "of unnamed rows"
