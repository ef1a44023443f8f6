"""A Hugging Face data set's folder in, its rows out: Parquet shards, or the Arrow files that `datasets.save_to_disk` writes.

What they hold is not trusted: a broken file, a link that leads out and columns that are missing are refused, not read.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from midefics.errors import SourceError
from midefics.sources.reading import MAX_BYTES, image_problem, name_problem, shown, within

ROWS_AT_ONCE = 16
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
"""`datasets` keeps an image file as it is, and writes what was no file as PNG or TIFF."""
SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation",
          "dev": "validation", "test": "test"}  # fmt: skip
_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(SPLITS)})(?![a-z])")


class DataSet(NamedTuple):
    """A data set's folder, and what its rows must have."""

    source: str
    root: Path
    needed: Sequence[str]
    """Columns that every file has, each once."""
    expected: str
    """Said where it is something else."""

    @property
    def fence(self) -> Path:
        """Nothing outside is read. The hub's cache keeps a snapshot's files beside the snapshot, and links to them."""
        absolute = self.root.absolute()
        return absolute.parents[1] if absolute.parent.name == "snapshots" else absolute


class Shard(NamedTuple):
    """One file of rows."""

    path: Path
    name: str
    """Relative to the data set."""
    split: str | None


def shards(data: DataSet) -> list[Shard]:
    """The files of rows, in the folder or two below it.

    Raises:
        SourceError: there is none, or one that leads out of the data set.
    """
    paths = sorted(path for depth in ("*", "*/*", "*/*/*") for path in data.root.glob(depth) if _holds_rows(path))
    found = []
    for path in paths:
        if not within(data.fence, path) or not path.is_file():
            raise SourceError(f"{data.source}: {path} is not a file in the data set; a link must not lead out of it")
        name = path.relative_to(data.root).as_posix()
        split = next((match[1] for part in reversed(name.lower().split("/")) if (match := _SPLIT.search(part))), None)
        found.append(Shard(path, name, SPLITS[split] if split else None))
    if not found:
        raise SourceError(f"{data.source}: no *.parquet and no *.arrow in {data.root}; expected {data.expected}")
    return found


def rows(data: DataSet, shard: Shard, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their numbers, from 0, and of their columns those that are there.

    Raises:
        SourceError: the file is broken, or lacks a column that is needed.
    """
    number = 0
    try:
        for batch in _batches(data, shard.path, columns):
            batch.validate(full=True)  # Arrow trusts a file's offsets: a wrong one would read beyond the file
            for row in range(batch.num_rows):
                yield number, {name: batch.column(name)[row].as_py() for name in batch.schema.names}
                number += 1
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError, pa.ArrowException) as error:
        raise SourceError(f"{data.source}: {shard.path} is broken: {shown(str(error))}; fetch it again") from error


def image_of(data: DataSet, shard: Shard, image: object) -> tuple[bytes | None, Path, str | None]:
    """An image's bytes, or the file that holds them, and what is wrong with it."""
    content, name = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    if isinstance(content, bytes):
        size = len(content)
        return content, shard.path, "empty file" if not size else "file too large" if size > MAX_BYTES else None
    if not isinstance(name, str):
        return None, shard.path, "missing image"
    return None, data.root / name, name_problem(name) or image_problem(data.fence, data.root / name)


def _holds_rows(path: Path) -> bool:
    """Tells whether a file is one of the data set's, not one that `datasets` keeps results of its own in."""
    return path.suffix in (".parquet", ".arrow") and not path.name.startswith((".", "cache-", "tmp", "indices"))


def _batches(data: DataSet, path: Path, columns: Sequence[str]) -> Iterator[Any]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path, buffer_size=2**20) as file:
            present = _present(data, path, file.schema_arrow.names, columns)
            yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=present)
    else:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            present = _present(data, path, stream.schema.names, columns)
            yield from (batch.select(present) for batch in stream)


def _present(data: DataSet, path: Path, names: list[str], columns: Sequence[str]) -> list[str]:
    missing = [name for name in columns if name in data.needed and names.count(name) != 1]
    if missing:
        raise SourceError(f"{data.source}: {path} has no column {', '.join(missing)}, or two; expected {data.expected}")
    return [name for name in columns if name in names]
