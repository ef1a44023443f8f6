"""Conversations and decisions in, the JSON of other teams' tools out; and such JSON with decisions in, reviews out."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import ValidationError

from midefics.errors import DataError
from midefics.records import Row
from midefics.review import argilla, label_studio
from midefics.review.checked import checked_turns
from midefics.review.edits import read_text
from midefics.review.outside import Found, Sheet
from midefics.services.reviews import Key, Review


class Tool(NamedTuple):
    """One tool's JSON."""

    written: Callable[[Sheet], dict[str, Any]]
    """One conversation as the tool takes it."""
    read: Callable[[Mapping[str, Any]], Iterator[Found]]
    """The decisions on one conversation as the tool gives it; KeyError, TypeError or ValueError where it is of another shape."""


TOOLS = {
    "label-studio": Tool(label_studio.task, label_studio.found),
    "argilla": Tool(argilla.record, argilla.found),
}


class Imported(NamedTuple):
    """What a file held."""

    reviews: list[Review]
    problems: list[str]
    """Decisions that can't be taken, and why."""


def imported(text: str, tool: str, conversations: Mapping[Key, Row], names: Mapping[str, str]) -> Imported:
    """Reads the decisions of a tool's file.

    Args:
        text: the file.
        tool: a name in `TOOLS`.
        conversations: what can be decided on, pictures are not looked at.
        names: people's names by the numbers or addresses that the tool knows them by; those not in here stay as they are.

    Raises:
        DataError: the file is no JSON of that tool.
    """
    reviews: list[Review] = []
    problems: list[str] = []
    for found in _found(text, tool):
        row = conversations.get(Key(found.row, found.turns_sha256))
        try:
            if row is None:
                raise DataError("no such conversation in these outputs; it may have been written anew")
            reviews.append(_review(found, row, names))
        except DataError as error:
            problems.append(f"{found.row}, {found.reviewer}: {error}")
    return Imported(reviews, problems)


def _found(text: str, tool: str) -> list[Found]:
    try:
        document = json.loads(text)
        entries = document if isinstance(document, list) else document["records"]
        told = [found for entry in entries for found in TOOLS[tool].read(entry)]
        return sorted(told, key=attrgetter("when"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"no {tool} export with our fields: {type(error).__name__} {error}") from error


def _review(found: Found, row: Row, names: Mapping[str, str]) -> Review:
    values = {
        "row": found.row,
        "turns_sha256": found.turns_sha256,
        "source": row.source,
        "decision": found.decision,
        "turns": checked_turns(row, read_text(found.edited)) if found.decision == "edit" else (),
        "reason": found.reason.strip(),
        "reviewer": names.get(found.reviewer, found.reviewer),
        "reference": hashlib.sha256(json.dumps(found).encode()).hexdigest() if found.when else "",
    }
    try:
        return Review.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{'.'.join(map(str, first['loc']))} {first['input']!r}: {first['msg']}") from error


def exported(sheets: Iterable[Sheet], tool: str) -> str:
    """Writes conversations and the decisions there are as a tool's JSON."""
    return json.dumps([TOOLS[tool].written(sheet) for sheet in sheets], indent=1, ensure_ascii=False) + "\n"


def new_ones(reviews: Iterable[Review], current: Iterable[Review], history: Iterable[Review]) -> list[Review]:
    """Those that say something new.

    Left out is what its reviewer holds anyway. Where a tool doesn't tell when a decision was made, left out is also what its
    reviewer has ever said: it can't be told from a decision that they took back.
    """
    held, said = set(map(_content, current)), set(map(_content, history))
    new = {(_content(review), review.reference): review for review in reviews}
    return [
        review
        for (content, reference), review in new.items()
        if content not in held and (reference or content not in said)
    ]


def _content(review: Review) -> str:
    return review.model_dump_json(exclude={"reference"})
