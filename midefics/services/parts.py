"""Rows in, Parquet parts with embedded pictures out, and back; `datasets` opens the parts as they are.

A part is `<name>-<number>.parquet`, a thousand rows: `part-00000.parquet`, and in a data set one name a split.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from midefics.errors import StorageError
from midefics.records import Row

ROWS_PER_PART = 1000
ROWS_PER_BATCH = 256

_TEXT = {"dtype": "string", "_type": "Value"}
_NUMBER = {"dtype": "int64", "_type": "Value"}
_TURNS = (
    pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())])),
    {"feature": {"question": _TEXT, "answer": _TEXT}, "_type": "List"},
)
COLUMNS: dict[str, tuple[pa.DataType, object]] = {
    "id": (pa.string(), _TEXT),
    "source": (pa.string(), _TEXT),
    "role": (pa.string(), _TEXT),
    "group": (pa.string(), _TEXT),
    "links": (pa.list_(pa.string()), {"feature": _TEXT, "_type": "List"}),
    "image": (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}),
    "image_sha256": (pa.string(), _TEXT),
    "phash": (pa.string(), _TEXT),
    "width": (pa.int64(), _NUMBER),
    "height": (pa.int64(), _NUMBER),
    "format": (pa.string(), _TEXT),
    "metadata": (pa.string(), _TEXT),
    "licence": (pa.string(), _TEXT),
    "attribution": (pa.string(), _TEXT),
    "turns": _TURNS,
    "text_only": _TURNS,
    "writer": (pa.string(), _TEXT),
    "prompt_version": (pa.string(), _TEXT),
    "labelling": (pa.string(), _TEXT),
    "split": (pa.string(), _TEXT),
}
# The `huggingface` key lets `datasets.load_dataset("parquet", …)` decode the pictures without being told.
SCHEMA = pa.schema(
    [(name, kind) for name, (kind, _) in COLUMNS.items()],
    metadata={
        "huggingface": json.dumps({"info": {"features": {name: feature for name, (_, feature) in COLUMNS.items()}}})
    },
)


def canonical(row: Row) -> bytes:
    """One line that stands for a row in a digest: the same content gives the same bytes, whatever Parquet makes of it."""
    content = row.model_dump(mode="python") | {"image": hashlib.sha256(row.image).hexdigest()}
    if not row.text_only:  # rows from before there was such a thing keep their digests
        del content["text_only"]
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def write_part(rows: Sequence[Row], path: Path) -> None:
    """Writes one part."""
    table = pa.Table.from_pylist([_to_arrow(row) for row in rows], schema=SCHEMA)
    pq.write_table(table, path, compression="zstd")


def read_part(path: Path) -> Iterator[Row]:
    """Reads a part's rows in their order, a batch in memory at a time.

    Raises:
        StorageError: the file is damaged, or holds the rows of another version of midefics.
    """
    try:
        with path.open("rb") as file:
            yield from map(from_arrow, read_columns(file, None, str(path)))
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise StorageError(
            f"{path}: rows of another version of midefics ({field}: {error.errors()[0]['msg']}); run the stage that makes it again"
        ) from error


def read_columns(file: BinaryIO, columns: Sequence[str] | None, origin: str) -> Iterator[dict[str, Any]]:
    """Reads some columns of a part, all where None; of an object in a bucket no other bytes are fetched.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        with pq.ParquetFile(file) as part:
            for batch in part.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise StorageError(f"{origin} is damaged ({error}); delete it and run the stage that makes it again") from error


def _to_arrow(row: Row) -> dict[str, object]:
    return row.model_dump() | {
        "image": {"bytes": row.image, "path": None},
        "metadata": json.dumps(row.metadata, sort_keys=True, ensure_ascii=False),
        "labelling": json.dumps(row.labelling, sort_keys=True),
    }


def from_arrow(columns: dict[str, Any]) -> Row:
    """A row out of a part's columns; without its picture where that was not read."""
    image = columns.get("image") or {"bytes": b""}
    texts = {name: json.loads(str(columns.get(name) or "{}")) for name in ("metadata", "labelling")}
    return Row.model_validate(columns | texts | {"image": image["bytes"]})
