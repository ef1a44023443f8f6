"""A folder of DICOM files in, cases out: what scanners and hospital archives exchange, a case for each file.

Licence: the format states none; ask where the files come from. https://www.dicomstandard.org. Files may have any name and
lie in any folder. Of the header only what the glossary names is kept: identifiers, dates and free text are dropped, and
so are paths, which often hold a name. What is kept of one header:

    (0008,0060) Modality                            CS: 'CT'
    (0010,0040) Patient's Sex                       CS: 'O'
    (0010,1010) Patient's Age                       AS: '000Y'
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Scalar, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.dicom_pixels import UnfitError, frames, picture, read, shown_frame
from midefics.sources.reading import NOT_STATED, ask, image_problem, require_folder

if TYPE_CHECKING:
    from pydicom import Dataset

EXPECTED = "a folder with DICOM files in it or below"
DIRECTORY = "1.2.840.10008.1.3.10"
"""The class of a DICOMDIR, which lists the other files of a disc."""
NO_PICTURES = {"AU", "ECG", "EPS", "KO", "PR", "REG", "RTDOSE", "RTPLAN", "RTRECORD", "RTSTRUCT", "SEG", "SR"}
"""Modalities of files that hold something else, though some of them have pixels."""
OLDEST = 90
"""Years; a higher age is given as this one: so few reach it that it would tell who they are."""

HEADER = (
    "Modality", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality", "PatientSex",
    "PatientAge", "PatientID", "StudyInstanceUID", "BurnedInAnnotation", "NumberOfFrames", "Rows", "Columns",
)  # fmt: skip
SEXES = {"F": "female", "M": "male", "O": "other"}
SIDES = {"L": "left", "R": "right", "B": "both"}
ANSWERS = {"YES": True, "NO": False}
SPOKEN = {"cspine": "cervical spine", "tspine": "thoracic spine", "lspine": "lumbar spine", "wholebody": "whole body"}
KINDS = {
    "CR": "an X-ray", "DX": "an X-ray", "RG": "an X-ray", "PX": "a panoramic X-ray", "IO": "an intraoral X-ray",
    "MG": "a mammogram", "CT": "a CT image", "MR": "an MRI image", "US": "an ultrasound image",
    "IVUS": "an intravascular ultrasound image", "PT": "a PET image", "NM": "a nuclear medicine image",
    "XA": "an angiogram", "RF": "a fluoroscopy image", "OP": "a fundus photograph",
    "OPT": "an optical coherence tomography image", "ES": "an endoscopy image", "XC": "a photograph",
    "GM": "a microscopy image", "SM": "a slide microscopy image",
}  # fmt: skip
"""What one calls a picture of each modality."""

GLOSSARY = """\
modality: the kind of device, as DICOM abbreviates it (CR, DX, RG: X-ray; MG: mammography; CT; MR: magnetic resonance; US: ultrasound; PT: PET; NM: nuclear medicine; XA: angiography; RF: fluoroscopy; OP: fundus photography; ES: endoscopy)
body_part: the part of the body that was examined
view_position: how the view runs (AP: front to back, PA: back to front, LL and RL: from the side; CC and MLO: views of a breast)
laterality: left, right or both
patient_sex: the patient's sex; patient_age: the patient's age in years, 90 where it is higher
burned_in_annotation: whether text was drawn into the picture
frame: which picture of how many in the file is shown"""

_CODE = re.compile(r"[A-Z][A-Z0-9 _]{0,15}")
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the files in the order of their ids, which are hashes of their paths; hidden ones and DICOMDIR are left out.

    The group is the patient, where not given the study, where not given the file itself; a patient's study is a link. The
    origin is the file's line in `find . ! -type d | LC_ALL=C sort`.

    Raises:
        SourceError: no such folder, no files in it, or a folder that can't be listed.
    """
    require_folder("dicom", root, EXPECTED)
    listed = sorted((os.fsencode(path.relative_to(root)), path) for path in _files(root))
    if not listed:
        raise SourceError(f"dicom: no files in {root}; expected {EXPECTED}")
    numbered = (
        (hashlib.sha256(name).hexdigest()[:16], line, path) for line, (name, path) in enumerate(listed, start=1)
    )
    for name, line, path in sorted(numbered):
        if not path.name.startswith(".") and (found := _case(root, path, f"dicom/{name}", f"file {line}")):
            yield found


def _files(root: Path) -> Iterator[Path]:
    """Everything but folders; a link to a folder is not entered: nothing outside, and nothing twice."""
    waiting = [root]
    while waiting:
        try:
            for entry in os.scandir(waiting.pop()):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    yield Path(entry.path)
        except OSError as error:
            raise SourceError(
                f"dicom: a folder in {root} can't be listed: {error.strerror}; make it readable"
            ) from error


def _case(root: Path, path: Path, identifier: str, origin: str) -> Case | Rejected | None:
    """None for a DICOMDIR."""
    problem, detail = image_problem(root, path), ""
    try:
        if not problem:
            with path.open("rb") as file:
                header = read(file, HEADER)
            directory = header.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY
            return None if directory else _described(header, path, identifier, origin)
    except UnfitError as error:
        problem, detail = error.reason, error.detail
    except Exception as error:  # pydicom raises nearly anything on a broken file; its words may quote a name
        problem, detail = "unreadable header", type(error).__name__
    return Rejected(id=identifier, source="dicom", reason=problem or "", detail=detail, origin=origin)


def _described(header: "Dataset", path: Path, identifier: str, origin: str) -> Case:
    if _text(header, "Modality") in NO_PICTURES or not (header.get("Rows") and header.get("Columns")):
        raise UnfitError("no picture", f"modality {_code(header, 'Modality') or 'not given'}")
    patient, study = _text(header, "PatientID"), _text(header, "StudyInstanceUID")
    return Case(
        id=identifier,
        source="dicom",
        path=path,
        origin=origin,
        group=patient or study or identifier,
        links=(study,) if patient and study else (),
        metadata=_metadata(header),
        licence=NOT_STATED,
        attribution=NOT_STATED,
    )


def _metadata(header: "Dataset") -> Metadata:
    """Codes only: what a person can have typed in is no code, and left out."""
    count = frames(header)
    part = _code(header, "BodyPartExamined")
    metadata: dict[str, Scalar] = {
        "modality": _code(header, "Modality"),
        "body_part": part and part.lower(),
        "view_position": _code(header, "ViewPosition"),
        "laterality": SIDES.get(_text(header, "ImageLaterality") or _text(header, "Laterality")),
        "patient_sex": SEXES.get(_text(header, "PatientSex")),
        "patient_age": _years(_text(header, "PatientAge")),
        "burned_in_annotation": ANSWERS.get(_text(header, "BurnedInAnnotation")),
        "frame": f"{shown_frame(count) + 1} of {count}" if count > 1 else None,
    }
    return {name: value for name, value in sorted(metadata.items()) if value is not None}


def _text(header: "Dataset", name: str) -> str:
    return str(header.get(name) or "").strip()


def _code(header: "Dataset", name: str) -> str | None:
    text = _text(header, name)
    return text if _CODE.fullmatch(text) else None


def _years(age: str) -> int | None:
    """`045Y` as 45, `018M` as 1."""
    found = _AGE.fullmatch(age)
    return min(OLDEST, int(int(found[1]) / _PER_YEAR[found[2]])) if found else None


def conversation(metadata: Metadata) -> tuple[Turn, ...]:
    """What is shown, how it was taken, which part of the body and which side; empty where the modality is not known."""
    kind = KINDS.get(str(metadata.get("modality")))
    if not kind:
        return ()
    part, side = str(metadata.get("body_part", "")), metadata.get("laterality")
    part = SPOKEN.get(part, part)
    shown = f"{_capital(kind)} of the {part}." if part else f"{_capital(kind)}."
    way = _capital(kind.partition(" ")[2].removesuffix(" image"))
    turns = [
        ask(metadata, ("What does this image show?", "What can be seen in this image?"), shown),
        ask(metadata, ("Which imaging modality is this?", "How was this image taken?"), f"{way}."),
    ]
    if part:
        turns.append(ask(metadata, ("Which body part is it?", "Which part of the body is shown?"), f"The {part}."))
    if side in ("left", "right"):
        turns.append(ask(metadata, ("Which side is it?", "Left or right: which side is shown?"), f"The {side}."))
    return tuple(turns)


def seen(metadata: Metadata) -> str:
    """Modality and part of the body: `MR cspine`."""
    return " ".join(str(metadata[name]) for name in ("modality", "body_part") if name in metadata)


def _capital(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, label=seen, picture=picture)
