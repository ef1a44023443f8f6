"""A data set as others may have it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from midefics.commands.options import AsJson, Debug, out
from midefics.config import load_settings
from midefics.errors import DataError
from midefics.exports import Shape
from midefics.services import Services

app = typer.Typer()


@app.command()
def export(
    dataset: Annotated[str, typer.Argument(help="A data set's manifest: its file, folder, JSON, or dataset/3f9c….")],
    folder: Annotated[Path, typer.Argument(help="Where to; a new folder.")],
    shape: Annotated[
        Shape, typer.Option("--format", help="hf: our own columns. original: id, image, conversation.")
    ] = "hf",
    everything: Annotated[
        bool,
        typer.Option("--include-unredistributable", help="Also images that may not be passed on, for your own use."),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a data set as Parquet that `datasets` opens, with card, attribution and licences; for the hub, or anyone."""
    del debug
    from midefics.exports import export as written

    storage = Services(load_settings()).storage
    manifest = storage.find(dataset)
    if manifest.kind != "dataset":
        raise DataError(f"{dataset} is of kind {manifest.kind}; only a data set can be exported")
    result = written(storage.rows(manifest), folder, shape, manifest.digest[:16], everything)
    if as_json:
        print(json.dumps(result._asdict()))
        return
    out.print(f"{result.rows:,} images in {folder}")
    for name, count in sorted(result.left_out.items()):
        out.print(f"{count:,} left out, they may not be passed on: {name}")
