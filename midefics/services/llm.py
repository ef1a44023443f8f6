"""Chat requests in, answers out as they come: an async client of any service that speaks the OpenAI protocol.

Retries live here and in one layer only. A 429 is one event shared by all workers (see `gate`) and burns no attempt;
5xx, time-outs, broken connections and garbled answers are tried again a few times, unless they mean that the service is
down (see `breaker`); what no repetition can cure stops the run at once.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from midefics.config import LabelConfig, Settings
from midefics.errors import ServiceError
from midefics.services.breaker import Breaker
from midefics.services.capacity import Capacity
from midefics.services.clerk import Clerk
from midefics.services.completions import answer_to
from midefics.services.gate import Ceilings, Gate
from midefics.services.ledger import Answer
from midefics.services.parameters import Parameters
from midefics.services.preflight import offer, preflight, service_of
from midefics.services.rate_headers import retry_after
from midefics.services.refusals import (
    GarbledError,
    concerns_one_request,
    explained,
    may_be_paid,
    passes,
    said,
)
from midefics.services.requests import Reply, Request

if TYPE_CHECKING:
    import httpx2
    import openai

log = logging.getLogger(__name__)

ATTEMPTS = 5
PATIENCE_S = 900.0
"""How long the service may answer nothing but 429 before the run gives up."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
"""Between two attempts: at random up to so long, twice that before each further one; never longer than the second."""


class Chat:
    """A service and how we talk to it. Use it within one event loop, and close it there."""

    def __init__(self, settings: Settings, config: LabelConfig, clerk: Clerk) -> None:
        import openai

        self.base_url, key = service_of(settings)
        self.requests_made = 0
        """Sent over the wire, those included that were turned away and tried again."""
        self._config, self._clerk = config, clerk
        self._client = openai.AsyncOpenAI(api_key=key, base_url=self.base_url, timeout=config.timeout_s, max_retries=0)
        self._gate = Gate(Ceilings(config.requests_per_minute, config.tokens_per_minute, config.burst))
        self._capacity = Capacity(config.concurrency, config.timeout_s)
        self._breaker = Breaker()
        self._last_answer = time.monotonic()
        self._offered: tuple[str, ...] = ()
        self._parameters = Parameters()
        self._calling: set[asyncio.Task[None] | None] = set()
        """Workers whose request is on the wire, or whose answer is about to be filed."""
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
        log.info("label: %s at %s writes", found.model, self.base_url)
        self._offered = found.offered
        return found.model

    async def ask(self, requests: Iterator[Request], keep: Callable[[Reply], None]) -> None:
        """Asks all; each reply is handed over at once, before its worker takes the next request.

        Args:
            requests: taken one by one, when there is room; it may have more to give after it had none.
            keep: what to do with a reply, whose answer is in the ledger. What it raises stops the run.

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
                keep(await self._reply(request, entered))
            finally:
                self._capacity.leave()

    async def _reply(self, request: Request, entered: int) -> Reply:
        for attempt in range(1, ATTEMPTS + 1):
            probe = await self._breaker.enter()
            reservation = await self._clerk.reserve(request)
            try:
                answer = await self._attempt(request, attempt, entered)
            except Exception as error:
                await self._release(reservation, error)
                problem = self._weighed(error, request, entered, probe)
                if not passes(error) or attempt == ATTEMPTS:
                    break
                await asyncio.sleep(_pause(error, attempt))
            except asyncio.CancelledError:
                if asyncio.current_task() not in self._calling:  # else cut off on the wire, where it may have been paid
                    await self._clerk.cancel(reservation)
                raise
            else:
                await self._clerk.file(reservation, answer)
                return Reply(request, answer, "")
            finally:
                self._calling.discard(asyncio.current_task())
        return Reply(request, None, problem)

    async def _release(self, reservation: str, error: Exception) -> None:
        if may_be_paid(error):
            await self._clerk.forfeit(reservation)
        else:
            await self._clerk.cancel(reservation)

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

        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            turn = await self._gate.enter(request.tokens)
            body = self._parameters.body(request)
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
                log.debug("429 from %s, waiting %.2f s", self.base_url, pause)
                if time.monotonic() + pause - self._last_answer > PATIENCE_S:
                    raise
            except openai.BadRequestError as error:
                if not self._parameters.adapt(body, error.status_code, _words(error)):
                    raise
                pause = 0.0
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
        return response

    def _explained(self, error: BaseException, request: Request) -> ServiceError:
        return explained(error, self.base_url, request.model, offer(self._offered))


def _words(error: "openai.APIStatusError") -> dict[str, Any]:
    told = error.body if isinstance(error.body, dict) else {"message": str(error.body or error)}
    return told | {"code": error.code, "param": error.param}


def _pause(error: Exception, attempt: int) -> float:
    response = getattr(error, "response", None)
    asked = retry_after(response.headers) if response is not None else None
    drawn = random.uniform(0, FIRST_PAUSE_S * 2 ** (attempt - 1))  # noqa: S311 (jitter)
    return min(max(asked or 0.0, drawn), LONGEST_PAUSE_S)
