"""A configuration in, the Trainer's arguments out."""

import math
from pathlib import Path

import torch
from transformers import TrainingArguments

from midefics.config import TrainConfig
from midefics.vlm.feed import ranks
from midefics.vlm.load import compute_type


def arguments(config: TrainConfig, steps: int, validates: bool, seed: int, folder: Path) -> TrainingArguments:
    """What transformers' Trainer takes; how batches are made is `QloraTrainer`'s affair."""
    on_gpu = torch.cuda.is_available()
    wanted = {"auto": compute_type(), "float32": torch.float32, "bfloat16": torch.bfloat16}[config.precision]
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
        bf16=wanted is torch.bfloat16,
        fp16=wanted is torch.float16,
        use_cpu=not on_gpu,
        ddp_backend="gloo" if ranks() > 1 and not on_gpu else None,
        # A rank whose batch shows no picture has no gradient for an adapter in the vision tower.
        ddp_find_unused_parameters=config.lora.targets != "text",
        ddp_broadcast_buffers=False,
        # Reentrant checkpointing drops the gradients of adapters in the vision tower without a word.
        gradient_checkpointing=config.gradient_checkpointing == "on",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        dataloader_num_workers=config.workers,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if validates and config.validations else "no",
        eval_steps=max(1, math.ceil(steps / max(1, config.validations))),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        prediction_loss_only=True,
        seed=seed,
        data_seed=seed,
    )
