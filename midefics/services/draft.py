"""Rows, rejected rows and files in, one stage's output in a folder out: parts, quarantine, and the manifest last."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from midefics.records import Kind, Manifest, Rejected, Row, Scalar
from midefics.services.object_store import MANIFEST
from midefics.services.parts import ROWS_PER_PART, canonical, write_part

QUARANTINE = "quarantine.jsonl"


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
        self._waiting: dict[str, list[Row]] = {}
        self._parts: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Appends one row; the order of the rows is part of the digest. In a data set every split has its own parts."""
        self._hash.update(canonical(row))
        name = (row.split if self.kind == "dataset" else None) or "part"
        self._waiting.setdefault(name, []).append(row)
        self.rows += 1
        if len(self._waiting[name]) == ROWS_PER_PART:
            self._write_part(name)

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
        return with_files(self._hash.copy(), self.path)

    def close(self) -> Manifest:
        """Writes the last parts and the manifest."""
        for name in sorted(self._waiting):
            self._write_part(name)
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
        (self.path / MANIFEST).write_bytes(as_file(self.manifest))
        return self.manifest

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    def _write_part(self, name: str) -> None:
        write_part(self._waiting.pop(name), self.path / f"{name}-{self._parts[name]:05d}.parquet")
        self._parts[name] += 1


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_files(content: "hashlib._Hash", folder: Path) -> str:
    """The digest of what is known so far and of a draft's plain files."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.suffix != ".parquet" and file not in (folder / QUARANTINE, folder / MANIFEST):
            content.update(f"{file.relative_to(folder).as_posix()}:{file_digest(file)}\n".encode())
    return content.hexdigest()


def as_file(manifest: Manifest) -> bytes:
    """A manifest's file."""
    return manifest.model_dump_json(indent=2).encode() + b"\n"
