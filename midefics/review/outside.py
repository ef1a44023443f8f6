"""What travels between us and another tool: a conversation with its decisions, and a decision as the tool tells it."""

from collections.abc import Sequence
from typing import NamedTuple

from midefics.records import Row
from midefics.services.reviews import Review

QUESTION = "Is the conversation right?"


class Sheet(NamedTuple):
    """One conversation on its way out."""

    row: Row
    turns_sha256: str
    picture: str
    """An address that holds the picture, or a path to it."""
    reviews: Sequence[Review]


class Found(NamedTuple):
    """One decision on its way in."""

    row: str
    turns_sha256: str
    decision: str
    edited: str
    """The conversation as the person would have it, see `edits.read_text`; empty where they did not change it."""
    reason: str
    reviewer: str
    when: str = ""
    """As the tool tells it."""
