"""Rows and files in, immutable content-addressed outputs and their manifests out: in a local folder or in S3.

A stage's output is `<kind>/<first 16 digits of its digest>/`: Parquet parts with embedded pictures (or plain files),
`quarantine.jsonl`, and `manifest.json`. It is written in a draft that readers don't see, and its manifest comes last
(in a folder: by the same rename as the rest): a stage that is killed leaves nothing behind that a reader could take
for a result.
"""

import errno
import hashlib
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from midefics.errors import StorageError
from midefics.records import Kind, Manifest, Rejected, Row
from midefics.services.draft import QUARANTINE, Draft, as_file, with_files
from midefics.services.local_store import LocalStore
from midefics.services.object_store import MANIFEST, POINTERS, ObjectStore
from midefics.services.parts import read_columns, read_part

KINDS: tuple[Kind, ...] = get_args(Kind)
MANIFESTS_AT_ONCE = 16


class Output(NamedTuple):
    """One whole output, and when its manifest was last written."""

    manifest: Manifest
    changed: datetime


class Storage:
    """Stage outputs, wherever they are kept."""

    def __init__(self, place: Path | ObjectStore) -> None:
        self.store = LocalStore(place) if isinstance(place, Path) else place

    @classmethod
    def at(cls, location: str | None, home: Path) -> "Storage":
        """Storage in a folder or in `s3://bucket/prefix`; `<home>/data` where no location is given.

        Raises:
            ConfigError: an address of another kind.
        """
        if location is None or "://" not in location:
            return cls(Path(location) if location else home / "data")
        from midefics.services.s3_store import S3Store

        return cls(S3Store(location, home / "cache"))

    def address(self, manifest: Manifest) -> str:
        """Where an output is kept: a path, or an address in S3."""
        return self.store.address(manifest.uri)

    @contextmanager
    def draft(self, kind: Kind, parents: Iterable[str] = ()) -> Iterator[Draft]:
        """Opens an output for writing; it is published when the block ends, and vanishes when it raises.

        Raises:
            StorageError: the disk is full or not writable, or the bucket does not take it; nothing is kept.
        """
        path: Path | None = None
        with self._explained():
            try:
                path = self.store.new_draft(kind)
                draft = Draft(kind, path, parents)
                yield draft
                draft.manifest = self._publish(draft.close(), path)
            finally:
                if path:
                    rmtree(path, ignore_errors=True)

    def folder(self, manifest: Manifest) -> Path:
        """A local folder with an output's files; from S3 they are fetched once.

        Raises:
            StorageError: they are gone.
        """
        with self._explained():
            path = self.store.folder(manifest.uri)
        if path is None:
            raise StorageError(
                f"{manifest.kind} {manifest.digest[:16]} is not in {self.store.address()}; run the stage that makes it again"
            )
        return path

    def checked_folder(self, manifest: Manifest) -> Path:
        """The same, of an output that is files alone, after every byte of them was read and compared with its digest.

        Raises:
            StorageError: they are gone, or not what was stored.
        """
        folder = self.folder(manifest)
        found = with_files(hashlib.sha256(manifest.kind.encode()), folder)
        if found != manifest.digest:
            raise StorageError(
                f"{folder}: its files have digest {found[:16]}, not {manifest.digest[:16]}; they were changed"
            )
        return folder

    def rows(self, manifest: Manifest) -> Iterator[Row]:
        """Reads an output's rows, a batch in memory at a time: in their order, those of a data set split by split.

        Raises:
            StorageError: some are missing, which is known at the end.
        """
        count = 0
        for part in sorted(self.folder(manifest).glob("*.parquet")):
            for row in read_part(part):
                count += 1
                yield row
        if count != manifest.rows:
            raise StorageError(
                f"{self.address(manifest)} has {count:,} of its {manifest.rows:,} rows; run the stage that makes it again"
            )

    def columns(self, manifest: Manifest, *names: str) -> Iterator[dict[str, Any]]:
        """Some columns of an output's rows, in the same order; from S3 no more than they need is fetched."""
        for part in self.store.parts(manifest.uri):
            yield from read_columns(part, names, self.address(manifest))

    def rejected(self, manifest: Manifest) -> list[Rejected]:
        """Reads an output's quarantine."""
        path = self.folder(manifest) / QUARANTINE
        return [Rejected.model_validate_json(line) for line in path.read_bytes().splitlines()] if path.is_file() else []

    def find(self, reference: str) -> Manifest:
        """Turns a manifest's JSON, its file, its folder, its address, uri (`images/3f9c…`) or digest into the manifest.

        Raises:
            StorageError: the reference names no manifest.
        """
        if reference.lstrip().startswith("{"):
            return _parse(reference, "the manifest given")
        file = Path(reference) / MANIFEST if Path(reference).is_dir() else Path(reference)
        if file.is_file():
            return _parse(file.read_bytes(), str(file))
        uri = reference.removeprefix(self.store.address()).strip("/").removesuffix(f"/{MANIFEST}")
        output = self.of_digest(reference) if re.fullmatch("[0-9a-f]{16,64}", reference) else self.output(uri)
        if output is None:
            raise StorageError(f"{reference}: no manifest there; give a manifest's file, folder or JSON")
        return output.manifest

    def of_digest(self, digest: str) -> Output | None:
        """The whole output of a digest, or of the first 16 digits of it, if there is one."""
        found = (self.output(f"{kind}/{digest[:16]}") for kind in KINDS)
        return next((output for output in found if output and output.manifest.digest.startswith(digest)), None)

    def outputs(self, *kinds: Kind) -> Iterator[Output]:
        """Every whole output of these kinds, of all where none is given; a few manifests are read at once."""
        uris = (uri for kind in kinds or KINDS for uri in self.store.uris(kind))
        with ThreadPoolExecutor(MANIFESTS_AT_ONCE) as pool, self._explained():
            while batch := list(islice(uris, MANIFESTS_AT_ONCE)):
                yield from filter(None, pool.map(self.output, batch))

    def output(self, uri: str) -> Output | None:
        """The whole output of this uri, if there is one."""
        stored = self.store.read(f"{uri}/{MANIFEST}")
        return Output(_parse(stored.content, self.store.address(uri)), stored.changed) if stored else None

    def holds(self, manifest: Manifest) -> bool:
        """Whether an output is there with all its files, whatever copies this machine has."""
        there = self.output(manifest.uri)
        return there is not None and there.manifest.bytes == self.store.size(manifest.uri)

    def remember(self, run: str, manifest: Manifest) -> None:
        """Makes an output the newest of its kind for runs of this configuration."""
        with self._explained():
            self.store.write(f"{POINTERS}{run}/{manifest.kind}.json", manifest.model_dump_json().encode() + b"\n")

    def latest(self, run: str, kind: Kind) -> Manifest | None:
        """The newest output of a kind for runs of this configuration."""
        return self._manifest(f"{POINTERS}{run}/{kind}.json")

    def pointers(self) -> Iterator[tuple[str, Manifest]]:
        """Configurations' names, each with the newest output of one kind."""
        for key in self.store.keys(POINTERS):
            if key.endswith(".json") and (manifest := self._manifest(key)):
                yield key.split("/")[1], manifest

    def _publish(self, manifest: Manifest, path: Path) -> Manifest:
        there = self.output(manifest.uri)
        if there and there.manifest.bytes == self.store.size(manifest.uri):
            # The same content is there already: keep it, with the newest facts beside it. Another version of
            # Parquet's writer may have given its files another size.
            manifest = manifest.model_copy(update={"bytes": there.manifest.bytes})
            self.store.write(f"{manifest.uri}/{MANIFEST}", as_file(manifest))
            return manifest
        if there:  # it has lost files
            self.store.delete(manifest.uri)
        self.store.publish(path, manifest.uri)
        return manifest

    def _manifest(self, key: str) -> Manifest | None:
        with self._explained():
            stored = self.store.read(key)
        return _parse(stored.content, self.store.address(key)) if stored else None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _explanation(error, self.store.disk) from error


def _parse(text: str | bytes, origin: str) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise StorageError(f"{origin} is not a manifest: {error.errors()[0]['msg']}") from error


def _explanation(error: OSError, disk: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            f"no space left under {disk}; free some, or set MIDEFICS_HOME to a larger disk. Nothing half-written was kept"
        )
    return StorageError(f"{error.filename or disk}: {error.strerror or error}; is it writable?")
