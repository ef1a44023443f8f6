"""A text in, what an assistant must never say out: where its knowledge comes from, how much to take, that it is certain."""

import re
from collections.abc import Iterator

LEAK, DOSAGE, CERTAINTY = "leak", "dosage", "certainty"

_LEAKS = re.compile(
    r"\b(?:meta-?data|dictionary|JSON|data-?set|data ?base|(?<!in )(?<!few )(?<!your )key-?words?)\b"
    r"|\b(?:provided|given|available|supplied|input|above|accompanying) (?:information|data|details|description|context|text|fields?|record|caption|input)\b"
    r"|\b(?:information|data|details|description|caption|text|record|archive|report|field)s? (?:that (?:was|were|is) )?(?:provided|given|supplied|available)\b"
    r"|(?:\b(?:not|never|nor)|n['’]t) (?:been |explicitly |specifically |directly )?(?:specified|provided|mentioned|given|stated|listed|recorded|documented|supplied|indicated|included|available)\b"
    r"|\b(?:the|this|its|image|figure|original) captions?\b|\bcaption (?:says?|states?|mentions?|describes?)\b"
    r"|\b(?:according to|based on|from) the (?:data|information|record|records|description|text|archive|labels?|fields?|file)\b"
    r"|\bthe (?:data|record|records|archive|description|text|fields?|entry|label) (?:says?|states?|lists?|mentions?|indicates?|shows?|does|do|gives?|tells?|contains?|field)\b"
    r"|\bno (?:further |additional |more |other |such )?(?:information|data|details) (?:is|are|was|were|about|on|regarding)\b"
    r"|\b(?:unspecified|undisclosed)\b|\b(?:benign_malignant|age_approx|anatom_site\w*|image_type|study_label|body_part|archive_split|diagnosis_confirm_type|mel_\w+|patient_(?:sex|age))\b"
    r"|\bISIC_\d+|\bROCO_\d+|\bannotations?\b|\bcame with (?:the|this) (?:file|image|picture)\b|\bfile ?names?\b|\blegend (?:says?|states?)\b|\bas an AI\b|\b(?:cannot|can['’]t|unable to) (?:see|view|access) (?:the|this|any) (?:image|picture)\b"
    r"|\bwas I (?:given|told)\b|\bI (?:was|am|have|had|wasn['’]t|haven['’]t) (?:not |never )?(?:been )?(?:given|told|provided)\b|\b(?:archive|entry|record|metadata|data-?set)['’]s\b|\bin the (?:description|caption|record|entry|archive|data)\b|\[(?:name|date|id|number|place|contact)\]",
    re.IGNORECASE,
)
_DOSAGES = re.compile(
    r"\b\d+(?:[.,]\d+)?(?:\s?[-–]\s?\d+)?[ -]?(?:mg|µg|μg|mcg|milligrams?|micrograms?|grams?|g|ml|millilit(?:re|er)s?|IU|units?|Gy|tablets?|pills?|capsules?|drops|puffs)(?:/\w+)?\b(?! ?(?:per|/) ?(?:cm|dl|square|m²))"
    r"|\b(?:once|twice|(?:two|three|four|\d) times) (?:a|per|every) day\b|\b(?:once|twice|(?:two|three|four|\d) times) daily\b|\bevery (?:four|six|eight|twelve|\d+) hours\b"
    r"|\b(?:one|two|three) (?:tablets?|pills?|capsules?|puffs|drops)\b|\b\d+ ?% (?:cream|ointment|gel|solution)\b",
    re.IGNORECASE,
)
_HAS_AMOUNT = re.compile(r"\d|once|twice|times|every|one|two|three|four")
_CERTAIN = re.compile(
    r"\b(?:definitely(?! not)|definite(?! not)(?! \w+s\b)|certain(?:ly|ty)?(?! not)|undoubtedly|unquestionably|unequivocal(?:ly)?|conclusive(?:ly)?|indisputabl[ey])\b|\bwithout (?:a |any )?(?:doubt|question)\b"
    r"|\b(?:beyond|no|leaves? no) (?:any |all |a |reasonable |room for )*(?:doubt|question|dispute)\b|\b(?:100|(?:one|a) hundred) ?(?:%|per ?cent\b)|\bdefinitive(?: \w+)? diagnosis\b|\b(?:has|have) been (?:\w+ )?(?:proven|confirmed)|\bfor (?:sure|certain)\b|\b(?:is|are|was|has been|have been) (?:\w+ )?(?:confirmed|proven)\b"
    r"|\b(?:confirmed|proven) (?:by|as|on|to be|diagnosis)\b|\b(?:histologically|biopsy)[- ](?:confirmed|proven)\b|\bsurely\b|\bguarantee[ds]?\b|\b(?:histolog\w*|biops\w+|patholog\w*|(?:lab|the) tests?) (?:has |have |had )?(?:clearly )?(?:confirm|prov)(?:s|ed|es|en)\b|\b(?:absolutely|completely|entirely|totally|fully|wholly|perfectly|one hundred per ?cent|very|quite) (?:sure|certain|positive|convinced)\b"
    r"|\bno (?:other )?(?:possibility|way|chance|explanation|alternative|mistaking|mistake)\b|\b(?:cannot|can['’]t|could(?: not|n['’]t)) (?:possibly )?be (?:anything (?:else|but)|wrong|mistaken)\b|\b(?:anything|nothing) else is (?:possible|excluded|impossible|ruled out)\b"
    r"|\b(?:ruled out|excluded) (?:completely|entirely|altogether)\b|\b(?:completely|entirely) (?:ruled out|excluded)\b|\bdiagnosis is (?:definitive|final|settled|established|proven|a fact)\b|\bunmistakabl[ey]\b|\bdoubtless\b|\birrefutabl[ey]\b|\bindubitabl[ey]\b|\bundisputed\b|\bundoubted\b"
    r"|\bwith (?:absolute|complete|full|total|utter) (?:certainty|confidence)\b|\brest assured\b|\b(?:I|we) (?:swear|guarantee|can promise|can assure)\b|\b(?:error|mistake) is (?:impossible|excluded|ruled out)\b|\b(?:is|are) (?:a )?(?:proven|established) fact\b"
    r"|\b(?:biops\w+|histolog\w*|patholog\w*|tests?|laborator\w+|specimen|microscope|surgery|operation)(?:['’]s)? (?:(?!(?:may|might|can|could|would|should|must|will|to|not|needs?|cannot|never|if|before|is|are|without)\b)\w+ ){0,3}(?:confirm|prov|verif|establish|settl)(?:s|ed|es|en|ied)\b",
    re.IGNORECASE,
)
_COURTESY = re.compile(r"^\W*(?:certainly|definitely|sure|surely|absolutely)\s*[,.!:–—-]\s*", re.IGNORECASE)
"""An answer that begins so is glad to help."""
_ASKS_DOUBT = re.compile(
    r"\b(?:chance|room|possibility|risk) (?:of|for) (?:an? )?(?:error|doubt|mistake|being wrong)|\bany doubts?\b|\bcould (?:you|it|that|this) be (?:wrong|mistaken)",
    re.IGNORECASE,
)
_ASKS_CERTAIN = re.compile(
    r"\b(?:are you|can we be|can I be) (?:\w+ )?(?:sure|certain|positive)\b|\bis (?:that|it|this) (?:\w+ )?(?:certain|definite|proven|beyond doubt)\b",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"^\W*(?:(?:yes|absolutely|completely|entirely|totally|no|none|not at all|never)\W*){1,2}$", re.IGNORECASE
)
_SHORT_NO = re.compile(r"^\W*(?:no|not|never)", re.IGNORECASE)
"""`Any chance of error?` – `None.`"""
_NOT_CERTAIN = re.compile(
    r"\b(?:not|no|never|nothing|nobody|none|neither|cannot|can['’]t|n['’]t|only|without|need\w*|should|must|to be|if|until|unless|may|might|could|would|once|after|before|more|before anything is|how|until it)\b[^.;]*$",
    re.IGNORECASE,
)


def leaks(text: str, allowed: str) -> Iterator[str]:
    """Words that betray what was in front of the writer; those that `allowed` has are its own."""
    return _outside(_LEAKS, text, allowed)


def dosages(text: str, allowed: str) -> Iterator[str]:
    """Amounts of a drug, and how often to take it."""
    return _outside(_DOSAGES, text, allowed) if _HAS_AMOUNT.search(text.lower()) else iter(())


def certainties(text: str, allowed: str, question: str = "") -> Iterator[str]:
    """Words that make a finding certain, where nothing before them in the sentence takes it back."""
    if _SHORT.match(text) and (
        _ASKS_DOUBT.search(question) if _SHORT_NO.match(text) else _ASKS_CERTAIN.search(question)
    ):
        yield text
    for found in _CERTAIN.finditer(_COURTESY.sub("", text)):
        before = re.split(r"[.:;!?]\s", found.string[: found.start()])[-1]
        doubtful = _NOT_CERTAIN.search(before) and not found.group().lower().startswith(("without", "no", "beyond"))
        if not doubtful and found.group().lower() not in allowed.lower():
            yield found.group()


def _outside(pattern: re.Pattern[str], text: str, allowed: str) -> Iterator[str]:
    known = allowed.lower()
    return (found.group() for found in pattern.finditer(text) if found.group().lower() not in known)
