"""An archive's lists in, checked rows and image paths out: what every source file does the same way."""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from midefics.errors import SourceError
from midefics.records import Scalar, Turn

NOT_STATED = "not stated"
"""Licence of a row whose archive names none."""

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


def csv_rows(source: str, path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a CSV file with a header, row by row, with the line on which each row ends.

    LF or CRLF, with or without a byte order mark. Short rows come with empty strings, blank lines not at all.

    Raises:
        SourceError: not readable, not UTF-8, or lacking one of the `needed` columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [column for column in needed if column not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(
                    f"{source}: {path} has no column {', '.join(missing)}; expected a CSV file with {', '.join(needed)}"
                )
            for row in reader:
                row.pop(None, None)  # what a row has beyond the header
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{source}: {path} is not a readable CSV file: {error}") from error


def text_lines(source: str, path: Path) -> Iterator[str]:
    """Reads a UTF-8 text file line by line; only CR and LF end a line, whatever else Unicode counts as one.

    Raises:
        SourceError: not readable, or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                if line.strip():
                    yield line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{source}: {path} is not a readable text file: {error}") from error


def inside(path: str) -> bool:
    """Tells whether a relative path, as a list gives it, stays inside the folder that it is relative to."""
    return not (PurePosixPath(path).is_absolute() or "\0" in path or os.path.normpath(path).split("/")[0] == "..")


def image_problem(path: Path) -> str | None:
    """The reason for which an image file can't be used, judged without opening it; None where it may be fine."""
    try:
        size = path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):  # a name too long for the file system, or no name at all
        size = None
    if size is None:
        return "missing image"
    return "empty file" if size == 0 else None


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
