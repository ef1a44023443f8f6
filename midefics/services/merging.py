"""Several stage outputs in, their rows in the order of ids out."""

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter

from midefics.records import Manifest, Row
from midefics.services.storage import Storage


def rows_by_id(storage: Storage, manifests: Sequence[Manifest]) -> Iterator[Row]:
    """All rows in the order of their ids, whatever the order of the manifests; a batch of each in memory at a time.

    An output whose own rows are not in order is sorted in memory.
    """
    return heapq.merge(*(_in_order(storage, manifest) for manifest in manifests), key=attrgetter("id"))


def _in_order(storage: Storage, manifest: Manifest) -> Iterator[Row]:
    last = ""
    for row in storage.rows(manifest):
        if row.id < last:
            return iter(sorted(storage.rows(manifest), key=attrgetter("id")))
        last = row.id
    return storage.rows(manifest)
