"""Rows and files in, immutable content-addressed folders and their manifests out.

A stage's output is `<kind>/<first 16 digits of its digest>/`: Parquet parts with embedded pictures (or plain files),
`quarantine.jsonl`, and `manifest.json`. It is drafted in a hidden folder beside and appears by one rename, manifest
included: a stage that is killed leaves nothing behind that a reader could take for a result.
"""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from midefics.errors import StorageError
from midefics.records import Kind, Manifest, Rejected, Row, Scalar

ROWS_PER_PART = 1000
DRAFT_PREFIX = ".draft-"
MANIFEST = "manifest.json"
QUARANTINE = "quarantine.jsonl"

_TEXT = {"dtype": "string", "_type": "Value"}
_NUMBER = {"dtype": "int64", "_type": "Value"}
_COLUMNS: dict[str, tuple[pa.DataType, object]] = {
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
    "turns": (
        pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())])),
        {"feature": {"question": _TEXT, "answer": _TEXT}, "_type": "List"},
    ),
    "writer": (pa.string(), _TEXT),
    "prompt_version": (pa.string(), _TEXT),
    "labelling": (pa.string(), _TEXT),
    "split": (pa.string(), _TEXT),
}
# The `huggingface` key lets `datasets.load_dataset("parquet", …)` decode the pictures without being told.
SCHEMA = pa.schema(
    [(name, kind) for name, (kind, _) in _COLUMNS.items()],
    metadata={
        "huggingface": json.dumps({"info": {"features": {name: feature for name, (_, feature) in _COLUMNS.items()}}})
    },
)


class Draft:
    """A stage's output while it is being written; `manifest` is there once the `with` block has ended."""

    def __init__(self, kind: Kind, path: Path, parents: Iterable[str]) -> None:
        self.kind: Kind = kind
        self.path = path
        """Plain files may be written here; they become part of the output and its digest."""
        self.parents = tuple(parents)
        self.facts: dict[str, Scalar] = {}
        self.rows = 0
        self.rejected: dict[str, int] = {}
        self.manifest: Manifest
        self._hash = hashlib.sha256(kind.encode())
        self._waiting: list[Row] = []
        self._parts = 0

    def add(self, row: Row) -> None:
        """Appends one row; the order of the rows is part of the digest."""
        self._hash.update(_canonical(row))
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == ROWS_PER_PART:
            self._write_part()

    def reject(self, rejected: Rejected) -> None:
        """Puts one row in quarantine."""
        line = rejected.model_dump_json().encode() + b"\n"
        self._hash.update(line)
        with (self.path / QUARANTINE).open("ab") as file:
            file.write(line)
        self.rejected[rejected.reason] = self.rejected.get(rejected.reason, 0) + 1

    def take(self, outcome: Row | Rejected) -> None:
        """Appends a row, or puts it in quarantine."""
        if isinstance(outcome, Rejected):
            self.reject(outcome)
        else:
            self.add(outcome)

    def digest(self) -> str:
        """What the manifest would say now: of the rows, the quarantine and the files so far."""
        content = self._hash.copy()
        for file in self._files():
            if file.suffix != ".parquet" and file.name != QUARANTINE:
                content.update(f"{file.relative_to(self.path).as_posix()}:{file_digest(file)}\n".encode())
        return content.hexdigest()

    def close(self) -> Manifest:
        """Writes the last part and the manifest."""
        if self._waiting:
            self._write_part()
        digest = self.digest()
        size = sum(file.stat().st_size for file in self._files())
        self.manifest = Manifest(
            kind=self.kind,
            uri=f"{self.kind}/{digest[:16]}",
            rows=self.rows,
            bytes=size,
            digest=digest,
            parents=self.parents,
            rejected=self.rejected,
            facts=self.facts,
        )
        (self.path / MANIFEST).write_text(self.manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return self.manifest

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    def _write_part(self) -> None:
        table = pa.Table.from_pylist([_to_arrow(row) for row in self._waiting], schema=SCHEMA)
        pq.write_table(table, self.path / f"part-{self._parts:05d}.parquet", compression="zstd")
        self._parts += 1
        self._waiting = []


class Storage:
    """A local folder of stage outputs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def draft(self, kind: Kind, parents: Iterable[str] = ()) -> Iterator[Draft]:
        """Opens an output for writing; it is published when the block ends, and vanishes when it raises.

        Raises:
            StorageError: the disk is full or not writable; nothing is kept.
        """
        folder = self.root / kind
        path = folder / f"{DRAFT_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            path.mkdir(parents=True)
            self._remove_abandoned(folder)
            draft = Draft(kind, path, parents)
            yield draft
            self._publish(draft.close(), path)
        except OSError as error:
            raise _explained(error, self.root) from error
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def folder(self, manifest: Manifest) -> Path:
        """Where an output's files are.

        Raises:
            StorageError: they are gone.
        """
        path = self.root / manifest.uri
        if not (path / MANIFEST).is_file():
            raise StorageError(
                f"{manifest.kind} {manifest.digest[:16]} is not in {self.root}; run the stage that makes it again"
            )
        return path

    def rows(self, manifest: Manifest) -> Iterator[Row]:
        """Reads an output's rows in their order, a batch in memory at a time."""
        for part in sorted(self.folder(manifest).glob("part-*.parquet")):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(batch_size=256):
                    yield from map(_from_arrow, batch.to_pylist())

    def rejected(self, manifest: Manifest) -> list[Rejected]:
        """Reads an output's quarantine."""
        path = self.folder(manifest) / QUARANTINE
        return [Rejected.model_validate_json(line) for line in path.read_bytes().splitlines()] if path.is_file() else []

    def find(self, reference: str) -> Manifest:
        """Turns a manifest's JSON, its file, its folder or its uri (`images/3f9c…`) into the manifest.

        Raises:
            StorageError: the reference names no manifest.
        """
        if reference.lstrip().startswith("{"):
            return _parse(reference, "the manifest given")
        for path in (Path(reference), self.root / reference):
            file = path / MANIFEST if path.is_dir() else path
            if file.is_file():
                return _parse(file.read_text(encoding="utf-8"), str(file))
        raise StorageError(f"{reference}: no manifest there; give a manifest's file, folder or JSON")

    def remember(self, run: str, manifest: Manifest) -> None:
        """Makes an output the newest of its kind for runs of this configuration."""
        path = self.root / "latest" / run / f"{manifest.kind}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(manifest.model_dump_json() + "\n", encoding="utf-8")
        part.replace(path)

    def latest(self, run: str, kind: Kind) -> Manifest | None:
        """The newest output of a kind for runs of this configuration."""
        path = self.root / "latest" / run / f"{kind}.json"
        return _parse(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None

    def _publish(self, manifest: Manifest, path: Path) -> None:
        target = self.root / manifest.uri
        try:
            path.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            # The same content is there already: keep it, with the newest facts beside it.
            (path / MANIFEST).replace(target / MANIFEST)

    @staticmethod
    def _remove_abandoned(folder: Path) -> None:
        for draft in folder.glob(f"{DRAFT_PREFIX}*"):
            if not psutil.pid_exists(int(draft.name.removeprefix(DRAFT_PREFIX).split("-")[0])):
                shutil.rmtree(draft, ignore_errors=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(text: str, origin: str) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise StorageError(f"{origin} is not a manifest: {error.errors()[0]['msg']}") from error


def _explained(error: OSError, root: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            f"no space left under {root}; free some, or set MIDEFICS_HOME to a larger disk. Nothing half-written was kept"
        )
    return StorageError(f"{error.filename or root}: {error.strerror or error}; is it writable?")


def _canonical(row: Row) -> bytes:
    content = row.model_dump(mode="python") | {"image": hashlib.sha256(row.image).hexdigest()}
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _to_arrow(row: Row) -> dict[str, object]:
    return row.model_dump() | {
        "image": {"bytes": row.image, "path": None},
        "metadata": json.dumps(row.metadata, sort_keys=True, ensure_ascii=False),
        "labelling": json.dumps(row.labelling, sort_keys=True),
    }


def _from_arrow(columns: dict[str, object]) -> Row:
    image = cast("dict[str, bytes]", columns["image"])
    texts = {name: json.loads(str(columns.get(name) or "{}")) for name in ("metadata", "labelling")}
    return Row.model_validate(columns | texts | {"image": image["bytes"]})
