"""A MURA-v1.1 folder in, cases out: X-rays of the upper limb, each study labelled normal or abnormal.

Licence: Stanford's research-use agreement, which every user accepts for their own copy; no redistribution.
https://stanfordmlgroup.github.io/competitions/mura. One row of `train_labeled_studies.csv` (copies in the wild have a
header or none, LF or CRLF) and one of `train_image_paths.csv`:

    MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/,1
    MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/image1.png
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import ask, credit, image_problem, name_problem, require_folder, shown, text_lines

EXPECTED = "the unpacked MURA-v1.1 folder with train_image_paths.csv and train_labeled_studies.csv"
CREDIT = ("MURA research use agreement", "MURA, Stanford ML Group, Rajpurkar et al. 2018")
LABELS = {"0": "normal", "1": "abnormal"}
NAMED = {"negative": "normal", "positive": "abnormal"}
"""How a study's folder ends: `study1_positive`."""
_STUDY = re.compile(r"(?P<split>train|valid)/XR_(?P<part>[A-Z]+)/(?P<patient>patient\d+)/[^/_]+(_(?P<named>[^/]+))?")
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
    repeated: Counter[str] = Counter()
    for split in ("train", "valid"):
        if (top / f"{split}_image_paths.csv").is_file():
            labels = _labels(root, top / f"{split}_labeled_studies.csv")
            for origin, path in _listed(root, top / f"{split}_image_paths.csv"):
                case = _case(root, top / path, path, labels, origin)
                if case.id in found:
                    repeated[case.id] += 1
                    case = _rejected(f"{case.id}-{repeated[case.id]}", "repeated id", "it is listed before", origin)
                found[case.id] = case
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


def _labels(root: Path, path: Path) -> dict[str, set[str]]:
    """Study folder (without the top folder's name) to its labels: one, or the lists contradict themselves."""
    labels: dict[str, set[str]] = {}
    for number, line in enumerate(text_lines("mura", root, path), start=1):
        study, _, label = line.strip().rpartition(",")
        if label.strip() in LABELS:
            labels.setdefault(_relative(study.strip('"')), set()).add(LABELS[label.strip()])
        elif number > 1:  # the first line may be a header
            raise SourceError(f"mura: {path}:{number} does not end in ,0 or ,1; expected a study folder and its label")
    return labels


def _relative(path: str) -> str:
    return path.strip("/").removeprefix("MURA-v1.1/") if not path.startswith("/") else path


def _listed(root: Path, path: Path) -> Iterator[tuple[str, str]]:
    """Every image's path with where it is listed."""
    for number, line in enumerate(text_lines("mura", root, path), start=1):
        if number > 1 or "/" in line:  # the first line may be a header
            yield f"{path.name}:{number}", _relative(line.strip().strip('"'))


def _case(root: Path, image: Path, path: str, labels: dict[str, set[str]], origin: str) -> Case | Rejected:
    identifier = f"mura/{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    study, _, name = path.rpartition("/")
    if problem := name_problem(path):
        return _rejected(identifier, problem, name, origin)
    if not (parts := _STUDY.fullmatch(study)):
        return _rejected(identifier, "unknown layout", name, origin)
    told = labels.get(study, set()) | {NAMED[named] for named in (parts["named"],) if named in NAMED}
    if problem := image_problem(root, image) or _label_problem(study in labels, told):
        return _rejected(identifier, problem, name, origin)
    licence, attribution = credit(image.parents[5], *CREDIT)  # the folder that MURA-v1.1 lies in
    return Case(
        id=identifier,
        source="mura",
        path=image,
        group=parts["patient"],
        metadata={"archive_split": parts["split"], "body_part": parts["part"].lower(), "study_label": told.pop()},
        licence=licence,
        attribution=attribution,
    )


def _label_problem(listed: bool, told: set[str]) -> str | None:
    if not listed:
        return "no label"
    return "contradictory label" if len(told) > 1 else None


def _rejected(identifier: str, reason: str, detail: str, origin: str) -> Rejected:
    """The path stays out of it: it holds the patient's number."""
    return Rejected(id=identifier, source="mura", reason=reason, detail=shown(detail), origin=origin)


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
