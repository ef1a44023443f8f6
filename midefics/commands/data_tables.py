"""What `midefics data` found in, tables for people and records for machines out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from midefics.records import Manifest
from midefics.services.garbage import Garbage
from midefics.services.inventory import Ancestry, Item
from midefics.services.storage import Output

ROW_COLUMNS = ("id", "source", "split", "licence", "metadata", "turns")
LONG_COLUMNS = ("metadata", "turns")


def listed(items: Sequence[Item], place: str) -> Iterator[RenderableType]:
    """A line an output, and the sum."""
    table = _outputs_table(place, "named by")
    for item in items:
        table.add_row(*_cells(item.output), escape(", ".join(item.named_by)))
    yield table
    yield f"{len(items)} outputs, {decimal(sum(item.output.manifest.bytes for item in items))}"


def shown(manifest: Manifest, address: str, rows: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    """A manifest, and the rows, each cell cut to one line."""
    table = Table(show_header=False, box=None, title=f"{manifest.kind} {manifest.digest[:16]}", title_justify="left")
    table.add_row("kept in", escape(address))
    table.add_row("digest", manifest.digest)
    table.add_row("rows", f"{manifest.rows:,}")
    table.add_row("size", decimal(manifest.bytes))
    for parent in manifest.parents:
        table.add_row("made of", parent[:16])
    for reason, count in manifest.rejected.items():
        table.add_row("quarantined", f"{count:,}  {escape(reason)}")
    for fact, value in manifest.facts.items():
        table.add_row(fact, escape(f"{value:.4g}" if isinstance(value, float) else str(value)))
    yield table
    if rows:
        yield _rows_table(rows)


def described(output: Output) -> dict[str, Any]:
    """An output for machines."""
    return output.manifest.model_dump(mode="json") | {"changed": output.changed.isoformat(timespec="seconds")}


def nested(node: Ancestry) -> dict[str, Any]:
    """A lineage for machines."""
    manifest = node.manifest
    counted = [{"source": source, "licence": licence, "rows": rows} for (source, licence), rows in node.sources.items()]
    return {
        "digest": node.digest,
        "kind": manifest.kind if manifest else None,
        "rows": manifest.rows if manifest else None,
        "rejected": manifest.rejected if manifest else {},
        "sources": counted,
        "parents": [nested(parent) for parent in node.parents],
    }


def grown(node: Ancestry) -> Tree:
    """A lineage as a tree: what it was made of beneath it."""
    manifest = node.manifest
    label = f"{manifest.kind} {node.digest[:16]}  {manifest.rows:,} rows" if manifest else f"{node.digest[:16]}  gone"
    tree = Tree(label)
    if manifest and manifest.rejected:
        tree.add(escape("quarantined: " + ", ".join(f"{count:,} {why}" for why, count in manifest.rejected.items())))
    for (source, licence), rows in node.sources.items():
        tree.add(escape(f"{source}: {rows:,} rows, {licence}"))
    for parent in node.parents:
        tree.children.append(grown(parent))
    return tree


def garbage_record(garbage: Garbage, deleted: bool) -> dict[str, Any]:
    """What may go, or went, for machines."""
    return {
        "outputs": [described(output) for output in garbage.outputs],
        "leftovers": [{"address": left.address, "bytes": left.bytes} for left in garbage.leftovers],
        "bytes": garbage.bytes,
        "kept": garbage.kept,
        "unknown_models": garbage.unknown_models,
        "deleted": deleted,
    }


def freed(garbage: Garbage, mlflow: str, deleted: bool) -> Iterator[RenderableType]:
    """What may go, or went."""
    if garbage.outputs:
        table = _outputs_table("Named by nothing")
        for output in garbage.outputs:
            table.add_row(*_cells(output))
        yield table
    for left in garbage.leftovers:
        yield f"left behind: {escape(left.address)}, {decimal(left.bytes)}"
    for model in garbage.unknown_models:
        yield (
            f"kept: all that registrations of {escape(model)} name. MLflow at {escape(mlflow)} does not know this model; "
            "is MLFLOW_TRACKING_URI right?"
        )
    told = "freed" if deleted else "would be freed; nothing was deleted, --yes deletes"
    yield f"{len(garbage.outputs)} of {len(garbage.outputs) + garbage.kept} outputs, {decimal(garbage.bytes)} {told}"


def _outputs_table(title: str, *more: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("kind")
    table.add_column("digest", no_wrap=True)
    for name in ("rows", "size", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in more:
        table.add_column(name)
    return table


def _cells(output: Output) -> tuple[str, ...]:
    manifest = output.manifest
    age_s = (datetime.now(UTC) - output.changed).total_seconds()
    return manifest.kind, manifest.digest[:16], f"{manifest.rows:,}", decimal(manifest.bytes), _age(age_s)


def _age(age_s: float) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if age_s >= seconds:
            return f"{age_s / seconds:.0f} {unit}"
    return f"{max(0.0, age_s):.0f} s"


def _rows_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="first rows", title_justify="left", box=None, expand=True)
    for name in ROW_COLUMNS:
        table.add_column(name, no_wrap=True, ratio=1 if name in LONG_COLUMNS else None)
    for row in rows:
        table.add_row(*(escape(_short(row[name])) for name in ROW_COLUMNS))
    return table


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(f"{turn['question']} {turn['answer']}" for turn in value)
    return "" if value is None else str(value)
