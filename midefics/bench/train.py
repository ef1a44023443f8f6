"""The same drawn conversations in, the notebook's recipe beside ours out: speed, padding, time to the same validation loss.

On a CPU with the tiny base it tells how the recipes compare, not how fast a GPU would be; `docs/training-speed.md` says
what each option should bring there. On a GPU the same run reports tokens per second, the share of the GPU's
arithmetic that is used (MFU) and peak memory as well.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from midefics.bench import NOTEBOOK, Beside, Figure
from midefics.services import Services

if TYPE_CHECKING:
    from midefics.bench.train_runs import Bench, Course

TRAINED = 640
"""Conversations to learn from: 40 steps of the notebook's."""
BATCH, TOKENS = 16, 1024
"""Conversations in an optimizer step, and tokens that hold about as many: both recipes step equally far."""
PADDED = 4000
"""Lengths that padding is counted over: what is left over at the end of an epoch weighs little, as in a real one."""
MOST_STEPS, VALIDATED_EVERY = 60, 2
REPETITIONS = 2
PLAIN: dict[str, Any] = {
    "batch_size": BATCH, "accumulation": 1, "schedule": "constant", "validations": 0, "max_length": 1024,
    "lora": {"targets": "text", "dropout": 0.0},
}  # fmt: skip
"""Ours with every option off."""
FAST: dict[str, Any] = PLAIN | {
    "batching": "tokens", "tokens_per_batch": TOKENS, "frozen_outputs": True, "chunked_loss": True,
}  # fmt: skip
"""`idefics_9b_fast.yaml`, as far as a CPU has a use for it."""
OPTIONS: dict[str, tuple[dict[str, Any], Literal["at least", "at most"], float]] = {
    "one at a time": ({"batch_size": 1, "accumulation": BATCH}, "at most", 0.5),
    "the notebook's adapter": ({"lora": {"targets": "qkv", "dropout": 0.05}}, "at most", 1.15),
    "grouped": ({"batching": "grouped"}, "at least", 1.3),
    "by tokens": ({"batching": "tokens", "tokens_per_batch": TOKENS}, "at least", 1.3),
    "packed": ({"batching": "packed", "tokens_per_batch": TOKENS}, "at least", 1.0),
    "frozen outputs": ({"frozen_outputs": True}, "at least", 1.0),
    "chunked loss": ({"chunked_loss": True}, "at least", 0.85),
    "gradient checkpointing": ({"gradient_checkpointing": "on"}, "at least", 2 / 3),
}
"""What is set on top of PLAIN, and what its speed over PLAIN's is held to: the first two are what ours leaves behind, the
last two save memory, not time."""


def measure(services: Services, shape: str = "tiny") -> Iterator[Figure]:
    """Speed of both recipes, each option alone, padding, and the time to the validation loss that the notebook's reaches."""
    from midefics.bench.train_runs import Bench

    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(services, Path(scratch), shape, TRAINED, PADDED)
        yield from _speed(bench)
        yield from _options(bench)
        yield from _padding(bench)
        yield from _to_the_same_loss(bench)


def _speed(bench: "Bench") -> Iterator[Figure]:
    bench.ours(FAST, steps=1)  # the frozen outputs are nobody's figure here
    runs = [(bench.notebook(TRAINED // BATCH), bench.ours(FAST)) for _ in range(REPETITIONS)]
    theirs, ours = (_fastest(way) for way in zip(*runs, strict=True))
    told = f"{TRAINED} drawn conversations once through, {bench.where}; frozen outputs kept from an epoch before"
    yield Figure(name="speed", unit="conversations/s", ours=ours.rate, beside=_beside(theirs.rate, 6), conditions=told)
    tokens = _beside(theirs.tokens_per_second, 6)
    yield Figure(name="tokens", unit="real tokens/s", ours=ours.tokens_per_second, beside=tokens, conditions=told)
    yield from bench.gpu_figures(theirs, ours)


def _options(bench: "Bench") -> Iterator[Figure]:
    ways = {"plain": PLAIN, **{name: PLAIN | values for name, (values, *_) in OPTIONS.items()}}
    runs: dict[str, list[Course]] = {name: [] for name in ways}
    for _ in range(REPETITIONS):
        for name, values in ways.items():
            runs[name].append(bench.ours(values))
    plain = _fastest(runs.pop("plain"))
    for name, (_, bound, goal) in OPTIONS.items():
        other = Beside(name=f"batches of {BATCH} at random", value=plain.rate, goal=goal, bound=bound)
        told = f"{TRAINED} drawn conversations once through, {bench.where}; this option alone"
        yield Figure(
            name=name, unit="conversations/s", ours=_fastest(runs[name]).rate, beside=(other,), conditions=told
        )


def _padding(bench: "Bench") -> Iterator[Figure]:
    at_random = Beside(name=f"batches of {BATCH} at random", value=bench.padding(PLAIN), goal=0.1, bound="at most")
    for batching, most in (("grouped", 4), ("tokens", 4), ("packed", 1)):
        yield Figure(
            name=f"padding, {batching}", unit="% of what is computed",
            ours=bench.padding(PLAIN | {"batching": batching, "tokens_per_batch": TOKENS}),
            beside=(Beside(name="limit", value=most, goal=1, bound="at most"), at_random),
            conditions=f"{PADDED:,} lengths drawn from the conversations'",
        )  # fmt: skip


def _to_the_same_loss(bench: "Bench") -> Iterator[Figure]:
    theirs = bench.notebook(TRAINED // BATCH, validated=True)
    target = theirs.validations[-1].loss
    ours = bench.ours(FAST, steps=MOST_STEPS, validations=MOST_STEPS // VALIDATED_EVERY, again=True)
    reached = next((at for at in ours.validations if at.loss <= target), None)
    told = f"validation loss {target:.4f}, the notebook's after {TRAINED} conversations; ours with its frozen outputs made first"
    yield Figure(
        name="time to the same loss", unit="s", ours=reached.seconds if reached else float("inf"),
        conditions=f"{told}; {bench.where}; validation itself not counted", beside=_at_most(theirs.seconds, 1 / 4),
    )  # fmt: skip
    same = next((at.loss for at in ours.validations if at.step >= TRAINED // BATCH), float("inf"))
    yield Figure(
        name="loss after as many steps", unit="nats a token, answers only", ours=same,
        conditions=f"{TRAINED // BATCH} steps of about {BATCH} conversations each", beside=_at_most(target, 1),
    )  # fmt: skip


def _fastest(runs: "tuple[Course, ...] | list[Course]") -> "Course":
    return max(runs, key=lambda course: course.rate)


def _beside(value: float, goal: float) -> tuple[Beside, ...]:
    return (Beside(name=NOTEBOOK, value=value, goal=goal),)


def _at_most(value: float, goal: float) -> tuple[Beside, ...]:
    return (Beside(name=NOTEBOOK, value=value, goal=goal, bound="at most"),)
