"""Values in, one at a time; the bars of their distribution out."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from midefics.records import Scalar

FIELDS = {
    "label": ("benign_malignant", "study_label"),
    "diagnosis": ("diagnosis",),
    "sex": ("sex",),
    "site": ("anatom_site_general", "body_part", "image_organ"),
    "modality": ("image_type", "modality", "radiology"),
    "archive's split": ("archive_split",),
}
"""What is shown of a data set, and which metadata say it in one archive or another: never free text."""
TOP = 8
"""Values that get a bar of their own."""
DISTINCT = 10_000
"""Values that are told apart: bounds the memory."""
LENGTH = 48
"""Characters of a value."""


class Bar(NamedTuple):
    """One value and how often it occurs."""

    name: str
    rows: int
    share: float


class Distribution:
    """Of words: the most frequent ones."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._others = 0
        self._none = 0

    def add(self, value: Scalar) -> None:
        """Takes one value in; None and an empty text are none."""
        if value in (None, ""):
            self._none += 1
            return
        name = " ".join(str(value).split())
        name = name if len(name) <= LENGTH else name[: LENGTH - 1] + "…"
        if name in self._counts or len(self._counts) < DISTINCT:
            self._counts[name] += 1
        else:
            self._others += 1

    def bars(self) -> list[Bar]:
        """The most frequent values, then the others, then none; nothing where no row has a value."""
        if not self._counts:
            return []
        total = self._counts.total() + self._others + self._none
        ranked = sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))
        rest = ranked[TOP:] if len(ranked) > TOP + 1 else []
        bars = [Bar(name, count, count / total) for name, count in ranked[: len(ranked) - len(rest)]]
        others = sum(count for _, count in rest) + self._others
        if others:
            bars.append(Bar(f"{len(rest):,}{' and more' if self._others else ''} others", others, others / total))
        return [*bars, Bar("not given", self._none, self._none / total)] if self._none else bars


class Numbers:
    """Of numbers: how many fall between two edges."""

    def __init__(self, edges: Sequence[int]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)

    def add(self, value: Scalar) -> None:
        """Takes one value in; what is no number is left out."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._counts[bisect_right(self._edges, value)] += 1

    def bars(self) -> list[Bar]:
        """From the first to the last class with a value in it, without gaps."""
        filled = [place for place, count in enumerate(self._counts) if count]
        if not filled:
            return []
        total = sum(self._counts)
        return [
            Bar(self._name(place), self._counts[place], self._counts[place] / total)
            for place in range(filled[0], filled[-1] + 1)
        ]

    def _name(self, place: int) -> str:
        if place == 0:
            return f"under {self._edges[0]:,}"
        if place == len(self._edges):
            return f"{self._edges[-1]:,} and more"
        return f"{self._edges[place - 1]:,} to {self._edges[place] - 1:,}"
