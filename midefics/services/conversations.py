"""A model's answer in, a conversation out, or why it is none and the request that may mend it."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints, ValidationError, field_validator

from midefics.records import Record, Scalar, Turn
from midefics.services.ledger import Answer
from midefics.services.requests import Request

REMEMBERED = 1000
"""Verdicts."""
MAX_DETAIL = 1000
"""Characters of an unreadable answer that are kept."""
_FENCED = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_CONTROL = re.compile(r"<(image|fake_token_around_image|end_of_utterance|s|/s|unk)>|^https?://\S+$", re.IGNORECASE)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1500)]


class WrittenTurn(Record):
    """A turn as a model writes it."""

    question: Text
    answer: Text

    @field_validator("question", "answer")
    @classmethod
    def _is_only_text(cls, text: str) -> str:
        # These are control tokens to the model that is trained on them, and a bare address is fetched by its processor.
        if _CONTROL.search(text):
            raise ValueError("holds a control token or is an address")
        return text


class Conversation(Record):
    """What a model must answer."""

    turns: Annotated[tuple[WrittenTurn, ...], Field(min_length=4, max_length=6)]


class Written(NamedTuple):
    """What came of one row."""

    turns: tuple[Turn, ...]
    reason: str = ""
    """Why there are none."""
    detail: str = ""
    labelling: Mapping[str, Scalar] = MappingProxyType({})
    """As `Row` has it."""


class Verdict(NamedTuple):
    """What one answer amounts to."""

    turns: tuple[Turn, ...]
    reason: str = ""
    """Why there are none."""
    detail: str = ""
    """For the quarantine."""
    told: str = ""
    """To the model, which is asked for repair once."""


def parse_conversation(text: str) -> tuple[Turn, ...]:
    """Reads a model's answer strictly; a Markdown fence round it is taken off.

    Raises:
        ValueError: it is not JSON of 4 to 6 turns; the message says where.
    """
    fenced = _FENCED.fullmatch(text.strip())
    try:
        conversation = Conversation.model_validate_json(fenced.group(1) if fenced else text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    return tuple(Turn(question=turn.question, answer=turn.answer) for turn in conversation.turns)


def judge(request: Request, answer: Answer) -> Verdict:
    """Reads an answer, and holds its conversation against what the request's check has to say."""
    try:
        turns = parse_conversation(answer.text)
    except ValueError as problem:
        return Verdict(
            (), "unreadable answer", f"{problem}: {answer.text}"[:MAX_DETAIL], f"That can't be read ({problem})."
        )
    if objection := request.objection(turns):
        return Verdict((), objection.reason, objection.detail, objection.told)
    return Verdict(turns)


class Judge:
    """Judges answers, and remembers the verdicts on the last of them: one that has just come is soon read again."""

    def __init__(self) -> None:
        self._verdicts: OrderedDict[tuple[str, str], Verdict] = OrderedDict()

    def __call__(self, request: Request, answer: Answer) -> Verdict:
        """As `judge`."""
        known = self._verdicts.get(key := (answer.key, answer.text))
        if known is None:
            known = self._verdicts[key] = judge(request, answer)
            if len(self._verdicts) > REMEMBERED:
                self._verdicts.popitem(last=False)
        return known


def written(verdict: Verdict, answers: Sequence[Answer]) -> Written:
    """What a row's answers amount to, by the verdict on the last: the one that needs no repair, or has been its one."""
    if verdict.reason:
        return Written((), verdict.reason, verdict.detail)
    return Written(verdict.turns, labelling=_labelling(answers))


def repair_for(request: Request, answer: Answer, verdict: Verdict) -> Request | None:
    """The request that asks again for what can't be read or is objected to; None where all is well."""
    return repair_of(request, answer.text, verdict.told) if verdict.reason else None


def repair_of(request: Request, text: str, problem: str) -> Request:
    """Asks for the same again, with the answer that won't do and what is wrong with it."""
    # An answer that was cut off needs more room, not another try at the same length.
    messages = (
        {"role": "assistant", "content": text},
        {"role": "user", "content": f"{problem} Answer again with the JSON object alone."},
    )
    return request.model_copy(update={"messages": request.messages + messages, "max_tokens": request.max_tokens * 2})


def _labelling(answers: Sequence[Answer]) -> dict[str, Scalar]:
    costs = [answer.cost_microusd for answer in answers]
    return {
        "fingerprint": answers[-1].fingerprint,
        "prompt_tokens": sum(answer.prompt_tokens for answer in answers),
        "completion_tokens": sum(answer.completion_tokens for answer in answers),
        "cost": None if None in costs else sum(cost or 0 for cost in costs) / 1_000_000,
        "attempts": sum(answer.attempts for answer in answers),
        "checks": "format, grounding",
    }
