"""Free text in, the same text without names, dates, numbers and addresses of people out, and how many of each it held.

Phone numbers are found by `phonenumbers` (Google's library), names with the lists of more than eighty countries that `faker`
keeps; the rest are patterns made for captions. On ROCO's test captions presidio-analyzer, without a model to download, knew 1
of 34 dates and no name, and 55 of its 62 web addresses were ends of sentences ("metastasis.So"), for 19 more packages; the
one small model that comes as a package (Rampart) took 1,210 pieces of words ("abd", "omi") for given names.
"""

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from midefics.personal_data import contacts, dates, names, numbers
from midefics.personal_data.spans import Rule, replaced
from midefics.records import Row, Scalar, Turn

OLDEST, EVER = 89, 120
"""Ages above are personal data themselves (HIPAA's safe harbour, 45 CFR 164.514(b)(2)); up to it they are findings.
Numbers that are no age of anybody's stay, for whoever judges what is plausible."""
RULES: tuple[Rule, ...] = (
    *contacts.ADDRESSES,
    *dates.RULES,
    *numbers.MARKED,
    *contacts.NUMBERS,
    *numbers.RULES,
    *names.RULES,
)
"""In this order: what an earlier rule took, a later one no longer sees."""
SHORT = 80
"""Characters; shorter texts are mostly words of a vocabulary that come again and again."""


class Masked(NamedTuple):
    """A text without personal data."""

    text: str
    found: Counter[str]
    """How many of each kind: `{"dates": 2, "names": 1}`."""
    names: frozenset[str]
    """The words of the names, in lower case, for whoever has to look for them elsewhere."""


def mask(text: str, years: bool = False) -> Masked:
    """Replaces what could lead to a person by `[name]`, `[date]`, `[number]` and the like; a second pass changes nothing.

    Findings stay: ages up to 89, measures, levels of the spine, sequences, figure numbers, eponyms. An age above
    becomes `over 89`.

    Args:
        text: of any length.
        years: whether years that stand alone ("in 2009") go too.
    """
    found: Counter[str] = Counter()
    words: set[str] = set()
    for rule in (*RULES, dates.YEARS) if years else RULES:
        if spans := rule.find(text):
            if rule.kind == names.KIND:
                words.update(word for span in spans for word in names.telling_words(text[slice(*span)]))
            text = replaced(text, spans, rule.mask)
            found[rule.kind] += len(spans)
    return Masked(text, found, frozenset(words))


def without_personal_data(row: Row, found: Counter[str], years: bool = False) -> Row:
    """The row with every text of its metadata and turns masked, and each age above 89 set to 90; `found` is added to.

    The words of a name that one text holds are masked in the others too: an archive's keywords repeat them in lower
    case. Licence and attribution stay: they name who is to be credited. The same row gives the same result.
    """
    told = [value for value in row.metadata.values() if isinstance(value, str)]
    said = [text for turn in row.turns for text in (turn.question, turn.answer)]
    masks = {text: _masked(text, years) for text in dict.fromkeys(told + said)}
    again = names.mentions(frozenset().union(*(one.names for one in masks.values())))
    clean = {text: _without(again, one, found) for text, one in masks.items()}
    turns = tuple(Turn(question=clean[turn.question], answer=clean[turn.answer]) for turn in row.turns)
    metadata = {name: _value(name, value, clean, found) for name, value in row.metadata.items()}
    if metadata == row.metadata and turns == row.turns:
        return row
    return row.model_copy(update={"metadata": metadata, "turns": turns})


def _masked(text: str, years: bool) -> Masked:
    return _masked_before(text, years) if len(text) <= SHORT else mask(text, years)


_masked_before = lru_cache(maxsize=4096)(mask)


def _without(again: Rule, masked: Masked, found: Counter[str]) -> str:
    spans = again.find(masked.text)
    found.update(masked.found)
    if spans:
        found[again.kind] += len(spans)
    return replaced(masked.text, spans, again.mask)


def _value(name: str, value: Scalar, clean: dict[str, str], found: Counter[str]) -> Scalar:
    if isinstance(value, str):
        return clean[value]
    if value is not None and OLDEST < value <= EVER and "age" in name.lower().split("_"):
        found[numbers.AGES] += 1
        return OLDEST + 1
    return value
