"""What a browser sends in, what is asked for out: the address of a conversation, and the form that decides on it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode

from pydantic import Field, ValidationError

from midefics.errors import DataError
from midefics.records import Record
from midefics.review.queue import Sample

MAX_FORM = 100_000
"""Bytes."""
MOST_TURNS = 50
_OUTPUT = re.compile(r"conversations/[0-9a-f]{16}")


class Asked(Record):
    """Which conversation of which sample is shown."""

    sample: Sample = Sample()
    at: Annotated[int, Field(ge=1)] = 1
    """Counted from 1; one beyond the last shows the last."""

    def address(self, at: int | None = None) -> str:
        """Relative to the page, so that it holds under any base path."""
        fields = self.sample.model_dump(exclude_defaults=True) | {"at": at or self.at}
        return "./?" + urlencode(fields, doseq=True)


class Decided(Record):
    """A form that was sent."""

    asked: Asked
    row: str
    turns_sha256: str
    decision: Literal["accept", "edit", "reject"]
    reason: str = ""
    confirmed: str = ""
    """What is wrong with the edit and yet meant, see `checked`."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Questions and answers as they stand in the form."""


def read_asked(query: str) -> Asked:
    """Reads an address.

    Raises:
        DataError: a value is not what it should be.
    """
    return _asked(parse_qsl(query, max_num_fields=100))


def read_decided(body: bytes) -> Decided:
    """Reads a form, as browsers encode it by default.

    Raises:
        DataError: it is none of ours.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=2 * MOST_TURNS + 20)
        fields = {key: value.replace("\r\n", "\n") for key, value in pairs}
        names = ("row", "turns_sha256", "decision", "reason", "confirmed")
        told = {name: fields[name].strip() for name in names if name in fields}
        return Decided.model_validate(told | {"asked": _asked(pairs), "pairs": tuple(_turns(fields))})
    except ValueError as error:  # pydantic's is one, too
        raise DataError(f"no form of this page: {_first(error)}") from error


def _asked(pairs: Sequence[tuple[str, str]]) -> Asked:
    fields = {key: value for key, value in pairs if value}
    references = tuple(value for key, value in pairs if key == "of")
    for reference in references:
        if not _OUTPUT.fullmatch(reference):
            raise DataError(f"of: {reference[:60]!r} is no output of label, which is conversations/ and 16 digits")
    sample = {key: fields[key] for key in ("order", "seed", "size", "source") if key in fields}
    try:
        return Asked.model_validate({"sample": sample | {"of": references}, "at": fields.get("at", 1)})
    except ValidationError as error:
        raise DataError(_first(error)) from error


def _turns(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for number in range(MOST_TURNS):
        if f"question-{number}" in fields:
            yield fields[f"question-{number}"], fields.get(f"answer-{number}", "")


def _first(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
