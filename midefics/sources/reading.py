"""An archive's lists in, checked rows and image paths out: what every source file does the same way."""

import csv
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from midefics.errors import SourceError
from midefics.records import Scalar, Turn

NOT_STATED = "not stated"
"""Licence of a row whose archive names none."""

OUTSIDE = "path outside the archive"
"""Reason of a row whose image is named, or linked to, somewhere else on the machine."""

MAX_BYTES = 2**30
"""Of an image file; a larger one is not read into memory."""
MAX_LINE = 2**20
"""Characters of a line in a list."""
MAX_COLUMNS = 1000
MAX_JSON = 2**26
"""Characters of a JSON file, which takes many times its size in memory."""
MAX_NAME = 1000
MAX_SHOWN = 120

DRAWN = ".synthetic.json"
"""Lies in an archive that `synthetic` drew, and says with what."""


def credit(root: Path, licence: str, attribution: str) -> tuple[str, str]:
    """The archive's licence and attribution, unless its pictures were drawn: those are nobody's but ours."""
    return ("CC0", "drawn by midefics") if (root / DRAWN).is_file() else (licence, attribution)


def require_folder(source: str, root: Path, expected: str) -> None:
    """Lets an existing folder pass.

    Raises:
        SourceError: there is no such folder; the message says what was expected there.
    """
    if not root.is_dir():
        raise SourceError(
            f"{source}: no folder {root}; expected {expected}, or point to it with --source {source}=PATH"
        )


def csv_rows(source: str, root: Path, path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a CSV file with a header, row by row, with the line on which each row ends.

    LF or CRLF, with or without a byte order mark. Short rows come with empty strings, blank lines not at all.

    Raises:
        SourceError: not readable, not in the archive, not UTF-8, a quote that nothing closes, columns beyond counting or
            named twice, or lacking one of the `needed` columns.
    """
    try:
        with _opened(root, path, newline="") as file:
            # Strict: else a quote that nothing closes takes every row after it into one field.
            reader = csv.DictReader(_lines(file), restval="", strict=True)
            columns = list(reader.fieldnames or ())
            missing = [column for column in needed if column not in columns]
            if missing:
                raise SourceError(
                    f"{source}: {path} has no column {', '.join(missing)}; expected a CSV file with {', '.join(needed)}"
                )
            _require_sane(columns)
            for row in reader:
                row.pop(None, None)  # what a row has beyond the header
                yield reader.line_num, row
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"{source}: {path} is not a readable CSV file: {error}") from error


def _require_sane(columns: list[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"{len(columns):,} columns are more than {MAX_COLUMNS:,}")
    twice = sorted({shown(name) for name in columns if name and columns.count(name) > 1})
    if twice:
        raise ValueError(f"column {', '.join(twice)} is there more than once")


def text_lines(source: str, root: Path, path: Path) -> Iterator[str]:
    """Reads a UTF-8 text file line by line; only CR and LF end a line, whatever else Unicode counts as one.

    Raises:
        SourceError: not readable, not in the archive, not UTF-8, or a line longer than `MAX_LINE`.
    """
    try:
        with _opened(root, path) as file:
            for line in _lines(file):
                if line.strip():
                    yield line.rstrip("\n")
    except (OSError, ValueError) as error:
        raise SourceError(f"{source}: {path} is not a readable text file: {error}") from error


def read_json(root: Path, path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        OSError: not readable.
        ValueError: not in the archive, not JSON, larger than `MAX_JSON`, or nested beyond reading.
    """
    with _opened(root, path) as file:
        text = file.read(MAX_JSON + 1)
    if len(text) > MAX_JSON:
        raise ValueError(f"longer than {MAX_JSON:,} characters")
    return parsed_json(text)


def parsed_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: not JSON, nested beyond reading, or with half a surrogate pair, which no other text can hold.
    """
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return content


def json_records(source: str, root: Path, path: Path, needed: Sequence[str]) -> list[dict[str, Any]]:
    """Reads a JSON list of records that all have certain keys.

    Raises:
        SourceError: not readable JSON, or something else.
    """
    try:
        records = read_json(root, path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{source}: {path} is not readable JSON: {error}") from error
    if not isinstance(records, list) or not all(isinstance(one, dict) and set(needed) <= one.keys() for one in records):
        raise SourceError(f"{source}: {path} is not a list of records with {', '.join(sorted(needed))}")
    return records


def _opened(root: Path, path: Path, newline: str | None = None) -> TextIO:
    """Opens a text file of the archive; reading a pipe or a device could wait for ever, so they are not opened."""
    if not within(root, path):
        raise ValueError("it leads out of the archive")
    if path.exists() and not path.is_file():
        raise ValueError("it is not a file")
    return path.open(encoding="utf-8-sig", newline=newline)


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise ValueError(f"a line is longer than {MAX_LINE:,} characters")
        if "\0" in line:
            raise ValueError("it holds NUL characters")
        yield line


def within(root: Path, path: Path) -> bool:
    """Tells whether a path ends inside the archive once every link on its way has been followed."""
    folder, name = os.path.split(path)
    real = os.path.realpath(path) if path.is_symlink() else f"{_real(folder)}/{name}"
    return real.startswith(f"{_real(str(root)).rstrip('/')}/")


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    """Where a folder truly lies; looked up once, as an archive has far fewer folders than images."""
    return os.path.realpath(folder)


def name_problem(name: str) -> str | None:
    """The reason for which a name, as a list gives it, is not looked up; None where it may be."""
    if PurePosixPath(name).is_absolute() or os.path.normpath(name).split("/")[0] == "..":
        return OUTSIDE
    return None if usable(name) else "unusable name"


def usable(name: str) -> bool:
    """Tells whether an archive's name for something fits an id: neither empty nor a page, and all of it can be seen."""
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def image_problem(root: Path, path: Path) -> str | None:
    """The reason for which an image file can't be used, judged without opening it; None where it may be fine.

    A link is followed where it stays inside the archive.
    """
    try:
        if not within(root, path):
            return OUTSIDE
        found = path.stat()
    except (OSError, ValueError):  # no such file, a name too long for the file system, or no name at all
        return "missing image"
    if not stat.S_ISREG(found.st_mode):
        return "not a file"
    if found.st_size > MAX_BYTES:
        return "file too large"
    return None if found.st_size else "empty file"


def shown(text: str) -> str:
    """A name out of an archive as one short printable line, for an id or a message."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[: MAX_SHOWN + 1])
    return line if len(line) <= MAX_SHOWN else f"{line[: MAX_SHOWN - 1]}…"


def wording(metadata: dict[str, Scalar], *phrasings: str) -> str:
    """One of the phrasings, always the same for the same metadata."""
    key = json.dumps([phrasings[0], metadata], sort_keys=True)
    return phrasings[int(hashlib.sha256(key.encode()).hexdigest(), 16) % len(phrasings)]


def ask(metadata: dict[str, Scalar], phrasings: tuple[str, ...], answer: str) -> Turn:
    """A turn whose question varies from image to image, but never from run to run."""
    return Turn(question=wording(metadata, *phrasings), answer=answer)


def with_article(noun: str) -> str:
    """`a melanoma`, `an angioma`."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
