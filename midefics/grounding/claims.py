"""A text in, what it claims out: kind, value and stance of every word that the vocabulary knows.

A question that is answered by yes or no lends its words to the answer.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from midefics.grounding.aboutness import clauses_about, general_question
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
_DENIES_A_PLACE = re.compile(
    r"(?:\b(?:no|not|never|nor|neither|rather than)|n['’]t)\W+(?:(?:an?|the|of|on|in|at|from|by|with|seen|taken|made|located|really|part|affecting|another|any)\W+){0,4}$",
    re.IGNORECASE,
)
_LINK = (
    r"(?:['’]s| is| was| are| were| has been)\W+(?:(?:an?|the|on|in|of|at|clearly|indeed|actually|seen|located|obtained|acquired|"
    r"taken|made|captured|performed|done|using|used|with|by|from|as|via|patient['’]s|his|her)\W+)*$"
)
_THIS_IS = re.compile(
    rf"\b(?:this|image|picture|study|examination|finding|area|technique|modality|method|imaging|what (?:you|we) see){_LINK}",
    re.IGNORECASE,
)
"""What stands before a word that says outright what the image is."""
_IT_IS = re.compile(rf"\b(?:it|that|lesion){_LINK}", re.IGNORECASE)
_AS_ONE = re.compile(r"^\W*as an?\s+$", re.IGNORECASE)
_ADVISABLE = (MODALITY, SITE, SIDE)
_KNOWN_THINGS = (DIAGNOSIS, FINDING, MALIGNANCY)


class Claim(NamedTuple):
    """One thing that a text says."""

    kind: str
    value: str
    stance: Stance
    words: str
    """As the text has them, with the word after them: `left lung`."""


def claims(text: str) -> Iterator[Claim]:
    """What a text says that is about one image from its beginning to its end, such as a caption."""
    for start, end in clauses(text):
        yield from _of_clause(text[start:end])


def _of_clause(clause: str) -> Iterator[Claim]:
    diagnosed = [found.span() for found in PATTERNS[DIAGNOSIS].finditer(clause)]
    for kind, pattern in PATTERNS.items():
        for found in pattern.finditer(clause):
            if kind == FINDING and any(low <= found.start() < high for low, high in diagnosed):
                continue  # the carcinoma of a basal cell carcinoma is no second thing
            value = VALUES[kind][(found.lastindex or 1) - 1]
            yield Claim(kind, value, _meant(kind, clause, found), _with_next(clause, found))


def _meant(kind: str, clause: str, found: re.Match[str]) -> Stance:
    meant = stance(clause, found.start(), found.end())
    if meant == "denied" and kind in (DIAGNOSIS, FINDING) and presupposed(clause, found.start()):
        return "asserted"
    if meant == "denied" and kind in _ADVISABLE and not _DENIES_A_PLACE.search(clause[: found.start()]):
        return "open"  # `no fracture of the left wrist` denies neither left nor wrist
    return meant


def _said(answer: str, question: str) -> Iterator[Claim]:
    """What an answer says of the image at hand; what it says in general, advises or thinks possible is left open."""
    advice, hypothetical = bool(_ABOUT_ADVICE.search(question)), bool(_HYPOTHETICAL.search(question))
    general = general_question(question)
    for part in clauses_about(answer, question):
        clause = answer[part.start : part.end]
        open_places = not part.outright and (advice or bool(_ADVICE.search(clause)))
        open_things = hypothetical and not part.outright and not _OF_THE_IMAGE.match(clause)
        for claim in _of_clause(clause):
            identified = _identified(clause, claim, general)
            left_open = (
                not (part.ours or identified)
                or (claim.kind in _KNOWN_THINGS and claim.stance == "asserted" and open_things and not identified)
                or (claim.kind in _ADVISABLE and open_places and not identified)
            )
            yield claim._replace(stance="open") if left_open else claim


def _identified(clause: str, claim: Claim, general: bool) -> bool:
    """Whether a clause says outright that the image, or what it shows, is that."""
    before, _, after = clause.partition(claim.words)
    if _THIS_IS.search(before) or (_AS_ONE.match(before) and after.strip(", ") == ""):
        return True
    return bool(_IT_IS.search(before)) and (not general or (after.strip(" ,") == "" and claim.kind == MALIGNANCY))


def answered(question: str, answer: str) -> Iterator[Claim]:
    """What an answer says, with what a yes or no takes over from its question."""
    yield from _said(_without_yes_or_no(answer), question)
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
