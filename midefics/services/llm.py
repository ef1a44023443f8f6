"""Chat requests in, answers out as they come: an async client of any service that speaks the OpenAI protocol.

Retries live here and in one layer only. A 429 is one event shared by all workers (see `gate`) and burns no attempt;
5xx, time-outs, broken connections and garbled answers are tried again a few times, unless they mean that the service is
down (see `breaker`); what no repetition can cure stops the run at once.
"""

import asyncio
import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from midefics.config import LabelConfig, Settings
from midefics.errors import ServiceError
from midefics.records import Digest, Record, Turn
from midefics.services.breaker import Breaker
from midefics.services.budget import Budget, NoBudget
from midefics.services.capacity import Capacity
from midefics.services.completions import answer_to
from midefics.services.gate import Ceilings, Gate
from midefics.services.ledger import Answer
from midefics.services.preflight import OPENAI_URL, offer, preflight
from midefics.services.rate_headers import retry_after
from midefics.services.refusals import (
    OPTIONAL,
    RENAMED,
    UNSUPPORTED,
    GarbledError,
    concerns_one_request,
    explained,
    passes,
    said,
)
from midefics.services.structured import JSON_OBJECT, NAME, Format, refuses_format, weakened

if TYPE_CHECKING:
    import httpx2
    import openai

log = logging.getLogger(__name__)

ATTEMPTS = 5
PATIENCE_S = 900.0
"""How long the service may answer nothing but 429 before the run gives up."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
"""Between two attempts: at random up to so long, twice that before each further one; never longer than the second."""
CHARACTERS_PER_TOKEN = 4


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


_AROUND = 30
"""Tokens that a limit counts for what surrounds the messages."""


class Reply(NamedTuple):
    """What came of one request."""

    request: Request
    answer: Answer | None
    problem: str
    """Why there is no answer; empty where there is one."""


def estimated_tokens(messages: Sequence[dict[str, str]]) -> int:
    """An estimate: four characters make a token."""
    return sum(len(message["content"]) for message in messages) // CHARACTERS_PER_TOKEN + 1


class Chat:
    """A service and how we talk to it. Use it within one event loop, and close it there."""

    def __init__(self, settings: Settings, config: LabelConfig, budget: Budget | None = None) -> None:
        import openai

        self.base_url = settings.openai_base_url or OPENAI_URL
        self.requests_made = 0
        """Sent over the wire, those included that were turned away and tried again."""
        self._config = config
        self._budget: Budget = budget or NoBudget()
        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none-needed"
        self._client = openai.AsyncOpenAI(api_key=key, base_url=self.base_url, timeout=config.timeout_s, max_retries=0)
        self._gate = Gate(Ceilings(config.requests_per_minute, config.tokens_per_minute, config.burst))
        self._capacity = Capacity(config.concurrency, config.timeout_s)
        self._breaker = Breaker()
        self._last_answer = time.monotonic()
        self._offered: tuple[str, ...] = ()
        self._unsupported: set[str] = set()
        self._weaker = 0
        """How often the service has refused a format, see `structured`."""
        self._calling: set[asyncio.Task[None] | None] = set()
        """Workers whose request is on the wire."""
        self._stopping = False

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def model(self) -> str:
        """Of the configured models the first that the service has.

        Raises:
            ServiceError: it does not answer; RefusedError: it lets nobody in, or has none of them.
        """
        found = await preflight(self._client, self.base_url, (self._config.model, *self._config.successors))
        self._offered = found.offered
        return found.model

    async def ask(self, requests: Iterator[Request], keep: Callable[[Reply], None]) -> None:
        """Asks all; each reply is handed over at once, before its worker takes the next request.

        Args:
            requests: taken one by one, when there is room; it may have more to give after it had none.
            keep: what to do with a reply. What it raises stops the run.

        Raises:
            ServiceError: the service is gone; RefusedError: it refuses for good; BudgetError: the money is out. What is
                on the wire then is still waited for, and handed over: it is paid.
        """
        workers = [asyncio.create_task(self._work(requests, keep)) for _ in range(self._config.concurrency)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            self._stopping = True
            for worker in workers:
                if worker not in self._calling:
                    worker.cancel()
            await asyncio.wait(workers)
        finally:
            for worker in workers:
                worker.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                raise error

    async def _work(self, requests: Iterator[Request], keep: Callable[[Reply], None]) -> None:
        while not self._stopping:
            entered = await self._capacity.enter()
            try:
                request = next(requests, None)
                if request is None:
                    return
                await self._within_budget(request, keep, entered)
            finally:
                self._capacity.leave()

    async def _within_budget(self, request: Request, keep: Callable[[Reply], None], entered: int) -> None:
        reservation = self._budget.reserve(request)
        try:
            reply = await self._reply(request, entered)
        except BaseException:
            if asyncio.current_task() not in self._calling:  # else cut off on the wire, where it may have been paid
                self._budget.cancel(reservation)
            raise
        finally:
            self._calling.discard(asyncio.current_task())
        keep(reply)
        if reply.answer:
            self._budget.settle(reservation, reply.answer)
        else:
            self._budget.cancel(reservation)

    async def _reply(self, request: Request, entered: int) -> Reply:
        for attempt in range(1, ATTEMPTS + 1):
            probe = await self._breaker.enter()
            try:
                return Reply(request, await self._attempt(request, attempt, entered), "")
            except Exception as error:
                problem = self._weighed(error, request, entered, probe)
                if not passes(error) or attempt == ATTEMPTS:
                    break
                await asyncio.sleep(_pause(error, attempt))
        return Reply(request, None, problem)

    async def _attempt(self, request: Request, attempt: int, entered: int) -> Answer:
        started, response = await self._sent(request)
        answer = answer_to(request, response, attempt)
        self._last_answer = time.monotonic()
        self._capacity.went_well(entered, self._last_answer - started)
        self._breaker.answered()
        return answer

    def _weighed(self, error: Exception, request: Request, entered: int, probe: bool) -> str:
        """What is to be said of a failure that costs one request at most; any other is raised."""
        import openai

        if not isinstance(error, openai.OpenAIError | TimeoutError | GarbledError):
            raise error
        if passes(error):
            self._capacity.trouble(entered)
            if self._breaker.failed(probe):
                raise self._explained(error, request) from error
        elif not concerns_one_request(error):
            raise self._explained(error, request) from error
        else:
            self._breaker.answered()
        return said(error)

    async def _sent(self, request: Request) -> "tuple[float, httpx2.Response]":
        """When it left, and the response; 429s and parameters that the model does not take are dealt with."""
        import openai

        while True:
            turn = await self._gate.enter(request.tokens)
            body = self._body(request)
            started = time.monotonic()
            try:
                response = await self._called(body)
                self._gate.welcome(turn, response.headers)
                return started, response
            except openai.RateLimitError as error:
                self._breaker.answered()
                if error.code == "insufficient_quota":
                    raise
                pause = self._gate.refuse(turn, error.response.headers)
                log.debug("429 from %s, all wait %.2f s", self.base_url, pause)
                if time.monotonic() + pause - self._last_answer > PATIENCE_S:
                    raise
            except openai.BadRequestError as error:
                if not self._adapts(error, body, request):
                    raise
            finally:
                self._gate.leave(turn)

    async def _called(self, body: dict[str, Any]) -> "httpx2.Response":
        import httpx2

        if self._stopping:
            raise asyncio.CancelledError
        worker = asyncio.current_task()
        self._calling.add(worker)
        self.requests_made += 1
        try:
            async with asyncio.timeout(self._config.timeout_s):  # the client's own begins anew with every byte
                response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except Exception:
            self._calling.discard(worker)
            raise
        self._calling.discard(worker)
        return response

    def _body(self, request: Request) -> dict[str, Any]:
        body = request.model_dump(include={"model", "messages", "temperature", "max_tokens"})
        if asked := weakened(request.response_format or JSON_OBJECT, self._weaker):
            body[NAME] = asked
        for name in self._unsupported & body.keys():
            value = body.pop(name)
            if name in RENAMED:
                body[RENAMED[name]] = value
        return body

    def _adapts(self, error: "openai.BadRequestError", body: dict[str, Any], request: Request) -> bool:
        if NAME in body and refuses_format(error.status_code, error.param, str(error.body or error)):
            if body == self._body(request):  # else another request, under way at the same time, has learnt it
                log.warning(
                    "%s does not take %s for %s; asking for less", self.base_url, body[NAME]["type"], body["model"]
                )
                self._weaker += 1
            return True
        # Newer models refuse `temperature` and `max_tokens` and say so; the answer is filed under what was asked for.
        if error.code not in UNSUPPORTED or error.param not in OPTIONAL or error.param not in body:
            return False
        if error.param not in self._unsupported:  # else another request, under way at the same time, has learnt it
            log.warning("%s does not take %s; asking without it", body["model"], error.param)
            self._unsupported.add(error.param)
        return True

    def _explained(self, error: BaseException, request: Request) -> ServiceError:
        return explained(error, self.base_url, request.model, offer(self._offered))


def _pause(error: Exception, attempt: int) -> float:
    response = getattr(error, "response", None)
    asked = retry_after(response.headers) if response is not None else None
    drawn = random.uniform(0, FIRST_PAUSE_S * 2 ** (attempt - 1))  # noqa: S311 (jitter)
    return min(max(asked or 0.0, drawn), LONGEST_PAUSE_S)
