"""A training's state in, written whole or not at all; its newest whole state out, on this machine or on another.

A checkpoint is `checkpoints/<training>-<step>/`: plain files, and a manifest with their digests that comes last.
"""

import errno
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from midefics.errors import StorageError, UnreachableError
from midefics.services.draft import file_digest
from midefics.services.object_store import CHECKPOINTS, MANIFEST, Leftover, ObjectStore

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Checkpoint(NamedTuple):
    """The state of a training after one of its steps."""

    step: int
    folder: Path
    facts: dict[str, Any]
    """What was given to `save` with it."""


class Checkpoints:
    """Those of one training.

    Args:
        store: where they are kept: under MIDEFICS_HOME, or in the bucket with copies on this machine's disk.
        training: its identity, 64 digits: a checkpoint of another is never given out.
        keep: how many of the newest stay.
    """

    def __init__(self, store: ObjectStore, training: str, keep: int) -> None:
        self._store, self._training, self._keep = store, training, keep

    def save(self, step: int, write: Callable[[Path], None], facts: dict[str, Any]) -> None:
        """Keeps the state after a step; `write` fills an empty folder with its files.

        Where the bucket does not answer the training goes on, with the checkpoint before. One of a later step is there
        only if it is damaged: it does not count among those that stay.

        Raises:
            StorageError: the disk is full or not writable; earlier checkpoints are as they were.
        """
        try:
            self._publish(step, write, facts)
            log.info("checkpoint of step %s is in %s", step, self._store.address(self._uri(step)))
            for old in [there for there in self._steps() if there <= step][self._keep :]:
                self._delete(old)
        except UnreachableError as error:
            log.warning("checkpoint of step %s: %s; the training goes on", step, error)

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole; a damaged one is told of in the log and passed over.

        Raises:
            UnreachableError: the bucket does not answer.
        """
        for step in self._steps():
            try:
                return self._whole(step)
            except UnreachableError:
                raise
            except (StorageError, OSError, ValueError, KeyError) as error:
                log.warning("checkpoint of step %s is damaged (%s); trying the one before", step, error)
        return None

    def at(self, step: int) -> Checkpoint:
        """The one of a step.

        Raises:
            StorageError: it is not there, or damaged.
        """
        try:
            return self._whole(step)
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(f"checkpoint of step {step} can't be read: {error}") from error

    def clear(self) -> None:
        """Removes all of them, finished or not."""
        for step in self._steps():
            self._delete(step)

    def _publish(self, step: int, write: Callable[[Path], None], facts: dict[str, Any]) -> None:
        draft = self._store.new_draft(CHECKPOINTS)
        try:
            write(draft)
            files = {path.relative_to(draft).as_posix(): path for path in sorted(draft.rglob("*")) if path.is_file()}
            manifest = {
                "training": self._training,
                "step": step,
                "bytes": sum(path.stat().st_size for path in files.values()),
                "files": {name: file_digest(path) for name, path in files.items()},
                "facts": facts,
            }
            (draft / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            self._delete(step)  # a damaged one, or one that a step done once more makes again
            self._store.publish(draft, self._uri(step))
        except StorageError:
            raise
        except Exception as error:  # torch and safetensors have errors of their own for a disk that is full
            raise StorageError(self._explanation(step, error, draft)) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _whole(self, step: int) -> Checkpoint:
        stored = self._store.read(f"{self._uri(step)}/{MANIFEST}")
        folder = self._store.folder(self._uri(step))
        if stored is None or folder is None:
            raise StorageError("it was not finished")
        manifest = json.loads(stored.content)
        if manifest["training"] != self._training:
            raise StorageError("it is of another training")
        for name, digest in manifest["files"].items():
            if file_digest(folder / name) != digest:
                raise StorageError(f"{name} is not as it was written")
        return Checkpoint(step, folder, manifest["facts"])

    def _steps(self) -> list[int]:
        """The newest first."""
        prefix = self._uri(0).removesuffix(f"{0:08d}")
        there = (uri.removeprefix(prefix) for uri in self._store.uris(CHECKPOINTS) if uri.startswith(prefix))
        return sorted((int(step) for step in there if step.isdigit()), reverse=True)

    def _uri(self, step: int) -> str:
        return f"{CHECKPOINTS}/{self._training[:16]}-{step:08d}"

    def _delete(self, step: int) -> None:
        _delete(self._store, self._uri(step))

    def _explanation(self, step: int, error: Exception, draft: Path) -> str:
        disk = self._store.disk
        free_mb = shutil.disk_usage(disk).free / 1e6
        written_mb = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file()) / 1e6
        why = " ".join(str(error).split())[:200]
        full = getattr(error, "errno", None) in FULL or free_mb < max(1.0, written_mb)
        problem = f"no space left under {disk}" if full else f"{disk} does not take it"
        earlier = next((f"; the one of step {old} is whole" for old in self._steps() if old != step), "")
        return (
            f"checkpoint of step {step} could not be written: {problem} ({why}; {written_mb:.1f} MB written, "
            f"{free_mb:.0f} MB free){earlier}. Free some space, and the same command goes on from there"
        )


def given_up(store: ObjectStore, older_than_s: float) -> Iterator[Leftover]:
    """Checkpoints of trainings that nobody has gone on with for so long."""
    for uri in store.uris(CHECKPOINTS):
        stored = store.read(f"{uri}/{MANIFEST}")
        if stored and time.time() - stored.changed.timestamp() > older_than_s:
            yield Leftover(store.address(uri), store.size(uri), partial(_delete, store, uri))


def _delete(store: ObjectStore, uri: str) -> None:
    with suppress(FileNotFoundError):
        store.delete(uri)
