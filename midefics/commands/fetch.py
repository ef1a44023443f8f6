"""An archive's folder made or brought up to date."""

import json
import time
from typing import Annotated

import typer
from rich.table import Table

from midefics.commands.options import AsJson, Config, Debug, ProgressFile, Sets, Sources, chosen_config, out
from midefics.config import RunConfig, load_settings
from midefics.fetching import fetch as run_fetch
from midefics.fetching.outcome import Fetched
from midefics.services import Services
from midefics.services.progress import Progress

app = typer.Typer()

SHOWN = 5
"""Failures in the table; `--json` has all."""


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="SOURCE", help="isic, or roco.")],
    config: Config = "demo",
    source: Sources = None,
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="ISIC: which images, in `isic-cli`'s search syntax.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", help="At most so many images.")] = None,
    set_: Sets = None,
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Download an archive's new and changed images: `midefics fetch isic -c idefics_9b -q "age_approx:50" -n 100`.

    May be stopped at any time; the next call goes on from there. Ingest does the same where `fetch` is configured.
    """
    del debug
    started = time.monotonic()
    settings, wished = load_settings(), _wishes(name, query, limit)
    chosen = _with_fetch(name, config, source, [*wished, *(set_ or [])])
    spec = chosen.sources[name]
    services = Services(settings, Progress(progress_file))
    fetched = run_fetch(name, spec, settings.home / spec.path, services)
    _tell(fetched, str(settings.home / spec.path), as_json, time.monotonic() - started)


def _wishes(name: str, query: str | None, limit: int | None) -> list[str]:
    wished = {"query": query, "max_images": limit}
    return [f"sources.{name}.fetch.{key}={json.dumps(value)}" for key, value in wished.items() if value is not None]


def _with_fetch(name: str, config: str, source: list[str] | None, sets: list[str]) -> RunConfig:
    chosen = chosen_config(config, source, [name], sets)
    if chosen.sources[name].fetch is None:
        chosen = chosen_config(config, source, [name], [f"sources.{name}.fetch={{}}", *sets])
    return chosen


def _tell(fetched: Fetched, folder: str, as_json: bool, seconds: float) -> None:
    if as_json:
        print(fetched.model_dump_json(), flush=True)
        return
    table = Table(
        show_header=False, box=None, title=f"{fetched.source}: {fetched.listed:,} images", title_justify="left"
    )
    for what in ("new", "changed", "unchanged", "withdrawn"):
        table.add_row(what, f"{getattr(fetched, what):,}")
    for reason, count in fetched.failed.items():
        table.add_row("failed", f"{count:,}  {reason}")
    for failure in fetched.failures[:SHOWN]:
        table.add_row("", f"{failure.id}: {failure.detail}")
    table.add_row("received", f"{fetched.bytes / 2**20:,.1f} MB")
    table.add_row("kept in", folder)
    table.add_row("seconds", f"{seconds:.1f}")
    out.print(table)
