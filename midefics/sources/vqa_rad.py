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
from midefics.records import Case, Rejected
from midefics.sources.archive import Metadata, Source
from midefics.sources.questions import Asked, EvaluationSet, cases_of, nothing_composed
from midefics.sources.reading import json_records, require_folder

EXPECTED = "VQA-RAD's data_RAD with trainset.json or testset.json and images/"
LICENCE = "CC0-1.0"
ATTRIBUTION = "VQA-RAD, Lau et al. 2018; images from MedPix"
ORGANS = {"abd": "abdomen"}

GLOSSARY = "image_organ: the region of the body in the image (head, chest or abdomen)"


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the images that questions are asked about, each with all of them, in the order of their ids.

    Raises:
        SourceError: no such folder, no list of questions, or one in another format.
    """
    require_folder("vqa_rad", root, EXPECTED)
    top = root / "data_RAD" if (root / "data_RAD").is_dir() else root
    lists = sorted(path for path in top.glob("*.json") if not path.name.startswith("."))
    if not lists:
        raise SourceError(f"vqa_rad: no *.json in {top}; expected {EXPECTED}")
    archive = EvaluationSet("vqa_rad", root, top / "images", LICENCE, ATTRIBUTION)
    yield from cases_of(archive, (one for path in lists for one in _asked(root, path)))


def _asked(root: Path, path: Path) -> Iterator[Asked]:
    for record in json_records("vqa_rad", root, path, ("image_name", "question", "answer")):
        question, answer = str(record["question"]), str(record["answer"])
        yield Asked(str(record["image_name"]), question, answer, path.name, _metadata(record))


def _metadata(record: dict[str, Any]) -> Metadata:
    organ = str(record.get("image_organ") or "").lower()
    return {"image_organ": ORGANS.get(organ, organ)} if organ else {}


SOURCE = Source(cases=cases, conversation=nothing_composed, glossary=GLOSSARY, role="evaluation")
