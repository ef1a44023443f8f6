"""A text in, what it claims out: kind, value and stance of every word that the vocabulary knows.

A question that is answered by yes or no lends its words to the answer.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from midefics.grounding.aboutness import clauses_about, general_question
from midefics.grounding.perception import HYPOTHETICAL_VERB
from midefics.grounding.replies import Asked, asked, of_the_kind, without_yes_or_no
from midefics.grounding.stance import Stance, clauses, presupposed, stance
from midefics.grounding.vocabulary import (
    DIAGNOSIS,
    FINDING,
    MALIGNANCY,
    MODALITY,
    NORMALITY,
    SEX,
    SIDE,
    SITE,
    WORDS,
    Word,
    small_letters,
)

_ADVICE = re.compile(
    rf"\b(?:{HYPOTHETICAL_VERB}|recommend\w*|advis\w*|advice|suggest\w*|next(?! to)|follow-?up|further|additional|repeat\w*|order\w*|"
    r"request\w*|plan\w*|needs?|needed|help\w*|useful|must|has to|have to|compar\w*|sometimes|usually|often|clothing|sunscreen|(?<!\w )(?:use|choose|take|try|get|ask for|prefer|book)|check|keep|avoid)\b",
    re.IGNORECASE,
)
"""A clause with such a word speaks of what to do: of other images, and other parts of the body."""
_ABOUT_ADVICE = re.compile(
    rf"\b(?:next(?! to)|recommend\w*|{HYPOTHETICAL_VERB}|follow-?up|further|additional|tests?|help|prevent\w*|advice|advise|do(?:ne)? now|to do|at home)\b",
    re.IGNORECASE,
)
_HYPOTHETICAL = re.compile(
    r"\b(?:(?:might|may|could)(?! (?:you|we|I)\b)|possib\w+|typical\w*|usual\w*|common\w*|warning|in general|generally|alternatives?|differential|"
    r"rul\w+ out|exclud\w+|causes?|reasons?|risks?|complications?|signs? (?:make|of|that)|suspicious|look for|alike|become|in some cases|would (?:change|make|worry|prompt)|(?<!did the )(?<!have the )(?<!did )doctors|radiologists|people|differ\w*|good for|purpose|worst|best|settle\w*|tests?|in general|to do|look out|watch|worr\w+|alarm\w*)\b|^\W*what (?:is an? [\w -]+|are (?!the)\w+s)\?\W*$",
    re.IGNORECASE,
)
"""A question after what may be, or what is so in general: lists that answer it claim nothing."""
_OF_THE_IMAGE = re.compile(
    r"^\W*(?:yes|no|well)?\W*(?:it|this|that|there|here|(?:the|this) (?:image|picture|lesion|figure|film|study|patient|scan|finding|x-ray))(?:['’]s|\W+\w+)",
    re.IGNORECASE,
)
"""A clause that speaks of what is before one."""
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
_AFFECTED_BEFORE = re.compile(
    r"\b(?:the|his|her|their|this)\s+(?:affected\s+|injured\s+|patient['’]s\s+)?$|\b(?:affected|injured)\s+$",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"\b(?:compar\w*|other|opposite|healthy|unaffected|both|against)\b", re.IGNORECASE)
_ORDINAL = re.compile(r"^\W*(?:the )?(?P<place>first|former|second|latter|last)(?: one)?(?=\W*$|[.,;!])", re.IGNORECASE)
_AS_ONE = re.compile(r"^\W*as an?\s+$", re.IGNORECASE)
_NEXT = re.compile(r"\s+[\w-]+")
_ADVISABLE = (MODALITY, SITE, SIDE)
_KNOWN_THINGS = (DIAGNOSIS, FINDING, MALIGNANCY)


class Claim(NamedTuple):
    """One thing that a text says."""

    kind: str
    value: str
    stance: Stance
    words: str
    """As the text has them, with the word after them: `left lung`."""
    word: str
    """Without it."""


def claims(text: str) -> Iterator[Claim]:
    """What a text says that is about one image from its beginning to its end, such as a caption."""
    for start, end in clauses(text):
        yield from _of_clause(text[start:end])


@lru_cache(maxsize=1024)
def _of_clause(clause: str) -> tuple[Claim, ...]:
    small = small_letters(clause)
    diagnosed = [(word.start, word.end) for word in WORDS[DIAGNOSIS].words(clause, small)]
    found = []
    for kind, table in WORDS.items():
        for word in table.words(clause, small):
            if kind == FINDING and any(low <= word.start < high for low, high in diagnosed):
                continue  # the carcinoma of a basal cell carcinoma is no second thing
            words, bare = _with_next(clause, word), clause[word.start : word.end]
            found.append(Claim(kind, word.value, _meant(kind, clause, word), words, bare))
    return tuple(found)


def _meant(kind: str, clause: str, word: Word) -> Stance:
    meant = stance(clause, word.start, word.end)
    if meant == "denied" and kind in (DIAGNOSIS, FINDING) and presupposed(clause, word.start):
        return "asserted"
    if meant == "denied" and kind in _ADVISABLE and not _DENIES_A_PLACE.search(clause[: word.start]):
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
            if left_open:
                claim = claim._replace(stance="open")
            elif (
                claim.kind in (SIDE, SITE, SEX)
                and claim.stance == "open"
                and part.outright
                and _projected(clause, claim)
            ):
                claim = claim._replace(stance="asserted")
            yield claim


def _projected(clause: str, claim: Claim) -> bool:
    """Whether a place is spoken of as known even by one who only advises: `he should rest the affected left arm`."""
    return bool(_AFFECTED_BEFORE.search(clause.partition(claim.words)[0])) and not _COMPARED.search(clause)


def _identified(clause: str, claim: Claim, general: bool) -> bool:
    """Whether a clause says outright that the image, or what it shows, is that."""
    before, _, after = clause.partition(claim.words)
    if _THIS_IS.search(before) or (_AS_ONE.match(before) and after.strip(", ") == ""):
        return True
    return bool(_IT_IS.search(before)) and (not general or (after.strip(" ,") == "" and claim.kind == MALIGNANCY))


def answered(question: str, answer: str) -> Iterator[Claim]:
    """What an answer says, with what a yes or no takes over from its question."""
    yield from _said(without_yes_or_no(answer, question), question)
    yield from _chosen(question, answer)
    if (taken := asked(question, answer)) and taken.reply:
        named = [
            claim
            for claim in claims(taken.question)
            if (claim.stance == "asserted" or taken.absent) and not _of_the_kind(taken.question, claim)
        ]
        yield from named if taken.reply == "asserted" and not taken.absent else _replied(taken, named)


def _chosen(question: str, answer: str) -> Iterator[Claim]:
    """Which of two it is, as in `the latter`."""
    if not (found := _ORDINAL.match(answer)) or " or " not in question:
        return
    named = list(claims(question))
    for kind in WORDS:
        offered = sorted((claim for claim in named if claim.kind == kind), key=lambda claim: question.find(claim.words))
        if len({claim.value for claim in offered}) == 2:
            yield offered[0 if found["place"].lower() in ("first", "former") else -1]._replace(stance="asserted")


def _of_the_kind(question: str, claim: Claim) -> bool:
    place = question.find(claim.words)
    return of_the_kind(question, place, place + len(claim.word))


def _replied(taken: Asked, named: list[Claim]) -> Iterator[Claim]:
    """Of what a question names, that which it is about."""
    first = next((kind for kind in _NOT_THE_QUESTION if any(claim.kind == kind for claim in named)), None)
    for claim in named:
        place = taken.question.find(claim.words)
        if claim.kind == first and not presupposed(taken.question, place):
            yield claim._replace(stance="denied" if taken.reply == "denied" else "asserted")


def _with_next(clause: str, word: Word) -> str:
    following = _NEXT.match(clause, word.end)
    return clause[word.start : following.end() if following else word.end]
