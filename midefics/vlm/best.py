"""Validation losses in; the adapter of the lowest one out, and an early end where they no longer fall."""

import logging
import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from midefics.config import TrainConfig
from midefics.vlm.checkpoints import CheckpointedTrainer, CutShort

log = logging.getLogger(__name__)


class Best(TrainerCallback):
    """Keeps a copy of what was learnt at the lowest validation loss; what it knows is in the Trainer's own history."""

    def __init__(self, trainer: CheckpointedTrainer, config: TrainConfig) -> None:
        self.loss, self.step = math.inf, 0
        self.enough = False
        """Whether early stopping has ended the run."""
        self._since = 0
        self._trainer, self._patience, self._keeps = trainer, config.early_stopping, config.keep == "best"

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Takes up what an earlier process saw."""
        del args, control, rest
        for entry in state.log_history:
            if "eval_loss" in entry:
                self._seen(entry["eval_loss"], entry["step"])

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Called by the Trainer after each validation."""
        del args
        if self._seen(rest["metrics"]["eval_loss"], state.global_step):
            if self._keeps:
                self._trainer.best = self._trainer.learnt()
        elif self._patience and self._since >= self._patience:
            log.info(
                "train: no lower validation loss than %.4f of step %s for %s times", self.loss, self.step, self._since
            )
            self.enough = control.should_training_stop = True

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Reached after the end only where the deciding validation was made up for by a later process."""
        del args, state, control, rest
        if self.enough:
            raise CutShort

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Validates after the last step too: else it could not be the best."""
        del rest
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True

    def put_back(self) -> int | None:
        """Gives the model the best adapter; returns its step, None where the last one stays."""
        if not (self._keeps and self._trainer.best):
            return None
        self._trainer.put_back(self._trainer.best)
        return self.step

    def _seen(self, loss: float, step: int) -> bool:
        better = loss < self.loss
        self.loss, self.step = (loss, step) if better else (self.loss, self.step)
        self._since = 0 if better else self._since + 1
        return better
