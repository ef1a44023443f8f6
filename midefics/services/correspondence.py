"""Requests in, an answer in the ledger for each that can have one: the ledger is the store, memory holds a few windows.

Each answer is committed before anyone reads it. One that can't be read is sent back once for repair, at once; what then
can't be read is the caller's to put in quarantine.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

from midefics.config import LabelConfig, Settings
from midefics.services.budget import Budget
from midefics.services.conversations import Written, read, repair_for
from midefics.services.ledger import Answer, Ledger
from midefics.services.llm import Chat, Reply, Request
from midefics.services.progress import Counter, Progress

WINDOW = 200
"""Requests that are looked up in the ledger together."""

Asker = TypeVar("Asker")
Result = TypeVar("Result")


class Correspondence(NamedTuple):
    """What it took to have all answers, and which could not be had."""

    model: str
    """That wrote them."""
    problems: dict[str, str]
    """By a request's key, why it has no answer."""
    requests_made: int
    """Sent over the wire, those included that were turned away and tried again."""
    answers_from_ledger: int
    prompt_tokens: int
    """Of new answers only, as are the completion tokens."""
    completion_tokens: int


class _LookedUp(NamedTuple):
    answers: tuple[Answer, ...]
    """The first one and its repair, as far as they are there."""
    missing: Request | None
    """What must be asked for next; None where the row is settled."""


def correspond(
    requests_to: Callable[[str], Iterable[Request]],
    rows: int,
    settings: Settings,
    config: LabelConfig,
    ledger: Ledger,
    progress: Progress,
    budget: Budget,
) -> Correspondence:
    """Sees that the ledger has an answer to every request: asks the service for those it lacks.

    Args:
        requests_to: the requests, in any order, for the model that is to write.
        rows: how many there are at most.
        settings: where the service is.
        config: how it is asked.
        ledger: of answers.
        progress: told of every row that is settled.
        budget: asked before each request.

    Raises:
        ServiceError: the service refuses or is gone; BudgetError: the money is out. What was answered is in the ledger.
    """
    for model in (config.model, *config.successors):
        line = Line(requests_to(model), ledger)
        if next(line, None) is None:  # all is there: nobody needs to be asked, not even which models there are
            return line.told(model, 0)
    with progress.track("label", rows) as counter:

        async def ask() -> Correspondence:
            chat = Chat(settings, config, budget)
            try:
                model = await chat.model()
                line = Line(requests_to(model), ledger, counter)
                await chat.ask(line, line.keep)
                return line.told(model, chat.requests_made)
            finally:
                await chat.close()

        return finished(ask())


def settled(
    asked: Iterable[tuple[Asker, Request | None]], ledger: Ledger, problems: dict[str, str]
) -> Iterator[tuple[Asker, Written | None]]:
    """Reads from the ledger what became of each request, in their order, a window in memory at a time.

    None became of those who ask nothing.
    """
    for window in _windows(asked):
        looked_up = iter(_look_up([request for _, request in window if request], ledger))
        for asker, request in window:
            yield asker, _became(request, next(looked_up), problems) if request else None


def _became(request: Request, found: _LookedUp, problems: dict[str, str]) -> Written:
    if found.missing is None:
        return read(request, *found.answers)
    return Written((), "no answer", problems.get(found.missing.key, "it was not asked for"))


class Line(Iterator[Request]):
    """Requests that must be asked, looked up a window at a time; unreadable answers put their repair at its head."""

    def __init__(self, requests: Iterable[Request], ledger: Ledger, counter: Counter | None = None) -> None:
        self._windows, self._ledger, self._counter = _windows(requests), ledger, counter
        self._ready: deque[Request] = deque()
        self._pending: set[str] = set()
        """Keys of what is in line or under way: a second row with the same request need not ask."""
        self._repairs: set[str] = set()
        self._problems: dict[str, str] = {}
        self.found = 0
        """Answers that were in the ledger."""
        self._new = self._prompt_tokens = self._completion_tokens = 0

    def __next__(self) -> Request:
        while not self._ready:
            window = next(self._windows, None)
            if window is None:
                raise StopIteration
            for looked_up in _look_up(window, self._ledger):
                self.found += len(looked_up.answers)
                self._put(looked_up.missing, bool(looked_up.answers))
        return self._ready.popleft()

    def keep(self, reply: Reply) -> None:
        """Commits an answer; puts its repair in line where it can't be read."""
        request, answer = reply.request, reply.answer
        key = answer.key if answer else request.key
        self._pending.discard(key)
        was_repair = key in self._repairs
        self._repairs.discard(key)
        if answer is None:
            self._problems[key] = reply.problem
            self._advance()
            return
        self._ledger.put(answer)
        self._new += 1
        self._prompt_tokens += answer.prompt_tokens
        self._completion_tokens += answer.completion_tokens
        self._put(None if was_repair else repair_for(request, answer), is_repair=True)

    def told(self, model: str, requests_made: int) -> Correspondence:
        """What has come of it."""
        return Correspondence(
            model, self._problems, requests_made, self.found, self._prompt_tokens, self._completion_tokens
        )

    def _put(self, request: Request | None, is_repair: bool) -> None:
        if request is None:
            self._advance()
            return
        key = request.key
        if key in self._pending:
            self._advance()
            return
        self._pending.add(key)
        if is_repair:
            self._repairs.add(key)
            self._ready.appendleft(request)
        else:
            self._ready.append(request)

    def _advance(self) -> None:
        if self._counter:
            self._counter.advance(1, note=f"{self._new} answers paid")


def _look_up(requests: Sequence[Request], ledger: Ledger) -> list[_LookedUp]:
    keys = [request.key for request in requests]
    first = ledger.get_many(keys)
    repairs = {key: repair for key, request in zip(keys, requests, strict=True)
               if key in first and (repair := repair_for(request, first[key]))}  # fmt: skip
    repaired = ledger.get_many(repair.key for repair in repairs.values()) if repairs else {}
    looked_up = []
    for key, request in zip(keys, requests, strict=True):
        answers = (first[key],) if key in first else ()
        missing = None if answers else request
        if repair := repairs.get(key):
            second = repaired.get(repair.key)
            answers, missing = (*answers, second) if second else answers, None if second else repair
        looked_up.append(_LookedUp(answers, missing))
    return looked_up


def _windows(items: Iterable[Result]) -> Iterator[list[Result]]:
    remaining = iter(items)
    while window := list(islice(remaining, WINDOW)):
        yield window


def finished(work: Coroutine[None, None, Result]) -> Result:
    """What a coroutine returns, whether or not a loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # In a notebook a loop runs already, and can't be entered a second time from the same thread.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
