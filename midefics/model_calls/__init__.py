"""A row's metadata in, a conversation that calls a classifier out; and what is wrong with one, turn by turn.

A call and its answer are two turns, so that a conversation needs no further roles: what the function answers stands where the
person's words do, and is never learnt. Probabilities come from code: no language model writes them.
"""

from midefics.model_calls.exchange import (
    HUNDREDTHS,
    MARK,
    Exchange,
    completed,
    compose,
    draft_faults,
    exchange,
    probabilities,
    telling_place,
)
from midefics.model_calls.grammar import exchanges, faults, is_response
from midefics.model_calls.tools import TOOLS, catalogue, listed

__all__ = [
    "HUNDREDTHS",
    "MARK",
    "TOOLS",
    "Exchange",
    "catalogue",
    "completed",
    "compose",
    "draft_faults",
    "exchange",
    "exchanges",
    "faults",
    "is_response",
    "listed",
    "probabilities",
    "telling_place",
]
