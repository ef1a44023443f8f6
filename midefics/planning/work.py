"""A shape, switches and a data set's size in, operations, steps and seconds out."""

import math
from statistics import NormalDist
from typing import NamedTuple

from midefics.config import TrainConfig
from midefics.planning.demand import CONVERSATION_TOKENS, Switches
from midefics.planning.gpus import Gpu
from midefics.planning.shape import Linear, Shape

UNPACKED_BYTES = 0.516 + 2
"""Moved for every 4-bit weight of a pass: read packed with its scales, written in sixteen bits."""
LAUNCHES, LAUNCH_SECONDS = 24, 1e-5
"""Assumed: kernels of one quantised layer there and back, its adapter and its share of the rest among them; what each costs
a processor that can't keep ahead of the GPU. It is what a batch of a single conversation waits for."""
CHARACTERS_PER_TOKEN = 3.5
"""Assumed, of English questions and answers under LLaMA's tokenizer."""
SPREAD = 0.5
"""Assumed, of the logarithms of conversations' lengths: 16 of random length then waste half a batch on padding."""
TOKENS_PER_TURN = 12
"""Assumed: `User:`, `Assistant:` and the control tokens."""


class Data(NamedTuple):
    """What is learnt from in one epoch."""

    samples: int
    tokens: int
    """Padding not counted."""
    longest: int
    """Tokens of the longest sample."""
    origin: str
    """Whether it was counted, estimated or assumed."""

    @property
    def mean(self) -> float:
        """Tokens of a sample."""
        return self.tokens / self.samples


class Work(NamedTuple):
    """What a run comes to, whatever it runs on."""

    flops_per_token: float
    """Of one text token there and back, recomputation included."""
    flops_per_image: float
    steps: int
    batches: int
    """Micro-batches, over all epochs."""
    tokens: int
    positions: int
    """Tokens and the padding beside them."""
    images: int

    @property
    def flops(self) -> float:
        """Of the whole run."""
        return self.positions * self.flops_per_token + self.images * self.flops_per_image


def assumed_data(samples: int, max_length: int) -> Data:
    """Where no data set is given."""
    mean = min(CONVERSATION_TOKENS, max_length)
    return Data(samples, samples * mean, max_length, f"assumed: {samples:,} conversations of {mean} tokens")


def data_of(characters: list[tuple[int, int]], origin: str) -> Data:
    """From each sample's characters and turns."""
    tokens = [round(count / CHARACTERS_PER_TOKEN) + TOKENS_PER_TURN * turns for count, turns in characters]
    return Data(len(tokens), sum(tokens), max(tokens), origin)


def work(shape: Shape, switched: Switches, config: TrainConfig, data: Data) -> Work:
    """Counts operations: two for every weight and token forward, as many back (frozen weights get no gradient)."""
    epochs = config.epochs
    if config.batching in ("tokens", "packed"):
        per_epoch, row = math.ceil(data.tokens / switched.batch.positions), data.mean
    else:
        per_epoch = math.ceil(data.samples / config.batch_size)
        row = data.mean if config.batch_size == 1 or config.batching == "grouped" else _padded(data, config.batch_size)
    steps = config.max_steps or math.ceil(epochs * per_epoch / config.accumulation)
    if config.max_steps:
        epochs = config.max_steps * config.accumulation / per_epoch
    samples = epochs * data.samples
    return Work(
        flops_per_token=_token_flops(shape, switched, row),
        flops_per_image=_image_flops(shape, switched),
        steps=steps,
        batches=steps * config.accumulation,
        tokens=round(epochs * data.tokens),
        positions=round(samples * row),
        images=round(samples),
    )


def seconds(shape: Shape, switched: Switches, done: Work, gpu: Gpu) -> float:
    """Products at the assumed share of the peak and unpacking at the memory's speed, or launching where that is slower."""
    quantised = sum(layer.weights for layer in shape.quantised)
    passes = 3 if switched.checkpointing else 2
    computing = done.flops / (gpu.teraflops * 1e12 * gpu.utilisation)
    unpacking = done.batches * passes * quantised * UNPACKED_BYTES / (gpu.gigabytes_per_second * 1e9)
    launching = done.batches * passes / 2 * len(shape.quantised) * LAUNCHES * LAUNCH_SECONDS
    return max(computing + unpacking, launching)


def _padded(data: Data, batch_size: int) -> float:
    """Mean of the longest of so many samples, if the logarithms of their lengths spread as SPREAD says."""
    place = NormalDist().inv_cdf((batch_size - 0.375) / (batch_size + 0.25))  # Blom's, of the largest of a sample
    return min(data.longest, data.mean * math.exp(SPREAD * place - SPREAD**2 / 2))


def _token_flops(shape: Shape, switched: Switches, row: float) -> float:
    layers = [layer for layer in shape.linears if layer.part in ("text", "cross", "head") and not _of_a_latent(layer)]
    attention = 4 * shape.text.width * (shape.text.layers * row + shape.cross_layers * shape.latents)
    return _there_and_back(layers, attention, switched, learns=True)


def _image_flops(shape: Shape, switched: Switches) -> float:
    towers: list[tuple[int, list[Linear]]] = []
    seen = shape.vision_tokens + shape.latents
    for layer in shape.linears:
        if layer.part == "vision":
            towers.append((shape.vision_tokens, [layer]))
        elif layer.part == "perceiver":
            reads_all = layer.name.endswith(("k_proj", "v_proj"))
            towers.append((seen if reads_all else shape.latents, [layer]))
    learns = any(layer.adapted for _, group in towers for layer in group)
    attention = 4 * (
        shape.vision.layers * shape.vision.width * shape.vision_tokens**2
        + shape.perceiver.layers * shape.perceiver.heads * shape.perceiver.head_width * shape.latents * seen
    )
    towered = 0.0 if switched.frozen_outputs else _there_and_back([], attention, switched, learns)
    for times, group in [] if switched.frozen_outputs else towers:
        towered += times * _there_and_back(group, 0, switched, learns)
    latents = [layer for layer in shape.linears if _of_a_latent(layer)]
    return towered + shape.latents * _there_and_back(latents, 0, switched, learns=True)


def _there_and_back(layers: list[Linear], attention: float, switched: Switches, learns: bool) -> float:
    base = 2 * sum(layer.weights for layer in layers)
    adapter = 2 * switched.r * sum(layer.inputs + layer.outputs for layer in layers if layer.adapted)
    forward = base + adapter + attention
    if not learns:
        return forward
    again = forward if switched.checkpointing else 0
    return forward + base + 2 * adapter + 2 * attention + again


def _of_a_latent(layer: Linear) -> bool:
    return layer.part == "cross" and layer.name.endswith(("k_proj", "v_proj"))
