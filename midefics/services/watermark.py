"""What an archive held when it was last read in; whether anything has changed since, and which pictures need not be made again, out.

A file whose size and time of change are as they were is taken for the same file. The watermark is a convenience of this
machine, kept in the cache: without it everything is read again, to the same digest.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from midefics.records import Case, Digest, Manifest, Record, Rejected, Row
from midefics.services.storage import Storage

log = logging.getLogger(__name__)

Found = Case | Rejected


class Paired(NamedTuple):
    """What the archive lists, and what was made of it last time if the file is still the same."""

    found: Found
    stamp: str
    """Size and time of change of the image's file; empty where there is no usable one."""
    made: Row | None


class _State(Record):
    settings: str
    """What pictures are made with: others are not used again."""
    fingerprint: Digest
    manifest: Manifest


class Watermark:
    """The state after the last ingest of some sources in one configuration."""

    def __init__(self, folder: Path, name: str, settings: str, storage: Storage) -> None:
        self._state_file, self._stamp_file = folder / f"{name}.json", folder / f"{name}.stamps"
        self._settings, self._storage = settings, storage
        self._state = self._read_state()
        self._new_stamps: dict[str, str] = {}

    def unchanged(self, fingerprint: str) -> Manifest | None:
        """The last ingest's output, where it was of just this and is still there."""
        state = self._state
        if state is None or (state.settings, state.fingerprint) != (self._settings, fingerprint):
            return None
        return state.manifest

    def beside(self, listed: Iterable[Found]) -> Iterator[Paired]:
        """Pairs what is listed, in the order of ids, with the rows made last time."""
        stamps, rows = self._read_stamps(), self._rows_made()
        row = next(rows, None)
        for found in listed:
            mark = stamp(found)
            while row and row.id < found.id:
                row = next(rows, None)
            same = row is not None and row.id == found.id and mark and stamps.get(found.id) == mark
            yield Paired(found, mark, row if same else None)
            if mark:
                self._new_stamps[found.id] = mark

    def advance(self, fingerprint: str, manifest: Manifest) -> None:
        """Remembers the ingest that has just ended; the state is written last, so a kill in between forgets, and nothing worse."""
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        self._state_file.unlink(missing_ok=True)
        lines = "".join(f"{json.dumps([identifier, mark])}\n" for identifier, mark in self._new_stamps.items())
        _write(self._stamp_file, lines)
        state = _State(settings=self._settings, fingerprint=fingerprint, manifest=manifest)
        _write(self._state_file, state.model_dump_json())

    def _read_state(self) -> _State | None:
        try:
            state = _State.model_validate_json(self._state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return state if self._storage.holds(state.manifest) else None

    def _read_stamps(self) -> dict[str, str]:
        if self._state is None or self._state.settings != self._settings:
            return {}
        try:
            return dict(json.loads(line) for line in self._stamp_file.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError):
            return {}

    def _rows_made(self) -> Iterator[Row]:
        if self._state is not None and self._state.settings == self._settings:
            yield from self._storage.rows(self._state.manifest)


def fingerprint(listed: Iterable[Found], *settings: object) -> str:
    """Digest of all that an archive lists, of its files' stamps, and of what is done with them."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for found in listed:
        digest.update(f"{found.model_dump_json()}{stamp(found)}\n".encode())
    return digest.hexdigest()


def stamp(found: Found) -> str:
    """Size and time of change of a case's file."""
    if isinstance(found, Rejected):
        return ""
    try:
        status = found.path.stat()
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
