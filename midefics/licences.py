"""What archives write of a picture's licence in, what it allows out; and what all of a data set's licences allow together.

Archives write `CC-0`, `CC BY-NC`, `cc-by-4.0`, `NO-CC CODE`, or an agreement's name. What is not understood allows
nothing beyond looking: it is never commercial and never passed on.
"""

import re
from collections.abc import Collection

from midefics.records import Record

VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
ON_THE_HUB = (
    "CC0-1.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-NC-ND-4.0",
)
"""Of those with an SPDX id the ones that the Hugging Face hub knows by it."""
UNSTATED = ("", "not stated", "no-cc code", "none", "unknown", "nan")
"""What archives write where they don't know; ROCO's `NO-CC CODE` is PubMed Central's word for it."""


class Licence(Record):
    """What may be done with a picture."""

    name: str
    spdx: str | None = None
    """Its id in the SPDX list, where what was written leaves no doubt: `CC BY` does not say which version."""
    known: bool = True
    """Whether what was written is understood."""
    commercial: bool = True
    derivatives: bool = True
    """Whether what is made from it may be passed on."""
    share_alike: bool = False
    attribution: bool = True
    redistribution: bool = True
    """Whether the picture may be passed on at all."""

    @property
    def restrictions(self) -> frozenset[str]:
        """In words."""
        holds = {
            "attribution": self.attribution,
            "non-commercial": not self.commercial,
            "no derivatives": not self.derivatives,
            "share alike": self.share_alike,
            "no redistribution": not self.redistribution,
        }
        return frozenset(words for words, held in holds.items() if held)

    @property
    def hub_id(self) -> str:
        """What the Hugging Face hub calls it: `other` where it has no name for it."""
        return self.spdx.lower() if self.spdx in ON_THE_HUB else "other"

    def allows(self, use: str) -> bool:
        """Whether pictures may be used for `research` or for `commercial` ends; `any` asks for nothing."""
        return {"any": True, "research": self.known, "commercial": self.known and self.commercial}[use]


NOT_STATED = Licence(name="not stated", known=False, commercial=False, derivatives=False, redistribution=False)
MURA = Licence(name="MURA research use agreement", commercial=False, derivatives=False, redistribution=False)
"""For everyone's own copy and own research; neither the pictures nor what is made of them may be passed on."""
AGREEMENTS = {MURA.name.lower(): MURA}

_ZERO = re.compile(r"cc ?(?:0|zero)(?: (?:v?1\.0|universal))*")
_BY = re.compile(r"cc ?by((?: (?:nc|nd|sa))*)(?: v?(\d\.\d))?(?: (?:international|unported|generic))?")
_URL = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licenses/|publicdomain/)([a-z-]+)/(\d\.\d)/?(?:deed\.\w+|legalcode)?"
)


def licence(text: str) -> Licence:
    """Understands what an archive wrote."""
    plain = _URL.sub(r"cc \1 \2", " ".join(text.lower().split()))
    if plain in UNSTATED:
        return NOT_STATED
    if plain in AGREEMENTS:
        return AGREEMENTS[plain]
    words = re.sub(r"[\s_-]+", " ", plain)
    if _ZERO.fullmatch(words):
        return Licence(name="CC0 1.0", spdx="CC0-1.0", attribution=False)
    found = _BY.fullmatch(words)
    elements = found.group(1).split() if found else []
    if not found or len(set(elements)) < len(elements) or {"nd", "sa"} <= set(elements):
        return NOT_STATED.model_copy(update={"name": " ".join(text.split())})
    return _creative_commons(sorted(elements), found.group(2))


def together(licences: Collection[Licence]) -> Licence:
    """The licence under which a collection may be passed on as a whole: as strict in every respect as its strictest.

    It has the name of the one that is as strict as all of them; where none is, it says what they ask for together.
    """
    strictest = frozenset[str]().union(*(one.restrictions for one in licences))
    named = [one for one in licences if one.restrictions == strictest]
    spdx = {one.spdx for one in named}
    names = {one.name for one in named}
    if len(names) > 1:  # versions of one licence
        names = {re.sub(r" \d\.\d$", "", name) for name in names}
    name = names.pop() if len(names) == 1 else f"several licences, together: {', '.join(sorted(strictest))}"
    return Licence(
        name=name,
        spdx=spdx.pop() if len(spdx) == 1 else None,
        known=all(one.known for one in licences),
        commercial="non-commercial" not in strictest,
        derivatives="no derivatives" not in strictest,
        share_alike="share alike" in strictest,
        attribution="attribution" in strictest,
        redistribution="no redistribution" not in strictest,
    )


def _creative_commons(elements: list[str], version: str | None) -> Licence:
    stem = "-".join(["BY", *(element.upper() for element in elements)])
    return Licence(
        name=f"CC {stem} {version}" if version else f"CC {stem}",
        spdx=f"CC-{stem}-{version}" if version in VERSIONS else None,
        commercial="nc" not in elements,
        derivatives="nd" not in elements,
        share_alike="sa" in elements,
    )
