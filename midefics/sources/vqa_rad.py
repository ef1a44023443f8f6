"""A VQA-RAD folder in, cases out: radiological images with questions and answers by clinicians, to evaluate on.

Licence: CC0-1.0. Lau et al. 2018, https://osf.io/89kps. Never trained on: it is the one archive whose questions nobody
composed. `data_RAD/trainset.json` (and `testset.json`) hold one record per question, `data_RAD/images/` the pictures:

    {"qid": 4, "image_name": "synpic28602.jpg", "image_organ": "CHEST", "answer": "ultrasound", "answer_type": "OPEN",
     "question_type": "MODALITY", "question": "What type of imaging does this not represent?", "phrase_type": "freeform"}
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import image_problem, name_problem, read_json, require_folder, shown

EXPECTED = "VQA-RAD's data_RAD with trainset.json or testset.json and images/"
LICENCE = "CC0-1.0"
ATTRIBUTION = "VQA-RAD, Lau et al. 2018; images from MedPix"
ORGANS = {"abd": "abdomen"}

GLOSSARY = "image_organ: the region of the body in the image (head, chest or abdomen)"


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the images that questions are asked about, each with all of them, in the order of their ids.

    A question without words or without an answer is left out. The group is the image.

    Raises:
        SourceError: no such folder, no list of questions, or one in another format.
    """
    require_folder("vqa_rad", root, EXPECTED)
    top = root / "data_RAD" if (root / "data_RAD").is_dir() else root
    lists = sorted(path for path in top.glob("*.json") if not path.name.startswith("."))
    if not lists:
        raise SourceError(f"vqa_rad: no *.json in {top}; expected {EXPECTED}")
    by_image: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path in lists:
        for record in _records(root, path):
            by_image.setdefault(str(record["image_name"]), []).append((path.name, record))
    if not by_image:
        raise SourceError(f"vqa_rad: the lists in {top} hold no questions; expected {EXPECTED}")
    last = None
    for name in sorted(by_image, key=lambda name: (Path(name).stem, name)):
        if Path(name).stem == last:
            yield _rejected(name, "repeated id", by_image[name][0][0])
        else:
            yield _case(root, top / "images" / name, name, by_image[name])
        last = Path(name).stem


def _records(root: Path, path: Path) -> list[dict[str, Any]]:
    try:
        records = read_json(root, path)
    except (OSError, ValueError) as error:
        raise SourceError(f"vqa_rad: {path} is not readable JSON: {error}") from error
    needed = {"image_name", "question", "answer"}
    if not isinstance(records, list) or not all(isinstance(one, dict) and needed <= one.keys() for one in records):
        raise SourceError(f"vqa_rad: {path} is not a list of records with {', '.join(sorted(needed))}")
    return records


def _case(root: Path, path: Path, name: str, asked: list[tuple[str, dict[str, Any]]]) -> Case | Rejected:
    pairs = [(str(record["question"]).strip(), str(record["answer"]).strip()) for _, record in asked]
    turns = tuple(Turn(question=question, answer=answer) for question, answer in pairs if question and answer)
    if reason := name_problem(name) or image_problem(root, path) or ("" if turns else "no question"):
        return _rejected(name, reason, asked[0][0])
    organ = str(asked[0][1].get("image_organ") or "").lower()
    return Case(
        id=f"vqa_rad/{path.stem}",
        source="vqa_rad",
        path=path,
        group=name,
        metadata={"image_organ": ORGANS.get(organ, organ)} if organ else {},
        licence=LICENCE,
        attribution=ATTRIBUTION,
        turns=turns,
    )


def _rejected(name: str, reason: str, origin: str) -> Rejected:
    identifier = f"vqa_rad/{shown(Path(name).stem)}"
    return Rejected(id=identifier, source="vqa_rad", reason=reason, detail=shown(name), origin=origin)


def conversation(metadata: Metadata) -> tuple[Turn, ...]:  # noqa: ARG001 (every source has the same signature)
    """Nothing: the archive brings its own questions."""
    return ()


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, role="evaluation")
