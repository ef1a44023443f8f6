"""A data set as others may have it, and a model to carry away."""

import json
from pathlib import Path
from typing import Annotated

import typer

from midefics.commands.options import AsJson, Debug, ProgressFile, out
from midefics.config import load_settings
from midefics.errors import DataError
from midefics.exports import Shape
from midefics.services import Services
from midefics.services.progress import Progress
from midefics.stages.export_model import DIFFERENCE, Limits
from midefics.stages.export_model import export_model as written_out
from midefics.vlm.formats import Format

app = typer.Typer()
LIMITS = Limits()


@app.command()
def export(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="A data set's manifest: its file, folder, JSON, or dataset/3f9c…."),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; a new folder.")],
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


@app.command("export-model")
def export_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="models:/midefics@champion, models:/midefics/3, or an adapter's manifest."
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; a new folder.")],
    shape: Annotated[
        Format,
        typer.Option("--format", help="One model in 16, 8 or 4 bits, or base and adapter side by side."),
    ] = "merged-bf16",
    max_exact_match_loss: Annotated[
        float,
        typer.Option(
            "--max-exact-match-loss", min=0, help="Refuse an export that loses a larger share of right answers."
        ),
    ] = LIMITS.exact_match,
    max_nll_difference: Annotated[
        float,
        typer.Option(
            "--max-nll-difference",
            min=0,
            help="Refuse one that finds the true answers less likely, by more nats a token.",
        ),
    ] = LIMITS.nll,
    questions: Annotated[int, typer.Option("--questions", min=1, help="Held-out questions to measure on.")] = (
        LIMITS.questions
    ),
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Write a trained model as a folder that loads without the hub, with its measured distance from what was trained."""
    del debug
    limits = Limits(max_exact_match_loss, max_nll_difference, questions)
    found = written_out(model, folder, shape, limits, Services(load_settings(), Progress(progress_file)))
    if as_json:
        print(json.dumps(json.loads((folder / DIFFERENCE).read_text(encoding="utf-8"))))
        return
    out.print(f"{shape} in {folder}: {found.nll:+.4f} nats per token, KL {found.kl:.5f}, {found.answers_changed} of "
              f"{found.questions} answers changed, exact match {found.exact_match_reference:.3f} to {found.exact_match_export:.3f}")  # fmt: skip
