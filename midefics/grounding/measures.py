"""A text in, the ages and sizes that it states out, as ranges: `in her forties` is 40 to 49, `5 mm` 5 to 5."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from midefics.grounding.aboutness import clauses_about
from midefics.grounding.replies import asked as replied
from midefics.grounding.stance import Stance, clauses, stance
from midefics.grounding.vocabulary import AGE, SIZE

_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WORDS = {word: 20 + 10 * place for place, word in enumerate(_TENS)} | {
    f"{ten}-{one}": 20 + 10 * place + 1 + unit for place, ten in enumerate(_TENS) for unit, one in enumerate(_ONES)
}
_NUMBER = rf"(?:\d{{1,3}}|(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_ONES)}))?)"
_AGES = (
    re.compile(rf"(?P<years>{_NUMBER})[- ](?:years?|yrs?|y)[- ](?:old|of age)", re.IGNORECASE),
    re.compile(
        rf"\b(?:aged|age (?:of|is|was)(?: about| around| approximately)?|at age|age:|(?:adult|patient|person|individual|man|woman|someone|male|female) of(?: about| around)?)\s+(?P<years>{_NUMBER})\b(?! ?[%m])",
        re.IGNORECASE,
    ),
    re.compile(rf"^\W*at\s+(?P<years>{_NUMBER})\W*(?:$|(?:this|the|he|she)\b)", re.IGNORECASE),
    re.compile(rf"^\W*(?P<years>{_NUMBER})\s+(?:years|yrs)\W*$", re.IGNORECASE),
    re.compile(rf"\b(?:turned|turning|nearly|almost)\s+(?P<years>{_NUMBER})\b(?! ?[%m])", re.IGNORECASE),
    re.compile(
        rf"\b(?:is|was|about|around|approximately)\s+(?P<years>{_NUMBER})\s+(?:years|yrs)\b(?! (?:ago|later|after|before|apart|of))",
        re.IGNORECASE,
    ),
)
_DECADE = re.compile(
    r"\b(?:(?:early|mid|late)[- ])?(?:in )?(?:his|her|their|the patient's|somewhere in the|person in the|patient in the|man in the|woman in the|someone in the) (?:early |mid-?|late |mid )?(?P<decade>\d0s|twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties)\b",
    re.IGNORECASE,
)
_DECADES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")
_STAGES = (
    (re.compile(r"\b(?:newborn|neonate|infant|baby|toddler)\b", re.IGNORECASE), 0, 4),
    (re.compile(r"\b(?:a|the|this) (?:\w+ )?(?:child|boy|girl)\b|\bpa?ediatric patient\b", re.IGNORECASE), 0, 17),
    (re.compile(r"\b(?:a|an|the|this) (?:teenager|adolescent|teenage \w+)\b", re.IGNORECASE), 10, 19),
    (
        re.compile(
            r"\b(?:a|an|the|this) (?:elderly|old) (?:\w+ )?(?:patient|person|man|woman|adult|lady|gentleman)\b|\b(?:is|was) (?:elderly|retired)\b|\ba pensioner\b",
            re.IGNORECASE,
        ),
        60,
        130,
    ),
    (re.compile(r"\bmiddle-aged\b", re.IGNORECASE), 35, 65),
    (re.compile(r"\bsexagenarian\b", re.IGNORECASE), 60, 69),
    (re.compile(r"\bseptuagenarian\b", re.IGNORECASE), 70, 79),
    (re.compile(r"\boctogenarian\b", re.IGNORECASE), 80, 89),
)
_HAS_NUMBER = re.compile(r"\d|twent|thirt|fort|fift|sixt|sevent|eight|ninet")
_HAS_STAGE = re.compile(
    r"\d0s|ties|newborn|neonat|infant|baby|toddler|child|boy|girl|ediatric|teenage|adolescent|elderly|old|retired|pensioner|middle-aged|genarian"
)
_HAS_UNIT = re.compile(r"mm|cm|met(?:re|er)|inch")
"""Without one of these in small letters there is nothing to look for."""
_ASKS_AGE = re.compile(
    r"\b(?:how old|demographic|what age|which age|the age|age group|how many (?:years|birthdays)|is age|patient old|person old|(?:patient|person)(?:'s|’s) age)\b|^\W*(?:and )?(?:age|years)\b",
    re.IGNORECASE,
)
_THEN_ONE = re.compile(r",? (?:I|we|you|he|she|this|the (?:patient|man|woman|person))\b", re.IGNORECASE)
_BARE_YEARS = re.compile(rf"\b(?P<years>{_NUMBER})\b", re.IGNORECASE)
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_WRITTEN = _WORDS | {word: place for place, word in enumerate((*_ONES, *_TEENS), start=1)}
_WRITTEN_SIZE = re.compile(
    rf"\b(?P<number>{'|'.join(sorted(_WRITTEN, key=len, reverse=True))}|half an?|an?)(?P<half> and a half)?[- ]"
    r"(?P<unit>millimet(?:re|er)s?|centimet(?:re|er)s?|mm|cm|inch(?:es)?)(?P<late> and a half)?\b(?! (?:safety )?margins?)",
    re.IGNORECASE,
)
_LENGTH = r"(?P<number>\d+(?:[.,]\d+)?)(?:\s?(?:[x×*–-]|by|to)\s?(?P<more>\d+(?:[.,]\d+)?(?:\s?(?:[x×*]|by)\s?\d+(?:[.,]\d+)?)?))?"
_SIZE = re.compile(
    rf"(?<![\d.,]){_LENGTH}[- ]?(?P<unit>mm|cm|millimet(?:re|er)s?|centimet(?:re|er)s?|inch(?:es)?)(?!\w|[²³2-3])(?! (?:safety )?margins?)",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"\d+(?:[.,]\d+)?")
_MILLIMETRES = {"m": 1.0, "c": 10.0, "i": 25.4}
_LIMIT = re.compile(
    r"\b(?:\w+er|more|less) than\b[^,]{0,30}$|\bmargins?\b|\bexceed\w*\b[^,]{0,30}$"
    r"|(?<!extends )(?<!extending )(?<!spans )(?<!stretches )\b(?:over|above|below|under|at least|up to|beyond|within|every|by|between)\s+(?:(?:about|roughly|approximately|an?)\s+)?$",
    re.IGNORECASE,
)
_IS_AGED = re.compile(
    rf"\bis (?P<right>{_NUMBER}) the (?:right|correct|true|patient['’]s) age\b|\b(?:patient|person|man|woman|boy|girl|he|she|they)\s+(?:about |around |really )?(?P<years>{_NUMBER})(?: years?)?\W*$",
    re.IGNORECASE,
)
_ANAPHOR = re.compile(
    r"\b(?:it|its|he|she|his|her|this|these|there|here|I|we|the (?:patient|person|lesion|man|woman|size|diameter|age|length|width))\b|['’]s\b",
    re.IGNORECASE,
)
"""What in a clause may take up the case."""
_ASKS_LIMIT = re.compile(
    r"\bmargins?\b|\bhow (?:deep|big|large|wide|thick|long) (?:do|can|must|should|may|does an?)\b", re.IGNORECASE
)
_AGE_LIMIT = re.compile(
    r"\b(?:before|after|until|under|over|below|above|from|beyond|past|between|by|up to|older than|younger than|at least)(?: the)?\s*$",
    re.IGNORECASE,
)
"""What makes an age a limit: `before the age of 40`."""


class Measure(NamedTuple):
    """A stated age in years or size in millimetres, as the range it allows."""

    kind: str
    low: float
    high: float
    stance: Stance
    words: str


def measures(text: str) -> Iterator[Measure]:
    """Ages and sizes in a text that is about one image from its beginning to its end, such as a caption."""
    for start, end in clauses(text):
        yield from _of_clause(text[start:end], asked=False)


def measured(question: str, answer: str) -> Iterator[Measure]:
    """Ages and sizes that an answer states; a bare number counts as an age where the question asks for one.

    Those of a clause about things in general are left open.
    """
    asked, limits = bool(_ASKS_AGE.search(question)), bool(_ASKS_LIMIT.search(question))
    yield from _taken_over(question, answer)
    for part in clauses_about(answer, question):
        told = _ANAPHOR.search(answer[part.start : part.end + len(", it is")])
        for measure in _of_clause(answer[part.start : part.end], asked):
            general = part.generic or (limits and measure.kind == SIZE and not part.outright)
            loose = not part.ours and not told and (measure.kind == SIZE or measure.low == 0)
            yield measure._replace(stance="open") if general or loose else measure


def _taken_over(question: str, answer: str) -> Iterator[Measure]:
    """`Is he 45?` – `Yes` says that he is."""
    taken = replied(question, answer)
    if taken and taken.reply == "asserted" and not taken.absent:
        yield from (measure for measure in _of_clause(taken.question, asked=False) if measure.stance == "asserted")
        if found := _IS_AGED.search(taken.question):
            words = found["years"] or found["right"]
            yield Measure(AGE, _years(words), _years(words), "asserted", words)


def _of_clause(clause: str, asked: bool) -> Iterator[Measure]:
    yield from _ages(clause, asked)
    yield from _sizes(clause)


def _ages(clause: str, asked: bool) -> Iterator[Measure]:
    small = clause.lower()
    if _HAS_NUMBER.search(small):
        yield from _years_said(clause, asked)
    if _HAS_STAGE.search(small):
        yield from _stages_said(clause)


def _years_said(clause: str, asked: bool) -> Iterator[Measure]:
    taken: set[int] = set()
    for pattern in (*_AGES, *((_BARE_YEARS,) if asked else ())):
        for found in pattern.finditer(clause):
            if found.start("years") not in taken:
                taken.add(found.start("years"))
                years = _years(found["years"])
                meant = "open" if _AGE_LIMIT.search(clause[: found.start()]) else _said(clause, found)
                yield Measure(AGE, years, years, meant, found.group())


def _stages_said(clause: str) -> Iterator[Measure]:
    for found in _DECADE.finditer(clause):
        word = found["decade"].lower()
        low = int(word[:2]) if word[0].isdigit() else 20 + 10 * _DECADES.index(word)
        yield Measure(AGE, low, low + 9, stance(clause, *found.span()), found.group())
    for pattern, low, high in _STAGES:
        for found in pattern.finditer(clause):
            yield Measure(AGE, low, high, stance(clause, *found.span()), found.group())


def _said(clause: str, found: re.Match[str]) -> Stance:
    """`At the age of 68, I would …` says the age, whatever comes after."""
    end = found.end() if _THEN_ONE.match(clause, found.end()) else len(clause)
    return stance(clause[:end], *found.span())


def _years(text: str) -> float:
    return float(text) if text.isdigit() else float(_WORDS[text.lower().replace(" ", "-")])


def _sizes(clause: str) -> Iterator[Measure]:
    if not _HAS_UNIT.search(clause.lower()):
        return
    for found in _SIZE.finditer(clause):
        for number in _FIGURE.findall(f"{found['number']} {found['more'] or ''}"):
            yield _size(clause, found, float(number.replace(",", ".")))
    for found in _WRITTEN_SIZE.finditer(clause):
        word = found["number"].lower()
        whole = 0.5 if word.startswith("half") else float(_WRITTEN.get(word.replace(" ", "-"), 1))
        yield _size(clause, found, whole + (0.5 if found["half"] or found["late"] else 0.0))


def _size(clause: str, found: re.Match[str], number: float) -> Measure:
    meant = "open" if _LIMIT.search(clause[: found.start()]) else stance(clause, *found.span())
    size = number * _MILLIMETRES[found["unit"][0].lower()]
    return Measure(SIZE, size, size, meant, found.group())
