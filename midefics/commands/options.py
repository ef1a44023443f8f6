"""What the commands share: options, the configuration that they name, how a result is told."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from midefics.config import RunConfig, load_config, load_settings, shipped_configs
from midefics.errors import ConfigError
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.logs import set_up
from midefics.stages import latest_inputs

out = Console()


class Debugging:
    """Whether `--debug` was given: the outermost door then shows tracebacks."""

    on = False


def _debug(on: bool) -> bool:
    Debugging.on = Debugging.on or on
    set_up(logging.DEBUG if on else logging.INFO)
    return on


Config = Annotated[
    str,
    typer.Option(
        "--config", "-c", envvar="MIDEFICS_CONFIG", help=f"A YAML file, or one of: {', '.join(shipped_configs())}."
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME=PATH", help="Read a source from this folder or s3:// address; repeatable."),
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="Only this source; repeatable.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value: `train.max_steps=20`; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Last line of standard output: the result as JSON, for machines.")]
ProgressFile = Annotated[
    Path | None, typer.Option("--progress-file", help="Keep the progress in this small JSON file.")
]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_debug, is_eager=True, help="Full logs, and a traceback on errors.")
]
Manifests = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MANIFEST]...",
        help="The inputs: a manifest's file, folder or JSON. Unset: the newest of this configuration.",
    ),
]


def chosen_config(
    name: str, sources: list[str] | None = None, only: list[str] | None = None, sets: list[str] | None = None
) -> RunConfig:
    """The configuration with what the options replace in it.

    Raises:
        ConfigError: an option is not NAME=VALUE, or the configuration does not hold.
    """
    config = load_config(name, dict(map(name_and_value, sources or [])), dict(map(name_and_value, sets or [])))
    return config.only(only) if only else config


def inputs(name: str, config: RunConfig, references: list[str] | None, services: Services) -> list[Manifest]:
    """The manifests given, completed with the newest of the configuration."""
    given = [services.storage.find(reference) for reference in references or []]
    return latest_inputs(name, config, given, services)


def tell(manifest: Manifest, as_json: bool, seconds: float) -> None:
    """Prints a stage's result: a table, or JSON as the last line."""
    if as_json:
        print(manifest.model_dump_json(), flush=True)
        return
    table = Table(show_header=False, box=None, title=f"{manifest.kind} {manifest.digest[:16]}", title_justify="left")
    table.add_row("rows", f"{manifest.rows:,}")
    for reason, count in manifest.rejected.items():
        table.add_row("quarantined", f"{count:,}  {reason}")
    for fact, value in manifest.facts.items():
        table.add_row(fact, f"{value:.4g}" if isinstance(value, float) else str(value))
    table.add_row("kept in", Services(load_settings()).storage.address(manifest))
    table.add_row("seconds", f"{seconds:.1f}")
    out.print(table)


def name_and_value(text: str) -> tuple[str, str]:
    """Reads NAME=VALUE.

    Raises:
        ConfigError: it is something else.
    """
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise ConfigError(f"{text!r}: expected NAME=VALUE")
    return key, value
