"""What a data set's rows came to in, its card in Hugging Face's format out: `datasets.load_dataset` opens the folder by it."""

from collections.abc import Iterator

from midefics.evidence.papers import ATTRIBUTION, BILL, NO_IMAGE, Papers
from midefics.licences import Licence, licence
from midefics.splits import SPLITS

BODY = """# {title}

Questions and answers about {images:,} medical images from {sources}: {turns:,} turns, to fine-tune and evaluate models that
answer questions about images. **Research only; nothing here supports a clinical decision.**
{note}
{sizes}

```python
import datasets

rows = datasets.load_dataset("this/folder")  # {splits}
```

## How it was split

By what hangs together: images of one patient, lesion or article, and images that show one and the same shot (perceptual hashes a
few bits apart, then the pictures compared), directly or through others, form a component, and `group` names it. No component is
in two splits: {components}. What is related to an image of an evaluation set is in no other split than that one's. Every split
holds nearly its share of every source and label. Data sets that extend this one never train on its test split.

## Licences

All of it together: **{licence}**. Every image keeps its own licence and is to be credited: `{attribution}` names the author of
each, `{bill}` counts the images under each licence.

{licences}

## How it was labelled

{writers}

Nobody read all of them. Writers saw what the archive says of an image, never the image itself.

## Limits

Archives are no sample of patients: they come from a few clinics, skin types, ages and devices, and show what somebody found
worth keeping. Metadata and captions hold errors, and so do conversations made of them. Copies that were cropped by more than
about a hundredth, mirrored or drawn upon are not recognised as copies.
"""

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(name: str, papers: Papers, note: str = "") -> str:
    """Writes the card.

    Args:
        name: the configuration's.
        papers: every row, counted.
        note: a paragraph of its own after the first.
    """
    from huggingface_hub import DatasetCardData

    splits = [split for split in SPLITS if any(papers.images[source, split] for source in _sources(papers))]
    whole, title = papers.licence(), f"midefics {name}"
    metadata = DatasetCardData(
        pretty_name=title, language="en", license=whole.hub_id, task_categories=["visual-question-answering"],
        size_categories=next((size for most, size in SIZES if papers.images.total() < most), "n>1M"), tags=["medical"],
        configs=[{"config_name": "default", "data_files": [{"split": split, "path": f"{split}-*.parquet"} for split in splits]}],
        license_name="see-licences-json" if whole.hub_id == "other" else None, license_link=BILL,
    )  # fmt: skip
    body = BODY.format(
        title=title, images=papers.images.total(), sources=", ".join(source.upper() for source in _sources(papers)),
        turns=papers.turns.total(), note=f"\n{note}\n" if note else "", sizes=_sizes(papers), splits=", ".join(splits),
        components=", ".join(f"{len(papers.components[split]):,} in {split}" for split in splits), licence=whole.name,
        attribution=ATTRIBUTION, bill=BILL, licences="\n\n".join([_licences(papers), *_flags(papers)]), writers=_writers(papers),
    )  # fmt: skip
    return f"---\n{metadata.to_yaml()}\n---\n\n{body}"


def _sources(papers: Papers) -> list[str]:
    return sorted({source for source, _ in papers.images})


def _sizes(papers: Papers) -> str:
    rows = [(source, *(f"{papers.images[source, split]:,}" for split in SPLITS)) for source in _sources(papers)]
    return _table(("images", *SPLITS), *rows)


def _licences(papers: Papers) -> str:
    rows = []
    for (source, text), count in sorted(papers.written.items()):
        one = licence(text)
        asks = ", ".join(sorted(one.restrictions)) if one.known else "not known: allows nothing"
        rows.append((source, _cell(one.name), f"{count:,}", asks or "nothing"))
    return _table(("source", "licence", "images", "asks for"), *rows)


def _flags(papers: Papers) -> Iterator[str]:
    """What somebody who passes the data set on must not overlook."""
    by_licence = [(licence(text), count) for (_, text), count in sorted(papers.written.items())]

    def count(holds: list[bool]) -> int:
        return sum(images for (_, images), held in zip(by_licence, holds, strict=True) if held)

    def each(name: str) -> list[bool]:
        return [not getattr(one, name) for one, _ in by_licence]

    if kept := count(each("redistribution")):
        yield (
            f"**Not for redistribution**: {kept:,} images may not be passed on, nor the folder that holds them. "
            "`midefics export` leaves them out."
        )
    if unknown := count(each("known")):
        yield f"The licence of {unknown:,} images is not stated or not understood; treat them as not licensed."
    if free := count(each("commercial")):
        yield f"{free:,} images are not for commercial use."
    if unchanged := count(_no_derivatives(one for one, _ in by_licence)):
        yield (
            f"{unchanged:,} images are under a licence without derivatives (ND). The pictures here are smaller copies of the "
            "archive's own; whether more may be made of them and passed on, a model say, is for a lawyer to tell."
        )


def _no_derivatives(licences: Iterator[Licence]) -> list[bool]:
    return [one.redistribution and not one.derivatives for one in licences]


def _writers(papers: Papers) -> str:
    told = {
        "archive": "the archive's own questions and answers",
        "offline": "templates filled with the metadata, no language model",
        "code": "calls of a classifier, composed by code, which decides what it finds",
    }
    lines = []
    for writer, turns in sorted(papers.turns.items()):
        name = writer.partition(",")[0]
        if writer.endswith(NO_IMAGE):
            by = "definitions of our own" if name == "offline" else "a language model, from our definitions"
        else:
            by = told.get(name, "a language model, from the metadata")
        lines.append(f"- {turns:,} turns by `{writer or 'nobody'}`: {by}")
    return "\n".join(lines)


def _table(*rows: tuple[str, ...]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
