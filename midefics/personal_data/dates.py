"""Dates as captions write them, in English, French, German, Spanish, Italian, Portuguese and Dutch."""

import re

from midefics.personal_data.spans import Rule, Span, pattern_rule

KIND, MASK = "dates", "[date]"

_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|janvier|février|fevrier|mars|avril|mai|juin|juillet|août|aout|septembre|octobre|novembre|décembre|decembre"
    "|januar|februar|märz|juni|juli|oktober|dezember"
    "|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre|octubre|noviembre|diciembre"
    "|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre"
    "|janeiro|fevereiro|março|maio|junho|julho|setembro|outubro|novembro|dezembro"
    "|januari|februari|maart|mei|augustus"
    "|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|okt|nov|dec|dez|janv|févr|fevr|avr|juil|déc"
)
_MONTH = rf"(?:{_MONTHS})\b\.?"
_TITLE = rf"(?:{_MONTHS.title()})\b"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th|er|º|ª)?"
_YEAR = r"(?:19|20)\d\d"
_UNIT = r"\s*(?:mm|cm|ml|mg|kg|µm|ms|msec|sec|mA|kV|HU|Gy|MBq|mCi|%|x\s*\d|×)"
_NOT_WITHIN = r"(?<![\w.,/\-–])"
_ENDS = rf"(?![\w/]|[.,\-–]\d)(?!{_UNIT})"

_WORDS = pattern_rule(
    KIND,
    MASK,
    rf"""\b(?:
        {_DAY}\.?(?:\s*[-–/ ]\s*|\s*)(?:(?:of|de)\s+)?{_MONTH}(?:\s*[-–/.,]?\s*|\s+(?:de|del)\s+)(?:{_YEAR}\b|['’]?\d\d\b{_ENDS})
        | {_MONTH}\s*{_DAY}\s*[.,/\-–]?\s*{_YEAR}\b
        | {_YEAR}\s*[-–/ ]\s*{_MONTH}\s*[-–/ ]\s*{_DAY}\b
        | (?!OCT\b|MAR\b){_MONTH}\s*[-–/,]?\s*(?:(?:of|de|del)\s+)?{_YEAR}\b
    )""",
    re.IGNORECASE,
    needs=r"\d\d",
)
# Without a year only as a month is written in a sentence: "OCT 3" is a scanner, "may 2" no day, a march fracture no date.
_DAY_AND_MONTH = pattern_rule(
    KIND,
    MASK,
    rf"""\b(?:{_DAY}\.?(?:\s+|-)(?:(?:of|de)\s+)?{_TITLE} | {_TITLE}\.?\s+{_DAY})(?![\w]|[.,]\d)(?!\s*[–\-]?\s*fracture)(?!{_UNIT})""",
    needs=r"\d",
)
_MONTH_ALONE = pattern_rule(
    KIND,
    MASK,
    r"""\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Bb]y|[Oo]f|[Ff]rom|[Dd]uring|early|late|mid|last)[ -]
    (?P<it>January|February|March|April|May|June|July|August|September|October|November|December)\b
    (?!\s*-?\s*(?:fracture|foot))""",
)
_DIGITS = re.compile(
    rf"""{_NOT_WITHIN}(?:
        (?P<y1>{_YEAR})(?P<s1>[-–/.])(?P<m1>\d\d?)(?P=s1)(?P<d1>\d\d?)(?:[T ]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?
        | (?P<y2>{_YEAR})(?P<m2>\d\d)(?P<d2>\d\d)
        | (?P<a>\d\d?)(?P<s2>\s?[-–/.]\s?)(?P<b>\d\d?)(?P=s2)(?P<y3>{_YEAR}|(?<=\d\d[-–/.])\d\d|(?<=/)\d\d)
        | (?P<m4>\d\d?)/{_YEAR}
        | (?P<m5>\d\d)[.\-–]{_YEAR}
    ){_ENDS}""",
    re.VERBOSE,
)


def _digits(text: str) -> list[Span]:
    return [match.span() for match in _DIGITS.finditer(text) if _in_a_calendar(match)]


def _in_a_calendar(match: re.Match[str]) -> bool:
    part = {name: int(value) for name, value in match.groupdict().items() if value and name[0] in "mdab"}
    if "a" in part:  # day and month in either order
        first, second = sorted((part["a"], part["b"]))
        return 1 <= first <= 12 and second <= 31
    month = next(value for name, value in part.items() if name[0] == "m")
    day = next((value for name, value in part.items() if name[0] == "d"), 1)
    return 1 <= month <= 12 and 1 <= day <= 31


RULES = (_WORDS, Rule(KIND, MASK, _digits), _DAY_AND_MONTH, _MONTH_ALONE)
YEARS = pattern_rule(
    "years",
    "[year]",
    rf"(?<![\w.,/\-–×]) (?<!TR[ =/:]) (?<!TE[ =/:]) (?P<it>{_YEAR}) (?!\w|[.,/]\d|-\d)(?!{_UNIT}|\s*[a-z]*(?:patients|cases))",
)
