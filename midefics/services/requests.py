"""What is asked of a model, and what came of it: the request whole, its key in the ledger, the check of its conversation."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic import Field

from midefics.records import Digest, Record, Turn
from midefics.services.ledger import Answer
from midefics.services.structured import JSON_OBJECT, Format

CHARACTERS_PER_TOKEN = 4
_AROUND = 30
"""Tokens that a limit counts for what surrounds the messages."""


class Objection(NamedTuple):
    """Why a conversation that can be read is not taken."""

    detail: str
    """For the quarantine: no word of what was said."""
    told: str
    """For the model, which is asked for repair once."""
    reason: str = "not grounded"
    """Of the quarantine, a short stable code."""


Check = Callable[[tuple[Turn, ...]], Objection | None]
"""Judges a conversation by what is known of its image."""


class Request(Record):
    """One chat completion, whole: nothing else decides the answer."""

    base_url: str
    model: str
    messages: tuple[dict[str, str], ...]
    temperature: float
    max_tokens: int
    prompt_version: str
    input_digest: Digest
    response_format: Format | None = None
    """What shape of answer is asked for; a JSON object where unset."""
    check: Check | None = Field(None, exclude=True, repr=False)
    """What the answer's conversation must pass beside being readable; no part of the request itself."""

    def objection(self, turns: tuple[Turn, ...]) -> Objection | None:
        """What the check has against a conversation."""
        return self.check(turns) if self.check else None

    @property
    def key(self) -> str:
        """SHA-256 of the canonical request, as it is asked first: what a service refuses of it is left out later.

        The address is part of it: what a proxy or a mock said under a model's name is never taken for that model's
        answer. So is the input's digest: two images with equal metadata are two questions, and get two conversations.
        """
        content = self.model_dump(exclude={"prompt_version"})
        if self.response_format in (None, JSON_OBJECT):  # what was always asked for is no part: old answers hold
            del content["response_format"]
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def tokens(self) -> int:
        """What it takes from a limit on tokens, about: four bytes a token as it is sent, and the most it may answer."""
        sent = json.dumps(self.messages, ensure_ascii=False).encode()
        schema = json.dumps(self.response_format) if self.response_format else ""
        return (len(sent) + len(schema)) // CHARACTERS_PER_TOKEN + _AROUND + self.max_tokens


class Reply(NamedTuple):
    """What came of one request."""

    request: Request
    answer: Answer | None
    problem: str
    """Why there is no answer; empty where there is one."""


def estimated_tokens(messages: Sequence[dict[str, str]]) -> int:
    """An estimate: four characters make a token."""
    return sum(len(message["content"]) for message in messages) // CHARACTERS_PER_TOKEN + 1
