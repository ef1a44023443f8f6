"""Stage outputs in S3: drafted on this machine's disk, uploaded with the manifest last, fetched once where they are read.

An output's content never changes, so the copy in `cache/objects/` never goes stale. It holds no manifest: the facts in
that may change, and it is always asked for. No write is conditional, as two writers of one uri write the same content.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

from midefics.errors import StorageError
from midefics.services.drafts import abandoned_drafts, leftover, new_draft
from midefics.services.object_store import FOLDERS, MANIFEST, Folder, Leftover, Stored
from midefics.services.s3 import Bucket, Listed


class S3Store:
    """An `ObjectStore` under a prefix of a bucket; any number of machines may share it.

    Args:
        location: `s3://bucket/prefix`.
        cache: a folder for drafts and for copies of what was read; a full one may be deleted at any time.
    """

    def __init__(self, location: str, cache: Path) -> None:
        self.bucket = Bucket(location)
        self._drafts, self._copies = cache / "drafts", cache / "objects"

    @property
    def disk(self) -> Path:
        """Where drafts and copies are."""
        return self._drafts.parent

    def address(self, key: str = "") -> str:
        """The s3:// address."""
        return self.bucket.address(key)

    def new_draft(self, kind: Folder) -> Path:  # noqa: ARG002 (a bucket has no folder beside)
        """On this machine's disk."""
        return new_draft(self._drafts)

    def publish(self, draft: Path, uri: str) -> None:
        """Uploads the files, then the manifest; the draft stays as the copy that readers here use."""
        paths = [path for path in sorted(draft.rglob("*")) if path.is_file()]
        files = {f"{uri}/{path.relative_to(draft).as_posix()}": path for path in paths}
        manifest = files.pop(f"{uri}/{MANIFEST}")
        there = (found.key for found in self.bucket.objects(f"{uri}/"))
        # What an upload killed earlier left, if it cut the rows into other parts than this one.
        self.bucket.delete([key for key in there if key not in files and not key.endswith(f"/{MANIFEST}")])
        self.bucket.upload(files)
        self.bucket.put(f"{uri}/{MANIFEST}", manifest.read_bytes())
        manifest.unlink()
        self._keep(draft, uri)

    def folder(self, uri: str) -> Path | None:
        """The copy on this machine, fetched where there is none yet."""
        copy = self._copies / uri
        if copy.is_dir():
            return copy
        found = self._whole(uri)
        if found is None:
            return None
        draft = new_draft(copy.parent)
        try:
            self.bucket.download((one, draft / one.key.removeprefix(f"{uri}/")) for one in found)
            self._keep(draft, uri)
        finally:
            rmtree(draft, ignore_errors=True)
        return copy

    def parts(self, uri: str) -> Iterator[BinaryIO]:
        """From the copy where there is one; else only the bytes that are read are fetched."""
        copy = self._copies / uri
        if copy.is_dir():
            for path in sorted(copy.glob("*.parquet")):
                with path.open("rb") as file:
                    yield file
            return
        for found in self._whole(uri) or ():
            if found.key.endswith(".parquet") and found.key.count("/") == uri.count("/") + 1:
                with self.bucket.open(found) as file:
                    yield file

    def read(self, key: str) -> Stored | None:
        """An object's content."""
        found = self.bucket.get(key)
        return Stored(*found) if found else None

    def write(self, key: str, content: bytes) -> None:
        """One request; S3 shows an object whole or not at all."""
        self.bucket.put(key, content)

    def keys(self, prefix: str) -> Iterator[str]:
        """In the order of the listing."""
        return (found.key for found in self.bucket.objects(prefix))

    def uris(self, kind: Folder) -> Iterator[str]:
        """One entry an output, however many objects are in it."""
        return (f"{kind}/{name}" for name in self.bucket.folders(f"{kind}/"))

    def size(self, uri: str) -> int:
        """By the listing."""
        return sum(found.bytes for found in self._files(uri))

    def delete(self, uri: str) -> None:
        """The manifest first: from then on nobody believes the rest. The copy here goes too."""
        self.bucket.delete([f"{uri}/{MANIFEST}"])
        self.bucket.delete(self.keys(f"{uri}/"))
        rmtree(self._copies / uri, ignore_errors=True)

    def leftovers(self, older_than_s: float) -> Iterator[Leftover]:
        """Drafts of dead processes, copies of outputs that are gone, uploads that were never completed."""
        yield from abandoned_drafts(self._drafts, older_than_s)
        for kind in FOLDERS:
            yield from abandoned_drafts(self._copies / kind, older_than_s)
            for copy in sorted((self._copies / kind).glob("[!.]*/")):
                if self.read(f"{kind}/{copy.name}/{MANIFEST}") is None:
                    yield leftover(copy)
            for uri in self.uris(kind):
                yield from self._without_manifest(uri, older_than_s)
        for key, upload, begun in self.bucket.uploads():
            if time.time() - begun.timestamp() >= older_than_s:
                yield Leftover(f"{self.address(key)} (upload in parts)", 0, partial(self.bucket.give_up, key, upload))

    def _whole(self, uri: str) -> list[Listed] | None:
        """The objects of an output beside its manifest.

        Raises:
            StorageError: some of them are missing.
        """
        manifest = self.read(f"{uri}/{MANIFEST}")
        if manifest is None:
            return None
        found = self._files(uri)
        size, expected = sum(one.bytes for one in found), int(json.loads(manifest.content)["bytes"])
        if size != expected:
            raise StorageError(
                f"{self.address(uri)} holds {size:,} bytes, its manifest says {expected:,}; "
                "run the stage that makes it again"
            )
        return found

    def _files(self, uri: str) -> list[Listed]:
        return [one for one in self.bucket.objects(f"{uri}/") if one.key != f"{uri}/{MANIFEST}"]

    def _without_manifest(self, uri: str, older_than_s: float) -> Iterator[Leftover]:
        if self.read(f"{uri}/{MANIFEST}") is None:
            found = list(self.bucket.objects(f"{uri}/"))
            if found and time.time() - max(one.changed.timestamp() for one in found) >= older_than_s:
                yield Leftover(self.address(uri), sum(one.bytes for one in found), partial(self.delete, uri))

    def _keep(self, draft: Path, uri: str) -> None:
        copy = self._copies / uri
        copy.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # another process of this machine was first, with the same content
            draft.rename(copy)
