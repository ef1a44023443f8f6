"""An answer and the probabilities it is to agree with in, what in it does not out.

The likeliest class is named before any other, and every number goes with a class whose probability it is: in each clause
all numbers belong to the class before them, or all to the one after.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_CLAUSE = re.compile(r"[,;:!?]|\.(?!\d)|\b(?:and|but|while|whereas|against|then)\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?|\.\d+)(\s*(?:%|per ?cent\b|(?:out of|in|of) 100\b|/ ?100\b))?", re.IGNORECASE
)
_DENIED = re.compile(
    r"\b(?:no|not|never|without|unlikely|rather than|instead of)\s+(?:to be\s+)?(?:an?\s+|the\s+)?$", re.IGNORECASE
)
_SLACK = 0.0051
"""Half a hundredth, and what a float makes of it: a probability may be rounded to whole per cent."""


class _Number(NamedTuple):
    start: int
    value: float
    """Of a probability: `86 %` is 0.86."""
    words: str


def disagreements(answer: str, chances: Mapping[str, float]) -> list[str]:
    """What an answer says otherwise than the probabilities do."""
    best = max(chances, key=chances.__getitem__)
    named = _classes(chances).search(answer)
    if not named or named.group().lower() != best:
        return [f"the answer does not name {best} first"]
    if _DENIED.search(answer[: named.start()]):
        return [f"the answer denies {best}"]
    return list(_wrong_numbers(answer, chances, best))


def _wrong_numbers(answer: str, chances: Mapping[str, float], subject: str) -> Iterator[str]:
    """The subject is the class that a clause without one speaks of: the last one named."""
    for clause in _CLAUSE.split(answer):
        named = [(found.start(), found.group().lower()) for found in _classes(chances).finditer(clause)]
        numbers = list(_numbers(clause))
        if not named:
            possible = (chances[subject], 1 - chances[subject])
            wrong = [number for number in numbers if not any(_same(number.value, one) for one in possible)]
        else:
            wrong = [] if _before(named, numbers, chances) or _after(named, numbers, chances) else numbers
        yield from (f"{number.words} is not what was found" for number in wrong)
        subject = named[-1][1] if named else subject


def _before(named: Sequence[tuple[int, str]], numbers: Sequence[_Number], chances: Mapping[str, float]) -> bool:
    """Whether each number is that of the last class before it."""
    owners = [next((name for at, name in reversed(named) if at < number.start), "") for number in numbers]
    return _all_same(owners, numbers, chances)


def _after(named: Sequence[tuple[int, str]], numbers: Sequence[_Number], chances: Mapping[str, float]) -> bool:
    owners = [next((name for at, name in named if at > number.start), "") for number in numbers]
    return _all_same(owners, numbers, chances)


def _all_same(owners: Sequence[str], numbers: Sequence[_Number], chances: Mapping[str, float]) -> bool:
    return all(owner and _same(number.value, chances[owner]) for owner, number in zip(owners, numbers, strict=True))


def _same(value: float, chance: float) -> bool:
    return abs(value - chance) <= _SLACK


def _numbers(clause: str) -> Iterator[_Number]:
    for found in _NUMBER.finditer(clause):
        value = float(found[1]) / 100 if found[2] else float(found[1])
        if found[2] or value <= 1:  # others count something else: weeks, classes
            yield _Number(found.start(), value, found.group().strip())


def _classes(chances: Mapping[str, float]) -> re.Pattern[str]:
    """The longest first: `abnormal` is no `normal`."""
    names = "|".join(sorted(map(re.escape, chances), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.IGNORECASE)
