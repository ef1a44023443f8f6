"""A benchmark's name in, its figures out: ours beside the original notebook's way and the bound, in the same run.

A benchmark is a module here with `measure(services) -> Iterator[Figure]`, and its name in the table. Rates are the best
of a few interleaved repetitions: these machines are noisy, and noise only ever slows.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from rich.console import Console
from rich.table import Table

from midefics.errors import ConfigError
from midefics.records import Record
from midefics.services import Services

BENCHMARKS = ("data",)
REPETITIONS = 3


class Figure(Record):
    """One rate: more is better."""

    name: str
    unit: str
    ours: float
    notebook: float
    """The original notebook's way, on the same input."""
    bound: float
    """What the work itself allows, with nothing of ours around it."""
    goal_ratio: float
    """Ours over the notebook's, at least."""
    goal_of_bound: float
    """Ours over the bound, at least."""
    conditions: str

    @property
    def ratio(self) -> float:
        """Ours over the notebook's."""
        return self.ours / self.notebook

    @property
    def of_bound(self) -> float:
        """Ours over the bound."""
        return self.ours / self.bound

    @property
    def holds(self) -> bool:
        """Whether both goals are met."""
        return self.ratio >= self.goal_ratio and self.of_bound >= self.goal_of_bound


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


def report(name: str, as_json: bool, services: Services) -> int:
    """Runs one benchmark or all, prints their figures, and returns 1 where a goal is missed.

    Raises:
        ConfigError: there is no benchmark of this name.
    """
    if name not in (*BENCHMARKS, "all"):
        raise ConfigError(f"bench {name}: expected one of {', '.join(BENCHMARKS)}, all")
    figures = [figure for one in BENCHMARKS if name in (one, "all") for figure in _measured(one, services)]
    if as_json:
        derived = [
            figure.model_dump() | {"ratio": figure.ratio, "of_bound": figure.of_bound, "holds": figure.holds}
            for figure in figures
        ]
        print(json.dumps(derived))  # noqa: T201 (the command line's own output)
    else:
        _print(figures)
    return 0 if all(figure.holds for figure in figures) else 1


def _measured(name: str, services: Services) -> Iterator[Figure]:
    figures: Iterator[Figure] = import_module(f"midefics.bench.{name}").measure(services)
    return figures


def _print(figures: list[Figure]) -> None:
    for figure in figures:
        table = Table(title=f"{figure.name}: {figure.conditions}", title_justify="left", show_header=False)
        table.add_row("ours", f"{figure.ours:,.1f} {figure.unit}")
        table.add_row("the notebook's way", f"{figure.notebook:,.1f} {figure.unit}")
        table.add_row("ours / notebook", f"{figure.ratio:.2f}, goal {figure.goal_ratio:g}")
        table.add_row("the bound", f"{figure.bound:,.1f} {figure.unit}")
        table.add_row("ours / bound", f"{figure.of_bound:.0%}, goal {figure.goal_of_bound:.0%}")
        table.add_row("goals", "[green]met" if figure.holds else "[red]missed")
        Console().print(table)
