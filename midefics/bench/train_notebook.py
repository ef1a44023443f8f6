"""The original notebook's training, as far as it still runs: a loaded model and conversations in, a trained model out.

Batches of one with accumulation 16, a picture decoded and a prompt encoded when its turn comes, in the process that trains;
labels are the input ids, questions and image tokens and all; norms, embeddings and head go to float32
(`prepare_model_for_kbit_training`, without checkpointing as there); adapters on every query, key and value projection.
What no longer runs is mended as everywhere here: the processor wants its prompts by name, and the loss counts the added tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    IdeficsProcessor,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from midefics.records import Turn
from midefics.vlm.collate import opened
from midefics.vlm.load import Loaded


def notebook_model(loaded: Loaded) -> Any:
    """The base prepared and adapted as the notebook does."""
    torch.manual_seed(0)
    model = prepare_model_for_kbit_training(loaded.model, use_gradient_checkpointing=False)
    targets = ["q_proj", "k_proj", "v_proj"]
    return get_peft_model(
        model, LoraConfig(r=16, lora_alpha=32, target_modules=targets, lora_dropout=0.05, bias="none")
    )


class NotebookData(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Conversations, made into tensors one at a time when asked for: the notebook's `set_transform`."""

    def __init__(self, conversations: Sequence[tuple[bytes, tuple[Turn, ...]]], loaded: Loaded) -> None:
        images, side = loaded.processor.image_processor, loaded.model.config.vision_config.image_size
        self._processor = IdeficsProcessor(images, loaded.processor.tokenizer, image_size=side)
        self._conversations, self._device = conversations, loaded.model.device

    def __len__(self) -> int:
        return len(self._conversations)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image, turns = self._conversations[index]
        prompt: list[Any] = ["User:", opened(image)]
        for number, turn in enumerate(turns):
            asked = turn.question if number == 0 else f"User: {turn.question}"
            prompt += [f"{asked}<end_of_utterance>", f"\nAssistant: {turn.answer}<end_of_utterance>"]
        made = self._processor(text=[prompt], return_tensors="pt").to(self._device)
        made["labels"] = made["input_ids"]
        return {name: tensor[0] for name, tensor in made.items()}


def notebook_trainer(
    model: Any, data: NotebookData, steps: int, rate: float, optimizer: str, folder: Path, told: TrainerCallback
) -> Trainer:
    """The Trainer with the notebook's arguments; rate, optimizer and steps are the benchmark's, the same for both."""
    on_gpu = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        learning_rate=rate,
        lr_scheduler_type="constant",
        fp16=on_gpu,
        use_cpu=not on_gpu,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=16,
        dataloader_pin_memory=False,
        save_strategy="no",
        eval_strategy="no",
        logging_steps=20,
        remove_unused_columns=False,
        label_names=["labels"],
        optim=optimizer,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model, args=arguments, train_dataset=data, data_collator=default_data_collator, callbacks=[told]
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
