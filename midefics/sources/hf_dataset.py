r"""A Hugging Face data set in the original project's shape in, cases out: images whose conversations are written already.

Licence: what the front matter of its README.md declares. The original's lie at https://huggingface.co/WinterSchool. Read
are Parquet shards (`data/train-00000-of-00002.parquet`) and the Arrow files that `datasets.save_to_disk` writes. One row:

    {"id": "ISIC_0000002", "image": {"bytes": b"\xff\xd8…", "path": "ISIC_0000002.jpg"}, "conversation": {"data": [
     {"question": "What does this image show?", "answer": "A dermoscopic image of a melanoma."}, …]}}
"""

import itertools
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from midefics.errors import SourceError
from midefics.pictures import opened
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Source
from midefics.sources.questions import nothing_composed
from midefics.sources.reading import NOT_STATED, parsed_json, require_folder, shown, text_lines, usable
from midefics.sources.shards import FORMATS, DataSet, Shard, image_of, rows, shards

EXPECTED = "Parquet shards or Arrow files with the columns id, image and conversation"
NEEDED = ("id", "image", "conversation")
GROUPS = ("patient_id", "group")
"""Columns that may say what belongs together; the id does where there is none of them."""
CARD_LINES = 2000
GLOSSARY = "archive_split: the data set's own split; says nothing about the image"


class _Archive(NamedTuple):
    """A data set, and what holds for all of its rows."""

    data: DataSet
    licence: str
    attribution: str


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the rows in the order of their ids; a number as an id is filled up to nine digits.

    Rows that are in this order are streamed; else their images wait in a temporary file. The group is the patient or
    group where there is such a column, else the row.

    Raises:
        SourceError: no such folder, no rows, broken files, or other columns.
    """
    require_folder("hf_dataset", root, EXPECTED)
    data = DataSet("hf_dataset", root, NEEDED, EXPECTED)
    archive, files = _Archive(data, *_card(data.fence, root / "README.md")), shards(data)
    identifiers = (
        _identifier(value) for shard in files for _, row in rows(data, shard, ("id",)) for value in row.values()
    )
    in_order = all(a <= b for a, b in itertools.pairwise(identifiers))
    found = (
        _case(archive, shard, number, row) for shard in files for number, row in rows(data, shard, (*NEEDED, *GROUPS))
    )
    last = None
    for one in found if in_order else _by_id(found):
        yield one if one.id != last else _repeated(one)
        last = one.id
    if last is None:
        raise SourceError(
            f"hf_dataset: the files in {root} have no rows; expected {EXPECTED}; fetch the data set again"
        )


def _card(fence: Path, path: Path) -> tuple[str, str]:
    """Licence and attribution, as the front matter of the data set's card has them."""
    lines = itertools.islice(text_lines("hf_dataset", fence, path), CARD_LINES) if path.is_file() else iter(())
    front = itertools.takewhile(lambda line: line.rstrip() != "---", lines) if next(lines, "") == "---" else ()
    try:
        fields = yaml.safe_load("\n".join(front))
    except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none is a ValueError
        fields = None
    told = fields if isinstance(fields, dict) else {}
    licences = told.get("license_name") or told.get("license")
    named = [one for one in (licences if isinstance(licences, list) else [licences]) if isinstance(one, str)]
    title = told.get("pretty_name")
    return shown(", ".join(named)) or NOT_STATED, shown(title) if isinstance(title, str) else NOT_STATED


def _identifier(value: object) -> str:
    return f"{value:09d}" if isinstance(value, int) else str(value or "").strip()


def _by_id(found: Iterator[Case | Rejected]) -> Iterator[Case | Rejected]:
    waiting = []
    with tempfile.TemporaryFile() as file:
        for one in found:
            content = one.content if isinstance(one, Case) else None
            light = one if content is None else one.model_copy(update={"content": b""})
            waiting.append((light, file.tell(), len(content or b"")))
            file.write(content or b"")
        for light, start, length in sorted(waiting, key=lambda each: each[0].id):
            file.seek(start)
            yield light.model_copy(update={"content": file.read(length)}) if length else light


def _case(archive: _Archive, shard: Shard, number: int, row: dict[str, Any]) -> Case | Rejected:
    name, origin = _identifier(row["id"]), f"{shard.name}:{number}"
    content, path, problem = image_of(archive.data, shard, row["image"])
    turns = () if problem else _turns(row["conversation"])
    if not usable(name):
        problem = "unusable name"
    if problem or not turns:
        reason = problem or "no question"
        return Rejected(id=f"hf_dataset/{shown(name)}", source="hf_dataset", reason=reason, detail="", origin=origin)
    groups = (_identifier(row.get(column)) for column in GROUPS)
    return Case(
        id=f"hf_dataset/{name}",
        source="hf_dataset",
        path=path,
        content=content,
        origin=origin,
        group=next(filter(None, groups), name),
        metadata={"archive_split": shard.split} if shard.split else {},
        licence=archive.licence,
        attribution=archive.attribution,
        turns=turns,
    )


def _turns(conversation: object) -> tuple[Turn, ...]:
    """The conversation, whether as records, as columns or as JSON; without what lacks a question or an answer."""
    pairs = _unwrapped(_unwrapped(conversation))
    if isinstance(pairs, dict):  # columns, as `datasets` stores a sequence of records
        questions, answers = pairs.get("question"), pairs.get("answer")
        columns = questions if isinstance(questions, list) else [], answers if isinstance(answers, list) else []
        pairs = [{"question": question, "answer": answer} for question, answer in zip(*columns, strict=False)]
    told = [pair for pair in pairs if isinstance(pair, dict)] if isinstance(pairs, list) else []
    texts = [tuple(str(pair.get(name) or "").strip() for name in ("question", "answer")) for pair in told]
    return tuple(Turn(question=question, answer=answer) for question, answer in texts if question and answer)


def _unwrapped(value: Any) -> Any:
    """What JSON says, or what lies under `data`."""
    if isinstance(value, str):
        try:
            value = parsed_json(value)
        except ValueError:
            return None
    return value.get("data", value) if isinstance(value, dict) else value


def _repeated(found: Case | Rejected) -> Rejected:
    return Rejected(
        id=found.id, source="hf_dataset", reason="repeated id", detail="the id is there before", origin=found.origin
    )


SOURCE = Source(cases=cases, conversation=nothing_composed, glossary=GLOSSARY, picture=partial(opened, formats=FORMATS))
