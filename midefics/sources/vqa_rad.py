"""A VQA-RAD folder in, cases out: radiological images with questions and answers by clinicians, to evaluate on.

Licence: CC0-1.0. Lau et al. 2018, https://osf.io/89kps. Never trained on: it is the one archive whose questions nobody
composed. `data_RAD/trainset.json` (and `testset.json`) hold one record per question, `data_RAD/images/` the pictures:

    {"qid": 4, "image_name": "synpic28602.jpg", "image_organ": "CHEST", "answer": "ultrasound", "answer_type": "OPEN",
     "question_type": "MODALITY", "question": "What type of imaging does this not represent?", "phrase_type": "freeform"}
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import image_problem, inside, require_folder

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
    lists = sorted(top.glob("*.json"))
    if not lists:
        raise SourceError(f"vqa_rad: no *.json in {top}; expected {EXPECTED}")
    by_image: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path in lists:
        for record in _records(path):
            by_image.setdefault(str(record["image_name"]), []).append((path.name, record))
    if not by_image:
        raise SourceError(f"vqa_rad: the lists in {top} hold no questions; expected {EXPECTED}")
    for name in sorted(by_image, key=lambda name: Path(name).stem):
        yield _case(top, name, by_image[name])


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(f"vqa_rad: {path} is not readable JSON: {error}") from error
    needed = {"image_name", "question", "answer"}
    if not isinstance(records, list) or not all(isinstance(one, dict) and needed <= one.keys() for one in records):
        raise SourceError(f"vqa_rad: {path} is not a list of records with {', '.join(sorted(needed))}")
    return records


def _case(top: Path, name: str, asked: list[tuple[str, dict[str, Any]]]) -> Case | Rejected:
    identifier, origin = f"vqa_rad/{Path(name).stem}", asked[0][0]
    path = top / "images" / name
    pairs = [(str(record["question"]).strip(), str(record["answer"]).strip()) for _, record in asked]
    turns = tuple(Turn(question=question, answer=answer) for question, answer in pairs if question and answer)
    reason = "path outside the archive" if not inside(name) else image_problem(path) or ("" if turns else "no question")
    if reason:
        return Rejected(id=identifier, source="vqa_rad", reason=reason, detail=name, origin=origin)
    organ = str(asked[0][1].get("image_organ") or "").lower()
    return Case(
        id=identifier,
        source="vqa_rad",
        path=path,
        group=name,
        metadata={"image_organ": ORGANS.get(organ, organ)} if organ else {},
        licence=LICENCE,
        attribution=ATTRIBUTION,
        turns=turns,
    )


def conversation(metadata: Metadata) -> tuple[Turn, ...]:  # noqa: ARG001 (every source has the same signature)
    """Nothing: the archive brings its own questions."""
    return ()


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, role="evaluation")
