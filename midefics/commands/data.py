"""What is stored: list it, look into it, trace it back to the archives, free what nothing needs."""

import json
from itertools import islice
from typing import Annotated

import typer

from midefics.commands import data_tables
from midefics.commands.options import AsJson, Debug, out
from midefics.config import load_settings
from midefics.errors import ConfigError
from midefics.records import Kind
from midefics.services import Services
from midefics.services.garbage import find_garbage, remove_garbage
from midefics.services.inventory import ancestry, inventory
from midefics.services.parts import COLUMNS
from midefics.services.storage import KINDS

app = typer.Typer(no_args_is_help=True)

ROWS_SHOWN = 5
SECONDS_PER_DAY = 86_400

Reference = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="A manifest's file, folder, address, JSON, uri or digest.")
]


@app.command("ls")
def list_outputs(
    kind: Annotated[str | None, typer.Argument(help=f"Only these: {', '.join(KINDS)}.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List every whole output: kind, digest, rows, size, age, and what names it."""
    del debug
    storage = Services(load_settings()).storage
    items = list(inventory(storage, _kind(kind)))
    if as_json:
        print(json.dumps([data_tables.described(item.output) | {"named_by": item.named_by} for item in items]))
    else:
        out.print(*data_tables.listed(items, storage.store.address()), sep="\n")


@app.command()
def show(manifest: Reference, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look into one output: its manifest, what was rejected and why, its facts, its first rows without their pictures."""
    del debug
    storage = Services(load_settings()).storage
    found = storage.find(manifest)
    rows = list(islice(storage.columns(found, *(name for name in COLUMNS if name != "image")), ROWS_SHOWN))
    if as_json:
        print(json.dumps({"manifest": found.model_dump(mode="json"), "first_rows": rows}))
    else:
        out.print(*data_tables.shown(found, storage.address(found), rows), sep="\n")


@app.command()
def lineage(manifest: Reference, as_json: AsJson = False, debug: Debug = False) -> None:
    """Trace an output back to the archives: every parent, and the rows by source and licence at the end."""
    del debug
    storage = Services(load_settings()).storage
    found = ancestry(storage, storage.find(manifest))
    if as_json:
        print(json.dumps(data_tables.nested(found)))
    else:
        out.print(data_tables.grown(found))


@app.command()
def gc(
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, metavar="DAYS", help="Keep what is younger; above your longest run.")
    ] = 7.0,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Free what nothing needs: no configuration's newest, no version in MLflow's registry, nothing young, no parent of these.

    Also what killed processes left behind, and checkpoints of trainings that nobody has gone on with. Refuses to run where MLflow does not answer.
    """
    del debug
    services = Services(load_settings())
    garbage = find_garbage(services, older_than * SECONDS_PER_DAY)
    if yes:
        remove_garbage(garbage, services.storage)
    if as_json:
        print(json.dumps(data_tables.garbage_record(garbage, yes)))
    else:
        out.print(*data_tables.freed(garbage, services.tracking.uri, yes), sep="\n", soft_wrap=True)


def _kind(name: str | None) -> Kind | None:
    for kind in KINDS:
        if kind == name:
            return kind
    if name is not None:
        raise ConfigError(f"data ls {name}: expected one of {', '.join(KINDS)}")
    return None
