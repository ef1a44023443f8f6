"""A data set in, a folder to pass on out: Parquet that `datasets` opens, card, attribution and licences; MURA stays at home.

Two shapes: `hf`, the data set's own columns less what only we need, and `original`, the schema of the project that this
one rebuilds: `id`, `image`, `conversation: {data: [{question, answer}]}`.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from midefics.errors import DataError
from midefics.evidence.dataset_card import dataset_card
from midefics.evidence.papers import Papers
from midefics.licences import licence
from midefics.records import Row
from midefics.services.drafts import draft_path
from midefics.services.parts import SCHEMA

Shape = Literal["original", "hf"]

ROWS_AT_ONCE = 250
ROWS_PER_FILE = 10_000
KEPT_BACK = ("links", "phash", "role", "split")
"""Columns that mean nothing to others: hashed keys, and what the file's name says."""

_TEXT = {"dtype": "string", "_type": "Value"}
_TURN = pa.struct([("question", pa.string()), ("answer", pa.string())])
_ORIGINAL: dict[str, tuple[pa.DataType, object]] = {
    "id": (pa.string(), _TEXT),
    "image": (SCHEMA.field("image").type, {"_type": "Image"}),
    "conversation": (
        pa.struct([("data", pa.list_(_TURN))]),
        {"data": {"feature": {"question": _TEXT, "answer": _TEXT}, "_type": "List"}},
    ),
}


class Exported(NamedTuple):
    """What came of an export."""

    rows: int
    left_out: dict[str, int]
    """Images that may not be passed on, by licence."""


def export(rows: Iterable[Row], folder: Path, shape: Shape, name: str, everything: bool = False) -> Exported:
    """Writes the rows in their order, a few in memory at a time; the folder appears when all is there.

    Args:
        rows: a data set's.
        folder: is made; must not exist, or be empty.
        shape: which columns.
        name: for the card.
        everything: also images that may not be passed on: for your own use, the card says so.

    Raises:
        DataError: the folder is not empty, or nothing may be passed on.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; export into a new folder")
    left_out: Counter[str] = Counter()
    draft = draft_path(folder.absolute().parent)
    draft.mkdir(parents=True)
    try:
        with Papers(draft) as papers, _Files(draft, shape) as files:
            for row in rows:
                terms = licence(row.licence)
                if not terms.redistribution and not everything:
                    left_out[terms.name] += 1
                    continue
                files.add(row)
                papers.add(row)
        if not papers.images:
            raise DataError("nothing of this data set may be passed on; --include-unredistributable for your own use")
        (draft / "README.md").write_text(dataset_card(name, papers, _note(left_out)), encoding="utf-8")
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Exported(papers.images.total(), dict(left_out))


def _note(left_out: Counter[str]) -> str:
    if not left_out:
        return ""
    listed = ", ".join(f"{count:,} ({name})" for name, count in sorted(left_out.items()))
    return f"Left out, because they may not be passed on: {listed} images of the data set that this was exported from."


class _Files:
    """Parquet files by split: `train-00000.parquet`."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self._folder = folder
        self._schema, self._columns = (_original_schema(), _original) if shape == "original" else (_own_schema(), _own)
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._written: Counter[str] = Counter()
        self._writers: dict[str, pq.ParquetWriter] = {}

    def add(self, row: Row) -> None:
        split = row.split or "train"
        waiting = self._waiting.setdefault(split, [])
        waiting.append(self._columns(row))
        if len(waiting) == ROWS_AT_ONCE:
            self._flush(split)

    def _flush(self, split: str) -> None:
        if self._written[split] % ROWS_PER_FILE == 0:
            if split in self._writers:
                self._writers.pop(split).close()
            path = self._folder / f"{split}-{self._written[split] // ROWS_PER_FILE:05d}.parquet"
            self._writers[split] = pq.ParquetWriter(path, self._schema, compression="zstd")
        waiting = self._waiting.pop(split)
        self._writers[split].write_table(pa.Table.from_pylist(waiting, schema=self._schema))
        self._written[split] += len(waiting)

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for split in list(self._waiting):
                self._flush(split)
        for writer in self._writers.values():
            writer.close()


def _original_schema() -> pa.Schema:
    return _schema(
        [(name, kind) for name, (kind, _) in _ORIGINAL.items()],
        {name: feature for name, (_, feature) in _ORIGINAL.items()},
    )


def _original(row: Row) -> dict[str, Any]:
    turns = [turn.model_dump() for turn in row.turns]
    return {"id": row.id, "image": {"bytes": row.image, "path": None}, "conversation": {"data": turns}}


def _own_schema() -> pa.Schema:
    features = json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]
    fields = [(field.name, field.type) for field in SCHEMA if field.name not in KEPT_BACK]
    return _schema(fields, {name: features[name] for name, _ in fields})


def _own(row: Row) -> dict[str, Any]:
    return row.model_dump(exclude=set(KEPT_BACK)) | {
        "image": {"bytes": row.image, "path": None},
        "metadata": json.dumps(row.metadata, sort_keys=True, ensure_ascii=False),
        "labelling": json.dumps(row.labelling, sort_keys=True),
    }


def _schema(fields: list[tuple[str, pa.DataType]], features: dict[str, object]) -> pa.Schema:
    """With what tells `datasets` to decode the pictures."""
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
