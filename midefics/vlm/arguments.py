"""A configuration in, the Trainer's arguments out."""

from pathlib import Path

import torch
from transformers import TrainingArguments

from midefics.config import TrainConfig


def arguments(config: TrainConfig, steps: int, validates: bool, seed: int, folder: Path) -> TrainingArguments:
    """What transformers' Trainer takes; bfloat16 where the GPU can, float16 on older ones, float32 on a CPU."""
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
