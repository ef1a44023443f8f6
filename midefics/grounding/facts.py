"""A row's source and metadata in, what may be said of its image out.

ISIC, MURA, ROCO and DICOM are understood as a whole: what they do not say may not be said. Of any other source only what
its fields plainly name is known, and only contradictions to that count.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from midefics.grounding.claims import claims
from midefics.grounding.measures import measures
from midefics.grounding.vocabulary import (
    AGE,
    DIAGNOSIS,
    FINDING,
    HINTS,
    MALIGNANCY,
    MODALITY,
    NORMALITY,
    SEX,
    SIDE,
    SITE,
    SIZE,
    TABLES,
)
from midefics.grounding.words.body import DICOM_PARTS, MURA_PARTS, REGIONS, SKIN_SITES
from midefics.grounding.words.diagnoses import BENIGN_DIAGNOSES, IMPLIED, MALIGNANT_DIAGNOSES
from midefics.grounding.words.techniques import DICOM_MODALITIES
from midefics.records import Scalar

Metadata = Mapping[str, Scalar]

UNDERSTOOD = ("isic", "mura", "roco", "dicom")
TEXTS = ("caption", "report", "findings", "impression", "description", "keywords")
"""Fields that hold sentences or words about the image."""
_DIAGNOSES = ("diagnosis", "diagnosis_detail", "nevus_type", "mel_class", "mel_type")
_SITES = (
    "anatom_site_general",
    "anatom_site_detail",
    "body_part",
    "body_part_examined",
    "image_organ",
    "site",
    "anatomy",
)
_SIZES = ("mel_thick_mm", "clin_size_long_diam_mm")
_SPOKEN_OF = (SIDE, SITE, MODALITY, SEX)
"""Of these a text that denies something still speaks: `no effusion of the left lung` is about the left lung."""
_CONFIRMED = re.compile(r"histopatholog|histolog|biops|patholog", re.IGNORECASE)


class Facts(NamedTuple):
    """What is known of one image."""

    text: str
    """All that the row says in words; what stands there may be said."""
    known: dict[str, frozenset[str]]
    """By kind of claim."""
    denied: dict[str, frozenset[str]]
    """What the row itself says is not so, or leaves open."""
    ages: frozenset[float]
    """Years."""
    sizes: frozenset[float]
    """Millimetres."""
    understood: bool
    """What is not known may not be said."""
    healthy: bool
    """Findings may be denied that the row says nothing of."""
    confirmed: bool
    """The diagnosis was made by histopathology."""

    def values(self, kind: str) -> frozenset[str]:
        """What is known of a kind; empty where nothing is."""
        return self.known.get(kind, frozenset())


def facts(source: str, metadata: Metadata) -> Facts:
    """What a row's metadata support."""
    text = ". ".join(str(metadata[name]) for name in TEXTS if metadata.get(name))
    known: dict[str, set[str]] = {kind: set() for kind in TABLES}
    denied: dict[str, set[str]] = {kind: set() for kind in TABLES}
    for claim in claims(text):
        if claim.stance == "denied":
            denied[claim.kind].add(claim.value)
        if claim.stance != "denied" or claim.kind in _SPOKEN_OF:
            known[claim.kind].add(claim.value)
    known[SIDE] |= {word for word in ("left", "right") if re.search(rf"\b{word}", text, re.IGNORECASE)}
    for kind, value in _named(source, metadata):
        known[kind].add(value)
    hinted = {value for value, hint in HINTS.items() if hint.search(text)} - known[MODALITY]
    known[MODALITY] |= hinted
    denied[MODALITY] |= hinted
    _widen(known)
    if source == "mura":
        known[SITE] -= MURA_PARTS.difference(_sites(_spoken(metadata, "body_part")))
    return Facts(
        text=text,
        known={kind: frozenset(values) for kind, values in known.items()},
        denied={kind: frozenset(values) for kind, values in denied.items()},
        ages=_ages(metadata, text),
        sizes=_sizes(metadata, text),
        understood=source in UNDERSTOOD,
        healthy=NORMALITY in known and known[NORMALITY] == {"normal"},
        confirmed=bool(_CONFIRMED.search(f"{metadata.get('diagnosis_confirm_type', '')} {text}")),
    )


def _named(source: str, metadata: Metadata) -> Iterator[tuple[str, str]]:
    """What single fields say."""
    for name in _DIAGNOSES:
        yield from ((DIAGNOSIS, claim.value) for claim in claims(_spoken(metadata, name)) if claim.kind == DIAGNOSIS)
    for name in _SITES:
        yield from ((SITE, value) for value in _sites(_spoken(metadata, name)))
        yield from ((SIDE, claim.value) for claim in claims(_spoken(metadata, name)) if claim.kind == SIDE)
    for name in ("sex", "patient_sex", "gender"):
        yield from ((SEX, claim.value) for claim in claims(_spoken(metadata, name)) if claim.kind == SEX)
    yield from ((MALIGNANCY, value) for value in _malignancy(metadata))
    if metadata.get("study_label") in TABLES[NORMALITY]:
        yield NORMALITY, str(metadata["study_label"])
    if metadata.get("laterality") in TABLES[SIDE]:
        yield SIDE, str(metadata["laterality"])
    yield from ((MODALITY, value) for value in _modality(source, metadata))
    if metadata.get("mel_ulcer") is True:
        yield FINDING, "ulceration"
    if metadata.get("family_hx_mm") is True:
        yield FINDING, "family history"


def _spoken(metadata: Metadata, name: str) -> str:
    value = metadata.get(name)
    return value.replace("_", " ") if isinstance(value, str) else ""


def _sites(text: str) -> Iterator[str]:
    yield from SKIN_SITES.get(text, ())
    yield from DICOM_PARTS.get(text, ())
    yield from (claim.value for claim in claims(text) if claim.kind == SITE)
    if text == "back":
        yield "back"


def _malignancy(metadata: Metadata) -> Iterator[str]:
    label = str(metadata.get("benign_malignant", ""))
    if label:
        yield label
        return
    found = {claim.value for claim in claims(_spoken(metadata, "diagnosis")) if claim.kind == DIAGNOSIS}
    if found & MALIGNANT_DIAGNOSES:
        yield "malignant"
    elif found & BENIGN_DIAGNOSES:
        yield "benign"


def _modality(source: str, metadata: Metadata) -> Iterator[str]:
    if source == "mura":
        yield "X-ray"
    if source == "isic":
        taken = str(metadata.get("image_type", ""))
        yield "dermoscopy" if "dermoscop" in taken else "photograph"
        yield "photograph"  # a dermoscopic picture is one
    if code := str(metadata.get("modality", "")):
        yield DICOM_MODALITIES.get(code, code)
        yield from (claim.value for claim in claims(code) if claim.kind == MODALITY)


def _widen(known: dict[str, set[str]]) -> None:
    """Adds what follows: the less exact diagnosis, the region round a site, the side where it is both."""
    for value in tuple(known[DIAGNOSIS]):
        known[DIAGNOSIS].update(IMPLIED.get(value, ()))
    stated = frozenset(known[SITE])
    for _ in range(2):
        for region, parts in REGIONS.items():
            # what stands in a head may be the brain, where the head is named; a jaw has none
            if (stated if region == "brain" else known[SITE]) & set(parts):
                known[SITE].add(region)
    if "upper arm" in known[SITE]:
        known[SITE].add("upper limb")
    if "both" in known[SIDE]:
        known[SIDE].update(("left", "right"))
    if {"left", "right"} <= known[SIDE]:
        known[SIDE].add("both")
    if known[FINDING]:
        known[NORMALITY].add("abnormal")
    if known[FINDING] & {"carcinoma", "metastasis", "lymphoma", "sarcoma"}:
        known[MALIGNANCY].add("malignant")


def _ages(metadata: Metadata, text: str) -> frozenset[float]:
    fields = (metadata.get(name) for name in ("age_approx", "patient_age", "age"))
    given = {float(value) for value in fields if isinstance(value, int | float)}
    return frozenset(given | {measure.low for measure in measures(text) if measure.kind == AGE})


def _sizes(metadata: Metadata, text: str) -> frozenset[float]:
    fields = (metadata.get(name) for name in _SIZES)
    given = {float(value) for value in fields if isinstance(value, int | float)}
    return frozenset(given | {measure.low for measure in measures(text) if measure.kind == SIZE})
