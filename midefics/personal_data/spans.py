"""What a rule of finding is, and its places in a text replaced by a mask."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Span = tuple[int, int]
"""Start and end of a place in a text."""


class Rule(NamedTuple):
    """One way to find one kind of personal data."""

    kind: str
    """In the plural, as it is counted: `phone numbers`."""
    mask: str
    find: Callable[[str], Sequence[Span]]
    """Places in the order of the text, none within another."""


def pattern_rule(kind: str, mask: str, pattern: str, flags: int = 0, needs: str = "") -> Rule:
    """A rule by a regular expression: the group `it` is what is masked, where there is one, else the whole.

    Args:
        kind: as in `Rule`.
        mask: as in `Rule`.
        pattern: white space in it does not count.
        flags: beside `VERBOSE`.
        needs: a quick pattern without which a text can't hold the slow one.
    """
    compiled, quick = re.compile(pattern, flags | re.VERBOSE), re.compile(needs)
    group = "it" if "it" in compiled.groupindex else 0

    def find(text: str) -> list[Span]:
        return [match.span(group) for match in compiled.finditer(text)] if quick.search(text) else []

    return Rule(kind, mask, find)


def replaced(text: str, spans: Sequence[Span], mask: str) -> str:
    """The text with every span replaced."""
    kept, end = [], 0
    for start, stop in spans:
        kept += [text[end:start], mask]
        end = stop
    return "".join([*kept, text[end:]])
