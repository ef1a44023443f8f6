"""A model and samples in, a trained model out: transformers' Trainer, with the figures told as they come."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from midefics.config import LoraConfig, TrainConfig
from midefics.errors import ModelError
from midefics.vlm.collate import Sample, collate
from midefics.vlm.load import Loaded

log = logging.getLogger(__name__)

LORA_TARGETS = {
    "qkv": r".*\.(q|k|v)_proj",
    "text": r".*model\.(layers|gated_cross_attn_layers)\.\d+\.(self_attn|cross_attn|mlp)\.\w+_proj",
    "all": "all-linear",
}

Tell = Callable[[int, dict[str, float]], None]
"""Told the step and its figures: `loss`, `learning_rate`, `tokens_per_second`, `memory_gb`, `validation_loss`."""


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


def add_adapter(loaded: Loaded, config: LoraConfig, seed: int) -> Loaded:
    """Puts a fresh low-rank adapter on a frozen base model.

    Not through peft's prepare_model_for_kbit_training: it turns norms, embeddings and head to float32, which costs
    memory and gains nothing here (IdeficsRMSNorm computes in float32 already).
    """
    torch.manual_seed(seed)
    spec = PeftLoraConfig(
        r=config.r, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=LORA_TARGETS[config.targets]
    )
    model: PeftModel = get_peft_model(loaded.model, spec)
    trainable, total = model.get_nb_trainable_parameters()
    log.info("adapter: %s of %s parameters learn (%.2f %%)", f"{trainable:,}", f"{total:,}", 100 * trainable / total)
    return loaded._replace(model=model)


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
    watcher = _Watcher(tell)
    trainer = Trainer(
        model=loaded.model,
        args=_arguments(config, steps, bool(validation), seed, folder),
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


def _arguments(config: TrainConfig, steps: int, validates: bool, seed: int, folder: Path) -> TrainingArguments:
    on_gpu = torch.cuda.is_available()
    bf16 = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=round(config.warmup_share * steps),
        optim=config.optimizer,
        bf16=bf16,
        fp16=on_gpu and not bf16,
        use_cpu=not on_gpu,
        # Reentrant checkpointing drops the gradients of adapters in the vision tower without a word.
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if validates and config.validations else "no",
        eval_steps=max(1, steps // max(1, config.validations)),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        prediction_loss_only=True,
        seed=seed,
        data_seed=seed,
    )


class _Counted(torch.utils.data.Dataset):
    """The samples, with the tokens counted as they are taken."""

    def __init__(self, samples: Sequence[Sample], watcher: "_Watcher") -> None:
        self.samples, self.watcher = samples, watcher

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.watcher.tokens += len(self.samples[index].input_ids)
        return self.samples[index]


class _Watcher(TrainerCallback):
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
