"""A good conversation in, a corrupted one out: one statement of it made wrong, or one added that nothing supports."""

import random
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from midefics.bench.grounding.gaps import DIAGNOSES, PARTS, Metadata, capitalised, gaps
from midefics.bench.grounding.phrasing import Exchange, Phrasing
from midefics.records import Turn

Turns = tuple[Turn, ...]
Gaps = dict[str, str]
PLACES = {"lower": "leg", "upper": "arm", "head": "face", "posterior": "back"}
FIGURE_PLACES = {
    "knee": r"knee|patell|leg", "liver": r"liver|hepat|bil|abd", "brain": r"brain|cereb|crani|head|lobe|ventric|hemis",
    "foot": r"foot|feet|toe|meta|ankle|leg", "breast": r"breast|mamm|chest|thora", "kidney": r"kidney|ren|abd|uret",
}  # fmt: skip
WAYS = {
    "a CT scan": r"\bct|tomogra|dens|ct\b", "an MRI scan": r"mri|magnetic|weighted|flair|intens|\bmr",
    "an X-ray": r"x.?ray|radio|film", "an ultrasound image": r"sono|echo|doppler|ultras",
    "a PET scan": r"pet|positron|fdg", "a mammogram": r"mammo|breast", "a dermoscopic image": r"dermosc",
}  # fmt: skip
"""Ways of taking pictures with what in a caption may speak for them."""


class Case(NamedTuple):
    """A row with a conversation that is grounded."""

    source: str
    metadata: Metadata
    turns: Turns


class Corruption(NamedTuple):
    """A way of going wrong."""

    kind: str
    """The kind of problem that has to be found."""
    values: Callable[[Case, random.Random, Phrasing], Gaps | None]
    """What the wrong statement is filled with; None where this corruption does not apply."""


def corrupted(name: str, case: Case, rng: random.Random, phrasing: Phrasing) -> Turns | None:
    """The conversation made wrong in one of the phrasing's ways; None where the row or the phrasing allows none."""
    values = CORRUPTIONS[name].values(case, rng, phrasing)
    if values is None:
        return None
    words = gaps(case.source, case.metadata, rng.randrange(100)) | capitalised(values)
    options = [*_filled(phrasing.wrong.get(name, ()), words)]
    if name in _IN_PLACE and (rng.random() < 0.5 or not options):
        true, other = words[_IN_PLACE[name][0]], words[_IN_PLACE[name][1]]
        if changed := _replaced(case.turns, true, other):
            return changed
    return _put(case.turns, rng.choice(options), rng) if options else None


_IN_PLACE = {"swapped diagnosis": ("diagnosis", "other_diagnosis"), "wrong body part": ("true_place", "place")}
"""Corruptions of which half are made by putting another word wherever the true one stands."""


def _filled(options: tuple[Exchange | str, ...], words: Gaps) -> Iterator[Exchange | str]:
    for option in options:
        try:
            yield (
                option.format(**words)
                if isinstance(option, str)
                else (option[0].format(**words), option[1].format(**words))
            )
        except KeyError:
            continue


def _put(turns: Turns, wrong: Exchange | str, rng: random.Random) -> Turns:
    if isinstance(wrong, str):
        place = rng.randrange(len(turns))
        turn = turns[place]
        said = Turn(question=turn.question, answer=f"{turn.answer} {wrong}")
        return (*turns[:place], said, *turns[place + 1 :])
    place = rng.randrange(1, len(turns) + 1)
    return (*turns[:place], Turn(question=wrong[0], answer=wrong[1]), *turns[place:])


def _replaced(turns: Turns, words: str, other: str) -> Turns | None:
    """Every answer with the word replaced, `a` or `an` fitting; None where none has it."""
    if not words:
        return None
    pattern = re.compile(rf"\b(?:([Aa]n?) )?({re.escape(words)})\b", re.IGNORECASE)

    def _put_in(found: re.Match[str]) -> str:
        article = ("an" if other[0] in "aeiou" else "a") if found[1] else ""
        if found[1] and found[1][0] == "A":
            article = article.capitalize()
        new = other.capitalize() if found[2][0].isupper() else other
        return f"{article} {new}" if article else new

    changed = tuple(Turn(question=turn.question, answer=pattern.sub(_put_in, turn.answer)) for turn in turns[:1])
    return None if changed == turns[:1] else (*changed, *turns[1:])


def _caption(case: Case) -> str:
    return str(case.metadata.get("caption", "")).lower()


def _other_diagnosis(case: Case, rng: random.Random, _: Phrasing) -> Gaps | None:
    diagnosis = str(case.metadata.get("diagnosis", ""))
    if case.source != "isic" or not diagnosis:
        return None
    other = rng.choice([other for other in DIAGNOSES if other != diagnosis])
    return {"other_diagnosis": other, "a_other_diagnosis": f"{'an' if other[0] in 'aeiou' else 'a'} {other}"}


def _other_malignancy(case: Case, _: random.Random, __: Phrasing) -> Gaps | None:
    return {} if case.metadata.get("benign_malignant") in ("benign", "malignant") else None


def _other_normality(case: Case, _: random.Random, __: Phrasing) -> Gaps | None:
    return {} if case.metadata.get("study_label") else None


def _side(case: Case, rng: random.Random, _: Phrasing) -> Gaps | None:
    """The other side; or any, where none is known."""
    caption = _caption(case)
    sides = [side for side in ("left", "right") if side not in caption]
    return {"side": rng.choice(sides)} if sides and not re.search("bilat|both", caption) else None


def _modality(case: Case, rng: random.Random, _: Phrasing) -> Gaps | None:
    caption = _caption(case)
    if case.source == "roco" and not re.search(r"\bct\b|\bmri\b|x-ray|ultraso|radiograph", caption):
        return None
    true = {"isic": "a dermoscopic image", "mura": "an X-ray"}.get(case.source)
    return {"a": rng.choice([way for way, hint in WAYS.items() if way != true and not re.search(hint, caption)])}


def _place(case: Case, rng: random.Random, _: Phrasing) -> Gaps | None:
    if case.source == "mura":
        true = str(case.metadata["body_part"]).replace("humerus", "upper arm")
        return {"true_place": true, "place": rng.choice([other for other in PARTS if other != true])}
    site = str(case.metadata.get("anatom_site_general", ""))
    if case.source == "isic":
        fit = [place for key, place in PLACES.items() if key not in site]
    else:
        fit = [place for place, hint in FIGURE_PLACES.items() if not re.search(hint, _caption(case))]
    return {"true_place": "", "place": rng.choice(fit)} if fit else None


def _age(case: Case, rng: random.Random, _: Phrasing) -> Gaps:
    """An age that is not known, or not this one."""
    true = case.metadata.get("age_approx")
    decades = [decade for decade in range(20, 90, 10) if not isinstance(true, int) or abs(true - decade - 4) > 12]
    decade = rng.choice([decade for decade in decades if str(decade)[0] not in _caption(case)] or decades)
    return {"n": str(decade + rng.randrange(1, 10)), "d": str(decade)}


def _sex(case: Case, rng: random.Random, _: Phrasing) -> Gaps | None:
    """The other sex, or any where none is known."""
    if re.search(r"\b(?:fe)?male|\b(?:wo)?man\b|\b(?:he|she|his|her|boy|girl|lady)\b", _caption(case)):
        return None
    sex = {"male": "female", "female": "male"}.get(str(case.metadata.get("sex")), rng.choice(("male", "female")))
    return {"sex": sex, "person": {"male": "man", "female": "woman"}[sex]}


def _size(case: Case, rng: random.Random, _: Phrasing) -> Gaps | None:
    digits = re.findall(r"\d+", str(case.metadata))
    free = [n for n in range(11, 60) if str(n) not in digits and str(n // 10) not in digits]
    if not free:
        return None
    n = rng.choice(free)
    return {"n": str(n), "c": f"{n / 10:g}"}


def _finding(case: Case, rng: random.Random, phrasing: Phrasing) -> Gaps | None:
    """Something seen that nothing speaks of."""
    known = phrasing.findings["isic" if case.source == "isic" else "roco"]
    caption = _caption(case)
    fit = [finding for finding in known if not any(w[:5] in caption for w in finding.split() if len(w) > 3)]
    return {"finding": rng.choice(fit)} if fit else None


def _nothing(_: Case, __: random.Random, ___: Phrasing) -> Gaps:
    return {}


def _unproven(case: Case, _: random.Random, __: Phrasing) -> Gaps | None:
    text = f"{case.metadata.get('diagnosis_confirm_type', '')} {_caption(case)}"
    return None if re.search(r"histo|path|biops|confirm|prove", text, re.IGNORECASE) else {}


CORRUPTIONS = {
    "swapped diagnosis": Corruption("diagnosis", _other_diagnosis),
    "swapped malignancy": Corruption("malignancy", _other_malignancy),
    "swapped normality": Corruption("normality", _other_normality),
    "wrong side": Corruption("side", _side),
    "wrong modality": Corruption("modality", _modality),
    "wrong body part": Corruption("site", _place),
    "invented age": Corruption("age", _age),
    "invented sex": Corruption("sex", _sex),
    "invented size": Corruption("size", _size),
    "invented finding": Corruption("finding", _finding),
    "leaked source": Corruption("leak", _nothing),
    "dosage": Corruption("dosage", _nothing),
    "certainty": Corruption("certainty", _unproven),
}
