"""Faults of what trains and starts; the table is in test_upstream_faults.py."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Qwen2_5_VLForConditionalGeneration,
    Trainer,
    TrainingArguments,
)

from midefics.config import LoraConfig, TrainConfig
from midefics.vlm.adapter import add_adapter
from midefics.vlm.arguments import arguments
from midefics.vlm.chat import IGNORED
from midefics.vlm.load import Loaded, load_base
from tests.idefics import OTHER, TURN, batch, sample


@pytest.fixture(scope="module")
def whole(tiny_base: Path) -> Loaded:
    """Not quantised."""
    return load_base(tiny_base, quantised=False)


@pytest.fixture
def adapted(tiny_base: Path) -> Loaded:
    return add_adapter(load_base(tiny_base), LoraConfig(dropout=0.0, targets="qkv"), seed=0)


def gradients(loaded: Loaded, checkpointing: dict[str, Any] | None) -> dict[str, torch.Tensor | None]:
    model = loaded.model.train()
    model.zero_grad()
    if checkpointing is not None:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpointing)
        model.enable_input_require_grads()
    model(**batch(loaded.processor)).loss.backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: None if grad is None else grad.clone() for name, grad in found.items()}


def test_reentrant_checkpointing_drops_gradients(adapted: Loaded, tmp_path: Path) -> None:
    plain = gradients(adapted, None)
    ours = arguments(TrainConfig(gradient_checkpointing=True), 1, False, 0, tmp_path).gradient_checkpointing_kwargs
    saved = gradients(adapted, dict(ours or {}))
    for name, gradient in plain.items():
        assert gradient is not None
        assert torch.equal(saved[name], gradient), name  # type: ignore[arg-type]
    dropped = [name for name, gradient in gradients(adapted, {"use_reentrant": True}).items() if gradient is None]
    assert dropped
    assert all("vision_model" in name for name in dropped)


def test_the_trainer_counts_the_label_that_is_never_predicted(whole: Loaded, tmp_path: Path) -> None:
    trainer = Trainer(model=whole.model, args=arguments(TrainConfig(optimizer="adamw_torch"), 1, False, 0, tmp_path))
    assert not trainer._loss_shifts_labels
    assert all(label == IGNORED for label in batch(whole.processor, TURN, OTHER)["labels"][:, 0])


def test_training_arguments_of_version_4_are_gone(tmp_path: Path) -> None:
    gone = {"evaluation_strategy", "group_by_length", "warmup_ratio", "tokenizer", "save_safetensors", "logging_dir"}
    gone |= {"overwrite_output_dir", "no_cuda"}
    assert not gone & set(inspect.signature(TrainingArguments).parameters)
    made = arguments(TrainConfig(validations=2, warmup_share=0.1), 100, True, 0, tmp_path)
    assert (made.eval_strategy, made.eval_steps, made.warmup_steps) == ("steps", 50, 10)


def test_grouping_by_length_refuses_a_plain_data_set(whole: Loaded, tmp_path: Path) -> None:
    grouped = TrainingArguments(
        output_dir=str(tmp_path), train_sampling_strategy="group_by_length", report_to="none", use_cpu=True
    )
    trainer = Trainer(model=whole.model, args=grouped, train_dataset=[sample(whole.processor)] * 4)
    with pytest.raises(ValueError, match="infer lengths"):
        trainer.get_train_dataloader()


def test_the_trainer_drops_columns_unless_told_not_to(tmp_path: Path) -> None:
    assert TrainingArguments(output_dir=str(tmp_path)).remove_unused_columns
    assert not arguments(TrainConfig(), 1, False, 0, tmp_path).remove_unused_columns


@pytest.mark.slow
def test_accelerate_launch_on_cpus_starts_one_process(tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text("from accelerate import PartialState\nprint('processes', PartialState().num_processes)\n")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["processes 1"], done.stderr[-2000:]


def test_qwen_denies_counting_tokens() -> None:
    assert Qwen2_5_VLForConditionalGeneration.accepts_loss_kwargs is False
    takes = inspect.signature(Qwen2_5_VLForConditionalGeneration.forward).parameters.values()
    assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes)


FSDP_ON_CPUS = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
widths = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
rows = [{"input_ids": torch.arange(8), "labels": torch.arange(8)}] * 4
args = TrainingArguments(
    output_dir=sys.argv[1], fsdp=True, use_cpu=True, ddp_backend="gloo", max_steps=1, report_to="none", save_strategy="no"
)
trainer = Trainer(model=LlamaForCausalLM(LlamaConfig(**widths)), args=args, train_dataset=rows)
trainer.train()
print("processes", args.world_size, type(trainer.model_wrapped).__name__, flush=True)
"""


@pytest.mark.slow
def test_fsdp_on_cpus_is_plain_data_parallelism(tmp_path: Path) -> None:
    script = tmp_path / "fsdp.py"
    script.write_text(FSDP_ON_CPUS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.count("processes 2 DistributedDataParallel") == 2, done.stderr[-2000:]
