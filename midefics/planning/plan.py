"""A configuration, a shape and a data set's size in, what a run will take on each GPU out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from midefics.config import TrainConfig
from midefics.errors import ConfigError
from midefics.planning.demand import switches
from midefics.planning.gpus import GPUS, Gpu, gpu
from midefics.planning.memory import Fit, Memory, fits, memory
from midefics.planning.shape import Shape
from midefics.planning.work import Data, Work, seconds, work


class Card(NamedTuple):
    """The run on one GPU."""

    gpu: Gpu
    fit: Fit
    hours: float
    dollars: float | None
    """At the rate that was stated; None where none was."""


class Plan(NamedTuple):
    """What is known beforehand. Computed, not measured."""

    base_model: str
    parameters: int
    """The adapter's among them."""
    learnt: int
    memory: Memory
    """As configured; gradient checkpointing that is `auto` is off here."""
    data: Data
    work: Work
    cards: tuple[Card, ...]


def make_plan(
    config: TrainConfig, shape: Shape, data: Data, gpus: Sequence[Gpu] = (), rates: Mapping[str, float] | None = None
) -> Plan:
    """Works it all out.

    Args:
        config: the section `train`.
        shape: of the base model, with the adapter's targets marked.
        data: what is learnt from.
        gpus: which to plan for; all that are known where none is named.
        rates: dollars an hour by the GPU's name; under the empty name, of any other.
    """
    given, learnt = switches(config, data.longest), shape.adapter_parameters(config.lora.r)
    cards = [_card(config, shape, data, one, rates or {}) for one in gpus or GPUS.values()]
    return Plan(
        shape.name, shape.parameters + learnt, learnt, memory(shape, given), data, work(shape, given, config, data),
        tuple(cards),
    )  # fmt: skip


def rates_of(texts: Sequence[str]) -> dict[str, float]:
    """Reads `2.5` and `H100=2.5`.

    Raises:
        ConfigError: it is something else, or no such GPU is known.
    """
    rates = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            rates[gpu(name).name if name else ""] = float(value)
        except ValueError as error:
            raise ConfigError(f"--usd-per-hour {text}: expected dollars an hour, or GPU=dollars") from error
    return rates


def as_json(plan: Plan) -> dict[str, Any]:
    """For machines; bytes, hours and dollars as numbers."""
    return {
        "base_model": plan.base_model, "parameters": plan.parameters, "learnt": plan.learnt,
        "memory": plan.memory._asdict() | {"total": plan.memory.total},
        "data": plan.data._asdict(), "work": plan.work._asdict() | {"flops": plan.work.flops},
        "gpus": [_row(card) for card in plan.cards],
    }  # fmt: skip


def _card(config: TrainConfig, shape: Shape, data: Data, one: Gpu, rates: Mapping[str, float]) -> Card:
    fit = fits(config, shape, one.memory_bytes, data.longest)
    given = switches(config, data.longest, fit.checkpointing)
    hours = seconds(shape, given, work(shape, given, config, data), one) / 3600
    rate = rates.get(one.name, rates.get(""))
    return Card(one, fit, hours, None if rate is None else rate * hours)


def _row(card: Card) -> dict[str, Any]:
    return {
        "gpu": card.gpu.name, "fits": card.fit.fits, "gradient_checkpointing": card.fit.checkpointing,
        "needs_bytes": card.fit.memory.total, "has_bytes": card.fit.available, "hours": card.hours if card.fit.fits else None,
        "usd": card.dollars if card.fit.fits else None, "assumed_utilisation": card.gpu.utilisation, "ways_out": card.fit.ways_out,
    }  # fmt: skip
