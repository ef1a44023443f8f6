"""An ISIC Archive download in, cases out: dermoscopic and clinical pictures of skin lesions.

Licence per image: CC-0, CC-BY or CC-BY-NC (`copyright_license`). https://www.isic-archive.com, downloaded with
`isic image download` (isic-cli). The columns of `metadata.csv` vary from one download to the next, and older downloads
name `benign_malignant` and `diagnosis` where today's tool writes `diagnosis_1` to `diagnosis_5`; both come out the
same. The archive's older per-image JSON is read where there is no `metadata.csv`. One row:

    isic_id,attribution,copyright_license,age_approx,benign_malignant,diagnosis,diagnosis_confirm_type,image_type,…
    ISIC_0000002,Anonymous,CC-0,60,malignant,melanoma,histopathology,dermoscopic,…
"""

import itertools
import math
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Scalar, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import (
    NOT_STATED,
    OUTSIDE,
    ask,
    csv_rows,
    image_problem,
    name_problem,
    read_json,
    require_folder,
    shown,
    with_article,
)

EXPECTED = "an ISIC download: metadata.csv with the images beside it"
SUFFIXES = (".jpg", ".jpeg", ".png")

WORDS = (
    "image_type", "sex", "anatom_site_general", "diagnosis_confirm_type", "dermoscopic_type", "nevus_type", "mel_class",
    "mel_type", "mel_mitotic_index", "mel_thick_mm", "clin_size_long_diam_mm", "fitzpatrick_skin_type",
)  # fmt: skip
TRUTHS = ("melanocytic", "mel_ulcer", "family_hx_mm", "personal_hx_mm", "concomitant_biopsy")
NUMBERS = ("mel_thick_mm", "clin_size_long_diam_mm")
UNKNOWN = {"", "unknown", "other", "none", "nan"}

GLOSSARY = """\
image_type: how the picture was taken (dermoscopic: through a dermatoscope; clinical: an ordinary photograph; TBP tile: cut out of a total body photograph)
benign_malignant: what the lesion was found to be
diagnosis: the diagnosis; diagnosis_detail: its subtype
diagnosis_confirm_type: how the diagnosis was made (histopathology is the surest)
melanocytic: whether the lesion grows from pigment cells
anatom_site_general: where on the body the lesion is; anatom_site_detail: more exactly
age_approx: the patient's age in years, rounded to 5; sex: the patient's sex
nevus_type, mel_class, mel_type: subtypes of nevi and melanomas; dermoscopic_type: polarised or not, contact or not
mel_thick_mm: Breslow thickness in mm; mel_ulcer: whether the melanoma is ulcerated; mel_mitotic_index: its mitoses per mm²
clin_size_long_diam_mm: the lesion's longest diameter in mm
fitzpatrick_skin_type: skin type, I (palest) to VI (darkest)
family_hx_mm, personal_hx_mm: melanoma in the family, melanoma before
concomitant_biopsy: whether the lesion was biopsied when the picture was taken"""


class _Line(NamedTuple):
    """One image as the metadata list it."""

    id: str
    origin: str
    row: dict[str, str]
    problem: str = ""
    """Why the row can't be read."""


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the archive's images in the order of their ids.

    The group is the patient, where not given the lesion, where not given the image itself; a patient's lesion is a link.

    Raises:
        SourceError: no such folder, no metadata in it, none of its rows, or columns missing.
    """
    require_folder("isic", root, EXPECTED)
    images = {path.stem: path for path in _visible(root) if path.suffix.lower() in SUFFIXES}
    last = None
    for line in _ordered(root):
        if line.problem:
            yield _rejected(line, "unreadable metadata", line.problem)
        elif line.id == last:
            yield _rejected(line, "repeated id", "the image is listed more than once")
        else:
            yield _case(root, line, images.get(line.id))
        last = line.id
    if last is None:
        raise SourceError(f"isic: {root / 'metadata.csv'} has no rows; expected {EXPECTED}; download it again")


def _visible(root: Path) -> list[Path]:
    """The folder's entries in order, without what a download that broke off left behind: `.isic-partial.…`."""
    return sorted(path for path in root.iterdir() if not path.name.startswith("."))


def _ordered(root: Path) -> Iterator[_Line]:
    """Rows in the order of their ids: streamed where the file already has them so."""
    table = root / "metadata.csv"
    if not table.is_file():
        yield from sorted(_legacy(root), key=attrgetter("id"))
        return
    needed = ("isic_id",)
    identifiers = [row["isic_id"].strip() for _, row in csv_rows("isic", root, table, needed)]
    lines = (
        _Line(row["isic_id"].strip(), f"metadata.csv:{number}", row)
        for number, row in csv_rows("isic", root, table, needed)
    )
    in_order = all(a <= b for a, b in itertools.pairwise(identifiers))
    yield from lines if in_order else sorted(lines, key=attrgetter("id"))


def _legacy(root: Path) -> Iterator[_Line]:
    paths = [path for path in _visible(root) if path.suffix == ".json"]
    if not paths:
        raise SourceError(f"isic: no metadata.csv in {root}; expected {EXPECTED}; rerun `isic image download {root}`")
    for path in paths:
        try:
            content = read_json(root, path)
            fields = {**content["meta"]["acquisition"], **content["meta"]["clinical"]}
            identifier = str(content["name"]).strip()
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"not the archive's JSON of one image: {type(error).__name__}"
            yield _Line(path.stem, shown(path.name), {}, problem)
        else:
            row = {name: "" if value is None else str(value) for name, value in fields.items()}
            yield _Line(identifier, shown(path.name), row)


def _case(root: Path, line: _Line, path: Path | None) -> Case | Rejected:
    if problem := name_problem(line.id) or (OUTSIDE if "/" in line.id else None):
        return _rejected(line, problem, "isic_id is not a file name")
    problem = image_problem(root, path) if path else "missing image"
    if path is None or problem:
        return _rejected(line, problem or "", f"{line.id} is listed in the metadata")
    given = {name: value.strip() for name, value in line.row.items() if value.strip().lower() not in UNKNOWN}
    metadata = _metadata(given)
    if "benign_malignant" not in metadata and "diagnosis" not in metadata:
        return _rejected(line, "no label", "neither a diagnosis nor benign or malignant is given")
    patient, lesion = given.get("patient_id"), given.get("lesion_id")
    return Case(
        id=f"isic/{line.id}",
        source="isic",
        path=path,
        group=patient or lesion or line.id,
        links=(lesion,) if patient and lesion else (),
        metadata=metadata,
        licence=given.get("copyright_license", NOT_STATED),
        attribution=given.get("attribution", "ISIC Archive"),
    )


def _rejected(line: _Line, reason: str, detail: str) -> Rejected:
    return Rejected(id=f"isic/{shown(line.id)}", source="isic", reason=reason, detail=detail, origin=line.origin)


def _metadata(given: dict[str, str]) -> Metadata:
    """Old and new vocabulary to one: `diagnosis_1` says benign or malignant, `diagnosis_3` is the old `diagnosis`."""
    label = given.get("benign_malignant") or given.get("diagnosis_1")
    diagnosis = given.get("diagnosis") or given.get("diagnosis_3") or given.get("diagnosis_2")
    metadata: dict[str, Scalar] = {
        "benign_malignant": label and label.lower(),
        "diagnosis": diagnosis and _plain(diagnosis),
        "diagnosis_detail": _plain(given.get("diagnosis_5") or given.get("diagnosis_4") or "") or None,
        "anatom_site_detail": _deepest(given, "anatom_site_"),
        "age_approx": _number(given.get("age_approx", ""), int),
    }
    metadata |= {name: given.get(name) for name in WORDS}
    metadata |= {name: _number(given.get(name, ""), float) for name in NUMBERS}
    metadata |= {name: given[name].lower() == "true" for name in TRUTHS if name in given}
    metadata["anatom_site_general"] = (given.get("anatom_site_general") or given.get("anatom_site_1", "")).lower()
    return {name: value for name, value in sorted(metadata.items()) if value not in (None, "")}


def _deepest(given: dict[str, str], prefix: str) -> str | None:
    return next((given[f"{prefix}{level}"].lower() for level in (5, 4, 3, 2) if f"{prefix}{level}" in given), None)


def _number(text: str, kind: type[int] | type[float]) -> Scalar:
    try:
        value = float(text)
    except ValueError:
        return None
    return kind(value) if math.isfinite(value) else None


def _plain(diagnosis: str) -> str:
    """The new vocabulary's `Melanoma, NOS` and `Melanoma Invasive` as one says them."""
    return diagnosis.lower().removesuffix(", nos").replace("melanoma invasive", "invasive melanoma")


def conversation(metadata: Metadata) -> tuple[Turn, ...]:
    """What is shown, benign or malignant, and what to do; empty where neither label nor diagnosis is known."""
    label, diagnosis = str(metadata.get("benign_malignant", "")), str(metadata.get("diagnosis", ""))
    if not label and not diagnosis:
        return ()
    kind = "dermoscopic image" if metadata.get("image_type") == "dermoscopic" else "clinical image"
    shown = diagnosis or f"{label} skin lesion"
    turns = [
        ask(
            metadata,
            ("What does this image show?", "What can be seen in this image?"),
            f"{with_article(kind).capitalize()} of {with_article(shown)}.",
        )
    ]
    if diagnosis and label not in ADVICE:
        turns.append(
            ask(
                metadata,
                ("What is the diagnosis?", "What kind of lesion is it?"),
                f"{with_article(diagnosis).capitalize()}.",
            )
        )
    if label:
        turns.append(
            ask(
                metadata,
                ("Is the lesion benign or malignant?", "Is this lesion malignant or benign?"),
                f"It is {label}.",
            )
        )
    if label in ADVICE:
        turns.append(ask(metadata, ("What should happen next?", "What is the next step?"), ADVICE[label]))
    return tuple(turns)


ADVICE = {
    "malignant": "It should be seen by a dermatologist soon and removed.",
    "benign": "No treatment is needed, only a check if it changes.",
    "indeterminate": "A dermatologist should examine it and may take a biopsy.",
}


def label(metadata: Metadata) -> str:
    """Benign, malignant or indeterminate."""
    return str(metadata.get("benign_malignant") or "")


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, label=label)
