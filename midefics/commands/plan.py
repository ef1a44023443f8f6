"""What a training run will take, told before anything is loaded."""

import json
from collections.abc import Iterator, Sequence

from rich.table import Table

from midefics.commands.options import out
from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.planning.gpus import gpu
from midefics.planning.plan import Card, Plan, as_json, make_plan, rates_of
from midefics.planning.work import Data, assumed_data, data_of
from midefics.records import Manifest, Turn
from midefics.services import Services
from midefics.stages.training_samples import pieces

ASSUMED_SAMPLES = 3800
"""The original's training set, where no data set is given."""


def tell_plan(
    config: RunConfig, dataset: Manifest | None, services: Services, gpus: list[str], rates: list[str], machine: bool
) -> None:
    """Prints the plan: tables, or JSON as the last line."""
    from midefics.vlm.shape import architecture, shape_of

    shape = shape_of(config.base_model, architecture(config.base_model, services.settings.home), config.train.lora)
    data = _data(config, dataset, services)
    plan = make_plan(config.train, shape, data, [gpu(name) for name in gpus], rates_of(rates))
    if machine:
        print(json.dumps(as_json(plan)))
    else:
        out.print(*tables(plan), sep="\n\n")


def tables(plan: Plan) -> Iterator[Table | str]:
    """For people."""
    yield (
        f"{plan.base_model}: {plan.parameters:,} parameters, {plan.learnt:,} of them learn "
        f"({plan.learnt / plan.parameters:.2%})\n"
        f"{plan.data.samples:,} samples, {plan.data.tokens:,} tokens, the longest {plan.data.longest:,} ({plan.data.origin})\n"
        f"{plan.work.steps:,} steps, {plan.work.flops_per_token / 1e9:,.3g} GFLOP a token, "
        f"{plan.work.flops_per_image / 1e9:,.3g} GFLOP an image, {plan.work.flops / 1e15:,.3g} PFLOP in all"
    )
    parts = Table(title="Memory at the worst moment of a step", title_justify="left", box=None, min_width=40)
    parts.add_column("part")
    parts.add_column("bytes", justify="right")
    for name, size in plan.memory._asdict().items():
        parts.add_row(name, _size(size))
    parts.add_row("total", _size(plan.memory.total), style="bold")
    yield parts
    cards = Table(title="Computed, not measured: utilisation is assumed", title_justify="left", box=None)
    for name in ("GPU", "has GB", "needs GB", "checkpointing", "hours", "USD", "utilisation"):
        cards.add_column(name, justify="left" if name == "GPU" else "right")
    for card in plan.cards:
        cards.add_row(*_cells(card))
    yield cards
    for card in plan.cards:
        if not card.fit.fits:
            yield f"{card.gpu.name}: does not fit. What would: {'; '.join(card.fit.ways_out)}"


def _size(number: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= scale:
            return f"{number / scale:,.2f} {unit}"
    return f"{number:.0f} B"


def _cells(card: Card) -> list[str]:
    hours = f"{card.hours:.2f}" if card.fit.fits else "too small"
    dollars = f"{card.dollars:.2f}" if card.fit.fits and card.dollars is not None else "-"
    return [
        card.gpu.name, f"{card.fit.available / 1e9:.1f}", f"{card.fit.memory.total / 1e9:.1f}",
        "on" if card.fit.checkpointing else "off", hours, dollars, f"{card.gpu.utilisation:.0%}",
    ]  # fmt: skip


def _data(config: RunConfig, dataset: Manifest | None, services: Services) -> Data:
    """From the data set's own conversations where there is one."""
    if dataset is None:
        return assumed_data(ASSUMED_SAMPLES, config.train.max_length)
    counted: list[tuple[int, int]] = []
    for row in services.storage.columns(dataset, "split", "turns", "text_only"):
        if row["split"] == "train" and row["turns"]:
            said, text_only = ([Turn(**turn) for turn in row.get(key) or ()] for key in ("turns", "text_only"))
            counted += [_size_of(piece) for piece, _ in pieces(said, text_only, config.train.sample)]
    if not counted:
        raise DataError(
            f"dataset {dataset.digest[:16]} has no training rows; assemble it with a smaller assemble.test_share"
        )
    return data_of(counted, f"dataset {dataset.digest[:16]}; tokens estimated from characters")


def _size_of(piece: Sequence[Turn]) -> tuple[int, int]:
    """Characters and turns."""
    return sum(len(turn.question) + len(turn.answer) for turn in piece), len(piece)
