r"""A Hugging Face data set in the original project's shape in, cases out: images whose conversations are written already.

Licence: what the front matter of its README.md declares. The original's lie at https://huggingface.co/WinterSchool. Read
are Parquet shards (`data/train-00000-of-00002.parquet`) and the Arrow files that `datasets.save_to_disk` writes. One row:

    {"id": "ISIC_0000002", "image": {"bytes": b"\xff\xd8…", "path": "ISIC_0000002.jpg"}, "conversation": {"data": [
     {"question": "What does this image show?", "answer": "A dermoscopic image of a melanoma."}, …]}}
"""

import itertools
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from midefics.errors import SourceError
from midefics.pictures import opened
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import (
    MAX_BYTES,
    NOT_STATED,
    image_problem,
    name_problem,
    parsed_json,
    require_folder,
    shown,
    text_lines,
    usable,
    within,
)

EXPECTED = "Parquet shards or Arrow files with the columns id, image and conversation"
NEEDED = ("id", "image", "conversation")
GROUPS = ("patient_id", "group")
"""Columns that may say what belongs together; the id does where there is none of them."""
ROWS_AT_ONCE = 16
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
"""`datasets` keeps a file as it is, and writes what was no file as PNG or TIFF."""
CARD_LINES = 2000
SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation",
          "dev": "validation", "test": "test"}  # fmt: skip
_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(SPLITS)})(?![a-z])")

GLOSSARY = "archive_split: the data set's own split; says nothing about the image"


class _Archive(NamedTuple):
    """A data set's folder, and what holds for all of its rows."""

    root: Path
    fence: Path
    """Nothing outside is read. The hub's cache keeps a snapshot's files beside the snapshot, and links to them."""
    licence: str
    attribution: str


class _Shard(NamedTuple):
    """One file of rows."""

    path: Path
    name: str
    """Relative to the data set."""
    split: str | None


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the rows in the order of their ids; a number as an id is filled up to nine digits.

    Rows that are in this order are streamed; else their images wait in a temporary file. The group is the patient or
    group where there is such a column, else the row.

    Raises:
        SourceError: no such folder, no rows, broken files, or other columns.
    """
    require_folder("hf_dataset", root, EXPECTED)
    archive = _archive(root)
    shards = _shards(archive)
    identifiers = (_identifier(value) for shard in shards for _, row in _rows(shard, ("id",)) for value in row.values())
    in_order = all(a <= b for a, b in itertools.pairwise(identifiers))
    found = (_case(archive, shard, number, row) for shard in shards for number, row in _rows(shard, (*NEEDED, *GROUPS)))
    last = None
    for one in found if in_order else _by_id(found):
        yield one if one.id != last else _repeated(one)
        last = one.id
    if last is None:
        raise SourceError(
            f"hf_dataset: the files in {root} have no rows; expected {EXPECTED}; fetch the data set again"
        )


def _archive(root: Path) -> _Archive:
    absolute = root.absolute()
    fence = absolute.parents[1] if absolute.parent.name == "snapshots" else absolute
    return _Archive(root, fence, *_card(fence, root / "README.md"))


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


def _shards(archive: _Archive) -> list[_Shard]:
    """The files of rows, in the folder or two below it."""
    paths = sorted(path for depth in ("*", "*/*", "*/*/*") for path in archive.root.glob(depth) if _holds_rows(path))
    shards = []
    for path in paths:
        if not within(archive.fence, path) or not path.is_file():
            raise SourceError(f"hf_dataset: {path} is not a file in the data set; a link must not lead out of it")
        name = path.relative_to(archive.root).as_posix()
        split = next((match[1] for part in reversed(name.lower().split("/")) if (match := _SPLIT.search(part))), None)
        shards.append(_Shard(path, name, SPLITS[split] if split else None))
    if not shards:
        raise SourceError(f"hf_dataset: no *.parquet and no *.arrow in {archive.root}; expected {EXPECTED}")
    return shards


def _holds_rows(path: Path) -> bool:
    """Tells whether a file is one of the data set's, not one that `datasets` keeps results of its own in."""
    return path.suffix in (".parquet", ".arrow") and not path.name.startswith((".", "cache-", "tmp", "indices"))


def _rows(shard: _Shard, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their numbers, from 0, and of their columns those that are there."""
    number = 0
    try:
        for batch in _batches(shard.path, columns):
            batch.validate(full=True)  # Arrow trusts a file's offsets: a wrong one would read beyond the file
            for row in range(batch.num_rows):
                yield number, {name: batch.column(name)[row].as_py() for name in batch.schema.names}
                number += 1
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError, pa.ArrowException) as error:
        raise SourceError(f"hf_dataset: {shard.path} is broken: {shown(str(error))}; fetch it again") from error


def _batches(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path, buffer_size=2**20) as file:
            present = _present(path, file.schema_arrow.names, columns)
            yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=present)
    else:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            present = _present(path, stream.schema.names, columns)
            yield from (batch.select(present) for batch in stream)


def _present(path: Path, names: list[str], columns: tuple[str, ...]) -> list[str]:
    missing = [name for name in columns if name in NEEDED and names.count(name) != 1]
    if missing:
        raise SourceError(f"hf_dataset: {path} has no column {', '.join(missing)}, or two; expected {EXPECTED}")
    return [name for name in columns if name in names]


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


def _case(archive: _Archive, shard: _Shard, number: int, row: dict[str, Any]) -> Case | Rejected:
    name, origin = _identifier(row["id"]), f"{shard.name}:{number}"
    content, path, problem = _image(archive, shard, row["image"])
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


def _image(archive: _Archive, shard: _Shard, image: object) -> tuple[bytes | None, Path, str | None]:
    """The image's bytes, or the file that holds them, and what is wrong with it."""
    content, name = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    if isinstance(content, bytes):
        size = len(content)
        return content, shard.path, "empty file" if not size else "file too large" if size > MAX_BYTES else None
    if not isinstance(name, str):
        return None, shard.path, "missing image"
    return None, archive.root / name, name_problem(name) or image_problem(archive.fence, archive.root / name)


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


def conversation(metadata: Metadata) -> tuple[Turn, ...]:  # noqa: ARG001 (every source has the same signature)
    """Nothing: the data set brings its own."""
    return ()


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, picture=partial(opened, formats=FORMATS))
