"""Perceptual hashes in, pairs that differ in a few bits out: near-duplicates among hundreds of thousands of images.

Two 64-bit hashes that differ in at most 7 bits differ in at most one bit of one of their four 16-bit quarters (else
two in each make eight). So each quarter is sorted, every value looked up with none or one of its bits turned, and only
what is found there compared (multi-index hashing, Norouzi et al. 2012).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

MAX_DISTANCE = 7
QUARTERS, BITS = 4, 16
CANDIDATES_AT_ONCE = 4_000_000
"""Bounds the memory: some 100 bytes each."""

Indices = NDArray[np.int64]
Hashes = NDArray[np.uint64]


def parsed(hashes: Sequence[str]) -> Hashes:
    """Hexadecimal digits to numbers."""
    return np.array([int(digits, 16) for digits in hashes], dtype=np.uint64)


def near_pairs(hashes: Hashes, distance: int) -> Indices:
    """Pairs of images whose hashes differ in at most `distance` bits.

    Images with one and the same hash are tied to the first of them alone, so that a thousand blank pictures make a thousand
    pairs and not half a million: connected components come out the same.

    Args:
        hashes: `(images,)`.
        distance: bits, at most 7.

    Returns:
        `(pairs, 2)`, the earlier image first, in order.

    Raises:
        ValueError: the distance is negative or above 7.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"distance {distance}: expected 0 to {MAX_DISTANCE} bits")
    values, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    everyone = np.arange(len(hashes))
    repeated = everyone != first[inverse]
    found = [np.stack([first[inverse[repeated]], everyone[repeated]], axis=1)]
    if distance:
        found += [np.sort(first[pairs], axis=1) for pairs in _near(values, distance)]
    return np.unique(np.concatenate(found), axis=0).astype(np.int64)


def _near(values: Hashes, distance: int) -> Iterator[Indices]:
    turned = [0, *(1 << bit for bit in range(BITS))] if distance >= QUARTERS else [0]
    for quarter in range(QUARTERS):
        keys = ((values >> np.uint64(quarter * BITS)) & np.uint64((1 << BITS) - 1)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        bounds = np.searchsorted(keys[order], np.arange((1 << BITS) + 1))
        for mask in turned:
            starts, ends = bounds[keys ^ mask], bounds[(keys ^ mask) + 1]
            for low, high in _portions(ends - starts):
                one, other = _candidates(starts[low:high], ends[low:high], low, order)
                kept = one < other
                one, other = one[kept], other[kept]
                near = np.bitwise_count(values[one] ^ values[other]) <= distance
                yield np.stack([one[near], other[near]], axis=1)


def _portions(counts: Indices) -> Iterator[tuple[int, int]]:
    """Ranges of images with about `CANDIDATES_AT_ONCE` candidates each."""
    totals = np.cumsum(counts)
    low = 0
    while low < len(counts):
        before = totals[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(totals, before + CANDIDATES_AT_ONCE, side="right")))
        yield low, high
        low = high


def _candidates(starts: Indices, ends: Indices, low: int, order: Indices) -> tuple[Indices, Indices]:
    """Each image of the portion beside each of those in its bucket, `order[start:end]`."""
    counts = ends - starts
    one = np.repeat(np.arange(low, low + len(counts)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return one, order[np.repeat(starts, counts) + offsets]
