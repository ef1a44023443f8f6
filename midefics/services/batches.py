"""Requests in, an answer in the ledger for each that can have one, for half the price: OpenAI's Batch API.

What a killed process had under way is found again: by the number that the ledger has, else by the name that went along as
metadata. Only lines without an answer are asked again, in a further batch.
"""

import io
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from midefics.config import LabelConfig, Settings
from midefics.errors import RefusedError, ServiceError
from midefics.services.batch_lines import BAD_REQUEST, ENDPOINT, batch_line, counts, json_lines, refusal
from midefics.services.batch_records import Batch, BatchRecords
from midefics.services.budget import Budget
from midefics.services.completions import answer_from
from midefics.services.correspondence import Correspondence, Line, finished
from midefics.services.ledger import Answer, Ledger
from midefics.services.parameters import Parameters
from midefics.services.preflight import preflight, service_of
from midefics.services.prices import price_of
from midefics.services.progress import Counter, Progress
from midefics.services.refusals import explained
from midefics.services.requests import Request
from midefics.services.spending import LedgerBudget

if TYPE_CHECKING:
    from openai.types import Batch as Told

log = logging.getLogger(__name__)

NAME = "midefics"
"""The metadata's key under which our name for a batch goes along."""
ATTEMPTS = 3
"""In so many batches a request may stay without an answer, over three days."""
ENDED = ("completed", "failed", "expired", "cancelled")
ATTEMPTS_AT_SERVICE = 5
Result = TypeVar("Result")


class PendingError(ServiceError):
    """Batches are under way, and whoever asked does not wait for them."""

    def __init__(self, message: str, run_again_in_s: float) -> None:
        super().__init__(message)
        self.run_again_in_s = run_again_in_s


class BatchDesk:
    """One service's batches, and what the ledger knows of them."""

    def __init__(self, settings: Settings, config: LabelConfig, ledger: Ledger, budget: Budget) -> None:
        import openai

        self.base_url, key = service_of(settings)
        self.requests_made = 0
        """Calls that handed in, looked or fetched."""
        self.answered = self.prompt_tokens = self.completion_tokens = 0
        """Answers collected, and their tokens."""
        self.problems: dict[str, str] = {}
        self._config, self._ledger, self._budget = config, ledger, budget
        self._records = BatchRecords(ledger.engine)
        self._parameters = Parameters()
        # Looking, uploading and fetching cost nothing and may be repeated; making a batch is paid, and tried once.
        self._client = openai.OpenAI(
            api_key=key, base_url=self.base_url, timeout=config.timeout_s, max_retries=ATTEMPTS_AT_SERVICE
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def look(self) -> int:
        """Looks at every open batch and collects those that ended; returns how many go on.

        Raises:
            ServiceError: the service is gone; RefusedError: it refused a batch for good.
        """
        waiting = 0
        for batch in self._records.under_way(self.base_url):
            told = self._told(batch)
            if told is None:
                waiting += self._given_up(batch)
            elif told.status in ENDED:
                self._collect(batch, told)
            else:
                waiting += 1
                log.info("label: batch %s is %s%s", told.id, told.status, counts(told))
        return waiting

    def hand_in(self, requests: Iterator[Request]) -> int:
        """Makes batches of requests, one alone where the service has found one too large; returns how many to look for.

        Requests that stayed without an answer in several batches are given up, see `problems`.

        Raises:
            BudgetError: the money is out.
        """
        refused = self._records.smallest_refused(self.base_url)
        size = max(min(self._config.batch_lines, (refused or 2 * self._config.batch_lines) // 2), 1)
        made = 0
        while lines := self._hopeful(list(islice(requests, size)), requests):
            self._make(lines)
            made += 1
            if refused:
                break
        return made

    def _hopeful(self, lines: list[Request], more: Iterator[Request]) -> list[Request]:
        while lines:
            asked = self._records.asked(request.key for request in lines)
            hopeful = [request for request in lines if asked.get(request.key, 0) < ATTEMPTS]
            for request in lines:
                if asked.get(request.key, 0) >= ATTEMPTS:
                    self.problems.setdefault(request.key, f"{ATTEMPTS} batches brought no answer")
            if hopeful:
                return hopeful
            lines = list(islice(more, len(lines)))
        return []

    def _make(self, lines: list[Request]) -> None:
        name = uuid.uuid4().hex
        lines = self._records.prepare(name, self.base_url, lines)
        if not lines:  # another worker was faster: its batches are waited for
            return
        try:
            if isinstance(self._budget, LedgerBudget) and self._budget.limited:
                self._budget.set_aside(sum(self._budget.most(request, batch=True) for request in lines), name)
        except Exception:
            self._records.update(name, "void")
            raise
        content = io.BytesIO("".join(batch_line(request, self._parameters) for request in lines).encode())
        file = self._call(lambda: self._client.files.create(file=(f"{name}.jsonl", content), purpose="batch"))
        told = self._call(
            lambda: self._client.with_options(max_retries=0).batches.create(
                input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={NAME: name}
            )
        )
        self._records.update(name, "created", told.id)
        log.info("label: batch %s of %s requests handed in", told.id, len(lines))

    def _told(self, batch: Batch) -> "Told | None":
        if batch.batch_id:
            return self._call(lambda: self._client.batches.retrieve(batch.batch_id))
        for told in self._call(lambda: list(self._client.batches.list(limit=100))):
            if (told.metadata or {}).get(NAME) == batch.name:
                self._records.update(batch.name, "created", told.id)
                return told
        return None

    def _given_up(self, batch: Batch) -> bool:
        """Drops a batch that the service has never seen, unless somebody is just about to make it; whether one is."""
        if not batch.abandoned:
            return True
        self._records.update(batch.name, "void")
        self._budget.cancel(batch.name)
        return False

    def _collect(self, batch: Batch, told: "Told") -> None:
        codes = {error.code for error in (told.errors.data if told.errors else None) or []}
        lines = self._records.lines(batch.name)
        if told.status == "failed" and "token_limit_exceeded" in codes and len(lines) > 1:
            self._budget.cancel(batch.name)
            self._records.update(batch.name, "too large")
            log.warning(
                "%s takes no batch of %s requests at present; the next is half of it", self.base_url, len(lines)
            )
            return
        results = list(self._results(told))
        unfit = self._unfit(told, results)
        answers = [answer for line in results if (answer := self._read(line, lines))]
        for answer in answers:
            self._ledger.put(answer)
            self.problems.pop(answer.key, None)
            self.answered += 1
            self.prompt_tokens += answer.prompt_tokens
            self.completion_tokens += answer.completion_tokens
        self._settle(batch, answers)
        self._records.update(batch.name, "unfit" if unfit else "collected")
        log.info("label: batch %s %s, %s of %s answered", told.id, told.status, len(answers), len(lines))
        if told.status == "failed" and not answers and not (told.output_file_id or told.error_file_id):
            said = "; ".join(str(error.message) for error in (told.errors.data if told.errors else None) or [])
            raise RefusedError(f"{self.base_url} refused batch {told.id}: {said[:300] or 'no reason given'}")

    def _results(self, told: "Told") -> Iterator[dict[str, Any]]:
        for number in (told.output_file_id, told.error_file_id):
            if number:
                yield from json_lines(self._content(number))

    def _content(self, number: str) -> str:
        return self._call(lambda: self._client.files.content(number).text)

    def _unfit(self, told: "Told", results: Iterable[dict[str, Any]]) -> bool:
        """Whether requests were refused for what they can do without: the next batch does, and this was no attempt."""
        refusals = {line.get("custom_id"): error for line in results if (error := refusal(line))}
        if not refusals:
            return False
        # What was sent may have been another process's, that had learnt of refusals before.
        sent = {line["custom_id"]: line["body"] for line in json_lines(self._content(told.input_file_id))}
        for body in sent.values():
            self._parameters.recall(body)
        found = [(sent[key], error) for key, error in refusals.items() if key in sent]
        return True in [self._parameters.adapt(body, BAD_REQUEST, error) for body, error in found]

    def _read(self, line: dict[str, Any], lines: dict[str, dict[str, str]]) -> Answer | None:
        key = line.get("custom_id")
        if key not in lines:
            return None
        response = line.get("response") or {}
        try:
            if response.get("status_code") != 200:
                raise ValueError(line.get("error") or (response.get("body") or {}).get("error") or "no response")
            return answer_from(response["body"], lines[key], attempts=1)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            self.problems[key] = " ".join(str(error).split())[:200]
            return None

    def _settle(self, batch: Batch, answers: Iterable[Answer]) -> None:
        if not isinstance(self._budget, LedgerBudget):
            return
        costs: dict[str, int] = {}
        for answer in answers:
            if price := price_of(answer.model, self._config.prices):
                costs[answer.key] = price.cost_microusd(answer.prompt_tokens, answer.completion_tokens, batch=True)
        self._budget.settle_batch(batch.name, costs)

    def _call(self, call: Callable[[], Result]) -> Result:
        import openai

        self.requests_made += 1
        try:
            return call()
        except openai.OpenAIError as error:
            raise explained(error, self.base_url, self._config.model, "") from error


def correspond_in_batches(
    requests_to: Callable[[str], Iterable[Request]],
    rows: int,
    settings: Settings,
    config: LabelConfig,
    ledger: Ledger,
    progress: Progress,
    budget: Budget,
    wait: bool = True,
) -> Correspondence:
    """As `correspondence.correspond`, by batches; without `wait` it leaves as soon as only the service has work to do.

    Raises:
        PendingError: batches are under way, and `wait` is off.
        ServiceError: the service refuses or is gone; BudgetError: the money is out. What was answered is in the ledger.
    """
    desk = BatchDesk(settings, config, ledger, budget)
    try:
        with progress.track("label", rows) as counter:
            waiting = desk.look()
            for model in (config.model, *config.successors):
                line = Line(requests_to(model), ledger)
                if not waiting and next(line, None) is None:
                    return _told(desk, model, line.found)
            model = finished(_preflight(settings, config))
            log.info("label: %s at %s writes, by batches", model, desk.base_url)
            while waiting or desk.hand_in(Line(requests_to(model), ledger)):
                _pause(config, wait, counter, desk.answered)
                waiting = desk.look()
        return _told(desk, model, 0)
    finally:
        desk.close()


def _pause(config: LabelConfig, wait: bool, counter: Counter, answers: int) -> None:
    if not wait:
        when = datetime.now().astimezone() + timedelta(seconds=config.batch_poll_s)
        message = f"label: batches are under way; run again after {when:%H:%M:%S} to look at them"
        raise PendingError(message, config.batch_poll_s)
    counter.advance(0, note=f"{answers} answers paid, waiting for batches")
    time.sleep(config.batch_poll_s)


def _told(desk: BatchDesk, model: str, found: int) -> Correspondence:
    tokens = desk.prompt_tokens, desk.completion_tokens
    return Correspondence(model, desk.problems, desk.requests_made, found, *tokens)


async def _preflight(settings: Settings, config: LabelConfig) -> str:
    import openai

    base_url, key = service_of(settings)
    async with openai.AsyncOpenAI(api_key=key, base_url=base_url, timeout=config.timeout_s) as client:
        return (await preflight(client, base_url, (config.model, *config.successors))).model
