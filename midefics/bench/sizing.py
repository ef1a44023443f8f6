"""The 9-billion-parameter model and a few ways to train it in, `docs/gpu-sizing.md` out: `python -m midefics.bench.sizing`."""

import sys
from pathlib import Path
from typing import Any

from midefics.config import TrainConfig, load_config
from midefics.planning.memory import Memory
from midefics.planning.plan import Card, Plan, make_plan
from midefics.planning.work import assumed_data

PAGE = Path("docs") / "gpu-sizing.md"
BASE = "idefics-9b-instruct"
SAMPLES = 3800
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "`idefics_9b`, as the original": ("idefics_9b", {}),
    "the same, 8 conversations a batch": (
        "idefics_9b",
        {"batch_size": 8, "accumulation": 2, "gradient_checkpointing": "auto"},
    ),
    "`idefics_9b_fast`, 4,096 tokens a batch": ("idefics_9b_fast", {}),
    "the same, 16,384 tokens a batch": ("idefics_9b_fast", {"tokens_per_batch": 16_384}),
}

HEAD = """# Which GPU

Computed by `midefics train --plan`, not measured; `python -m midefics.bench.sizing` writes this page again. IDEFICS-9b-instruct
in nf4 with double quantisation, {samples:,} conversations of 300 tokens with an image each (assumed; the longest 1,024), one epoch.

Memory is counted part by part: weights from the real module layout on torch's `meta` device, activations operation by operation
as autograd keeps them. On random IDEFICS models on a CPU the activations are within 1.5 % of autograd's own count and a step's
peak within 1 % of torch's profiler, 4 % with gradient checkpointing (`tests/test_planning.py`). Assumed, and on no account measured
here: 1 GB for CUDA's context and the allocator's losses, and the share of the maker's peak that products reach. A T4's share is what
the original's own log comes to (26 to 29 s for 16 conversations). Hours are the larger of arithmetic + unpacking and launching kernels.
"""


def page() -> str:
    """The whole page, in Markdown."""
    plans = {told: _plan(name, changes) for told, (name, changes) in WAYS.items()}
    sections = [HEAD.format(samples=SAMPLES)]
    for told, plan in plans.items():
        sections.append(
            f"## {told[0].upper()}{told[1:]}\n\n{_work(plan)}\n\n{_memory(plan.memory)}\n\n{_cards(plan)}\n"
        )
    return "\n".join(sections)


def _plan(name: str, changes: dict[str, Any]) -> Plan:
    from midefics.vlm.shape import architecture, shape_of

    train = load_config(name).train
    config = TrainConfig.model_validate(train.model_dump() | changes)
    shape = shape_of(BASE, architecture(BASE, Path()), config.lora)
    return make_plan(config, shape, assumed_data(SAMPLES, config.max_length))


def _work(plan: Plan) -> str:
    return (
        f"{plan.learnt:,} of {plan.parameters:,} parameters learn ({plan.learnt / plan.parameters:.2%}); {plan.work.steps:,} steps, "
        f"{plan.work.flops_per_token / 1e9:.1f} GFLOP a token and {plan.work.flops_per_image / 1e12:.2f} TFLOP an image "
        f"without checkpointing, {plan.work.flops / 1e15:.1f} PFLOP in all."
    )


def _memory(needs: Memory) -> str:
    parts = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in needs._asdict().items())
    return f"Without checkpointing, GB: {parts}; **{needs.total / 1e9:.1f}** in all."


def _cards(plan: Plan) -> str:
    rows = [
        "| GPU | has GB | needs GB | checkpointing | hours | assumed utilisation | what would fit |",
        "| --- | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    return "\n".join(rows + [_row(card) for card in plan.cards])


def _row(card: Card) -> str:
    hours = f"{card.hours:.2f}" if card.fit.fits else "too small"
    cells = (
        card.gpu.name, f"{card.fit.available / 1e9:.1f}", f"{card.fit.memory.total / 1e9:.1f}",
        "on" if card.fit.checkpointing else "off", hours, f"{card.gpu.utilisation:.0%}", "; ".join(card.fit.ways_out),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
