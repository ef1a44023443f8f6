"""A data set in, how it and those before it placed every image out; and what it has no image of any more, kept beside it."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from midefics.errors import DataError
from midefics.records import Manifest
from midefics.services.storage import Storage
from midefics.splits import SPLITS, Remembered

REMEMBERED = "remembered.csv"
"""Images of earlier data sets that this one lacks: id, split, and the salted hashes of what they share with others."""


def recalled(storage: Storage, dataset: Manifest) -> Iterator[Remembered]:
    """Every image of a data set and of those before it, each once.

    Raises:
        StorageError: its files are gone.
    """
    for row in storage.rows(dataset):
        if row.split:
            yield Remembered(row.id, row.split, row.links)
    path = storage.folder(dataset) / REMEMBERED
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                yield _remembered(line, path)


def keep(remembered: Iterable[Remembered], folder: Path) -> None:
    """Writes the file, also where there is nothing to remember."""
    with (folder / REMEMBERED).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Remembered._fields)
        writer.writerows((one.id, one.split, " ".join(one.keys)) for one in remembered)


def _remembered(line: dict[str, str], path: Path) -> Remembered:
    for split in SPLITS:
        if line["split"] == split:
            return Remembered(line["id"], split, tuple(line["keys"].split()))
    raise DataError(f"{path}: {line['id']} is in split {line['split']!r}, expected one of {', '.join(SPLITS)}")
