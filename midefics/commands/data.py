"""What is stored: list it, look into it, trace it back to the archives, free what nothing needs."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from midefics.commands.options import AsJson, Debug, out
from midefics.config import load_settings
from midefics.errors import ConfigError
from midefics.records import Kind
from midefics.services import Services
from midefics.services.garbage import Garbage, find_garbage, remove_garbage
from midefics.services.inventory import Ancestry, Item, ancestry, inventory
from midefics.services.parts import COLUMNS
from midefics.services.storage import KINDS, Output

app = typer.Typer(no_args_is_help=True)

ROWS_SHOWN = 5
SECONDS_PER_DAY = 86_400.0

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
        print(json.dumps([_described(item.output) | {"named_by": item.named_by} for item in items]))
        return
    table = _outputs_table(storage.store.address(), "named by")
    for item in items:
        table.add_row(*_cells(item.output), escape(", ".join(item.named_by)))
    out.print(table)
    out.print(f"{len(items)} outputs, {decimal(_bytes(items))}")


@app.command()
def show(manifest: Reference, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look into one output: its manifest, what was rejected and why, its facts, its first rows without their pictures."""
    del debug
    storage = Services(load_settings()).storage
    found = storage.find(manifest)
    rows = list(islice(storage.columns(found, *(name for name in COLUMNS if name != "image")), ROWS_SHOWN))
    if as_json:
        print(json.dumps({"manifest": found.model_dump(mode="json"), "first_rows": rows}))
        return
    table = Table(show_header=False, box=None, title=f"{found.kind} {found.digest}", title_justify="left")
    table.add_row("kept in", storage.address(found))
    table.add_row("rows", f"{found.rows:,}")
    table.add_row("size", decimal(found.bytes))
    for parent in found.parents:
        table.add_row("made of", parent[:16])
    for reason, count in found.rejected.items():
        table.add_row("quarantined", f"{count:,}  {escape(reason)}")
    for fact, value in found.facts.items():
        table.add_row(fact, escape(f"{value:.4g}" if isinstance(value, float) else str(value)))
    out.print(table)
    if rows:
        out.print(_rows_table(rows))


@app.command()
def lineage(manifest: Reference, as_json: AsJson = False, debug: Debug = False) -> None:
    """Trace an output back to the archives: every parent, and the rows by source and licence at the end."""
    del debug
    storage = Services(load_settings()).storage
    found = ancestry(storage, storage.find(manifest))
    if as_json:
        print(json.dumps(_nested(found)))
    else:
        out.print(_grown(found))


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

    Also what killed processes left behind. Refuses to run where MLflow does not answer.
    """
    del debug
    services = Services(load_settings())
    garbage = find_garbage(services, older_than * SECONDS_PER_DAY)
    if yes:
        remove_garbage(garbage, services.storage)
    if as_json:
        print(json.dumps(_garbage_record(garbage, yes)))
    else:
        _tell_garbage(garbage, services, yes)


def _kind(name: str | None) -> Kind | None:
    for kind in KINDS:
        if kind == name:
            return kind
    if name is not None:
        raise ConfigError(f"data ls {name}: expected one of {', '.join(KINDS)}")
    return None


def _bytes(items: Iterable[Item]) -> int:
    return sum(item.output.manifest.bytes for item in items)


def _described(output: Output) -> dict[str, Any]:
    return output.manifest.model_dump(mode="json") | {"changed": output.changed.isoformat(timespec="seconds")}


def _outputs_table(title: str, *more: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("kind")
    table.add_column("digest", no_wrap=True)
    for name in ("rows", "size", "age"):
        table.add_column(name, justify="right")
    for name in more:
        table.add_column(name)
    return table


def _cells(output: Output) -> tuple[str, ...]:
    manifest = output.manifest
    age_s = (datetime.now(UTC) - output.changed).total_seconds()
    return manifest.kind, manifest.digest[:16], f"{manifest.rows:,}", decimal(manifest.bytes), _age(age_s)


def _age(age_s: float) -> str:
    for unit, seconds in (("d", SECONDS_PER_DAY), ("h", 3600.0), ("min", 60.0)):
        if age_s >= seconds:
            return f"{age_s / seconds:.0f} {unit}"
    return f"{max(0.0, age_s):.0f} s"


def _rows_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="first rows", title_justify="left", box=None)
    shown = ("id", "source", "split", "licence", "metadata", "turns")
    for name in shown:
        table.add_column(name, max_width=60)
    for row in rows:
        table.add_row(*(escape(_short(row[name])) for name in shown))
    return table


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"{turn['question']} {turn['answer']}" for turn in value[:2])
    return "" if value is None else str(value)


def _nested(node: Ancestry) -> dict[str, Any]:
    manifest = node.manifest
    counted = [{"source": source, "licence": licence, "rows": rows} for (source, licence), rows in node.sources.items()]
    return {
        "digest": node.digest,
        "kind": manifest.kind if manifest else None,
        "rows": manifest.rows if manifest else None,
        "rejected": manifest.rejected if manifest else {},
        "sources": counted,
        "parents": [_nested(parent) for parent in node.parents],
    }


def _grown(node: Ancestry) -> Tree:
    manifest = node.manifest
    label = f"{manifest.kind} {node.digest[:16]}  {manifest.rows:,} rows" if manifest else f"{node.digest[:16]}  gone"
    tree = Tree(label)
    if manifest and manifest.rejected:
        tree.add(escape("quarantined: " + ", ".join(f"{count:,} {why}" for why, count in manifest.rejected.items())))
    for (source, licence), rows in node.sources.items():
        tree.add(escape(f"{source}: {rows:,} rows, {licence}"))
    for parent in node.parents:
        tree.children.append(_grown(parent))
    return tree


def _garbage_record(garbage: Garbage, deleted: bool) -> dict[str, Any]:
    return {
        "outputs": [_described(output) for output in garbage.outputs],
        "leftovers": [{"address": left.address, "bytes": left.bytes} for left in garbage.leftovers],
        "bytes": garbage.bytes,
        "kept": garbage.kept,
        "unknown_models": garbage.unknown_models,
        "deleted": deleted,
    }


def _tell_garbage(garbage: Garbage, services: Services, deleted: bool) -> None:
    if garbage.outputs:
        table = _outputs_table("Named by nothing")
        for output in garbage.outputs:
            table.add_row(*_cells(output))
        out.print(table)
    for left in garbage.leftovers:
        out.print(f"left behind: {escape(left.address)}, {decimal(left.bytes)}", soft_wrap=True)
    for model in garbage.unknown_models:
        out.print(
            f"kept: all that registrations of {model} name. MLflow at {services.tracking.uri} does not know this model; "
            "is MLFLOW_TRACKING_URI right?",
            soft_wrap=True,
        )
    told = "freed" if deleted else "would be freed; nothing was deleted, --yes deletes"
    out.print(
        f"{len(garbage.outputs)} of {len(garbage.outputs) + garbage.kept} outputs, {decimal(garbage.bytes)} {told}"
    )
