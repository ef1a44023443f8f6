"""A folder in, a hidden folder of this process inside it out; those that a killed process left are found again."""

import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from midefics.services.object_store import Leftover

PREFIX = ".draft-"


def draft_path(folder: Path) -> Path:
    """A name that no other process uses: `.draft-<host>-<process>-<random>`."""
    return folder / f"{PREFIX}{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def new_draft(folder: Path) -> Path:
    """Makes an empty draft, and removes those of this machine's dead processes."""
    path = draft_path(folder)
    path.mkdir(parents=True)
    for old in abandoned(folder):
        _remove(old)
    return path


def abandoned(folder: Path, older_than_s: float | None = None) -> Iterator[Path]:
    """Drafts whose process has died.

    The processes of another host, or of another container on the same volume, can't be seen from here: theirs count
    only where they are older than `older_than_s`, and never where it is None.
    """
    for draft in sorted(folder.glob(f"{PREFIX}*")):
        host, process, _ = draft.name.removeprefix(PREFIX).rsplit("-", 2)
        if host == socket.gethostname():
            if not psutil.pid_exists(int(process)):
                yield draft
        elif older_than_s is not None and time.time() - draft.stat().st_mtime > older_than_s:
            yield draft


def abandoned_drafts(folder: Path, older_than_s: float) -> Iterator[Leftover]:
    """The same, ready to be counted and removed."""
    for path in abandoned(folder, older_than_s):
        yield leftover(path)


def leftover(path: Path) -> Leftover:
    """A file or folder that nobody needs."""
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return Leftover(str(path), size, partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
