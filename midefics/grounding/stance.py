"""A place in a sentence in, how what stands there is meant out: asserted, denied, or left open.

A clause is read on its own: `not malignant, but it may grow` denies the one and leaves the other open. What counts within
it is what stands before the place (`no`, `may be`, `to rule out`), or straight after it (`is possible`, `is not seen`).
"""

import re
from collections.abc import Iterator
from typing import Literal

from midefics.grounding.perception import HYPOTHETICAL_VERB, PERCEIVED, SOMEBODY

Stance = Literal["asserted", "denied", "open"]

_BOUNDARY = re.compile(
    r"[.;:!?](?=\s|$)|(?<=[a-z0-9)])\s+(?=(?-i:What|It['’]s|It is|That|This|These|There|Here|Don['’]t|Not|Picture|Textbook)\s)|\s[–—-]\s|,?\s+(?=(?:but|however|although|though|whereas|because|since|so|therefore)\b)"
    r"|,?\s+(?=and (?:such|most|many|other|these|those|some|I|we|you|it|the|this|there|its|he|she|they|no|not|shows?|is|was|has|may|might|could|should)\b)"
    r"|,\s+(?=(?:it|this|that|the|there|which|he|she|they|with|showing|not|no|as)\b)",
    re.IGNORECASE,
)
_OPEN = re.compile(
    rf"\b(?:may|might|(?<!\bI )(?<!\bwe )(?<!answer )(?<!diagnosis )(?<!impression )(?<!guess )(?<!verdict )(?<!choice ){HYPOTHETICAL_VERB}|(?<!other )(?<!else )than|possibl[ey]|possibilit(?:y|ies)|perhaps|maybe|suspicious(?! $)|suspicion|suspect\w*|rul(?:e|es|ed|ing) out|"
    r"exclud\w*|if|when(?:ever)?|in case|where (?:an?|there)|any|every|each|whether|unless|once|differential|(?<!is )(?<!are )(?<!was )(?<!I )(?<!we )(?<!been )(?<!I would )(?<!I['’]d )consider\w*|risks?|concern\w*|usually|often|typically|generally|"
    r"sometimes|in general|commonly|such as(?! (?:this|that|the one))|for example|e\.g|protect\w* against|prevent\w*|(?:becom|develop)(?:e|es|ing)?|"
    r"(?:screen\w*|check\w*|watch\w*|look\w*|monitor\w*|examin\w*|search\w*|rest\w*|evaluat\w*|assess\w*) (?:out )?for|turns? into|(?<!\bI )(?<!\bwe )(?:find|detect|spot|recogni[sz]e|catch) (?:early )?signs of|depends?|uncertain|unclear|cannot (?:say|tell|be)|against|(?:in favou?r|treatment|management|removal|chance|likelihood|incidence|rate) of|treatment for|treated as|\bI considered(?! (?:it|this|the))|reserved for|used for|leads? to|(?:to|helps?) (?:\w+ )?(?:detect|identify|assess|evaluate|visuali[sz]e|spot|find|reveal|diagnose|confirm|differentiate|treat|remove|manage)|warning signs?|hints? at|"
    r"unlike|compared (?:with|to)|in contrast to|instead of|rather than|as opposed to|differ\w* from|distinguish\w*|"
    rf"versus|vs|can(?! (?:be |clearly )*(?:seen|see|recogni\w+|identif\w+|observed?|noted|appreciated|found)|{SOMEBODY}{PERCEIVED}))\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:no|not(?! only| just| bad| uncommon| unusual| surprising| to mention)|never|nor|without(?! contrast)|none|absence of|free of|negative for|lacks?|rather than|nothing|nobody|neither)\b|n['’]t\b(?! (?:miss|overlook|forget|ignore)\b)",
    re.IGNORECASE,
)
_OPEN_AFTER = re.compile(
    r"\W*(?:(?:is|are|was|remains?|has|have)\W+(?:also\W+|been\W+|still\W+)*(?:possible|suspected|uncertain|unclear|conceivable|considered)\b"
    r"|can(?:not| not)? be (?:ruled out|excluded)|(?:is|are) not (?:excluded|ruled out))"
    r"|.*\b(?:should|must|have|has|had|needs?|is|are|ought) (?:still |also |first )*(?:to )?be (?:ruled out|excluded|considered|thought of|kept in mind)\b"
    rf"|.*\b(?:(?:less|not|hardly)(?: very| so)? (?:likely|probable|plausible)|(?:unlikely|improbable|implausible)(?! to)|(?:does|do)(?:n['’]t| not) fit|until proven|warrants?|calls? for|should prompt|typical|common|frequent|usual|possible|conceivable|in general|would(?!{SOMEBODY}{PERCEIVED})|might be|may be|could be)\b",
    re.IGNORECASE | re.DOTALL,
)
_DENIED_AFTER = re.compile(
    r"\W*(?:(?:is|are|was|were) (?:absent|not (?:seen|present|visible|shown|evident|identified|on it|on the|in it|in the|part))"
    r"|(?:has|have) been (?:excluded|ruled out)|(?:was|were) (?:excluded|ruled out))\b",
    re.IGNORECASE,
)
_GENERIC_AFTER = re.compile(
    r"[^\w,;]*(?:\w+[^\w,;]+){0,2}?(?:usually|often|typically|generally|commonly|sometimes|may|might|could|would|can(?! (?:also |clearly )*be (?:clearly |also )*(?:seen|observed|noted|appreciated|found|identified|recogni|made out))|tends?|differs?|grows?|spreads?|arises?|occurs?|needs?|must|never|looks?|begins?|starts?|behaves?|requires?|belongs?)\b",
    re.IGNORECASE,
)
_SEEN = re.compile(r"\b(?:seen|visible|present|noted|found|shown|observed|identified|noticed)\b", re.IGNORECASE)
_DEFINITE_BEFORE = re.compile(r"\b(?:the|this|these|his|her|its)\s+$", re.IGNORECASE)
_AT_THE_START = r"^\W*(?:(?:since|because|but|and|as|while|so|no|yes)\W+)?"
_ONE_OF_MANY_BEFORE = re.compile(rf"(?:(?<!\bis )(?<!\bwas )\ban?\s+|{_AT_THE_START})$", re.IGNORECASE)
_SUBJECT_BEFORE = re.compile(rf"{_AT_THE_START}(?:\w+,?(?: and| or)? ){{0,12}}$", re.IGNORECASE)
_PREDICATE_BEFORE = re.compile(r"\b(?:is|was|are|were|this|the|it|its|shows?|has)\b", re.IGNORECASE)
_BARE_BEFORE = re.compile(
    r"(?:^\W*|\b(?:because|that|when|while|whereas|since|and|but|so|although|though)\s+)$", re.IGNORECASE
)
_ACTS = re.compile(
    r"\s+(?!(?:is|was|has|shows|reveals|demonstrates|depicts|displays|images|scans|films|was)\b)[a-z]+[^s\W]s\s",
    re.IGNORECASE,
)
"""A thing without an article that does what its kind does: `MRI detects …`, `melanoma accounts for …`."""
_ONE_ACTS = re.compile(
    r"(?: scan| image)? (?:finds|detects|helps|costs|takes|uses|works|adds|settles|tells|decides|needs|sees|misses)\b",
    re.IGNORECASE,
)
"""`An MRI finds …` speaks of any."""
_IN_SUCH = re.compile(
    r"^\W*(?:in|for|with)\s+(?:(?:an?|advanced|early|most|suspected|cases? of)\s+){0,2}$", re.IGNORECASE
)
"""`In melanoma, …` speaks of them all."""
_KIND_AFTER = re.compile(
    r"(?:,? (?:and |or )?\w+){0,6}? (?:that|can|may|might|could|look|tend|occur|grow|arise|happen|need|often|usually|rarely|must)\b(?! (?:also |clearly )*be (?:seen|observed|noted|appreciated|found|identified|made out))",
    re.IGNORECASE,
)
"""What makes a subject a whole kind of things: `cysts and tumours can look alike`, `a mole that changes`."""


_KNOWN_THAT = re.compile(
    r"(?<!n['’]t )(?<!not )(?<!no )(?<!never )\b(?:tell|sees?|clear|sure|mind|says?|know|note|noted|believe|think|means?|convinced|conclude|evident|obvious|shows?|reveals?|confirms?)(?: \w+){0,6} that (?=this|it|the|there|he|she|we|you)",
    re.IGNORECASE,
)
"""What follows counts by itself: `you can tell that this is an MRI`."""
_SUBORDINATE = re.compile(
    r"^\W*(?:since|because|as|given that|although|though|while|even though|now that)\b", re.IGNORECASE
)
"""What follows the first comma is another clause: `since we have an X-ray, an MRI may help`."""
NEAR = 240
"""Characters before and after a word that can bear on it."""
LONGEST = 600
"""Characters of a clause; what runs on is cut, so that the time a text takes goes with its length."""


def clauses(text: str) -> Iterator[tuple[int, int]]:
    """Where each clause of a text starts and ends."""
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        yield from _cut(start, boundary.start())
        start = boundary.end()
    yield from _cut(start, len(text))


def _cut(start: int, end: int) -> Iterator[tuple[int, int]]:
    yield from ((place, min(place + LONGEST, end)) for place in range(start, end, LONGEST))


def stance(clause: str, start: int, end: int) -> Stance:
    """How the words from `start` to `end` of a clause are meant."""
    before, after = _KNOWN_THAT.split(clause[max(0, start - NEAR) : start])[-1], clause[end : end + NEAR]
    if _SUBORDINATE.match(clause) and "," not in before:
        after = after.partition(",")[0]
    one_of_many = bool(_GENERIC_AFTER.match(after) and _ONE_OF_MANY_BEFORE.search(before))
    whole_kind = bool(
        not _PREDICATE_BEFORE.search(before) and _SUBJECT_BEFORE.search(before) and _KIND_AFTER.match(after)
    ) and not _SEEN.search(after)
    one_of_many |= bool(_ONE_ACTS.match(after) and _ONE_OF_MANY_BEFORE.search(before))
    bare = bool(_BARE_BEFORE.search(before) and _ACTS.match(after))
    in_such = bool(_IN_SUCH.search(before) and after.startswith(","))
    generic = one_of_many or whole_kind or bare or in_such
    if _OPEN.search(before) or _OPEN_AFTER.match(after) or generic:
        return "open"
    if _DENIED_AFTER.match(after):
        return "denied"
    return "denied" if _DENIED.search(before) else "asserted"


def presupposed(clause: str, start: int) -> bool:
    """Whether the words are spoken of as known: `no need to remove the nevus` says that it is one."""
    return bool(_DEFINITE_BEFORE.search(clause[:start]))
