"""People's decisions on conversations: how many there are and how far people agree; files for other tools, and back."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from midefics.commands.options import AsJson, Debug, name_and_value, out
from midefics.config import load_settings
from midefics.errors import DataError
from midefics.evidence.agreement import Agreement, Vote, agreements
from midefics.review.exchange import exported, imported, new_ones
from midefics.review.label_studio import INTERFACE
from midefics.review.outside import Sheet
from midefics.review.page import as_url
from midefics.review.queue import Entry, Order, Queue, Sample
from midefics.services import Services

app = typer.Typer(no_args_is_help=True, help="People's decisions on conversations: count, export and import them.")

Shape = Annotated[Literal["label-studio", "argilla"], typer.Option("--format", help="Whose JSON.")]
Of = Annotated[
    list[str] | None,
    typer.Option(
        "--of", metavar="MANIFEST", help="Outputs of label; repeatable. Unset: the newest, as the page shows them."
    ),
]


@app.command()
def stats(as_json: AsJson = False, debug: Debug = False) -> None:
    """Count decisions by source and person, and say how far every two people agree."""
    del debug
    reviews = Services(load_settings()).reviews.current()
    counts = Counter((review.source, review.reviewer, str(review.decision)) for review in reviews)
    pairs = agreements(Vote(one.source, tuple(one.key), one.reviewer, one.decision) for one in reviews)
    if as_json:
        names = ("source", "reviewer", "decision", "count")
        told = [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(counts.items())]
        print(json.dumps({"decisions": told, "agreement": [pair._asdict() for pair in pairs]}))
        return
    out.print(_decisions(counts))
    out.print(_agreement(pairs))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to.")],
    shape: Shape,
    of: Of = None,
    order: Annotated[Order, typer.Option("--order", help="doubtful: the most doubtful first.")] = "random",
    seed: Annotated[int, typer.Option("--seed", help="Of the random sample.")] = 0,
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many conversations.")] = 50,
    source: Annotated[str, typer.Option("--only", metavar="NAME", help="Only this source.")] = "",
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Write pictures into this folder; unset: into the file itself.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a sample with the decisions there are, as JSON that Label Studio or Argilla reads."""
    del debug
    services = Services(load_settings())
    queue = Queue(services)
    entries = queue.take(Sample(of=tuple(of or ()), order=order, seed=seed, size=sample, source=source))
    file.write_text(exported(_sheets(services, queue, entries, pictures), shape), encoding="utf-8")
    print(f"{len(entries):,} conversations in {file}")
    if shape == "label-studio":
        interface = file.with_suffix(".xml")
        interface.write_text(INTERFACE, encoding="utf-8")
        print(f"the labelling interface that they fit is in {interface}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What the tool exported.")],
    shape: Shape,
    of: Of = None,
    reviewers: Annotated[
        list[str] | None,
        typer.Option("--reviewer", metavar="ID=NAME", help="Who a number or address of the tool is; repeatable."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Take decisions in; those that are in already are left alone, so the same file may come again."""
    del debug
    services = Services(load_settings())
    names = dict(map(name_and_value, reviewers or []))
    text = file.read_text(encoding="utf-8")
    result = imported(text, shape, Queue(services).conversations(of or ()), names)
    for problem in result.problems:
        out.print(problem, markup=False)
    reviews = services.reviews
    added = reviews.decide(new_ones(result.reviews, reviews.current(), reviews.history()))
    print(f"{added:,} decisions added, {len(result.reviews) - added:,} known already")
    if result.problems:
        raise DataError(f"{len(result.problems):,} decisions of {file} could not be taken; the others were")


def _sheets(services: Services, queue: Queue, entries: Sequence[Entry], pictures: Path | None) -> Iterator[Sheet]:
    reviews = services.reviews.current(entry.key.row for entry in entries)
    for entry in entries:
        row = queue.row(entry)
        picture = _kept(row.image, pictures / entry.key.row.replace("/", "_")) if pictures else as_url(row.image)
        yield Sheet(row, entry.key.turns_sha256, picture, [one for one in reviews if one.key == entry.key])


def _kept(picture: bytes, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(path.name + (".png" if picture.startswith(b"\x89PNG") else ".jpg"))
    file.write_bytes(picture)
    return str(file)


def _decisions(counts: Mapping[tuple[str, str, str], int]) -> Table:
    words = ("accept", "edit", "reject")
    people = sorted({(source, reviewer) for source, reviewer, _ in counts})
    rows = [(*who, *(counts.get((*who, word), 0) for word in words)) for who in people]
    return _table("decisions", ("source", "reviewer", *words), rows)


def _agreement(pairs: Iterable[Agreement]) -> Table:
    rows = [
        (pair.source, " and ".join(pair.reviewers), pair.conversations, f"{pair.share:.0%}", _kappa(pair.kappa))
        for pair in pairs
    ]
    return _table("agreement", ("source", "reviewers", "in common", "alike", "Cohen's kappa"), rows)


def _kappa(kappa: float | None) -> str:
    return "not defined" if kappa is None else f"{kappa:.2f}"


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
