"""What ties images together and how earlier ones were split in, a place for every image out; no picture is opened here.

Images that share a patient, a lesion, an article, or are copies of one picture hang together, directly or through others:
they make a component, and a component goes into one split as a whole. What was once in the test split stays there,
whatever joins it, so no model is ever tested on what an earlier data set trained one on. Same input, same places.
"""

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from midefics.records import Role, Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""In rising strength: where components merge, the strongest of their splits wins."""
SOURCE_WEIGHT = 4
"""How much more a source's shares count than a label's, where patients with several images don't allow both. Of 1, 2, 4, 8
and 16 the best compromise: 438 drawn images, twelve seeds, came within 3 % of a source's size and 4 images of a label's."""
RELATED = "related to evaluation set"
"""Reason for which an image is left out."""

Stratum = tuple[str, ...]


class Member(NamedTuple):
    """What there is to know of an image to place it."""

    id: str
    source: str
    role: Role
    label: str
    """What the splits are balanced by within the source; images with an empty one only count for their source."""
    keys: tuple[str, ...]
    """Whatever it shares one of with another image ties the two together."""
    refused: str = ""
    """The reason for which it can't be in the data set; it ties others together all the same."""


class Remembered(NamedTuple):
    """How an earlier data set placed an image."""

    id: str
    split: Split
    keys: tuple[str, ...]


class Wanted(NamedTuple):
    """How images are chosen and dealt."""

    shares: Mapping[Split, float]
    """Of the images of every stratum; they add up to 1."""
    mixture: Mapping[str, int]
    """The most images of a source to train and test on."""
    seed: int


class Place(NamedTuple):
    """Where an image goes."""

    split: Split
    component: str
    """16 hexadecimal digits, the same for all that hangs together."""


class Plan(NamedTuple):
    """What becomes of every image: it has a place, or was refused, or was beyond the mixture."""

    places: dict[str, Place]
    refused: dict[str, str]
    """The reasons."""
    copies: int
    """Pairs of images that show one shot."""
    beyond_mixture: int
    remembered: list[Remembered]
    """Images of earlier data sets that have no place in this one; should they come back, they go where they were."""


def planned(
    members: Iterable[Member], past: Iterable[Remembered], copies: Collection[tuple[str, str]], wanted: Wanted
) -> Plan:
    """Places images.

    Args:
        members: every image there is, in any order.
        past: every image of earlier data sets.
        copies: ids of images that show one and the same picture, in pairs.
        wanted: how to choose and deal.
    """
    members, past = sorted(members), sorted(past)
    component = _components(chain(*map(_ties, members), *map(_ties, past), copies))
    refused = _refusals(members, component)
    fit = [one for one in members if one.id not in refused]
    chosen = _within_mixture(fit, {one.id for one in past}, wanted)
    together: dict[int, list[Member]] = defaultdict(list)
    for one in chosen:
        together[component[one.id]].append(one)
    names = {number: _short_hash("component", kin[0].id) for number, kin in together.items()}
    decided = _decided(fit, past, component)
    splits = _dealt(together, names, decided, wanted)
    places = {one.id: Place(splits[number], names[number]) for number, kin in together.items() for one in kin}
    gone = [one._replace(split=decided[component[one.id]]) for one in past if one.id not in places]
    return Plan(places, refused, len(copies), len(fit) - len(chosen), gone)


def _refusals(members: Sequence[Member], component: Mapping[str, int]) -> dict[str, str]:
    refused = {one.id: one.refused for one in members if one.refused}
    evaluated = {component[one.id] for one in members if one.role == "evaluation" and not one.refused}
    related = [one.id for one in members if one.role == "train" and component[one.id] in evaluated]
    return dict.fromkeys(related, RELATED) | refused


def _ties(one: Member | Remembered) -> Iterator[tuple[str, str]]:
    yield one.id, one.id
    for key in one.keys:
        yield one.id, f"key {key}"


def _components(ties: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Numbers every name; what is tied together directly or through others has one number."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places: dict[str, int] = {}
    ends = array("q"), array("q")
    for tie in ties:
        for end, name in zip(ends, tie, strict=True):
            end.append(places.setdefault(name, len(places)))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(len(places), len(places)))
    return dict(zip(places, connected_components(graph, directed=False)[1].tolist(), strict=True))


def _decided(fit: Iterable[Member], past: Iterable[Remembered], component: Mapping[str, int]) -> dict[int, Split]:
    """The splits of components that hold evaluation images, or images that were placed before."""
    strength = SPLITS.index
    earlier = sorted(past, key=lambda one: strength(one.split))
    decided: dict[int, Split] = {component[one.id]: one.split for one in earlier}
    return decided | {component[one.id]: "test" for one in fit if one.role == "evaluation"}


def _within_mixture(fit: Sequence[Member], before: set[str], wanted: Wanted) -> list[Member]:
    """Those of earlier data sets first, then by lot; evaluation images all."""
    by_source: dict[str, list[Member]] = defaultdict(list)
    for one in fit:
        if one.role == "train" and one.source in wanted.mixture:
            by_source[one.source].append(one)
    beyond: set[str] = set()
    for source, candidates in by_source.items():
        candidates.sort(key=lambda one: (one.id not in before, _short_hash(wanted.seed, one.id)))
        beyond |= {one.id for one in candidates[wanted.mixture[source] :]}
    return [one for one in fit if one.id not in beyond]


def _dealt(
    together: Mapping[int, Sequence[Member]], names: Mapping[int, str], decided: Mapping[int, Split], wanted: Wanted
) -> dict[int, Split]:
    """Gives each undecided component, in an order that the seed decides, to the split that lacks its kind of image most."""
    strata = {number: Counter(chain.from_iterable(map(_strata, kin))) for number, kin in together.items()}
    table = _Table(strata.values(), wanted.shares)
    splits = {number: split for number, split in decided.items() if number in together}
    for number, split in sorted(splits.items()):
        table.add(strata[number], split)
    undecided = [number for number in together if number not in splits]
    for number in sorted(undecided, key=lambda number: _short_hash(wanted.seed, names[number])):
        splits[number] = table.most_in_need(strata[number])
        table.add(strata[number], splits[number])
    return splits


class _Table:
    """How many images of each stratum every split has, and how many it should."""

    def __init__(self, components: Collection[Mapping[Stratum, int]], shares: Mapping[Split, float]) -> None:
        self.splits = [split for split in SPLITS if shares[split] > 0]
        totals: Counter[Stratum] = Counter()
        for counts in components:
            totals.update(counts)
        found_in = Counter(chain.from_iterable(components))
        # A label of one component can't be divided. A wish for less than an image would make any image too many.
        self.wanted = {
            stratum: {split: max(1.0, total * shares[split]) for split in self.splits}
            for stratum, total in totals.items()
            if len(stratum) == 1 or found_in[stratum] > 1
        }
        self.held: Counter[tuple[Stratum, Split]] = Counter()

    def most_in_need(self, counts: Mapping[Stratum, int]) -> Split:
        """The split to which these images bring the sum of (held - wanted)² / wanted down most, or up least."""

        def change(split: Split) -> float:
            total = 0.0
            for stratum, count in counts.items():
                if wanted := self.wanted.get(stratum):
                    missing = wanted[split] - self.held[stratum, split]
                    weight = SOURCE_WEIGHT if len(stratum) == 1 else 1
                    total += weight * count * (count - 2 * missing) / wanted[split]
            return total

        return min(self.splits, key=change)

    def add(self, counts: Mapping[Stratum, int], split: Split) -> None:
        """These images are in the split."""
        for stratum, count in counts.items():
            self.held[stratum, split] += count


def _strata(one: Member) -> Iterator[Stratum]:
    if one.role == "train":
        yield (one.source,)
        if one.label:
            yield one.source, one.label


def _short_hash(*parts: object) -> str:
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:16]
