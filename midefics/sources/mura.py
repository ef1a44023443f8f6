"""A MURA-v1.1 folder in, cases out: X-rays of the upper limb, each study labelled normal or abnormal.

Licence: Stanford's research-use agreement, which every user accepts for their own copy; no redistribution.
https://stanfordmlgroup.github.io/competitions/mura. One row of `train_labeled_studies.csv` (copies in the wild have a
header or none, LF or CRLF) and one of `train_image_paths.csv`:

    MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/,1
    MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/image1.png
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import ask, credit, image_problem, inside, require_folder, text_lines

EXPECTED = "the unpacked MURA-v1.1 folder with train_image_paths.csv and train_labeled_studies.csv"
CREDIT = ("MURA research use agreement", "MURA, Stanford ML Group, Rajpurkar et al. 2018")
LABELS = {"0": "normal", "1": "abnormal"}
_STUDY = re.compile(r"(?P<split>train|valid)/XR_(?P<part>[A-Z]+)/(?P<patient>patient\d+)/[^/]+")
SPOKEN = {"humerus": "upper arm"}

GLOSSARY = """\
body_part: the part of the upper limb that was X-rayed (humerus: the upper arm)
study_label: what the radiologist found in the whole study, normal or abnormal (fracture, hardware, degenerative disease, a lesion)
archive_split: the archive's own split; says nothing about the image"""


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the archive's images in the order of their ids, which are hashes: a path holds the patient's number.

    The group is the patient, who may have studies of several body parts.

    Raises:
        SourceError: no such folder, not MURA, a list missing, empty or in another format.
    """
    top = _top(root)
    found: dict[str, Case | Rejected] = {}
    for split in ("train", "valid"):
        if (top / f"{split}_image_paths.csv").is_file():
            labels = _labels(top / f"{split}_labeled_studies.csv")
            for origin, path in _listed(top / f"{split}_image_paths.csv"):
                _add(found, _case(top, path, labels, origin))
    if not found:
        raise SourceError(f"mura: the lists in {top} name no images; expected {EXPECTED}; unpack the archive again")
    for identifier in sorted(found):
        yield found[identifier]


def _top(root: Path) -> Path:
    require_folder("mura", root, EXPECTED)
    for top in (root, root / "MURA-v1.1"):
        if any((top / f"{split}_image_paths.csv").is_file() for split in ("train", "valid")):
            return top
    raise SourceError(f"mura: no train_image_paths.csv in {root} or its MURA-v1.1; expected {EXPECTED}")


def _labels(path: Path) -> dict[str, str]:
    """Study folder (without the top folder's name) to its label."""
    labels = {}
    for number, line in enumerate(text_lines("mura", path), start=1):
        study, _, label = line.strip().rpartition(",")
        if label.strip() in LABELS:
            labels[_relative(study.strip('"'))] = LABELS[label.strip()]
        elif number > 1:  # the first line may be a header
            raise SourceError(f"mura: {path}:{number} does not end in ,0 or ,1; expected a study folder and its label")
    return labels


def _relative(path: str) -> str:
    return path.strip("/").removeprefix("MURA-v1.1/") if not path.startswith("/") else path


def _listed(path: Path) -> Iterator[tuple[str, str]]:
    """Every image's path with where it is listed."""
    for number, line in enumerate(text_lines("mura", path), start=1):
        if number > 1 or "/" in line:  # the first line may be a header
            yield f"{path.name}:{number}", _relative(line.strip().strip('"'))


def _add(found: dict[str, Case | Rejected], case: Case | Rejected) -> None:
    if case.id in found:
        again = sum(identifier.startswith(case.id) for identifier in found)
        case = _rejected(f"{case.id}-{again}", "repeated id", "the image is listed more than once", "image_paths.csv")
    found[case.id] = case


def _case(top: Path, path: str, labels: dict[str, str], origin: str) -> Case | Rejected:
    identifier = f"mura/{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    study, _, name = path.rpartition("/")
    if not inside(path):
        return _rejected(identifier, "path outside the archive", name, origin)
    if not (parts := _STUDY.fullmatch(study)):
        return _rejected(identifier, "unknown layout", name, origin)
    problem = image_problem(top / path)
    if problem or study not in labels:
        return _rejected(identifier, problem or "no label", name, origin)
    licence, attribution = credit(top.parent, *CREDIT)
    return Case(
        id=identifier,
        source="mura",
        path=top / path,
        group=parts["patient"],
        metadata={"archive_split": parts["split"], "body_part": parts["part"].lower(), "study_label": labels[study]},
        licence=licence,
        attribution=attribution,
    )


def _rejected(identifier: str, reason: str, detail: str, origin: str) -> Rejected:
    """The path stays out of it: it holds the patient's number."""
    return Rejected(id=identifier, source="mura", reason=reason, detail=detail, origin=origin)


def conversation(metadata: Metadata) -> tuple[Turn, ...]:
    """What is shown, normal or abnormal, which body part."""
    part, label = str(metadata.get("body_part", "")), metadata.get("study_label")
    if not part or label not in LABELS.values():
        return ()
    part = SPOKEN.get(part, part)
    verdict = "Yes, the study is labelled abnormal." if label == "abnormal" else "No, the study is labelled normal."
    return (
        ask(metadata, ("What does this image show?", "What can be seen in this image?"), f"An X-ray of the {part}."),
        ask(metadata, ("Is there an abnormality?", "Is anything abnormal here?"), verdict),
        ask(metadata, ("Which body part is it?", "Which part of the body was X-rayed?"), f"The {part}."),
    )


def label(metadata: Metadata) -> str:
    """The study's label and the body part: `abnormal hand`."""
    return f"{metadata.get('study_label', '')} {metadata.get('body_part', '')}".strip()


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, label=label)
