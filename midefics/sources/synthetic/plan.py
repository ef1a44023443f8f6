"""A number of images and what may be drawn in; out comes what to draw in each, for whom, and with which flaw.

Several images share a patient, a lesion or an article, so that a split by them matters.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

Item = TypeVar("Item")

FLAW_SHARE = 0.03
FLAWS = ("missing", "truncated", "blank", "empty")


class Shot(NamedTuple, Generic[Item]):
    """One image to draw."""

    number: int
    """Which image of the archive, from 0."""
    owner: int
    """Which patient or article, from 1; has one or two subjects."""
    subject: int
    """Which lesion, study or finding of the whole archive, from 1; has one to three images."""
    study: int
    """Which subject of its owner, from 1."""
    turn: int
    """Which image of its subject, from 1."""
    item: Item
    """What there is to see: the same in all images of a subject."""
    flaw: str | None
    lasting: np.random.Generator
    """Starts the same for all images of a subject."""
    passing: np.random.Generator
    """Differs from image to image."""


def plan(cases: int, seed: int, items: Sequence[Item], flaws: Sequence[str] = FLAWS) -> Iterator[Shot[Item]]:
    """Plans an archive of `cases` images with about equally many subjects of each item; deterministic.

    `FLAW_SHARE` of the images are flawed, each kind of flaw in its turn.
    """
    rng = np.random.default_rng((seed, 0))
    places = rng.permutation(cases)[: round(FLAW_SHARE * cases)]
    flawed = {int(place): kind for place, kind in zip(places, itertools.cycle(flaws), strict=False)}
    dealt, number, subject = _dealt(rng, items), 0, 0
    for owner in itertools.count(1):
        for study in range(1, int(rng.integers(2, 4))):
            subject, item = subject + 1, next(dealt)
            for turn in range(1, int(rng.integers(2, 5))):
                if number == cases:
                    return
                lasting, passing = np.random.default_rng((seed, 1, subject)), np.random.default_rng((seed, 2, number))
                yield Shot(number, owner, subject, study, turn, item, flawed.get(number), lasting, passing)
                number += 1


def _dealt(rng: np.random.Generator, items: Sequence[Item]) -> Iterator[Item]:
    """All items in a random order, again and again: even a small archive has nearly as many of each."""
    while True:
        for place in rng.permutation(len(items)):
            yield items[place]
