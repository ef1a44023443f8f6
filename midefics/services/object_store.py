"""What storage asks of the place that it keeps outputs in: a local folder and a bucket both do it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol, get_args

from midefics.records import Kind

MANIFEST = "manifest.json"
POINTERS = "latest/"
CHECKPOINTS: Literal["checkpoints"] = "checkpoints"
Folder = Kind | Literal["checkpoints"]
"""What has folders of its own: the kinds of outputs, and the checkpoints of trainings, which are none."""
FOLDERS: tuple[Folder, ...] = (*get_args(Kind), CHECKPOINTS)


class Stored(NamedTuple):
    """A small object."""

    content: bytes
    changed: datetime


class Leftover(NamedTuple):
    """What a killed process left, or the copy of an output that is gone; nothing that a reader takes for a result."""

    address: str
    bytes: int
    remove: Callable[[], None]


class ObjectStore(Protocol):
    """Keys look like `images/3f9c0a1b2c3d4e5f/part-00000.parquet`; an output is all keys under its uri (`images/3f9c…`)."""

    @property
    def disk(self) -> Path:
        """The folder on this machine that it fills."""

    def address(self, key: str = "") -> str:
        """Where a key is, as a person would name it."""

    def new_draft(self, kind: Folder) -> Path:
        """An empty local folder to write an output in."""

    def publish(self, draft: Path, uri: str) -> None:
        """Makes a finished draft the output: its manifest appears last, or together with the rest."""

    def folder(self, uri: str) -> Path | None:
        """A local folder with an output's files, fetched once where it is elsewhere; None where there is no such output."""

    def parts(self, uri: str) -> Iterator[BinaryIO]:
        """An output's Parquet files in the order of their names, open for reading here and there in them."""

    def read(self, key: str) -> Stored | None:
        """A small object's content; None where there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Puts a small object, whole or not at all; the one before it is replaced."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix, as they are listed: a million of them take no memory."""

    def uris(self, kind: Folder) -> Iterator[str]:
        """Everything of a kind that may be an output: one without a manifest is none."""

    def size(self, uri: str) -> int:
        """Bytes of an output's files as they are there, its manifest not counted."""

    def delete(self, uri: str) -> None:
        """Removes an output, its manifest first."""

    def leftovers(self, older_than_s: float) -> Iterator[Leftover]:
        """What killed processes left, as far as it can be told from what is under way: by age where by nothing else."""
