"""A data set's rows in, the questions out that nothing was learnt from, and an even sample of so many of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from midefics.model_calls import is_response
from midefics.records import Row, Turn

Each = TypeVar("Each")


def questions(row: Row) -> Iterator[Turn]:
    """The turns that may be asked alone; a tool's response belongs to the call before it, whose answer would give it away."""
    return (turn for turn in row.turns if not is_response(turn.question))


def held_out(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows of the test split that have a conversation."""
    return (row for row in rows if row.split == "test" and row.turns)


def evenly(every: Sequence[Each], most: int) -> list[Each]:
    """So many of them, from the first on, in their order; all where there are no more."""
    if most >= len(every):
        return list(every)
    return [every[round(position * len(every) / most)] for position in range(most)]
