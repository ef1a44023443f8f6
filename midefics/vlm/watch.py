"""The Trainer's events in, figures as they come out; a loss that is no number stops the run."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from midefics.errors import ModelError

Tell = Callable[[int, dict[str, float]], None]
"""Told the step and its figures: `loss`, `learning_rate`, `tokens_per_second`, `memory_gb`, `validation_loss`."""


class Watcher(TrainerCallback):
    """Passes the Trainer's figures on and stops it when the loss is no number."""

    def __init__(self, tell: Tell) -> None:
        self.losses: list[float] = []
        self.tokens = 0
        self._tell = tell
        self._since, self._tokens_then = time.monotonic(), 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **rest: Any,
    ) -> None:
        """Called by the Trainer after each step and each validation."""
        del args, control, rest
        logs = logs or {}
        if "eval_loss" in logs:
            self._tell(state.global_step, {"validation_loss": logs["eval_loss"]})
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise ModelError(f"the loss became {logs['loss']} at step {state.global_step}; lower train.learning_rate")
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
        self._tell(state.global_step, figures | {"gradient_norm": float(logs.get("grad_norm", 0.0))})


def _memory_gb() -> float:
    """Peak memory so far, GB: the GPU's where there is one, else the process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
