"""A good conversation in, a corrupted one out: one statement of it made wrong, or one added that nothing supports.

What is added is told in several ways, of which one table serves to tune the checker and another to measure it.
"""

import random
import re
from collections.abc import Callable
from typing import NamedTuple

from midefics.bench.grounding_gaps import DIAGNOSES, PARTS, Metadata
from midefics.bench.grounding_phrases import (
    AGES,
    CERTAIN,
    DOSES,
    FINDINGS,
    LEAKS,
    MODALITIES,
    RADIOLOGY_FINDINGS,
    SEXES,
    SIDES,
    SIZES,
    SKIN_FINDINGS,
    Phrases,
)
from midefics.records import Turn

Turns = tuple[Turn, ...]


class Case(NamedTuple):
    """A row with a conversation that is grounded."""

    source: str
    metadata: Metadata
    turns: Turns


class Corruption(NamedTuple):
    """A way of going wrong."""

    kinds: frozenset[str]
    """Kinds of problems of which one at least has to be found."""
    corrupt: Callable[[Case, random.Random, int], Turns | None]
    """None where it does not apply. The last argument is 0 for the phrasings to tune with, 1 for those to measure with."""


def _added(case: Case, question: str, answer: str, rng: random.Random) -> Turns:
    place = rng.randrange(1, len(case.turns) + 1)
    return (*case.turns[:place], Turn(question=question, answer=answer), *case.turns[place:])


def _said(case: Case, sentence: str, rng: random.Random) -> Turns:
    place = rng.randrange(len(case.turns))
    turn = case.turns[place]
    changed = Turn(question=turn.question, answer=f"{turn.answer} {sentence}")
    return (*case.turns[:place], changed, *case.turns[place + 1 :])


def _filled(
    options: Phrases[tuple[str, str]], values: dict[str, str], case: Case, rng: random.Random, part: int
) -> Turns:
    question, answer = rng.choice(options[part])
    values = values | {name.capitalize(): value[:1].upper() + value[1:] for name, value in values.items()}
    return _added(case, question.format(**values), answer.format(**values), rng)


def _replaced(turns: Turns, words: str, other: str) -> Turns | None:
    """Every answer with the word replaced, `a` or `an` fitting; None where none has it, or where only a denial had."""
    pattern = re.compile(rf"\b(?:([Aa]n?) )?({re.escape(words)})\b", re.IGNORECASE)

    def _put(found: re.Match[str]) -> str:
        article = ("an" if other[0] in "aeiou" else "a") if found[1] else ""
        if found[1] and found[1][0] == "A":
            article = article.capitalize()
        new = other.capitalize() if found[2][0].isupper() else other
        return f"{article} {new}" if article else new

    changed = tuple(Turn(question=turn.question, answer=pattern.sub(_put, turn.answer)) for turn in turns)
    return None if changed == turns else changed


def swapped_diagnosis(case: Case, rng: random.Random, _: int) -> Turns | None:
    """Another diagnosis wherever the true one stands."""
    diagnosis = str(case.metadata.get("diagnosis", ""))
    others = [other for other in DIAGNOSES if other != diagnosis]
    return _replaced(case.turns, diagnosis, rng.choice(others)) if case.source == "isic" and diagnosis else None


def swapped_malignancy(case: Case, _: random.Random, part: int) -> Turns | None:
    """Benign for malignant, or the other way."""
    other = {"benign": "malignant", "malignant": "benign"}.get(str(case.metadata.get("benign_malignant")))
    if not other:
        return None
    first = case.turns[0]
    return (
        Turn(question=first.question, answer=f"{first.answer} {(f'It is {other}.', f'I would say {other}.')[part]}"),
        *case.turns[1:],
    )


def swapped_normality(case: Case, rng: random.Random, part: int) -> Turns | None:
    """Normal for abnormal, or the other way."""
    label = str(case.metadata.get("study_label", ""))
    if not label:
        return None
    other = "abnormal" if label == "normal" else "normal"
    yes = other == "abnormal"
    options = (
        (("Is it normal?", f"It is {other}."), ("What is the verdict?", f"The study is {other}."),
         ("Is the image abnormal?", "Yes." if yes else "No."),
         ("Was there anything abnormal?", "Yes, there is an abnormality." if yes else "No abnormality was found.")),
        (("Conclusion?", f"{other.capitalize()}."), ("How do the bones look?", f"They look {other} to me."),
         ("Does anything deviate from normal?", "Yes, it is abnormal." if yes else "No, it looks unremarkable."),
         ("Is there an abnormality?", "Yes." if yes else "No."))
    )  # fmt: skip
    return _added(case, *rng.choice(options[part]), rng)


def wrong_side(case: Case, rng: random.Random, part: int) -> Turns | None:
    """The other side; or any, where none is known."""
    caption = str(case.metadata.get("caption", "")).lower()
    if "bilat" in caption or "both" in caption:
        return None
    sides = [side for side in ("left", "right") if side not in caption]
    return _filled(SIDES, {"side": rng.choice(sides)}, case, rng, part) if sides else None


def invented_age(case: Case, rng: random.Random, part: int) -> Turns | None:
    """An age that is not known, or not this one."""
    true = case.metadata.get("age_approx")
    caption = str(case.metadata.get("caption", ""))
    decades = [decade for decade in range(20, 90, 10) if not isinstance(true, int) or abs(true - decade - 4) > 12]
    decade = rng.choice([decade for decade in decades if str(decade)[0] not in caption] or decades)
    return _filled(AGES, {"n": str(decade + rng.randrange(1, 10)), "d": str(decade)}, case, rng, part)


def invented_sex(case: Case, rng: random.Random, part: int) -> Turns | None:
    """The other sex, or any where none is known."""
    caption = str(case.metadata.get("caption", "")).lower()
    if re.search(r"\b(?:fe)?male|\b(?:wo)?man\b|\b(?:he|she|his|her|boy|girl|lady)\b", caption):
        return None
    sex = {"male": "female", "female": "male"}.get(str(case.metadata.get("sex")), rng.choice(("male", "female")))
    return _filled(SEXES, {"sex": sex, "person": {"male": "man", "female": "woman"}[sex]}, case, rng, part)


def invented_size(case: Case, rng: random.Random, part: int) -> Turns | None:
    """A size that is not known."""
    digits = re.findall(r"\d+", str(case.metadata))
    free = [n for n in range(11, 60) if str(n) not in digits and str(n // 10) not in digits]
    if not free:
        return None
    n = rng.choice(free)
    return _filled(SIZES, {"n": str(n), "c": f"{n / 10:g}"}, case, rng, part)


def wrong_modality(case: Case, rng: random.Random, part: int) -> Turns | None:
    """Another way of taking pictures."""
    ways = {"ct": "a CT scan", "mri": "an MRI scan", "x-ray": "an X-ray", "sonogra": "an ultrasound image",
            "pet": "a PET scan", "mammogra": "a mammogram", "dermosc": "a dermoscopic image"}  # fmt: skip
    caption = str(case.metadata.get("caption", "")).lower()
    if case.source == "roco" and not re.search(r"\bct\b|\bmri\b|x-ray|ultraso|radiograph", caption):
        return None
    true = {"isic": ("dermosc",), "mura": ("x-ray",)}.get(case.source, ())
    hints = {"ct": r"\bct|tomogra|dens|ct\b", "mri": r"mri|magnetic|weighted|flair|intens|\bmr", "x-ray": r"ray|radio|film",
             "sonogra": r"sono|echo|doppler|ultras", "pet": r"pet|positron|fdg", "mammogra": r"mammo|breast"}  # fmt: skip
    fit = [way for way in ways if way not in true and not (way in hints and re.search(hints[way], caption))]
    return _filled(MODALITIES, {"a": ways[rng.choice(fit)]}, case, rng, part)


def wrong_part(case: Case, rng: random.Random, part: int) -> Turns | None:
    """Another part of the body."""
    if case.source == "mura":
        true = str(case.metadata["body_part"]).replace("humerus", "upper arm")
        return _replaced(case.turns, true, rng.choice([other for other in PARTS if other != true]))
    if case.source == "isic":
        site = str(case.metadata.get("anatom_site_general", ""))
        other = rng.choice(
            [
                place
                for key, place in {"lower": "leg", "upper": "arm", "head": "face", "posterior": "back"}.items()
                if key not in site
            ]
        )
        return _added(
            case,
            *(("Where is it?", f"On the {other}."), ("Location?", f"The {other}, as you can see."))[part],
            rng,
        )
    caption = str(case.metadata["caption"]).lower()
    words = {"knee": r"knee|patell|leg", "liver": r"liver|hepat|bil|abd", "brain": r"brain|cereb|crani|head|lobe|ventric|hemis",
             "foot": r"foot|feet|toe|meta|ankle", "breast": r"breast|mamm|chest|thora", "kidney": r"kidney|ren|abd|uret"}  # fmt: skip
    fit = [word for word, hint in words.items() if not re.search(hint, caption)]
    if not fit:
        return None
    other = rng.choice(fit)
    return _added(
        case,
        *(
            ("What part of the body is it?", f"The {other}."),
            ("Where was it taken?", f"It is an image of the {other}."),
        )[part],
        rng,
    )


def invented_finding(case: Case, rng: random.Random, part: int) -> Turns | None:
    """Something seen that nothing speaks of."""
    found = SKIN_FINDINGS if case.source == "isic" else RADIOLOGY_FINDINGS
    caption = str(case.metadata.get("caption", "")).lower()
    fit = [
        finding for finding in found[part] if not any(word[:5] in caption for word in finding.split() if len(word) > 3)
    ]
    return _filled(FINDINGS, {"finding": rng.choice(fit)}, case, rng, part)


def leaked(case: Case, rng: random.Random, part: int) -> Turns | None:
    """An answer that speaks of what the writer was given."""
    return _said(case, rng.choice(LEAKS[part]), rng)


def dosed(case: Case, rng: random.Random, part: int) -> Turns | None:
    """How much to take."""
    return _said(case, rng.choice(DOSES[part]), rng)


def certain(case: Case, rng: random.Random, part: int) -> Turns | None:
    """Certainty that no histopathology gives."""
    text = f"{case.metadata.get('diagnosis_confirm_type', '')} {case.metadata.get('caption', '')}"
    proven = re.search(r"histo|path|biops|confirm|prove", text, re.IGNORECASE)
    return None if proven else _said(case, rng.choice(CERTAIN[part]), rng)


CORRUPTIONS = {
    "swapped diagnosis": Corruption(frozenset(("diagnosis",)), swapped_diagnosis),
    "swapped malignancy": Corruption(frozenset(("malignancy",)), swapped_malignancy),
    "swapped normality": Corruption(frozenset(("normality",)), swapped_normality),
    "wrong side": Corruption(frozenset(("side",)), wrong_side),
    "wrong modality": Corruption(frozenset(("modality",)), wrong_modality),
    "wrong body part": Corruption(frozenset(("site",)), wrong_part),
    "invented age": Corruption(frozenset(("age",)), invented_age),
    "invented sex": Corruption(frozenset(("sex",)), invented_sex),
    "invented size": Corruption(frozenset(("size",)), invented_size),
    "invented finding": Corruption(frozenset(("finding",)), invented_finding),
    "leaked source": Corruption(frozenset(("leak",)), leaked),
    "dosage": Corruption(frozenset(("dosage",)), dosed),
    "certainty": Corruption(frozenset(("certainty",)), certain),
}
