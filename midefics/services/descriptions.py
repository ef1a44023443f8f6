"""Stored rows in, what is said of them out, without their pictures; and one whole row by its place."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from midefics.errors import StorageError
from midefics.records import Manifest, Row
from midefics.services.parts import from_arrow
from midefics.services.storage import Storage

ROWS_PER_BATCH = 64


def described(storage: Storage, manifest: Manifest) -> Iterator[Row]:
    """Reads an output's rows in their order; the pictures stay on the disk, `image` is empty."""
    for part in _parts(storage, manifest):
        with pq.ParquetFile(part) as file:
            names = [name for name in file.schema_arrow.names if name != "image"]
            for batch in file.iter_batches(batch_size=1024, columns=names):
                yield from map(from_arrow, batch.to_pylist())


def row_at(storage: Storage, manifest: Manifest, place: int) -> Row:
    """The row at a place in the order of `described`, with its picture.

    Raises:
        StorageError: the output has fewer rows.
    """
    for part in _parts(storage, manifest):
        with pq.ParquetFile(part) as file:
            if place >= file.metadata.num_rows:
                place -= file.metadata.num_rows
                continue
            for batch in file.iter_batches(batch_size=ROWS_PER_BATCH):
                if place < batch.num_rows:
                    return from_arrow(batch.slice(place, 1).to_pylist()[0])
                place -= batch.num_rows
    raise StorageError(f"{manifest.uri} has no row that far; run the stage that makes it again")


def _parts(storage: Storage, manifest: Manifest) -> list[Path]:
    return sorted(storage.folder(manifest).glob("*.parquet"))
