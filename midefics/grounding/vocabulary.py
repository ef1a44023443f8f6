"""The words that claims are made of: kind of claim to value to pattern. What a text says is for `claims`.

Within a kind the first pattern that fits a place wins, so the longer words stand before the shorter ones. Patterns are in
small letters, and a plural that only adds its `s` needs no mention.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from midefics.grounding.words.body import SEXES, SIDES, SITES
from midefics.grounding.words.diagnoses import DIAGNOSES, MALIGNANCIES
from midefics.grounding.words.radiology import NORMALITIES, RADIOLOGY_FINDINGS
from midefics.grounding.words.skin import SKIN_FINDINGS
from midefics.grounding.words.techniques import MODALITIES, MODALITY_HINTS

DIAGNOSIS, MALIGNANCY, FINDING, NORMALITY = "diagnosis", "malignancy", "finding", "normality"
MODALITY, SITE, SIDE, SEX, AGE, SIZE = "modality", "site", "side", "sex", "age", "size"


TABLES = {
    DIAGNOSIS: DIAGNOSES,
    MALIGNANCY: MALIGNANCIES,
    FINDING: SKIN_FINDINGS | RADIOLOGY_FINDINGS,
    NORMALITY: NORMALITIES,
    MODALITY: MODALITIES,
    SITE: SITES,
    SIDE: SIDES,
    SEX: SEXES,
}
HINTS = {value: re.compile(words, re.IGNORECASE) for value, words in MODALITY_HINTS.items()}
_COUNTED = (DIAGNOSIS, FINDING, MODALITY, SITE)
"""Kinds of which the words have a plural."""
_CAPITALS = frozenset(("oct", "pet", "mr", "mrs", "mri", "mris", "fmri", "fmris", "cat scan", "cat scans"))
"""Words that are others in small letters: a cat is no CT, a pet no PET, and Mrs Smith no magnetic resonance."""


class Word(NamedTuple):
    """A word of the vocabulary in a text."""

    value: str
    start: int
    end: int


class Table:
    """The words of a kind: a quick pattern that finds places, and one that tells which value stands there."""

    def __init__(self, kind: str) -> None:
        self._values = tuple(TABLES[kind])
        words, ending = TABLES[kind].values(), "(?:e?s)?" if kind in _COUNTED else ""
        self._places = re.compile(rf"(?<!\w)(?<!non-)(?:{'|'.join(words)}){ending}(?!\w)")
        self._which = re.compile(rf"(?:{'|'.join(f'({word})' for word in words)}){ending}(?!\w)")

    def words(self, text: str, small: str) -> Iterator[Word]:
        """What a text has of them; `small` is the text in small letters, in which an alternation is found sooner."""
        for found in self._places.finditer(small):
            start, end = found.span()
            capitals = sum(map(str.isupper, text[start:end]))
            if (which := self._which.match(small, start)) and (found.group() not in _CAPITALS or capitals > 1):
                yield Word(self._values[(which.lastindex or 1) - 1], start, end)


WORDS = {kind: Table(kind) for kind in TABLES}


def small_letters(text: str) -> str:
    """A text in small letters, every one in its place: those that would take two stay."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(letter.lower()[:1] or letter for letter in text)
