"""An archive's address in, a local folder with its files out: what changed in the bucket since the last time is fetched.

An index (SQLite, beside the folder) holds each file's size and ETag. It is written after the file, a batch at a time,
so a kill costs one batch; a million files take no memory.
"""

import fcntl
import hashlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import TYPE_CHECKING

from midefics.errors import SourceError, StorageError
from midefics.services import Services
from midefics.services.drafts import new_draft

if TYPE_CHECKING:  # boto3 is loaded where an archive is in S3
    from midefics.services.s3 import Bucket, Listed

log = logging.getLogger(__name__)

FILES_AT_ONCE = 512


def local_archive(name: str, path: str, services: Services) -> Path:
    """A source's folder; one in S3 is mirrored to `cache/archives/` first.

    Raises:
        SourceError: nothing is there, or a key can't be a file's name.
        StorageError: the bucket can't be read, or the disk is full.
    """
    home = services.settings.home
    if "://" not in path:
        return home / path
    from midefics.services.s3 import Bucket

    bucket = Bucket(path)
    # Another address is another archive, even under the same name.
    place = hashlib.sha256(f"{bucket.client.meta.endpoint_url} {bucket.address()}".encode()).hexdigest()[:8]
    folder = home / "cache" / "archives" / f"{name}-{place}"
    try:
        mirror(bucket, folder, services)
    except OSError as error:
        raise StorageError(
            f"{name}: can't mirror {path} to {error.filename or folder}: {error.strerror or error}; "
            "free some space, or set MIDEFICS_HOME to a larger disk"
        ) from error
    return folder


def mirror(bucket: "Bucket", folder: Path, services: Services) -> None:
    """Makes the folder hold what the bucket holds; one process at a time does."""
    started, fetched, files = time.monotonic(), 0, 0
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder), closing(_index(folder)) as index, services.progress.track("mirror") as counter:
        objects = (one for one in bucket.objects() if not one.key.endswith("/"))  # a "folder" that some tools make
        index.execute("UPDATE files SET seen = 0")
        while batch := list(islice(objects, FILES_AT_ONCE)):
            wanted = [one for one in batch if not _unchanged(one, index, folder)]
            if wanted:
                _fetch(wanted, bucket, folder)
            rows = ((one.key, one.bytes, one.etag) for one in batch)
            index.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, 1)", rows)
            index.commit()
            fetched, files = fetched + len(wanted), files + len(batch)
            counter.advance(len(batch), note=bucket.address())
        if not files:
            raise SourceError(f"no objects under {bucket.address()}/; is the address right?")
        gone = _remove_vanished(index, folder)
    log.info(
        "mirror: %s, %s files, %s fetched, %s gone, %.1f s",
        bucket.address(), files, fetched, gone, time.monotonic() - started,
    )  # fmt: skip


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _index(folder: Path) -> sqlite3.Connection:
    index = sqlite3.connect(folder.with_name(f"{folder.name}.db"))
    index.execute("CREATE TABLE IF NOT EXISTS files (key TEXT PRIMARY KEY, bytes INTEGER, etag TEXT, seen INTEGER)")
    return index


def _unchanged(found: "Listed", index: sqlite3.Connection, folder: Path) -> bool:
    known = index.execute("SELECT bytes, etag FROM files WHERE key = ?", (found.key,)).fetchone()
    file = folder / found.key
    return known == (found.bytes, found.etag) and file.is_file() and file.stat().st_size == found.bytes


def _fetch(wanted: "list[Listed]", bucket: "Bucket", folder: Path) -> None:
    for one in wanted:
        _refuse_bad_name(one.key, bucket)
    draft = new_draft(folder.parent)
    try:
        bucket.download((one, draft / one.key) for one in wanted)
        for one in wanted:
            target = folder / one.key
            target.parent.mkdir(parents=True, exist_ok=True)
            (draft / one.key).replace(target)
    finally:
        rmtree(draft, ignore_errors=True)


def _refuse_bad_name(key: str, bucket: "Bucket") -> None:
    parts = key.split("/")
    if PurePosixPath(key).is_absolute() or "\0" in key or {"", ".", ".."} & set(parts):
        raise SourceError(f"{bucket.address()}/: the key {key!r} can't be a file's name; rename or remove it")


def _remove_vanished(index: sqlite3.Connection, folder: Path) -> int:
    """Deletes the files whose objects are gone, and folders that this left empty."""
    gone = [key for (key,) in index.execute("SELECT key FROM files WHERE seen = 0")]
    for key in gone:
        (folder / key).unlink(missing_ok=True)
        for parent in (folder / key).parents:
            if parent == folder:
                break
            with suppress(OSError):  # others are still in it
                parent.rmdir()
    index.execute("DELETE FROM files WHERE seen = 0")
    index.commit()
    return len(gone)
