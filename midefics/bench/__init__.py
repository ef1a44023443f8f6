"""A benchmark's name in, its figures out: ours beside the original notebook's way and the bound, in the same run.

A benchmark is a module here with `measure(services) -> Iterator[Figure]`, and its name in the table. Rates are the best
of a few interleaved repetitions: these machines are noisy, and noise only ever slows.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Literal

from rich.console import Console
from rich.table import Table

from midefics.errors import ConfigError
from midefics.records import Record
from midefics.services import Services

BENCHMARKS = ("data", "grounding", "label", "train", "validation")
REPETITIONS = 3
NOTEBOOK, BOUND = "the notebook's way", "the bound"


class Beside(Record):
    """What a figure is held against: another way of doing the same, what the work itself allows, a limit."""

    name: str
    value: float
    """In the figure's own unit."""
    goal: float
    """For ours over this."""
    bound: Literal["at least", "at most"] = "at least"


class Figure(Record):
    """One figure of ours."""

    name: str
    unit: str
    ours: float
    beside: tuple[Beside, ...]
    conditions: str

    def holds(self, other: Beside) -> bool:
        """Whether ours over the other meets its goal."""
        goal = other.goal * other.value
        return self.ours >= goal if other.bound == "at least" else self.ours <= goal

    def ratio(self, other: Beside) -> float | None:
        """Ours over the other; None where that is zero."""
        return self.ours / other.value if other.value else None

    def told(self) -> dict[str, object]:
        """The figure for machines, with ratios and whether each goal is met."""
        beside = [
            other.model_dump() | {"ratio": self.ratio(other), "holds": self.holds(other)} for other in self.beside
        ]
        return self.model_dump() | {"beside": beside, "holds": all(map(self.holds, self.beside))}


def load() -> str:
    """What else goes on, to be added to a figure's conditions: at the end of what is timed, over the last minute."""
    return f"; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def best_rates(ways: Mapping[str, Callable[[], object]], units: float) -> dict[str, float]:
    """Times several ways of doing the same work in turn.

    Args:
        ways: what to call, by name.
        units: how much work one call does.

    Returns:
        The best of `REPETITIONS` rates of each way, in units per second.
    """
    seconds: dict[str, float] = {}
    for _ in range(REPETITIONS):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name] = min(seconds.get(name, float("inf")), time.perf_counter() - started)
    return {name: units / taken for name, taken in seconds.items()}


def report(name: str, as_json: bool, services: Services, **options: str) -> int:
    """Runs one benchmark or all, prints their figures as they come, and returns 1 where a goal is missed.

    Args:
        name: of a benchmark, or `all`.
        as_json: prints one JSON list at the end instead.
        services: the machine's.
        options: given to the one benchmark that knows them.

    Raises:
        ConfigError: there is no benchmark of this name.
    """
    if name not in (*BENCHMARKS, "all"):
        raise ConfigError(f"bench {name}: expected one of {', '.join(BENCHMARKS)}, all")
    told = []
    for figure in (
        figure
        for one in BENCHMARKS
        if name in (one, "all")
        for figure in _measured(one, services, options if name == one else {})
    ):
        told.append(figure.told())
        if not as_json:
            _print(figure)
    if as_json:
        print(json.dumps(told))  # noqa: T201 (the command line's own output)
    return 0 if all(figure["holds"] for figure in told) else 1


def _measured(name: str, services: Services, options: Mapping[str, str]) -> Iterator[Figure]:
    figures: Iterator[Figure] = import_module(f"midefics.bench.{name}").measure(services, **options)
    return figures


def _print(figure: Figure) -> None:
    table = Table(title=f"{figure.name}: {figure.conditions}", title_justify="left", box=None, pad_edge=False)
    for column in ("", figure.unit, "ours / this", "goal", ""):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("ours", f"{figure.ours:,.4g}")
    for other in figure.beside:
        met = "[green]met" if figure.holds(other) else "[red]missed"
        goal = f"{other.bound} {other.goal:g}"
        ratio = figure.ratio(other)
        table.add_row(other.name, f"{other.value:,.4g}", "" if ratio is None else f"{ratio:.3g}", goal, met)
    Console().print(table, "")
