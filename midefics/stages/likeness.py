"""Rows in, one after the other; out of what each is the same file or the same shot as, over all sources at once.

What this takes of a row is some 50 bytes in memory, and a thumbnail of a kilobyte in a file that vanishes.
"""

import os
import sys
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from midefics.nearness import THUMBNAIL_SIDE, Indices, Thumbnails, alike_pairs
from midefics.records import Row, Scalar

COLUMNS = ("evaluation_twin", "duplicate_of", "near_duplicate_of")
"""Each names a row, or is empty."""
NOBODY = np.iinfo(np.int64).max


class Likeness:
    """Compares the files and pictures of a run's rows; a context manager, which closes the file of thumbnails."""

    def __init__(self, folder: Path) -> None:
        self.ids: list[str] = []
        self._sources: list[str] = []
        self._digests = bytearray()
        self._hashes = array("Q")
        self._evaluated = array("b")
        self._partners: Indices
        folder.mkdir(parents=True, exist_ok=True)
        self._thumbnails = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thumbnails.close()

    def add(self, row: Row, thumbnail: Thumbnails) -> None:
        """Takes the next row in."""
        self.ids.append(row.id)
        self._sources.append(sys.intern(row.source))
        self._digests += bytes.fromhex(row.image_sha256)
        self._hashes.append(int(row.phash, 16))
        self._evaluated.append(row.role == "evaluation")
        self._thumbnails.write(thumbnail.tobytes())

    def digest(self, place: int) -> str:
        """The SHA-256 of the archive's file of the row that came in at this place."""
        return self._digests[32 * place : 32 * place + 32].hex()

    def columns(self, near_bits: int) -> Iterator[tuple[str, dict[str, Scalar]]]:
        """Each row's source, and its id and `COLUMNS`, in the order in which they came in; to be called once.

        A row to train on that is also one to evaluate with names the first of those; a row of a file that came before
        in its role names the first with that file; else a row that shows the shot of an earlier one of its role, that.
        """
        self._partners = self._found(near_bits) if self.ids else np.empty((0, len(COLUMNS)), dtype=np.int64)
        for place, source in enumerate(self._sources):
            yield source, {"id": self.ids[place], **dict(zip(COLUMNS, self._named(place), strict=True))}

    def partner(self, place: int) -> str | None:
        """The row that the row in this place is the same file or shot as, once `columns` has been used up."""
        return next(filter(None, self._named(place)), None)

    def _named(self, place: int) -> list[str | None]:
        return [None if partner == NOBODY else self.ids[partner] for partner in self._partners[place]]

    def _found(self, near_bits: int) -> Indices:
        """`(rows, 3)`: the places of the rows that are named, or `NOBODY`."""
        evaluated = np.frombuffer(self._evaluated, dtype=np.int8).astype(bool)
        digests = np.frombuffer(bytes(self._digests), dtype="S32")
        twins, originals, nears = (np.full(len(digests), NOBODY, dtype=np.int64) for _ in COLUMNS)
        for role in (True, False):
            members = np.flatnonzero(evaluated == role)
            firsts, places = _firsts(digests[members])
            repeated = firsts[places] != np.arange(len(members))
            originals[members[repeated]] = members[firsts[places[repeated]]]
        _mark_exact_twins(digests, evaluated, twins)
        self._mark_alike(near_bits, evaluated, twins, nears)
        nears[originals != NOBODY] = NOBODY
        return np.stack([twins, originals, nears], axis=1)

    def _mark_alike(self, near_bits: int, evaluated: NDArray[np.bool_], twins: Indices, nears: Indices) -> None:
        self._thumbnails.flush()
        for pairs in alike_pairs(np.frombuffer(self._hashes, dtype=np.uint64), self._kept, near_bits):
            one, other = pairs.T
            same = evaluated[one] == evaluated[other]
            np.minimum.at(nears, other[same], one[same])
            one, other = one[~same], other[~same]
            trained, asked = np.where(evaluated[one], other, one), np.where(evaluated[one], one, other)
            np.minimum.at(twins, trained, asked)

    def _kept(self, places: Indices) -> Thumbnails:
        # Not mapped: around every page that is touched the system would map its neighbours, in the end the whole file.
        size, file = THUMBNAIL_SIDE**2, self._thumbnails.fileno()
        found = b"".join(os.pread(file, size, size * place) for place in places.tolist())
        return np.frombuffer(found, dtype=np.uint8).reshape(-1, size)


def _firsts(digests: NDArray[np.bytes_]) -> tuple[Indices, Indices]:
    _, first, places = np.unique(digests, return_index=True, return_inverse=True)
    return first, places


def _mark_exact_twins(digests: NDArray[np.bytes_], evaluated: NDArray[np.bool_], twins: Indices) -> None:
    asked, trained = np.flatnonzero(evaluated), np.flatnonzero(~evaluated)
    if not len(asked):
        return
    values, first = np.unique(digests[asked], return_index=True)
    places = np.searchsorted(values, digests[trained]).clip(max=len(values) - 1)
    same = values[places] == digests[trained]
    twins[trained[same]] = asked[first[places[same]]]
