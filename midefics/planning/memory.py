"""A shape and switches in, a training process's peak memory by part out, and whether a GPU holds it."""

from typing import NamedTuple

from midefics.config import TrainConfig
from midefics.planning.activations import activations
from midefics.planning.demand import GPU, Precision, Switches, switches
from midefics.planning.shape import Shape

CONTEXT_BYTES = 1_000_000_000
"""Assumed: CUDA's context, the libraries' workspaces, and what the allocator loses between blocks."""
OPTIMIZER_BYTES = {"adamw_torch": 8.0, "paged_adamw_8bit": 2 + 2 * 4 / 256}
"""Of an adapter's parameter: two moments, in float32, or in a byte each with a scale for every 256 of them."""


class Memory(NamedTuple):
    """Bytes at the worst moment of a step."""

    weights: int
    """Of the frozen base: four bits where quantised, else as wide as an activation."""
    quantisation: int
    """Scales of the 4-bit blocks, and the scales of those."""
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    """What the loss needs on top of the activations, or a layer that is computed again if that is more."""
    dequantisation: int
    """The largest 4-bit weight, unpacked to be multiplied with."""
    context: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)

    @property
    def allocated(self) -> int:
        """What torch's own count shows: all but the context."""
        return self.total - self.context


class Fit(NamedTuple):
    """Whether a run fits into a GPU, and how."""

    fits: bool
    checkpointing: bool
    """Whether it needs gradient checkpointing, or has it anyway; the faster way is without."""
    memory: Memory
    available: int
    ways_out: tuple[str, ...]
    """Where it does not fit: each change that would make it, alone, and what it would then take."""


def memory(shape: Shape, switched: Switches, precision: Precision = GPU) -> Memory:
    """Adds up the parts."""
    kept = activations(shape, switched, precision)
    quantised = sum(layer.weights for layer in shape.quantised)
    learnt = shape.adapter_parameters(switched.r)
    context = CONTEXT_BYTES if precision.half else 0
    return Memory(
        weights=quantised // 2 + precision.bytes * (shape.parameters - quantised),
        quantisation=sum(layer.state_bytes for layer in shape.quantised),
        adapter=4 * learnt,
        gradients=4 * learnt,
        optimizer=round(OPTIMIZER_BYTES[switched.optimizer] * learnt),
        activations=kept.kept,
        logits=kept.peak - kept.kept,
        dequantisation=precision.bytes * max((layer.weights for layer in shape.quantised), default=0),
        context=context,
    )


def fits(config: TrainConfig, shape: Shape, memory_bytes: int, longest: int | None = None) -> Fit:
    """Asks whether a run fits into so much memory.

    Args:
        config: the section `train`.
        shape: of the base model, with the adapter's targets marked.
        memory_bytes: what the GPU has free.
        longest: tokens of the longest sample, where known.
    """
    given = switches(config, longest)
    tries = [given]
    if config.gradient_checkpointing == "auto":
        tries = [given._replace(checkpointing=on) for on in (False, True)]
    needed = [memory(shape, one) for one in tries]
    for one, takes in zip(tries, needed, strict=True):
        if takes.total <= memory_bytes:
            return Fit(True, one.checkpointing, takes, memory_bytes, ())
    return Fit(
        False, tries[-1].checkpointing, needed[-1], memory_bytes, _ways_out(shape, tries[-1], memory_bytes, config)
    )


def _ways_out(shape: Shape, given: Switches, available: int, config: TrainConfig) -> tuple[str, ...]:
    shorter = [_with_length(given, share) for share in (0.75, 0.5, 0.25)]
    if config.batching in ("tokens", "packed"):
        shorter = [one for one in shorter if one.batch.positions >= config.max_length]
        sizes = [("train.tokens_per_batch: {positions}", shorter)]
    else:
        fewer = [_with_samples(given, samples) for samples in range(given.batch.samples - 1, 0, -1)]
        sizes = [("train.batch_size: {samples}", fewer), ("train.max_length: {longest}", shorter)]
    changes = [
        ("train.gradient_checkpointing: on", [] if given.checkpointing else [given._replace(checkpointing=True)]),
        *sizes,
        ("train.chunked_loss: true", [] if given.chunked_loss else [given._replace(chunked_loss=True)]),
        ("train.lora.dropout: 0", [given._replace(dropout=False)] if given.dropout else []),
        ("train.lora.r: {r}", [given._replace(r=r) for r in (32, 16, 8, 4) if r < given.r]),
        ("train.optimizer: paged_adamw_8bit", [given._replace(optimizer="paged_adamw_8bit")]),
    ]
    told = []
    for text, tries in changes:
        enough = next((one for one in tries if memory(shape, one).total <= available), None)
        if enough:
            named = text.format(r=enough.r, longest=enough.batch.longest, **enough.batch._asdict())
            told.append(f"{named} ({memory(shape, enough).total / 1e9:.1f} GB)")
    if told:
        return tuple(told)
    least = _with_samples(given._replace(checkpointing=True, dropout=False, optimizer="paged_adamw_8bit"), 1)
    takes = memory(shape, least).total
    all_of_it = "gradient checkpointing, batch_size 1, no dropout, paged_adamw_8bit"
    if takes <= available:
        return (f"{all_of_it}, together ({takes / 1e9:.1f} GB)",)
    return (f"a larger GPU: even with {all_of_it} it takes {takes / 1e9:.1f} GB",)


def _with_samples(given: Switches, samples: int) -> Switches:
    images = -(-given.batch.images * samples // given.batch.samples)
    return given._replace(
        batch=given.batch._replace(samples=samples, positions=samples * given.batch.longest, images=images)
    )


def _with_length(given: Switches, share: float) -> Switches:
    images = max(1, round(given.batch.images * share)) if given.batch.samples == 1 else given.batch.images
    positions = given.batch.samples * round(given.batch.longest * share)
    return given._replace(batch=given.batch._replace(positions=positions, images=images))
