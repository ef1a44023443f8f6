"""A SLAKE folder in, cases out: radiological images with questions and answers by physicians, to evaluate on.

Licence: CC-BY-4.0. Liu et al. 2021, https://www.med-vqa.com/slake. `train.json`, `validate.json` and `test.json` hold one
record per question in English or Chinese, `imgs/` a folder for each picture. The English ones are read, of the test list alone
where it is there: that is what others report on. One record:

    {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "What modality is used to take this image?", "answer": "MRI",
     "q_lang": "en", "location": "Abdomen", "modality": "MRI", "answer_type": "OPEN", "base_type": "vqa",
     "content_type": "Modality", "triple": ["vhead", "_", "_"], "qid": 0}
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from midefics.errors import SourceError
from midefics.records import Case, Rejected
from midefics.sources.archive import Metadata, Source
from midefics.sources.questions import Asked, EvaluationSet, cases_of, nothing_composed
from midefics.sources.reading import json_records, require_folder

EXPECTED = "SLAKE's test.json (or train.json, validate.json) and imgs/"
LICENCE = "CC-BY-4.0"
ATTRIBUTION = "SLAKE, Liu et al. 2021; images from the Medical Segmentation Decathlon, NIH ChestX-ray8 and CHAOS"

GLOSSARY = "location: the region of the body in the image\nmodality: how the image was taken"


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the images that questions are asked about in English, each with all of them, in the order of their ids.

    Raises:
        SourceError: no such folder, no list of questions, or one in another format.
    """
    require_folder("slake", root, EXPECTED)
    lists = [path for name in ("test", "validate", "train") if (path := root / f"{name}.json").is_file()]
    if not lists:
        raise SourceError(f"slake: no test.json, validate.json or train.json in {root}; expected {EXPECTED}")
    chosen = lists[:1] if lists[0].stem == "test" else lists
    archive = EvaluationSet("slake", root, root / "imgs", LICENCE, ATTRIBUTION)
    yield from cases_of(archive, (one for path in chosen for one in _asked(root, path)))


def _asked(root: Path, path: Path) -> Iterator[Asked]:
    for record in json_records("slake", root, path, ("img_name", "question", "answer")):
        if record.get("q_lang", "en") == "en":
            question, answer = str(record["question"]), str(record["answer"])
            yield Asked(str(record["img_name"]), question, answer, path.name, _metadata(record))


def _metadata(record: dict[str, Any]) -> Metadata:
    return {name: str(record[name]).lower() for name in ("location", "modality") if record.get(name)}


SOURCE = Source(cases=cases, conversation=nothing_composed, glossary=GLOSSARY, role="evaluation")
