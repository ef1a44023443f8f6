"""The Trainer's events in, figures as they come out; a loss that is no number, or runs away, stops the run."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from midefics.errors import ModelError

Tell = Callable[[int, dict[str, float]], None]
"""Told the step and its figures: `loss`, `learning_rate`, `tokens_per_second`, `memory_gb`, `validation_loss`."""
NAMED = 8
"""Rows that an error names."""
SHORTEST_WINDOW, SHARE_OF_STEPS = 10, 20
HARMLESS = 1.0
"""A loss below this, e times the certain answer, is not taken for divergence."""
WAY_OUT = "look at them with `midefics data show`, lower train.learning_rate or raise train.warmup_share"


class Batch(NamedTuple):
    """What one forward and backward pass took, and its part of the step's loss."""

    rows: tuple[str, ...]
    loss: torch.Tensor
    """Left where it is, so that nothing waits for the GPU."""


class Seen(NamedTuple):
    """One step."""

    step: int
    loss: float
    batches: Sequence[Batch]


class Watcher(TrainerCallback):
    """Passes the Trainer's figures on and stops it when the loss is no number, or far above where it began.

    Args:
        tell: told the figures of every step.
        divergence: how many times its start the loss may be; None: any number is well.
    """

    def __init__(self, tell: Tell, divergence: float | None = None) -> None:
        self.losses: list[float] = []
        self.tokens = 0
        """Learnt from so far; the Trainer counts them."""
        self.batches: list[Batch] = []
        """Of the step under way; the Trainer adds them."""
        self._tell, self._divergence = tell, divergence
        self._since, self._tokens_then = time.monotonic(), 0
        self._last: deque[Seen] = deque()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Takes up the losses that an earlier process saw."""
        del args, control, rest
        self.losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        self._last = deque(maxlen=max(SHORTEST_WINDOW, state.max_steps // SHARE_OF_STEPS))
        self._since, self._tokens_then = time.monotonic(), self.tokens

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **rest: Any,
    ) -> None:
        """Called by the Trainer after each step and each validation."""
        del control, rest
        logs = logs or {}
        if "eval_loss" in logs:
            self._tell(state.global_step, {"validation_loss": logs["eval_loss"]})
        if "loss" not in logs:
            return
        norm = float(logs.get("grad_norm", 0.0))
        batches, self.batches = self.batches, []
        self._look(Seen(state.global_step, logs["loss"], batches), 0.0 if args.fp16 else norm)
        self.losses.append(logs["loss"])
        now = time.monotonic()
        speed = (self.tokens - self._tokens_then) / max(1e-9, now - self._since)
        self._since, self._tokens_then = now, self.tokens
        figures = {
            "loss": logs["loss"],
            "learning_rate": logs["learning_rate"],
            "tokens_per_second": speed,
            "memory_gb": _memory_gb(),
        }
        self._tell(state.global_step, figures | {"gradient_norm": norm})

    def _look(self, seen: Seen, norm: float) -> None:
        if not math.isfinite(seen.loss):
            guilty = [batch for batch in seen.batches if not math.isfinite(float(batch.loss))] or seen.batches
            raise ModelError(f"the loss became {seen.loss} at step {seen.step}, in rows {told(guilty)}; {WAY_OUT}")
        if not math.isfinite(norm):
            raise ModelError(f"the gradient became {norm} at step {seen.step}, in rows {told(seen.batches)}; {WAY_OUT}")
        self._last.append(seen)
        window = self._last.maxlen or SHORTEST_WINDOW
        if self._divergence is None or len(self._last) < window or len(self.losses) < 2 * window:
            return
        first, last = sum(self.losses[:window]) / window, sum(one.loss for one in self._last) / window
        if last > max(HARMLESS, self._divergence * first):
            worst = max(self._last, key=lambda one: one.loss)
            raise ModelError(
                f"the loss runs away: {last:.3f} over the last {window} steps, {first:.3f} over the first; the worst was "
                f"{worst.loss:.3f} at step {worst.step}, in rows {told(worst.batches)}; {WAY_OUT}, "
                f"or raise train.divergence above {last / first:.1f}"
            )


def told(batches: Sequence[Batch]) -> str:
    """The rows of some batches for a person: no more than a few names."""
    rows = list(dict.fromkeys(row for batch in batches for row in batch.rows if row))
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{', '.join(rows[:NAMED])}{more}" if rows else "of unnamed rows"


def _memory_gb() -> float:
    """Peak memory so far, GB: the GPU's where there is one, else the process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
