"""The shape of a set of phrasings: what is said of a row rightly, and how wrong things are said of it.

A gap is `{name}`; an exchange is for the rows that can fill all its gaps.
"""

from collections.abc import Mapping
from typing import NamedTuple

Exchange = tuple[str, str]
"""A question and its answer."""


class Phrasing(NamedTuple):
    """One writer's way of putting things."""

    openings: Mapping[str, tuple[Exchange, ...]]
    """First turns, by source."""
    later: Mapping[str, tuple[Exchange, ...]]
    """Turns that may follow in any order, by source."""
    wrong: Mapping[str, tuple[Exchange | str, ...]]
    """By the corruption's name: an exchange that is put in, or a sentence that is added to an answer."""
    findings: Mapping[str, tuple[str, ...]]
    """What may be invented: of the skin (`isic`), and in radiology (`roco`)."""
