"""Requests in, an answer in the ledger for each that can have one: the ledger is the store, memory holds a few windows.

Each answer is committed before anyone reads it. One that can't be read is sent back once for repair, at once; what then
can't be read is the caller's to put in quarantine.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

from midefics.config import LabelConfig, Settings
from midefics.services.budget import Budget
from midefics.services.clerk import Clerk
from midefics.services.conversations import Judge, Verdict, Written, repair_for, written
from midefics.services.in_order import Asked, InOrder, SettledPrefix
from midefics.services.ledger import Answer, Ledger
from midefics.services.llm import Chat
from midefics.services.progress import Counter, Progress
from midefics.services.requests import Reply, Request

FIRST_WINDOW, WINDOW = 10, 200
"""Requests that are looked up in the ledger together: a few at first, so that nobody waits for them; twice as many each time."""

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
    verdict: Verdict | None
    """On the last of them."""
    missing: Request | None
    """What must be asked for next; None where the row is settled."""


def correspond(
    asked_by: Callable[[str], Iterable[Asked[Asker]]],
    rows: int,
    settings: Settings,
    config: LabelConfig,
    ledger: Ledger,
    progress: Progress,
    budget: Budget,
    take: Callable[[Asker, Written | None, str], None],
) -> Correspondence:
    """Sees that the ledger has an answer to every request: asks the service for those it lacks.

    Args:
        asked_by: everybody in order, with their request to the model that is to write, where they need an answer.
        rows: how many there are at most.
        settings: where the service is.
        config: how it is asked.
        ledger: of answers.
        progress: told of every row that is settled.
        budget: asked before each request.
        take: told, in order and as soon as it is known, what came of each, and the model that answers.

    Raises:
        ServiceError: the service refuses or is gone; BudgetError: the money is out. What was answered is in the ledger.
    """
    for model in (config.model, *config.successors):
        line = Line(requests_of(asked_by(model)), ledger)
        if next(line, None) is None:  # all is there: nobody needs to be asked, not even which models there are
            _following(asked_by, model, line, take).end()
            return line.told(model, 0)
    with progress.track("label", rows) as counter:

        async def ask() -> Correspondence:
            clerk = Clerk(ledger, budget)
            chat = Chat(settings, config, clerk)
            try:
                model = await chat.model()
                line = Line(requests_of(asked_by(model)), ledger, counter)
                behind = _following(asked_by, model, line, take)

                def keep(reply: Reply) -> None:
                    line.keep(reply)
                    behind.go_on(line.settled.reached)

                await chat.ask(line, keep)
                behind.end()
                return line.told(model, chat.requests_made)
            finally:
                await chat.close()
                await clerk.close()

        return finished(ask())


def became(
    ledger: Ledger, problems: Mapping[str, str], judge: Judge, asked: Iterable[Asked[Asker]]
) -> Iterator[Written | None]:
    """Reads from the ledger what came of each request, in their order; None of those who ask nothing.

    Args:
        ledger: of answers.
        problems: by a request's key, why it has none.
        judge: of answers.
        asked: a lot.
    """
    requests = [request for _, request in asked]
    looked_up = iter(_look_up([request for request in requests if request], ledger, judge))
    for request in requests:
        yield _written(next(looked_up), problems) if request else None


def requests_of(asked: Iterable[Asked[Asker]]) -> Iterator[Request]:
    """Of those who have one."""
    return (request for _, request in asked if request)


def _following(
    asked_by: Callable[[str], Iterable[Asked[Asker]]],
    model: str,
    line: "Line",
    take: Callable[[Asker, Written | None, str], None],
) -> InOrder[Asker]:
    return InOrder(asked_by(model), line.became, lambda asker, found: take(asker, found, model))


def _written(found: _LookedUp, problems: Mapping[str, str]) -> Written:
    if found.missing is None and found.verdict:
        return written(found.verdict, found.answers)
    return Written((), "no answer", problems.get(found.missing.key if found.missing else "", "it was not asked for"))


class Line(Iterator[Request]):
    """Requests that must be asked, looked up a window at a time; unreadable answers put their repair at its head."""

    def __init__(self, requests: Iterable[Request], ledger: Ledger, counter: Counter | None = None) -> None:
        self._windows, self._ledger, self._counter = _windows(requests), ledger, counter
        self._ready: deque[Request] = deque()
        self._pending: dict[str, list[int]] = {}
        """By the key of what is in line or under way, who waits for it: a second row with the same request need not ask."""
        self._repairs: set[str] = set()
        self.settled = SettledPrefix()
        """How many of the first requests need nothing any more."""
        self.problems: dict[str, str] = {}
        self._judge = Judge()
        self.found = 0
        """Answers that were in the ledger."""
        self._places = self._new = self._prompt_tokens = self._completion_tokens = 0

    def __next__(self) -> Request:
        while not self._ready:
            window = next(self._windows, None)
            if window is None:
                raise StopIteration
            for looked_up in _look_up(window, self._ledger, self._judge):
                self.found += len(looked_up.answers)
                self._put(looked_up.missing, [self._places], bool(looked_up.answers))
                self._places += 1
        return self._ready.popleft()

    def keep(self, reply: Reply) -> None:
        """Takes in an answer that is in the ledger; puts its repair in line where it won't do."""
        request, answer = reply.request, reply.answer
        key = answer.key if answer else request.key
        waiting = self._pending.pop(key)
        was_repair = key in self._repairs
        self._repairs.discard(key)
        if answer is None:
            self.problems[key] = reply.problem
            self._settle(waiting)
            return
        self._new += 1
        self._prompt_tokens += answer.prompt_tokens
        self._completion_tokens += answer.completion_tokens
        repair = None if was_repair else repair_for(request, answer, self._judge(request, answer))
        self._put(repair, waiting, is_repair=True)

    def became(self, asked: Iterable[Asked[Asker]]) -> Iterator[Written | None]:
        """What came of a lot whose requests are settled."""
        return became(self._ledger, self.problems, self._judge, asked)

    def told(self, model: str, requests_made: int) -> Correspondence:
        """What has come of it."""
        return Correspondence(
            model, self.problems, requests_made, self.found, self._prompt_tokens, self._completion_tokens
        )

    def _put(self, request: Request | None, waiting: list[int], is_repair: bool) -> None:
        if request is None:
            self._settle(waiting)
            return
        key = request.key
        if key in self._pending:
            self._pending[key] += waiting
            return
        self._pending[key] = waiting
        if is_repair:
            self._repairs.add(key)
            self._ready.appendleft(request)
        else:
            self._ready.append(request)

    def _settle(self, places: list[int]) -> None:
        for place in places:
            self.settled.settle(place)
        if self._counter:
            self._counter.advance(len(places), note=f"{self._new} answers paid")


def _look_up(requests: Sequence[Request], ledger: Ledger, judge: Judge) -> list[_LookedUp]:
    keys = [request.key for request in requests]
    first = ledger.get_many(keys)
    verdicts = {key: judge(request, first[key]) for key, request in zip(keys, requests, strict=True) if key in first}
    repairs = {key: repair for key, request in zip(keys, requests, strict=True)
               if key in first and (repair := repair_for(request, first[key], verdicts[key]))}  # fmt: skip
    repaired = ledger.get_many(repair.key for repair in repairs.values()) if repairs else {}
    return [_found(request, first.get(key), verdicts.get(key), repairs.get(key), repaired, judge)
            for key, request in zip(keys, requests, strict=True)]  # fmt: skip


def _found(
    request: Request,
    first: Answer | None,
    verdict: Verdict | None,
    repair: Request | None,
    repaired: dict[str, Answer],
    judge: Judge,
) -> _LookedUp:
    if first is None:
        return _LookedUp((), None, request)
    if repair is None:
        return _LookedUp((first,), verdict, None)
    second = repaired.get(repair.key)
    return _LookedUp((first, second), judge(repair, second), None) if second else _LookedUp((first,), verdict, repair)


def _windows(items: Iterable[Result]) -> Iterator[list[Result]]:
    remaining, size = iter(items), FIRST_WINDOW
    while window := list(islice(remaining, size)):
        yield window
        size = min(2 * size, WINDOW)


def finished(work: Coroutine[None, None, Result]) -> Result:
    """What a coroutine returns, whether or not a loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # In a notebook a loop runs already, and can't be entered a second time from the same thread.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
