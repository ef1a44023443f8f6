"""Where a person can be reached: e-mail, web and postal addresses, phone numbers."""

import re

from midefics.personal_data.spans import Rule, Span, pattern_rule

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "SE", "DK", "NO", "PL", "PT", "GR", "TR", "IN", "CN", "JP", "KR", "BR", "MX", "AU", "IL", "ZA", "NG", "EG", "IR", "SA")  # fmt: skip
"""Whose ways to write a number without +country are known: where most case reports come from."""

_EMAIL = pattern_rule(
    "email addresses",
    "[e-mail]",
    r"\b[\w.+%'’-]{0,63}\w\s?(?:@|[\[(]\s?at\s?[\])])\s?\w[\w-]{0,62}(?:\.[\w-]{0,62}\w){1,8}",
    needs=r"@|at\s?[\])]",
)
_WEB = pattern_rule("web addresses", "[web address]", r"\b(?:https?://|ftp://|www\.)[^\s<>\"”)\]]*[\w/]", re.IGNORECASE)
_WORD = r"[A-ZÀ-Þ][\w'’.-]{0,40}"
_STREET = pattern_rule(
    "postal addresses",
    "[address]",
    rf"""\b(?:
        \d{{1,5}}[a-z]?,?\s(?:[NSEW]\.?\s)?(?:{_WORD}\s){{1,3}}
            (?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Boulevard|Blvd|Drive|Dr|Court|Ct|Place|Square|Terrace|Highway|Crescent)\b\.?
            (?:,?\s(?:Apt|Suite|Unit|Flat)\.?\s?\#?\w+)?
        | {_WORD}(?:straße|strasse|str\.|gasse|weg|platz|allee)\s\d{{1,4}}[a-z]?\b
        | {_WORD}(?:straat|laan|gracht)\s\d{{1,4}}\b
        | \d{{1,4}}(?:\s?bis|\s?ter)?,?\s(?:rue|avenue|av\.|boulevard|bd|place|impasse|chemin|quai)\s(?:(?:de|du|des|la|le|les)\s|[ld]['’])*{_WORD}(?:[\s-]{_WORD})*
        | (?:Calle|Avenida|Avda\.|Rua|Paseo|Plaza|Piazza|Corso|Viale)\s(?:(?:de|da|do|del|della|la)\s)*{_WORD}(?:\s{_WORD})*,?\s(?:n[.º°]?\s?)?\d{{1,4}}\b
        | P\.?\s?O\.?\sBox\s\d+
    )
    (?:,?\s\d{{4,5}}\s{_WORD} | ,\s{_WORD}(?:\s{_WORD})?,?\s[A-Z]{{2}}\s\d{{5}}(?:-\d{{4}})?\b)?""",
    needs=r"\d",
)
_TOWN = pattern_rule(
    "postal addresses",
    "[address]",
    rf"""\b(?:
        {_WORD}(?:\s{_WORD})?,\s[A-Z]{{2}}\s\d{{5}}(?:-\d{{4}})?
        | {_WORD},?\s[A-Z]{{1,2}}\d[A-Z\d]?\s\d[A-Z]{{2}}
        | (?<=,\s)(?:D-)?\d{{5}}\s[A-ZÀ-Þ][a-zà-ÿ]{{2,}}
    )\b""",
    needs=r"\d{3}|[A-Z]\d",
)

_MARKED = pattern_rule(
    "phone numbers",
    "[phone]",
    r"""\b(?:tel(?:ephone|efon|éfono|efono)?|t[ée]l(?:[ée]phone)?|phone|fax|mobile|cell(?:phone)?|call(?:ed)?|contact|pager|whatsapp)
    (?:\s(?:no|nr|number))?\.?\s?[:.]?\s?(?P<it>[+(]?\d[\d ()./–-]{4,}\d)(?![\w]|[.,]\d)""",
    re.IGNORECASE,
)
_MAYBE_PHONE = re.compile(r"[+(]{0,2}\d(?:[ ()./–-]{0,2}\d){6,}")
LONGEST_PHONE = 30
"""Characters; what goes on longer is a table of numbers."""


def _phones(text: str) -> list[Span]:
    kept: list[Span] = []
    for match in _MAYBE_PHONE.finditer(text):
        if match.end() - match.start() <= LONGEST_PHONE:
            kept += _numbers(text, match.start(), match.end())
    return kept


def _numbers(text: str, start: int, end: int) -> list[Span]:
    """Phone numbers in one run of digits, the longest of those that overlap; what stands before and after it counts."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    first = max(0, start - 2)
    around = text[first : end + 2]
    found = {
        (first + match.start + (match.raw_string[0] == "(" and ")" not in match.raw_string), first + match.end)
        for region in REGIONS
        for match in PhoneNumberMatcher(around, region, leniency=Leniency.STRICT_GROUPING)
    }
    kept: list[Span] = []
    for low, high in sorted(found, key=lambda span: (span[0] - span[1], span)):
        if not any(low < other_high and other_low < high for other_low, other_high in kept):
            kept.append((low, high))
    return sorted(kept)


ADDRESSES = (_EMAIL, _WEB)
NUMBERS = (_MARKED, Rule("phone numbers", "[phone]", _phones), _STREET, _TOWN)
