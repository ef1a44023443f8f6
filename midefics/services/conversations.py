"""Chat requests in, parsed conversations out: each answer is in the ledger before anyone reads it.

An answer that can't be read is sent back once for repair; what then can't be read is the caller's to put in quarantine.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints, ValidationError, field_validator

from midefics.config import LabelConfig, Settings
from midefics.records import Record, Turn
from midefics.services.ledger import Answer, Ledger
from midefics.services.llm import Chat, Request
from midefics.services.progress import Counter, Progress

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


class Objection(NamedTuple):
    """Why a conversation that can be read is not taken."""

    detail: str
    """For the quarantine: no word of what was said."""
    told: str
    """For the model, which is asked for repair once."""


Check = Callable[[str, tuple[Turn, ...]], Objection | None]
"""Judges the conversation written for the request of a name."""
UNGROUNDED = "not grounded"
"""Reason of a row whose conversation says what its metadata do not support."""


class Correspondence(NamedTuple):
    """What came of all requests, and what it took."""

    written: dict[str, Written]
    """By the requests' names."""
    requests_made: int
    """Sent over the wire, those included that were turned away and tried again."""
    answers_from_ledger: int
    prompt_tokens: int
    """Of new answers only, as are the completion tokens."""
    completion_tokens: int


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


def correspond(
    requests: Mapping[str, Request],
    settings: Settings,
    config: LabelConfig,
    ledger: Ledger,
    progress: Progress,
    check: Check = lambda _, __: None,
) -> Correspondence:
    """Gets an answer for every request: from the ledger, else from the service; what `check` objects to is repaired once.

    Raises:
        ServiceError: the service refuses or is gone; what was answered is in the ledger.
    """
    with progress.track("label", len(requests)) as counter:
        return _finished(_Correspondent(settings, config, ledger, counter, check).write(requests))


class _Correspondent:
    def __init__(self, settings: Settings, config: LabelConfig, ledger: Ledger, counter: Counter, check: Check) -> None:
        self._settings, self._config, self._ledger, self._counter, self._check = (
            settings,
            config,
            ledger,
            counter,
            check,
        )
        self._chat: Chat | None = None
        self._problems: dict[str, str] = {}
        self._new: list[Answer] = []
        self._from_ledger = 0

    async def write(self, requests: Mapping[str, Request]) -> Correspondence:
        written: dict[str, Written] = {}
        try:
            unread = await self._round(requests, written, last=False)
            await self._round(unread, written, last=True)
        finally:
            if self._chat:
                await self._chat.close()
        return Correspondence(
            written,
            self._chat.requests_made if self._chat else 0,
            self._from_ledger,
            sum(answer.prompt_tokens for answer in self._new),
            sum(answer.completion_tokens for answer in self._new),
        )

    async def _round(
        self, requests: Mapping[str, Request], written: dict[str, Written], last: bool
    ) -> dict[str, Request]:
        """Adds to `written` what could be settled; returns a repair request for each answer that could not be read."""
        answers = await self._answers(list(requests.values()), steps=0 if last else 1)
        repairs: dict[str, Request] = {}
        for name, request in requests.items():
            answer = answers.get(request.key)
            try:
                if answer is None:
                    written[name] = Written((), "no answer", self._problems[request.key])
                elif not (objection := self._check(name, turns := parse_conversation(answer.text))):
                    written[name] = Written(turns)
                elif last:
                    written[name] = Written((), UNGROUNDED, objection.detail)
                else:
                    repairs[name] = _repair(request, answer.text, objection.told)
            except ValueError as problem:
                if last or answer is None:
                    detail = f"{problem}: {answer.text if answer else ''}"
                    written[name] = Written((), "unreadable answer", detail[:MAX_DETAIL])
                else:
                    repairs[name] = _repair(request, answer.text, f"That can't be read ({problem}).")
        return repairs

    async def _answers(self, requests: list[Request], steps: int) -> dict[str, Answer]:
        by_key = {request.key: request for request in requests}
        answers = self._ledger.get_many(by_key)
        self._from_ledger += len(answers)
        self._counter.advance(len(answers) * steps)
        missing = [request for key, request in by_key.items() if key not in answers]
        if not missing:
            return answers
        if self._chat is None:
            self._chat = Chat(self._settings, self._config)
            await self._chat.check()
        async with aclosing(self._chat.answers(missing)) as replies:
            async for reply in replies:
                if reply.answer is None:
                    self._problems[reply.request.key] = reply.problem
                else:
                    self._ledger.put(reply.answer)
                    self._new.append(reply.answer)
                    answers[reply.answer.key] = reply.answer
                self._counter.advance(steps, note=f"{len(self._new)} answers paid")
        return answers


def _repair(request: Request, text: str, problem: str) -> Request:
    # An answer that was cut off needs more room, not another try at the same length.
    messages = (
        {"role": "assistant", "content": text},
        {"role": "user", "content": f"{problem} Answer again with the JSON object alone."},
    )
    return request.model_copy(update={"messages": request.messages + messages, "max_tokens": request.max_tokens * 2})


def _finished(work: Coroutine[None, None, Correspondence]) -> Correspondence:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # In a notebook a loop runs already, and can't be entered a second time from the same thread.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
