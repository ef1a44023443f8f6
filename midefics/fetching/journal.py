"""What was fetched in, what need not be fetched again out: a line of JSON for each image, appended once it is there.

A run that is killed leaves whole lines and perhaps a piece of one, which is cut off. The newest line of an image
holds. It also says for which images asking again is in vain; deleting the file makes the fetcher forget that.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from midefics.errors import ServiceError

PLACE = ".fetch"


class Entry(NamedTuple):
    """What is known of one image."""

    version: str
    """Whatever tells this file from its next version: an address without its signature, say."""
    etag: str = ""
    reason: str = ""
    """Why it can't be had, for good; empty where it is there."""


class Journal:
    """An archive folder's journal, for any number of threads of the one run that holds it."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / PLACE
        self.path = self.place / "journal.jsonl"
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        if self.path.is_file():
            self._entries = dict(filter(None, map(_read, _whole_lines(self.path))))

    def get(self, identifier: str) -> Entry | None:
        """What is known of an image."""
        return self._entries.get(identifier)

    def fetched(self) -> Iterator[str]:
        """The images that were had at any time."""
        return (identifier for identifier, entry in self._entries.items() if not entry.reason)

    def put(self, identifier: str, entry: Entry) -> None:
        """Remembers it, unless nothing is new."""
        with self._lock:
            if self._entries.get(identifier) == entry:
                return
            self._entries[identifier] = entry
            line = json.dumps([identifier, *entry], ensure_ascii=False)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


@contextmanager
def held(source: str, folder: Path) -> Iterator[Journal]:
    """The folder's journal, as long as nobody else has it.

    Raises:
        ServiceError: another process is fetching into the same folder.
    """
    (folder / PLACE).mkdir(parents=True, exist_ok=True)
    with (folder / PLACE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServiceError(
                f"{source}: another process is fetching into {folder}; wait until it has ended"
            ) from error
        yield Journal(folder)


def _whole_lines(path: Path) -> list[bytes]:
    """The lines, the file cut after the last whole one."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return content[:whole].splitlines()


def _read(line: bytes) -> tuple[str, Entry] | None:
    try:
        identifier, version, etag, reason = json.loads(line)
    except (ValueError, TypeError):
        return None
    return identifier, Entry(version, etag, reason)
