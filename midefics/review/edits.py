"""A person's words in, turns out: held to what a written conversation is held to."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from midefics.errors import DataError
from midefics.records import Turn
from midefics.services.conversations import WrittenTurn

FEWEST, MOST = 4, 6
"""Turns of a written conversation; an archive's own may have fewer or more, and may keep as many."""


def edited_turns(original: Sequence[Turn], pairs: Iterable[tuple[str, str]]) -> tuple[Turn, ...]:
    """Makes turns of questions and answers; a pair of two empty ones is left out.

    Raises:
        DataError: they are no conversation, or the one that they should change; the message says which turn and why.
    """
    written = [{"question": question, "answer": answer} for question, answer in pairs if (question + answer).strip()]
    fewest, most = min(FEWEST, len(original)), max(MOST, len(original))
    shape = TypeAdapter(Annotated[tuple[WrittenTurn, ...], Field(min_length=fewest, max_length=most)])
    try:
        turns = tuple(Turn(question=turn.question, answer=turn.answer) for turn in shape.validate_python(written))
    except ValidationError as error:
        raise DataError(_explained(error, len(written), (fewest, most))) from error
    if turns == tuple(original):
        raise DataError("nothing has been changed; to keep the conversation as it is, accept it")
    return turns


def as_text(turns: Iterable[Turn]) -> str:
    """A conversation as text that `read_text` reads."""
    lines = chain.from_iterable((f"Q: {_line(turn.question)}", f"A: {_line(turn.answer)}") for turn in turns)
    return "\n".join(lines)


def read_text(text: str) -> list[tuple[str, str]]:
    """Reads questions (`Q: …`) and answers (`A: …`), a line each; a line that begins otherwise goes on with the one before.

    Raises:
        DataError: the text doesn't begin with a question, or a question has no answer.
    """
    found: list[list[str]] = []
    for line in filter(str.strip, text.splitlines()):
        mark, words = line.strip()[:2].upper(), line.strip()[2:].strip()
        if mark == "Q:":
            found.append([words])
        elif mark == "A:" and found and len(found[-1]) == 1:
            found[-1].append(words)
        elif mark != "A:" and found:
            found[-1][-1] += f" {line.strip()}"
        else:
            raise DataError(f"{line.strip()[:60]!r}: expected Q: and a question, then A: and its answer")
    for pair in found:
        if len(pair) != 2:
            raise DataError(f"{pair[0][:60]!r}: the question has no answer")
    return [(question, answer) for question, answer in found]


def _line(text: str) -> str:
    return " ".join(text.split())


def _explained(error: ValidationError, count: int, limits: tuple[int, int]) -> str:
    first = error.errors()[0]
    if len(first["loc"]) < 2:
        return f"a conversation has {limits[0]} to {limits[1]} turns, this one has {count}"
    place, field = first["loc"][0], first["loc"][1]
    return f"turn {int(place) + 1}, {field}: {first['msg'].removeprefix('Value error, ')}"
