"""Steps in, what a person sees while they run out: one live table on a terminal, else a line for each change."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.table import Table

from midefics.local.steps import Step

COLOURS = {"success": "green", "running": "yellow", "failed": "red", "upstream_failed": "red", "awaiting_input": "cyan"}


class Board:
    """Shows the steps, and says things above them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._told: dict[tuple[str, str, str], str] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, steps: Sequence[Step]) -> None:
        """Shows the steps as they are now."""
        if self._live:
            self._live.update(table(steps))
            return
        for step in steps:
            key = (step.dag_id, step.stage, step.source)
            if step.state and self._told.get(key) != step.word:
                self._told[key] = step.word
                seconds = f"{step.seconds:.1f} s" if step.seconds is not None and step.state != "running" else ""
                line = f"{step.stage:<10} {step.source:<8} {step.word:<12} {seconds:>8}  {step.progress}"
                self.console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Prints a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def say_markdown(self, text: str) -> None:
        """Prints Markdown: laid out on a terminal, as it is elsewhere."""
        if self._live:
            self.console.print(Markdown(text))
        else:
            self.say(text)


def table(steps: Sequence[Step]) -> Table:
    """One row for each step."""
    grid = Table("stage", "source", "state", "progress", box=None, pad_edge=False)
    grid.add_column("seconds", justify="right")
    for step in steps:
        colour = COLOURS.get(step.state or "", "dim")
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        grid.add_row(step.stage, step.source, f"[{colour}]{step.word}", step.progress, seconds)
    return grid
