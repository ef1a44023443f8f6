"""Perceptual hashes in, pairs that differ in a few bits out: near-duplicates among hundreds of thousands of images.

Two 64-bit hashes that differ in at most 7 bits differ in at most one bit of one of their four 16-bit quarters (else
two in each make eight). So each quarter is sorted, every value looked up with none or one of its bits turned, and only
what is found there compared (multi-index hashing, Norouzi et al. 2012).

A hash only says whom to compare: two hands on two films may share it. Whether two pictures are one and the same shot is
decided by their thumbnails (`alike`).
"""

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_DISTANCE = 7
QUARTERS, BITS = 4, 16
CANDIDATES_AT_ONCE = 4_000_000
"""Bounds the memory: some 100 bytes each."""

COMPARED_AT_ONCE = 4096
"""Pairs of thumbnails: bounds the memory, some 40 kB each."""

THUMBNAIL_SIDE = 32
"""Pixels."""
FLAT = 1.0
"""Standard deviation of a thumbnail's grey values (0 to 255) below which it shows nothing."""
ALIKE = 0.93
"""Correlation of the slopes of two thumbnails, how the grey changes from pixel to pixel, from which on they show one shot. The
greys themselves say less: X-rays of one kind share their large shapes. Of 201 real pictures of ISIC and VQA-RAD all are known
again when saved as JPEG of quality 20, halved, stretched, noisy, a fifth brighter, flatter or with another gamma; with a
hundredth cropped off every side, 100 in 100 of ISIC and 86 in 100 of VQA-RAD. The most alike of different pictures reach 0.88
among those of ISIC, 0.72 among VQA-RAD's, and where their hashes are near 0.927 among drawn X-rays."""

Indices = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Thumbnails = NDArray[np.uint8]


def thumbnail(picture: Image.Image) -> Thumbnails:
    """A picture's grey values on a small square, `(1024,)`: what `alike` compares."""
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(picture.convert("L").resize(side, Image.Resampling.BILINEAR)).ravel()


def alike(one: bytes, other: bytes) -> bool:
    """Tells whether two image files show one shot, whatever their sizes and encodings; two blank ones are not alike.

    Raises:
        pictures.BROKEN: one of them can't be decoded.
    """
    with Image.open(io.BytesIO(one)) as first, Image.open(io.BytesIO(other)) as second:
        return bool(_correlations(thumbnail(first)[None], thumbnail(second)[None])[0] >= ALIKE)


def alike_pairs(hashes: Hashes, thumbnails: Callable[[Indices], Thumbnails], distance: int) -> Iterator[Indices]:
    """Every pair of images with near hashes and thumbnails that are alike, also within a crowd of one and the same hash.

    Args:
        hashes: `(images,)`.
        thumbnails: gives those of some images, `(some, 1024)`, wherever they are kept.
        distance: bits, at most 7.

    Yields:
        `(pairs, 2)`, the earlier image first; a portion at a time, each pair once.

    Raises:
        ValueError: the distance is negative or above 7.
    """
    values, inverse = np.unique(hashes, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(values) + 1))
    pairs = np.concatenate([near_pairs(values, distance), np.repeat(np.arange(len(values)), 2).reshape(-1, 2)])
    counts = np.diff(bounds)
    ones, partners = _candidates(bounds[pairs[:, 0]], bounds[pairs[:, 0] + 1], 0, order)
    ones, partners = partners, pairs[ones, 1]  # every image of the first hash, beside the second hash
    alone = (counts[partners] == 1) & (order[bounds[partners]] == ones)
    ones, partners = ones[~alone], partners[~alone]
    for low, high in _portions(counts[partners], COMPARED_AT_ONCE):
        one, other = _candidates(bounds[partners[low:high]], bounds[partners[low:high] + 1], 0, order)
        one = ones[low:high][one]
        # Two images of one hash meet twice, images of two hashes once in either order.
        kept = (inverse[one] != inverse[other]) | (one < other)
        one, other = one[kept], other[kept]
        same = _correlations(thumbnails(one), thumbnails(other)) >= ALIKE
        yield np.sort(np.stack([one[same], other[same]], axis=1), axis=1)


def _correlations(ones: Thumbnails, others: Thumbnails) -> NDArray[np.float32]:
    correlations: NDArray[np.float32] = np.einsum("ij,ij->i", _standardised(ones), _standardised(others))
    return correlations


def _standardised(thumbnails: Thumbnails) -> NDArray[np.float32]:
    """Slopes to the right and downwards, of length 1; all 0 for a flat picture, or one of noise that only rounding left."""
    greys = thumbnails.astype(np.float32).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    down, right = np.diff(greys, axis=1)[:, :, :-1], np.diff(greys, axis=2)[:, :-1]
    slopes: NDArray[np.float32] = np.stack([down, right], axis=1).reshape(-1, 2 * (THUMBNAIL_SIDE - 1) ** 2)
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    lengths[greys.std(axis=(1, 2)) < FLAT] = np.inf
    slopes /= np.maximum(lengths, 1e-6)
    return slopes


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
            for low, high in _portions(ends - starts, CANDIDATES_AT_ONCE):
                one, other = _candidates(starts[low:high], ends[low:high], low, order)
                kept = one < other
                one, other = one[kept], other[kept]
                near = np.bitwise_count(values[one] ^ values[other]) <= distance
                yield np.stack([one[near], other[near]], axis=1)


def _portions(counts: Indices, at_once: int) -> Iterator[tuple[int, int]]:
    """Ranges of images with about `at_once` candidates each."""
    totals = np.cumsum(counts)
    low = 0
    while low < len(counts):
        before = totals[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(totals, before + at_once, side="right")))
        yield low, high
        low = high


def _candidates(starts: Indices, ends: Indices, low: int, order: Indices) -> tuple[Indices, Indices]:
    """Each image of the portion beside each of those in its bucket, `order[start:end]`."""
    counts = ends - starts
    one = np.repeat(np.arange(low, low + len(counts)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return one, order[np.repeat(starts, counts) + offsets]
