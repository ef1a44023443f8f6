"""A question and its answer in, what a yes or a no takes over from the question out.

`Is it a melanoma?` asks for it, and so does `It isn't a melanoma, is it?`; `Is a melanoma off the table?` asks for the opposite,
and `Is a melanoma dangerous?` asks nothing about the image. `It does`, `exactly` and `I'm afraid so` are a yes like any other.
"""

import re
from typing import NamedTuple

from midefics.grounding.perception import SEEN_OR_NAMED

_SIGH = r"(?:(?:well|oh|ah|hm+|ok(?:ay)?|hello|unfortunately|sadly|regrettably|fortunately|luckily|thankfully|happily|I['’]m afraid|I (?:think|believe|fear))\W+)*"
_SUBJECT = r"(?:it|this|that|these|those|they|there|he|she|I|we|you)"
_AUXILIARY = r"(?:is|are|was|were|does|do|did|has|have|had|can|would)"
_ENDS = r"(?=\s*[,.;:!–—-]|\W*$)"
_YES = re.compile(
    rf"^\W*{_SIGH}(?:(?:yes|yeah|yep|correct|indeed|right|exactly|precisely|quite so|true|absolutely|agreed)\b|(?:of course|sure|so|(?:I )?think so|so it (?:is|does)|you(?:['’]re| are) right|you (?:presume|suppose|assume|guess) (?:right|correct)ly?){_ENDS}"
    rf"|(?:it|that|this)(?:['’]s| is) (?:right|correct|so|true|it){_ENDS}|{_SUBJECT} {_AUXILIARY}(?: so| indeed)?{_ENDS})(?!\W+(?:it |this |that )?(?:may|might|could|can|possibly|perhaps)\b)",
    re.IGNORECASE,
)
_NO = re.compile(
    rf"^\W*{_SIGH}(?:(?:no|nope|none|neither|never|nothing|far from it|by no means|not(?: at all| really| here| in this case| that I (?:can |could )?(?:see|tell|notice))?){_ENDS}"
    rf"|{_SUBJECT} {_AUXILIARY}(?: not|n['’]t)(?: any| one)?{_ENDS}|cannot{_ENDS})",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^\W*(?:yes|no|nope|none|nothing|neither|never)\s*(?:[,.;:–—-]\s*|$)", re.IGNORECASE)
_RIGHT = re.compile(r"^\W*right(?:\s*[,.;:!]|\s[–—-])\s*", re.IGNORECASE)
_ABOUT_SIDES = re.compile(r"\b(?:left|right|sides?|where|which|lateral\w*)\b", re.IGNORECASE)
_TAG = re.compile(
    rf",\s*(?:(?:{_AUXILIARY}(?:n['’]t)?|isn['’]t) {_SUBJECT}|right|correct|no|yes|then|doctor|please|or not|after all|I (?:presume|suppose|assume|guess|take it|gather))\W*$|\s(?:then|or not)\W*$|\W+yes or no\W*$",
    re.IGNORECASE,
)
_LEAD = r"^\W*(?:(?:so|and|then|but|or|well|hm+|ok(?:ay)?|doctor|hello|please|now|in short|just to be sure)\W+)*"
_NEGATED_VERB = re.compile(
    rf"({_LEAD}(?:is|are|was|were|does|do|did|has|have|had|can|could|would))n['’]t\b", re.IGNORECASE
)
_POLAR = re.compile(
    rf"{_LEAD}(?:(?:is|are|was|were|does|do|did|has|have|had)\b|(?:it|this|that|there|he|she)(?:['’]s| is| has| shows| looks)|(?:we|you|I) (?:have|see|mean)\b|any\b"
    rf"|(?:can|could|would|do|did) (?:you|we|one|I){SEEN_OR_NAMED})(?!.*\bor\b)",
    re.IGNORECASE | re.DOTALL,
)
_OF_WHAT_MAY_BE = re.compile(
    r"\b(?:should|may|might|need\w*|risks?|possible|possibly|usually|often|always|ever|sometimes|necessary|required|likely|if|mean(?! to say)|matters?|tell|important|relevant)\b"
    rf"|\bis it (?:\w+ly )?(?!true|right|correct|so\b|fair|clear)\w+ (?:to|for) \w+|{_LEAD}(?:does|do|can|could|may|would)\s+(?!(?:the|this|that|these|those|it|there|he|she|you|we|one|they|your|his|her|our|my|I)\b)|\bas \w+ as\b|\b(?:can|could|would)\b(?! (?:you|we|one|I)\b)",
    re.IGNORECASE,
)
"""A question after what may be, or what matters: a yes to it says nothing of the image."""
_DECLARED_NOT = re.compile(
    rf"{_LEAD}(?:it|this|that|there|the \w+|he|she) (?:is|are|was|has|does|do)(?: not|n['’]t)\b", re.IGNORECASE
)
_TURNED = re.compile(
    r"\b(?:off the (?:table|list|cards)|ruled? out|excluded?|out of the question|unlikely|improbable|dropped|discarded|dismissed|struck off|disproved|negative for|no longer)\b",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"\b(?:absent|missing|gone|free (?:of|from)|clear of|without|lack(?:s|ing)?)\b", re.IGNORECASE)
_PRESENT = re.compile(
    r"\W*$|(?:\W+[\w-]+){0,2}?\W+(?:also |really |clearly |still |even |ever )*(?:present|visible|seen|shown|there|here|apparent|evident|noted|found|depicted|detect\w+|identif\w+|diagnosed|recogni\w+|to be seen|made|taken|done|performed|carried out|obtained|part of|in|on|at|with|your|my|what|it|this|that"
    r"|the (?!same|most|only|worst|best|cause|reason|result|rule))\b",
    re.IGNORECASE,
)
"""What may follow a thing of which a question asks whether it is there."""
_BARE_SUBJECT = re.compile(
    rf"{_LEAD}(?:is|are|was|were|does|do|did|has|have|can)\s+(?:(?:an?|any|every|all|most|some|having|the presence of)\s+)?(?!(?:the|this|that|these|those|it|there|he|she|you|we|your|his|her|our|my|I)\b)(?:[\w-]+\s+){{0,2}}$",
    re.IGNORECASE,
)
_ANY = re.compile(r"\b(?:any(?: signs? of| evidence of)?|an? signs? of|signs? of|evidence of)\s+", re.IGNORECASE)
"""What takes nothing from the words after it in a question: `do you see any bleeding`."""
_ELLIPTIC = re.compile(
    rf"{_LEAD}(?!(?:what|which|who|whose|where|how|why|when|any|am)\b)(?:[\w'’-]+\W+){{0,6}}(?:[\w'’-]+\W*)?$",
    re.IGNORECASE,
)
"""A few words with a question mark: `Female patient?`"""
_NOT_FIRST = re.compile(rf"{_LEAD}(?:not|no|nothing)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Asked(NamedTuple):
    """What a question that is answered by yes or no asks, and what the answer makes of it."""

    question: str
    """Its last sentence, told as if it were expected to be so: without `n't` and `isn't it`."""
    reply: str
    """`asserted`, `denied`, or empty where the answer takes nothing over."""
    absent: bool
    """It names what is not there, so that its words count whatever stands before them."""


def asked(question: str, answer: str) -> Asked | None:
    """What an answer takes over from its question; None where the question is no such one."""
    last = _TAG.sub("", _SENTENCE.split(question.strip())[-1])
    plain = _NEGATED_VERB.sub(r"\1", last)
    declined = bool(_DECLARED_NOT.match(plain) or _NOT_FIRST.match(plain))
    if not (
        declined or _POLAR.match(plain) or (_ELLIPTIC.match(plain) and " or " not in plain)
    ) or _OF_WHAT_MAY_BE.search(plain):
        return None
    plain = _ANY.sub("", plain)
    yes, no = bool(_YES.match(answer)), bool(_NO.match(answer))
    if declined:
        return Asked(plain, "denied" if no else "", absent=True)
    absent, turned = bool(_ABSENT.search(plain)), bool(_TURNED.search(plain))
    if absent or turned:
        return Asked(plain, "denied" if yes else "asserted" if no and absent else "", absent=True)
    return Asked(plain, "asserted" if yes else "denied" if no else "", absent=False)


def of_the_kind(question: str, start: int, end: int) -> bool:
    """Whether a question asks about a kind of things by what stands there: `is family history important`."""
    return bool(_BARE_SUBJECT.match(question[:start])) and not _PRESENT.match(question[end:])


def without_yes_or_no(answer: str, question: str) -> str:
    """`No, a nevus` says that it is one, and `right` no side where none was asked for."""
    agreed = answer if _ABOUT_SIDES.search(question) else _RIGHT.sub("", answer)
    return _LEADING.sub("", agreed)


__all__ = ["Asked", "asked", "of_the_kind", "without_yes_or_no"]
