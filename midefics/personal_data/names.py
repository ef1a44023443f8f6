"""People's names: after a title or in a credit, or a given name that Faker's lists know before a capitalised word.

Eponyms stay: a capitalised word alone is no name without such a sign, nor are two before a word like `syndrome` or
`fracture`. So a name is missed where it stands alone and untitled, or where no list has its given name.
"""

import re
from collections.abc import Callable
from itertools import pairwise

from midefics.personal_data.spans import Rule, Span, pattern_rule
from midefics.personal_data.words import SHORTEST, after_eponyms, eponyms, family_names, given_names, ordinary_words

KIND, MASK = "names", "[name]"
LONGEST_ACRONYM = 5
_OF_ADJECTIVES = (
    "al", "ic", "ous", "ive", "ary", "ory", "ar", "ed", "ing", "oid", "ized", "able", "ion", "gram", "graphy", "scopy",
)  # fmt: skip
"""How words end that stand before an eponym at the beginning of a caption."""

_UPPER = "A-Z" + "".join(chr(code) for code in range(0xC0, 0x250) if chr(code).isupper())
_PARTICLE = "(?:de|del|della|di|da|do|dos|das|du|des|la|le|van|von|der|den|ter|ten|zu|zur|af|bin|ibn|ben|al|el)"
# Every repetition is bounded: the time stays in proportion to the text, whatever an archive holds.
_WORD = rf"[{_UPPER}][^\W\d_]{{0,40}}(?:['’-](?!s\b)[^\W\d_]{{1,40}}){{0,3}}"
_INITIAL = rf"(?:(?:[{_UPPER}]\.-?){{1,4}}|[{_UPPER}]\b(?!['’-]))"
_PART = rf"(?:{_INITIAL}|{_WORD})"
_MORE = rf"(?:\s{{1,2}}(?:{_PARTICLE}\s|al-|el-|[dl]['’]){{0,3}}{_PART})"
_NAME = rf"\b(?P<it>(?:{_PARTICLE}\s){{0,3}}{_PART}{_MORE}{{0,3}})"
_TOKEN = re.compile(rf"{_INITIAL}|{_WORD}")
_TITLES = "Dr|Drs|Prof|Pr|Mr|Mrs|Ms|Miss|Mme|Mlle|Herr|Frau|Sra?|Srta|Señora?|Signora?|Dott|Doctor|Professor|Sir|Dame|Rabbi|Nurse"

_TITLED = rf"\b(?:{_TITLES})\b\.?\s?(?:(?:{_TITLES}|med|habil|univ|dent|vet|rer|nat|Ing)\b\.?\s){{0,5}}{_NAME}"
_CREDITED = rf"""\b(?i:courtesy(?:\s(?:of|by))?|named|name(?:\sis)?|credit
    |(?:photo(?:graph)?|image|figure|picture|provided|contributed|reported|interpreted|signed|read|reviewed|performed|dictated
        |drawn|submitted|referred|operated|verified|approved)\sby
    |radiologist|physician|surgeon|sonographer|referrer|operator|technician|attending)(?:\s?:\s?|\s){_NAME}"""
_MENTIONED = rf"""\b(?i:(?:permission|adapted|modified|reprinted|reproduced|taken)\s(?:from|of)|described\sby|seen\sby|image|photo|author
    |patient|(?-i:boy|girl|man|woman|son|daughter|child(?!\sPugh)|baby|mother|father|wife|husband))(?:\s?:\s?|\s){_NAME}"""
_CITED = rf"{_NAME}(?=(?:['’]s)?,?\s(?:et\.?\sal\b|and\s(?:colleagues|co-?workers)\b))"
_CITED_WITH_YEAR = rf"\(\s?(?:[Ff]rom\s|[Ss]ee\s)?{_NAME}(?=(?:,\s{_INITIAL}){{0,3}},?\s(?:19|20)\d\d[a-z]?\s?[,);:])"
_IN_ORDER = rf"(?P<it>{_WORD}{_MORE}{{1,3}})"
_TURNED = rf"\b(?P<it>{_WORD},\s{_WORD}(?:\s[{_UPPER}]\b\.?)?)"
_INITIALED = rf"(?<![\w.])(?P<it>(?:[{_UPPER}]\.\s?-?){{1,3}}{_WORD})"
_AGED = rf"\b(?P<it>{_WORD})(?=,\s(?:an?\s|aged\s)?\d{{1,3}}(?:\s?-?\s?y|,))"
_NEXT = re.compile(r"(?:['’]s)?[\s-]*([^\W\d_]*)(?:\s+([^\W\d_]*))?")


def telling_words(name: str) -> list[str]:
    """The words of a name that would give it away elsewhere, in lower case."""
    words = (word.lower() for word in _TOKEN.findall(name) if not _is_initial(word))
    return [word for word in words if len(word) >= SHORTEST and not _is_ordinary(word)]


def mentions(words: frozenset[str]) -> Rule:
    """A rule that finds these words wherever they stand, in capitals or not."""
    if not words:
        return Rule(KIND, MASK, lambda _: [])
    return pattern_rule(KIND, MASK, rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b", re.IGNORECASE)


def _rule(pattern: str, accept: Callable[[str, Span], Span | None]) -> Rule:
    compiled = re.compile(pattern, re.VERBOSE)

    def find(text: str) -> list[Span]:
        spans = (accept(text, match.span("it")) for match in compiled.finditer(text))
        return [span for span in spans if span]

    return Rule(KIND, MASK, find)


def _titled(text: str, span: Span) -> Span | None:
    """As `_kept`, but Dr. White is a person too."""
    return _kept(text, span, begun=True)


def _kept(text: str, span: Span, begun: bool = False) -> Span | None:
    """The span up to its first word that no name has; None where that is the first.

    Once the name has `begun`, an ordinary word that is also a family name belongs to it.
    """
    parts: list[re.Match[str]] = []
    for part in _TOKEN.finditer(text, *span):
        if not (_possible(part.group()) or ((parts or begun) and part.group() in family_names())):
            break
        parts.append(part)
    while parts and len(parts[-1].group()) == 1 and len(parts) > 2:  # "Dr Helen Bungay A" goes on with panel A
        parts.pop()
    if all(_is_initial(part.group()) for part in parts):
        return None
    return span[0], parts[-1].end()


def _credited(text: str, span: Span) -> Span | None:
    """As `_kept`, but what is called a Codman triangle is none."""
    kept = _kept(text, span)
    return kept if kept and not _eponym(text, kept) else None


def _known(text: str, span: Span) -> Span | None:
    """As `_credited`, where one of its words is in the lists."""
    kept = _credited(text, span)
    words = _TOKEN.findall(text, *kept) if kept else []
    return kept if any(_is_given(word) or _is_family(word) for word in words) else None


def _in_order(text: str, span: Span) -> Span | None:
    """From the first word on that a name may begin with."""
    parts = list(_TOKEN.finditer(text, *span))
    for part, following in pairwise(parts):
        rest = (other.group() for other in parts if other.start() >= following.start())
        if _begins_name(part.group(), next((word for word in rest if not _is_small(word)), "")):
            kept = _credited(text, (part.start(), span[1]))
            return kept if kept and kept[1] > part.end() else None
    return None


def _begins_name(word: str, following: str) -> bool:
    family = _is_family(following) and not _is_ordinary(following)
    if _is_initial(word) or word.isupper() or _is_ordinary(word):  # "Mark Smith", but not "Mark Line"
        return family and _is_given(word) and not _is_initial(word)
    if _is_given(word):
        return True
    return (family and not word.lower().endswith(_OF_ADJECTIVES)) or (_is_family(word) and _is_given(following))


def _turned(text: str, span: Span) -> Span | None:
    family, given, *_ = _TOKEN.findall(text, *span)
    likely = _is_family(family) and _is_given(given) and not _is_ordinary(family) and not _is_ordinary(given)
    return span if likely else None


def _initialed(text: str, span: Span) -> Span | None:
    family = _TOKEN.findall(text, *span)[-1]
    return span if _is_family(family) and not _is_ordinary(family) and not _eponym(text, span) else None


def _aged(text: str, span: Span) -> Span | None:
    word = text[slice(*span)]
    return span if _is_given(word) and not _is_ordinary(word) else None


def _possible(word: str) -> bool:
    return _is_initial(word) or not (_is_ordinary(word) or _is_acronym(word))


def _is_initial(word: str) -> bool:
    return len(word) == 1 or "." in word


def _is_small(word: str) -> bool:
    return _is_initial(word) or re.fullmatch(_PARTICLE, word.lower()) is not None


def _is_ordinary(word: str) -> bool:
    return not ordinary_words().isdisjoint(re.split("['’-]", word.lower()))


def _is_acronym(word: str) -> bool:
    return word.isupper() and len(word) <= LONGEST_ACRONYM and not _is_family(word) and not _is_given(word)


def _is_given(word: str) -> bool:
    return word.title() in given_names() or all(part.title() in given_names() for part in word.split("-"))


def _is_family(word: str) -> bool:
    return any(part.title() in family_names() for part in (word, *re.split("['’-]", word)))


def _eponym(text: str, span: Span) -> bool:
    following = _NEXT.match(text, span[1])
    after = [word.lower() for word in (following.groups() if following else ()) if word]
    inside = [word.lower() for word in _TOKEN.findall(text, *span)]
    return not after_eponyms().isdisjoint(after[:2]) or " ".join([*inside, *after][:2]) in eponyms()


RULES = (
    pattern_rule(KIND, MASK, r"\b[A-Za-z][\w'’-]{0,63}\^[\w'’.^-]{1,64}", needs=r"\^"),  # as DICOM writes them
    pattern_rule(
        KIND, MASK, r"\b(?:Mr|Mrs|Ms|Miss|Mme|Mlle|Herr|Frau)\b\.?\s(?P<it>[A-Z]{1,3}\b(?!['’-]|\.?\s?[A-Z]))\.?"
    ),
    _rule(_TITLED, _titled),
    _rule(_CREDITED, _credited),
    _rule(_MENTIONED, _known),
    _rule(_CITED, _kept),
    _rule(_CITED_WITH_YEAR, _known),
    _rule(_IN_ORDER, _in_order),
    _rule(_TURNED, _turned),
    _rule(_INITIALED, _initialed),
    _rule(_AGED, _aged),
)
