"""A training section in, what it asks of a machine out: the switches that memory and time depend on."""

from typing import NamedTuple

from midefics.config import TrainConfig

CONVERSATION_TOKENS = 300
"""Assumed where no data set says it: four to six turns about one image, in LLaMA's tokens."""


class Precision(NamedTuple):
    """What is computed around the 4-bit weights."""

    bytes: int
    """Of an activation: 2 in bfloat16 and float16, 4 in float32."""
    float32_norms: bool
    """CUDA's autocast puts LayerNorm's input and output into float32; the CPU's does not."""

    @property
    def half(self) -> bool:
        """Sixteen bits, with autocast."""
        return self.bytes == 2


GPU, CPU = Precision(2, True), Precision(4, False)


class Batch(NamedTuple):
    """The largest batch that goes through the model at once."""

    samples: int
    positions: int
    """Padding included."""
    images: int

    @property
    def longest(self) -> int:
        """Positions of a row."""
        return -(-self.positions // self.samples)


class Switches(NamedTuple):
    """The keys of `train` that memory and speed depend on."""

    batch: Batch
    r: int
    dropout: bool
    optimizer: str
    checkpointing: bool
    frozen_outputs: bool
    """Vision tower and perceiver are computed once and kept: they are not on the GPU."""
    chunked_loss: bool
    """The logits of a thousand positions at a time, never of all."""


def switches(config: TrainConfig, longest: int | None = None, checkpointing: bool | None = None) -> Switches:
    """Reads them.

    Args:
        config: the section `train`.
        longest: tokens of the longest sample; `max_length` where not known.
        checkpointing: in place of what the configuration says (`auto`, say).
    """
    row = min(longest or config.max_length, config.max_length)
    if config.batching in ("tokens", "packed"):
        samples = max(1, round(config.capacity / CONVERSATION_TOKENS))
        batch = Batch(1 if config.batching == "packed" else samples, config.capacity, samples)
    else:
        batch = Batch(config.batch_size, config.batch_size * row, config.batch_size)
    return Switches(
        batch=batch,
        r=config.lora.r,
        dropout=config.lora.dropout > 0,
        optimizer=config.optimizer,
        checkpointing=config.gradient_checkpointing == "on" if checkpointing is None else checkpointing,
        frozen_outputs=config.frozen_outputs,
        chunked_loss=config.chunked_loss,
    )
