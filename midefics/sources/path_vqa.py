r"""A PathVQA folder in, cases out: pathology images with questions and answers made from textbooks, to evaluate on.

Licence: MIT, as its card on the hub declares. He et al. 2020, https://huggingface.co/datasets/flaviagiammarino/path-vqa. Its
Parquet shards hold one row per question and repeat the image with each; the test split is read where there is one, as that is
what others report on. The original's pickle files are not read: a pickle runs what it holds. One row:

    {"image": {"bytes": b"\xff\xd8…", "path": "test_0000.jpg"}, "question": "Is this a smear?", "answer": "yes"}
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from midefics.errors import SourceError
from midefics.pictures import opened
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Source
from midefics.sources.questions import nothing_composed
from midefics.sources.reading import require_folder
from midefics.sources.shards import FORMATS, DataSet, Shard, image_of, rows, shards

EXPECTED = "Parquet shards or Arrow files with the columns image, question and answer"
NEEDED = ("image", "question", "answer")
LICENCE = "MIT"
ATTRIBUTION = "PathVQA, He et al. 2020; images from pathology textbooks"

GLOSSARY = ""

_Where = tuple[str, int]
"""A shard's name and a row's number in it."""


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the images, each with all of its questions, in the order in which they come; that is the order of their ids.

    The files are read twice: once for the questions, once for the images, of which one batch is in memory. Rows with the same
    bytes are one image. The group is the image.

    Raises:
        SourceError: no such folder, no rows, broken files, or other columns.
    """
    require_folder("path_vqa", root, EXPECTED)
    data = DataSet("path_vqa", root, NEEDED, EXPECTED)
    files = shards(data)
    files = [shard for shard in files if shard.split == "test"] or files
    turns = _turns(data, files)
    if not turns:
        raise SourceError(f"path_vqa: the files in {root} have no rows; expected {EXPECTED}; fetch the data set again")
    for shard in files:
        for number, row in rows(data, shard, ("image",)):
            if (shard.name, number) in turns:
                yield _case(data, shard, number, row["image"], turns[shard.name, number])


def _turns(data: DataSet, files: list[Shard]) -> dict[_Where, tuple[Turn, ...]]:
    """The questions about each image, by the row in which it comes first."""
    first: dict[bytes | _Where, _Where] = {}
    found: dict[_Where, tuple[Turn, ...]] = {}
    for shard in files:
        for number, row in rows(data, shard, NEEDED):
            here = (shard.name, number)
            where = first.setdefault(_key(row["image"]) or here, here)
            question, answer = (str(row[name] or "").strip() for name in ("question", "answer"))
            turn = (Turn(question=question, answer=answer),) if question and answer else ()
            found[where] = found.get(where, ()) + turn
    return found


def _key(image: object) -> bytes | None:
    content = image.get("bytes") if isinstance(image, dict) else image
    return hashlib.sha256(content).digest() if isinstance(content, bytes) else None


def _case(data: DataSet, shard: Shard, number: int, image: object, turns: tuple[Turn, ...]) -> Case | Rejected:
    name, origin = f"{Path(shard.name).stem}-{number:09d}", f"{shard.name}:{number}"
    content, path, problem = image_of(data, shard, image)
    if problem or not turns:
        reason = problem or "no question"
        return Rejected(id=f"path_vqa/{name}", source="path_vqa", reason=reason, detail="", origin=origin)
    return Case(
        id=f"path_vqa/{name}",
        source="path_vqa",
        path=path,
        content=content,
        origin=origin,
        group=hashlib.sha256(content).hexdigest() if content else name,
        metadata={},
        licence=LICENCE,
        attribution=ATTRIBUTION,
        turns=turns,
    )


SOURCE = Source(
    cases=cases,
    conversation=nothing_composed,
    glossary=GLOSSARY,
    picture=partial(opened, formats=FORMATS),
    role="evaluation",
)
