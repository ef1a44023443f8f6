"""Conversations in, a sample of them in the order in which they are shown out: the same for everybody who asks alike."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from midefics.config import load_config
from midefics.errors import DataError, StorageError
from midefics.records import Manifest, Record, Row
from midefics.review.doubts import Doubt, Familiar
from midefics.services import Services
from midefics.services.descriptions import described, row_at
from midefics.services.reviews import Key, turns_digest

KEPT = 4
"""Listings that stay in memory."""


Order = Literal["random", "doubtful"]


class Sample(Record):
    """Which conversations are shown."""

    of: tuple[str, ...] = ()
    """References to outputs of label; those that the newest data set was made of, and what was labelled since, where empty."""
    order: Order = "random"
    seed: int = 0
    size: Annotated[int, Field(ge=1, le=100_000)] = 50
    source: str = ""
    """Only this one's; all where empty."""


class Entry(NamedTuple):
    """One conversation, and where it is."""

    key: Key
    source: str
    doubt: Doubt
    manifest: Manifest
    place: int


class Queue:
    """Conversations by sample."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listed: OrderedDict[tuple[str, ...], list[Entry]] = OrderedDict()
        self._lock = Lock()

    def sources(self, sample: Sample) -> list[str]:
        """Names of the sources there are."""
        return sorted({entry.source for entry in self._entries(sample.of)})

    def take(self, sample: Sample) -> list[Entry]:
        """The conversations of a sample.

        Raises:
            DataError: nothing is labelled yet, or a reference is to something else.
            StorageError: a reference is to nothing.
        """
        found = [entry for entry in self._entries(sample.of) if sample.source in ("", entry.source)]
        if sample.order == "random":
            found.sort(key=lambda entry: _drawn(sample.seed, entry.key))
        else:
            found.sort(key=lambda entry: (-entry.doubt.score, entry.key))
        return found[: sample.size]

    def row(self, entry: Entry) -> Row:
        """A conversation's row with its picture."""
        return row_at(self._services.storage, entry.manifest, entry.place)

    def conversations(self, references: Sequence[str]) -> dict[Key, Row]:
        """All there are, without their pictures."""
        rows = (row for manifest in self._manifests(references) for row in described(self._services.storage, manifest))
        return {Key(row.id, turns_digest(row.turns)): row for row in rows}

    def _entries(self, references: Sequence[str]) -> list[Entry]:
        manifests = self._manifests(references)
        digests = tuple(manifest.digest for manifest in manifests)
        with self._lock:
            if digests not in self._listed:
                self._listed[digests] = self._list(manifests)
            self._listed.move_to_end(digests)
            while len(self._listed) > KEPT:
                self._listed.popitem(last=False)
            return list(self._listed[digests])

    def _list(self, manifests: Sequence[Manifest]) -> list[Entry]:
        """Every conversation once: that of the last output that has it."""
        storage = self._services.storage
        familiar = Familiar(row for manifest in manifests for row in described(storage, manifest))
        entries = {
            row.id: Entry(Key(row.id, turns_digest(row.turns)), row.source, familiar.doubt(row), manifest, place)
            for manifest in manifests
            for place, row in enumerate(described(storage, manifest))
        }
        return list(entries.values())

    def _manifests(self, references: Sequence[str]) -> list[Manifest]:
        found = [self._services.storage.find(reference) for reference in references] or self._newest()
        for manifest in found:
            if manifest.kind != "conversations":
                raise DataError(f"{manifest.uri} is of kind {manifest.kind}; only conversations are reviewed")
        if not found:
            raise DataError("nothing has been labelled yet; run `midefics label`, or the DAG midefics_data")
        return found

    def _newest(self) -> list[Manifest]:
        name, storage = load_config(self._services.settings.config).name, self._services.storage
        dataset, newest = storage.latest(name, "dataset"), storage.latest(name, "conversations")
        made_of = [self._parent(digest) for digest in (dataset.parents if dataset else ())]
        found = {manifest.digest: manifest for manifest in (*made_of, newest) if manifest}
        return list(found.values())

    def _parent(self, digest: str) -> Manifest | None:
        try:
            return self._services.storage.find(f"conversations/{digest[:16]}")
        except StorageError:  # the parent is a data set, or is gone
            return None


def _drawn(seed: int, key: Key) -> str:
    return hashlib.sha256(f"{seed} {key.row} {key.turns_sha256}".encode()).hexdigest()
