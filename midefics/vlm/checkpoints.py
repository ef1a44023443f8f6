"""A Trainer in, one whose state is kept whole and taken up again, to the same losses bit for bit, out.

transformers' own checkpoints resume exactly, but are written in place, ask the hub about the base model, and know no step
that was cut short. Here the files are the same (`Trainer.train(resume_from_checkpoint=…)` reads them); what learns is one
safetensors file; and all is written to a draft that becomes a checkpoint by its manifest.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from midefics.config import TrainConfig
from midefics.services.checkpoints import Checkpoint, Checkpoints
from midefics.services.stopping import StopRequest
from midefics.vlm.sharding import like, spread_state, whole, whole_state
from midefics.vlm.trainer import QloraTrainer
from midefics.vlm.watch import Watcher

log = logging.getLogger(__name__)

LEARNT, BEST = "learnt.safetensors", "best.safetensors"


class Keeper(NamedTuple):
    """How a training is kept from loss."""

    checkpoints: Checkpoints
    every: str | None
    """`50 steps`, `10 minutes`; None: only when told to stop."""
    start: Checkpoint | None
    """What it goes on from."""
    stop: StopRequest
    facts: Callable[[], dict[str, Any]]
    """What the stage wants to find again in `start.facts`."""


class CutShort(Exception):  # noqa: N818 (no error: the way out of a validation)
    """A validation was left because somebody wants the process to end."""


class CheckpointedTrainer(QloraTrainer):
    """A Trainer that keeps its state through a `Keeper`; without one it keeps nothing."""

    def __init__(self, config: TrainConfig, watcher: Watcher, keeper: Keeper | None, **rest: Any) -> None:
        """Takes what `QloraTrainer` takes, and how to keep it."""
        super().__init__(config, watcher, **rest)
        self.keeper = keeper
        self.best: dict[str, torch.Tensor] = {}
        """What had been learnt at the lowest validation loss."""
        self.mid_step = False
        """Whether a step has begun and not ended."""
        self._boundary: dict[str, Any] = {}
        self._facts_then: dict[str, Any] = {}
        self._learnt: dict[str, torch.Tensor] = {}
        self._spread: dict[str, Any] | None = None
        self._began = time.monotonic()
        if keeper:
            self.add_callback(_Saving(self, keeper))
        if keeper and keeper.start:
            facts = keeper.start.facts
            watcher.tokens, self.unreadable = facts["tokens"], set(facts["unreadable"])
            self._began -= facts["seconds"]
            self.args.eval_on_start = facts["validation_due"]

    @property
    def seconds(self) -> float:
        """That the run took so far, over all processes that had a part in it."""
        return time.monotonic() - self._began

    def keep(self, validation_due: bool = False) -> None:
        """Keeps the state after the last whole step, even where the next one has begun."""
        states = gather_object([self._boundary])
        unreadable = gather_object(self._facts_then["unreadable"])
        spread = self.config.parallel == "fsdp"
        self._learnt, self._spread = self.learnt(), whole_state(self.optimizer.state_dict()) if spread else None
        if self.keeper is None or not self.is_world_process_zero():
            return
        facts = self._facts_then | {"unreadable": sorted(set(unreadable)), "validation_due": validation_due}
        self.keeper.checkpoints.save(
            self.state.global_step, lambda folder: self._write(folder, states), facts | self.keeper.facts()
        )

    def learnt(self) -> dict[str, torch.Tensor]:
        """A copy on the CPU of all that learns, by name."""
        return {
            name: whole(parameter.detach()).to("cpu", copy=True).contiguous()
            for name, parameter in self.accelerator.unwrap_model(self.model).named_parameters()
            if parameter.requires_grad
        }

    def put_back(self, tensors: dict[str, torch.Tensor]) -> None:
        """Replaces all that learns."""
        parameters = dict(self.accelerator.unwrap_model(self.model).named_parameters())
        with torch.no_grad():
            for name, tensor in tensors.items():
                parameters[name].copy_(like(tensor, parameters[name]))

    def step_is_whole(self) -> None:
        """Remembers the random state and the facts between two steps: a step that is cut short is as if never begun."""
        self._boundary = random_state()
        self._facts_then = {
            "tokens": self.watcher.tokens,
            "unreadable": sorted(self.unreadable),
            "seconds": self.seconds,
        }

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validates without touching the random state: how often it is done changes nothing of what is learnt."""
        with _same_random_state():
            return super().evaluate(*args, **kwargs)

    def _write(self, folder: Path, random_states: list[dict[str, Any]]) -> None:
        save_file(self._learnt, folder / LEARNT)
        if self.best:
            save_file(self.best, folder / BEST)
        self._save_optimizer_and_scheduler(str(folder))
        if self._spread is not None:
            torch.save(self._spread, folder / OPTIMIZER_NAME)
        self._save_scaler(str(folder))
        for rank, state in enumerate(random_states):
            name = f"rng_state_{rank}.pth" if len(random_states) > 1 else "rng_state.pth"
            torch.save(state, folder / name)
        self.state.save_to_json(str(folder / "trainer_state.json"))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        del model, trial
        self.keep()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        del model
        folder = Path(resume_from_checkpoint)
        self.put_back(load_file(folder / LEARNT))
        self.best = load_file(folder / BEST) if (folder / BEST).is_file() else {}

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self.config.parallel == "ddp" or checkpoint is None:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        state = torch.load(Path(checkpoint) / OPTIMIZER_NAME, map_location="cpu", weights_only=True)
        self.optimizer.load_state_dict(spread_state(state, self.optimizer))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        # Before the evaluation that follows a step, so that one cut short is found as it was before it.
        if self.keeper and not self.mid_step:
            self.step_is_whole()
        super()._maybe_log_save_evaluate(*args, **kwargs)


class _Saving(TrainerCallback):
    """Says when to save: as often as configured, and at once where somebody wants the process to end."""

    def __init__(self, trainer: CheckpointedTrainer, keeper: Keeper) -> None:
        self._trainer, self._stop = trainer, keeper.stop
        count, _, unit = (keeper.every or "").partition(" ")
        self._steps = int(count) if unit == "steps" else None
        self._seconds = int(count) * 60.0 if unit == "minutes" else None
        self._saved = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        del args, state, control, rest
        self._trainer.step_is_whole()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        del args, state, control, rest
        self._trainer.mid_step = True

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        del args, state, rest
        if self._any(bool(self._stop.reason)):
            control.should_save = control.should_training_stop = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        del args, rest
        self._trainer.mid_step = False
        if state.global_step >= state.max_steps:
            return
        asked = self._any(bool(self._stop.reason))
        control.should_training_stop = control.should_training_stop or asked
        if asked or (self._steps and state.global_step % self._steps == 0) or self._due():
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        del args, state, control, rest
        self._saved = time.monotonic()

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        del args, state, control, rest
        if self._any(bool(self._stop.reason)):
            raise CutShort

    def _due(self) -> bool:
        return self._seconds is not None and self._any(time.monotonic() - self._saved > self._seconds)

    def _any(self, claim: bool) -> bool:
        """Whether it holds for any of the processes that train together; all of them have to ask."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes == 1:
            return claim
        claims = torch.tensor(float(claim), device=accelerator.device)
        return bool(accelerator.reduce(claims, reduction="sum").item() > 0)


def random_state() -> dict[str, Any]:
    """Of every generator, in the form that `Trainer` reads back."""
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}
    if torch.cuda.is_available():
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        state["cuda"] = torch.cuda.random.get_rng_state_all() if distributed else torch.cuda.random.get_rng_state()
    return state


@contextmanager
def _same_random_state() -> Iterator[None]:
    state = random_state()
    try:
        yield
    finally:
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])
        torch.random.set_rng_state(state["cpu"])
        if "cuda" in state:
            put = (
                torch.cuda.random.set_rng_state_all
                if isinstance(state["cuda"], list)
                else torch.cuda.random.set_rng_state
            )
            put(state["cuda"])
