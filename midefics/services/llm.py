"""Chat requests in, answers out as they come: an async client of any service that speaks the OpenAI protocol.

Retries live here and in one layer only. A 429 is one event shared by all workers (see `gate`) and burns no attempt;
5xx, timeouts and broken connections are tried again a few times; what no repetition can cure stops the run at once.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from midefics.config import LabelConfig, Settings
from midefics.errors import RefusedError, ServiceError
from midefics.records import Digest, Record
from midefics.services.gate import Gate, retry_after
from midefics.services.ledger import Answer
from midefics.services.refusals import OPTIONAL, RENAMED, UNSUPPORTED, concerns_one_request, explained, passes, said

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletion

log = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
ATTEMPTS = 5
PATIENCE_S = 900.0
"""How long the service may answer nothing but 429 before the run gives up."""
GIVEN_UP_IN_A_ROW = 10
"""So many requests without an answer, one after the other, and the service counts as down."""
LONGEST_PAUSE_S = 60.0
"""Between two attempts, however long a failing service asks to wait."""
CHARACTERS_PER_TOKEN = 4


class Request(Record):
    """One chat completion, whole: nothing else decides the answer."""

    base_url: str
    model: str
    messages: tuple[dict[str, str], ...]
    temperature: float
    max_tokens: int
    prompt_version: str
    input_digest: Digest

    @property
    def key(self) -> str:
        """SHA-256 of the canonical request.

        The address is part of it: what a proxy or a mock said under a model's name is never taken for that model's
        answer. So is the input's digest: two images with equal metadata are two questions, and get two conversations.
        """
        content = self.model_dump(exclude={"prompt_version"})
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def tokens(self) -> int:
        """What it takes from a limit on tokens, about: the prompt at four characters each, and the most it may answer."""
        return estimated_tokens(self.messages) + self.max_tokens


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

    def __init__(self, settings: Settings, config: LabelConfig) -> None:
        import openai

        self.base_url = settings.openai_base_url or OPENAI_URL
        self.requests_made = 0
        self._model, self._concurrency = config.model, config.concurrency
        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none-needed"
        self._client = openai.AsyncOpenAI(api_key=key, base_url=self.base_url, timeout=config.timeout_s, max_retries=0)
        self._gate = Gate()
        self._last_answer = time.monotonic()
        self._given_up = 0
        self._offered: list[str] = []
        self._unsupported: set[str] = set()

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def check(self) -> None:
        """Asks the service, once and for free, whether it is there, lets us in and has the model.

        Raises:
            ServiceError: it does not answer.
            RefusedError: it does not let us in, or the model was shut down.
        """
        import openai

        try:
            models = [model async for model in self._client.models.list()]
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.APIConnectionError) as error:
            raise self._explained(error) from error
        except openai.OpenAIError as error:
            log.warning("%s lists no models (%s); asking %s unseen", self.base_url, said(error), self._model)
            return
        self._offered = sorted(model.id for model in models)
        shutdown = next((model.shutdown_date for model in models if model.id == self._model), None)
        if shutdown and str(shutdown)[:10] <= datetime.now(UTC).date().isoformat():
            raise RefusedError(f"{self.base_url} shut {self._model} down on {shutdown}; set label.model to another")
        if self._offered and self._model not in self._offered:
            if self.base_url == OPENAI_URL:
                raise RefusedError(f"{self.base_url} does not offer {self._model}; set label.model to {self._offer()}")
            log.warning(
                "%s does not list %s, only %s; asking it all the same", self.base_url, self._model, self._offer()
            )

    async def answers(self, requests: Sequence[Request]) -> AsyncGenerator[Reply, None]:
        """Yields a reply for each request, in the order they come in; at most `label.concurrency` are under way.

        Raises:
            ServiceError: the service is gone; RefusedError: it refuses for good. What was answered until then has been yielded.
        """
        waiting = iter(requests)
        news: asyncio.Queue[Reply | Exception | None] = asyncio.Queue()
        workers = [asyncio.create_task(self._work(waiting, news)) for _ in range(min(self._concurrency, len(requests)))]
        error: Exception | None = None
        running = len(workers)
        try:
            while running:
                reply = await news.get()
                if reply is None:
                    running -= 1
                elif isinstance(reply, Exception):
                    error = error or reply
                else:
                    yield reply
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if error:
            raise error

    async def _work(self, waiting: Iterator[Request], news: "asyncio.Queue[Reply | Exception | None]") -> None:
        try:
            for request in waiting:
                news.put_nowait(await self._reply(request))
        except Exception as error:  # whatever it is, the reader raises it
            for _ in waiting:  # the other workers end after the request they are at: its answer is paid
                pass
            news.put_nowait(error)
        finally:
            news.put_nowait(None)

    async def _reply(self, request: Request) -> Reply:
        import openai

        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS), wait=_pause, retry=retry_if_exception(passes), reraise=True
        )
        try:
            completion: ChatCompletion = await retrying(self._ask, request)
        except openai.OpenAIError as error:
            down = isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)
            if down or not (passes(error) or concerns_one_request(error)):
                raise self._explained(error) from error
            self._given_up += passes(error)
            if self._given_up >= GIVEN_UP_IN_A_ROW:
                raise self._explained(error) from error
            return Reply(request, None, said(error))
        self._given_up, self._last_answer = 0, time.monotonic()
        return _read(request, completion)

    async def _ask(self, request: Request) -> "ChatCompletion":
        import openai

        while True:
            turn = await self._gate.enter()
            self.requests_made += 1
            body = self._body(request)
            try:
                raw = await self._client.chat.completions.with_raw_response.create(**body)
                self._gate.welcome(turn, raw.headers, request.tokens)
                completion: ChatCompletion = raw.parse()
                return completion
            except openai.RateLimitError as error:
                if error.code == "insufficient_quota":
                    raise
                pause = self._gate.refuse(error.response.headers)
                log.debug("429 from %s, all wait %.2f s", self.base_url, pause)
                if time.monotonic() + pause - self._last_answer > PATIENCE_S:
                    raise
            except openai.BadRequestError as error:
                if not self._adapts(error, body):
                    raise

    def _body(self, request: Request) -> dict[str, Any]:
        body = request.model_dump(include={"model", "messages", "temperature", "max_tokens"})
        body["response_format"] = {"type": "json_object"}
        for name in self._unsupported & body.keys():
            value = body.pop(name)
            if name in RENAMED:
                body[RENAMED[name]] = value
        return body

    def _adapts(self, error: "openai.BadRequestError", body: dict[str, Any]) -> bool:
        # Newer models refuse `temperature` and `max_tokens` and say so; the answer is filed under what was asked for.
        if error.code not in UNSUPPORTED or error.param not in OPTIONAL or error.param not in body:
            return False
        if error.param not in self._unsupported:  # else another request, under way at the same time, has learnt it
            log.warning("%s does not take %s; asking without it", self._model, error.param)
            self._unsupported.add(error.param)
        return True

    def _explained(self, error: "openai.OpenAIError") -> ServiceError:
        return explained(error, self.base_url, self._model, self._offer())

    def _offer(self) -> str:
        return ", ".join(self._offered[:5]) + (", …" if len(self._offered) > 5 else "")


def _read(request: Request, completion: "ChatCompletion") -> Reply:
    choice = completion.choices[0] if completion.choices else None
    if choice is None:
        return Reply(request, None, "an answer without choices")
    usage = completion.usage
    answer = Answer(
        key=request.key,
        model=request.model,
        prompt_version=request.prompt_version,
        input_digest=request.input_digest,
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "",
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )
    return Reply(request, answer, "")


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    response = getattr(error, "response", None)
    asked = retry_after(response.headers) if response is not None else None
    return max(min(asked or 0.0, LONGEST_PAUSE_S), wait_random_exponential(multiplier=0.5, max=20)(state))
