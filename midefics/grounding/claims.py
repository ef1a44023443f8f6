"""A text in, what it claims out: kind, value and stance of every word that the vocabulary knows.

A question that is answered by yes or no lends its words to the answer.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from midefics.grounding.stance import Stance, clauses, presupposed, stance
from midefics.grounding.vocabulary import (
    DIAGNOSIS,
    FINDING,
    MALIGNANCY,
    MODALITY,
    NORMALITY,
    PATTERNS,
    SEX,
    SIDE,
    SITE,
    VALUES,
)

_ADVICE = re.compile(
    r"\b(?:should|recommend\w*|advis\w*|advice|suggest\w*|would|could|next|follow-?up|further|additional|repeat\w*|order\w*|"
    r"request\w*|plan\w*|needs?|needed|help\w*|useful|must|has to|have to|compar\w*|sometimes|usually|often|clothing|sunscreen|check|keep|avoid)\b",
    re.IGNORECASE,
)
"""A clause with such a word speaks of what to do: of other images, and other parts of the body."""
_ABOUT_ADVICE = re.compile(
    r"\b(?:next|recommend\w*|should|follow-?up|further|additional|tests?|help|would|prevent\w*|advice|advise|do(?:ne)? now|to do|at home)\b",
    re.IGNORECASE,
)
_HYPOTHETICAL = re.compile(
    r"\b(?:(?:might|may|could)(?! (?:you|we|I)\b)|possib\w+|typical\w*|usual\w*|common\w*|warning|in general|generally|alternatives?|differential|"
    r"rul\w+ out|exclud\w+|causes?|reasons?|risks?|complications?|signs? (?:make|of|that)|suspicious|look for|alike|become|in some cases|would (?:change|make|worry|prompt|call)|doctors|radiologists|people|differ\w*|good for|purpose|worst|best|settle\w*|tests?|in general|to do|look out|watch|worr\w+|alarm\w*)\b|^\W*what (?:is an? [\w -]+|are (?!the)\w+s)\?\W*$",
    re.IGNORECASE,
)
"""A question after what may be, or what is so in general: lists that answer it claim nothing."""
_OF_THE_IMAGE = re.compile(
    r"^\W*(?:yes|no|well)?\W*(?:it|this|that|there|here|(?:the|this) (?:image|picture|lesion|figure|film|study|patient|scan|finding|x-ray))(?:['’]s|\W+\w+)",
    re.IGNORECASE,
)
"""A clause that speaks of what is before one."""
_POLAR = re.compile(
    r"^\W*(?:so |and |then |but )?(?:is|are|was|were|does|do|did|has|have|(?:it|this|that)(?:['’]s| is)|we have)\b(?!.*\bor\b)(?!.*\b(?:not|n't|can|could|should|may|might|would|"
    r"need\w*|risks?|possible|usually|often|necessary|required|likely|if|mean)\b)",
    re.IGNORECASE | re.DOTALL,
)
_YES = re.compile(
    r"^\W*(?:yes|correct|indeed|right)\b(?!\W+(?:it |this |that )?(?:may|might|could|can|possibly|perhaps))",
    re.IGNORECASE,
)
_NO = re.compile(r"^\W*no\b(?=\s*[,.;:–—-]|\s*$)", re.IGNORECASE)
_NOT_THE_QUESTION = (MALIGNANCY, NORMALITY, FINDING, DIAGNOSIS, MODALITY, SIDE, SEX, SITE)
"""What a bare no denies, in this order: `Is the nevus malignant?` is no question about the nevus."""
_ADVISABLE = (MODALITY, SITE, SIDE)
_KNOWN_THINGS = (DIAGNOSIS, FINDING, MALIGNANCY)


class Claim(NamedTuple):
    """One thing that a text says."""

    kind: str
    value: str
    stance: Stance
    words: str
    """As the text has them, with the word after them: `left lung`."""


def claims(text: str, question: str = "") -> Iterator[Claim]:
    """What a text says, clause by clause.

    Args:
        text: an answer, a caption.
        question: that it answers; one about what to do, or what may be, leaves things open.
    """
    advice, hypothetical = bool(_ABOUT_ADVICE.search(question)), bool(_HYPOTHETICAL.search(question))
    for start, end in clauses(text):
        clause = text[start:end]
        open_places = advice or bool(_ADVICE.search(clause))
        open_things = hypothetical and not _OF_THE_IMAGE.match(clause)
        diagnosed = [found.span() for found in PATTERNS[DIAGNOSIS].finditer(clause)]
        for kind, pattern in PATTERNS.items():
            for found in pattern.finditer(clause):
                if kind == FINDING and any(low <= found.start() < high for low, high in diagnosed):
                    continue  # the carcinoma of a basal cell carcinoma is no second thing
                meant = stance(clause, found.start(), found.end())
                things_open = kind in _KNOWN_THINGS and meant == "asserted" and open_things
                if things_open or (kind in _ADVISABLE and open_places):
                    meant = "open"
                elif kind in (DIAGNOSIS, FINDING) and meant == "denied" and presupposed(clause, found.start()):
                    meant = "asserted"
                yield Claim(kind, VALUES[kind][(found.lastindex or 1) - 1], meant, _with_next(clause, found))


def answered(question: str, answer: str) -> Iterator[Claim]:
    """What an answer says, with what a yes or no takes over from its question."""
    yield from claims(_without_yes_or_no(answer), question)
    if not _POLAR.search(question):
        return
    asked = [claim for claim in claims(question) if claim.stance == "asserted"]
    if _YES.search(answer):
        yield from asked
    elif _NO.search(answer):
        yield from _denied(question, asked)


def _denied(question: str, asked: list[Claim]) -> Iterator[Claim]:
    first = next((kind for kind in _NOT_THE_QUESTION if any(claim.kind == kind for claim in asked)), None)
    for claim in asked:
        place = question.find(claim.words)
        if claim.kind == first and not presupposed(question, place):
            yield claim._replace(stance="denied")


def _without_yes_or_no(answer: str) -> str:
    """`No, a nevus` says that it is one."""
    return re.sub(r"^\W*(?:yes|no)\s*(?:[,.;:–—-]\s*|$)", "", answer, flags=re.IGNORECASE)


def _with_next(clause: str, found: re.Match[str]) -> str:
    following = re.match(r"\s+[\w-]+", clause[found.end() :])
    return found.group() + (following.group() if following else "")
