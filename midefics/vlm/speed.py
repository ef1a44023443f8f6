"""A model and the speed options in, the model with them set while it trains; each leaves the loss what it is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from midefics.config import TrainConfig
from midefics.vlm.load import Loaded
from midefics.vlm.loss import without_logits

log = logging.getLogger(__name__)

BYTES_A_TOKEN = 54
"""That a block keeps for the way back, for each of its hidden values: 8.81 MB for the 40 blocks of 4,096 in IDEFICS-9b,
measured with every linear layer adapted in float32 under bfloat16 autocast."""
SPARE = 0.9
TOWERS = ("vision", "visual", "perceiver", "resampler", "connector")
"""What the names of the modules that see pictures have in them."""


@contextmanager
def faster(loaded: Loaded, config: TrainConfig) -> Iterator[None]:
    """Sets attention, TF32, compilation and the loss for as long as it lasts."""
    inner = loaded.plain
    attention, precision = inner.config._attn_implementation, torch.get_float32_matmul_precision()
    _attend(inner, config.attention)
    if config.tf32:
        torch.set_float32_matmul_precision("high")
    blocks = _blocks(loaded) if config.compile == "layers" else []
    for block in blocks:
        block.compile(dynamic=True)
    try:
        with without_logits(inner) if config.chunked_loss else nullcontext(), _walked_once(loaded.model):
            yield
    finally:
        for block in blocks:
            block._compiled_call_impl = None
        torch.set_float32_matmul_precision(precision)
        _attend(inner, attention)


@contextmanager
def _walked_once(model: Any) -> Iterator[None]:
    """`train()` and `zero_grad()` visit every module, before every batch and step: thousands of visits for nothing."""
    usual = model.train
    learning: list[torch.nn.Parameter] = []

    def zero_grad(set_to_none: bool = True) -> None:
        del set_to_none
        # Not before the first call: sharding puts other parameters in the place of those there are now.
        learning.extend([] if learning else [weight for weight in model.parameters() if weight.requires_grad])
        for weight in learning:
            weight.grad = None

    model.train = lambda mode=True: model if model.training == mode else usual(mode)
    model.zero_grad = zero_grad
    try:
        yield
    finally:
        del model.train, model.zero_grad


def settled(config: TrainConfig, loaded: Loaded) -> TrainConfig:
    """The configuration with every `auto` about memory decided."""
    if config.gradient_checkpointing != "auto":
        return config
    # Processes that share the weights must all do the same, whatever each has free.
    on = config.parallel == "fsdp" or needs_checkpointing(loaded, config)
    log.info("gradient checkpointing: %s, for what memory is free", "on" if on else "off")
    return config.model_copy(update={"gradient_checkpointing": "on" if on else "off"})


def needs_checkpointing(loaded: Loaded, config: TrainConfig, free: int | None = None) -> bool:
    """Whether the activations of the largest batch would not fit.

    Args:
        loaded: the model.
        config: says how large a batch may be.
        free: bytes; the GPU's where not given. On a CPU nothing is ever too large.
    """
    if free is None:
        if not torch.cuda.is_available():
            return False
        free = torch.cuda.mem_get_info()[0]
    tokens = config.capacity if config.batching in ("tokens", "packed") else config.batch_size * config.max_length
    inner = loaded.plain
    activations = tokens * BYTES_A_TOKEN * len(_blocks(loaded)) * inner.config.get_text_config().hidden_size
    # The loss's softmax needs the logits in the model's type, in float32, and once more.
    logits = 0 if config.chunked_loss else tokens * 10 * inner.get_output_embeddings().weight.size(0)
    return activations + logits > SPARE * free


def _attend(inner: Any, way: str) -> None:
    if inner.config._attn_implementation != way:
        inner.set_attn_implementation(way)


def _blocks(loaded: Loaded) -> list[torch.nn.Module]:
    """Those that read text."""
    return [
        module
        for name, module in loaded.plain.named_modules()
        if type(module).__name__ in loaded.family.blocks and not any(part in name for part in TOWERS)
    ]
