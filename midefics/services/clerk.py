"""Requests and answers in, their entries in the ledger out: what comes in while one transaction is under way shares the next.

To commit takes the disk milliseconds, and three commits a request would cost more than the requests themselves. The
transactions run in a thread of their own, so that nobody on the wire waits for the disk.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from midefics.services.budget import Budget, BudgetError
from midefics.services.databases import together
from midefics.services.ledger import Answer, Ledger
from midefics.services.requests import Request

Entry = Callable[[], str | None]


class _Waiting(NamedTuple):
    entry: Entry
    made: "asyncio.Future[str | None]"


class Clerk:
    """One ledger and the budget in it. Use it within one event loop, and close it there."""

    def __init__(self, ledger: Ledger, budget: Budget) -> None:
        self._ledger, self._budget = ledger, budget
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="midefics-clerk")
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def reserve(self, request: Request) -> str:
        """Returns when the most that a request may cost is set aside; whoever is cancelled meanwhile has nothing reserved.

        Raises:
            BudgetError: there is not enough left.
        """
        if not self._budget.limited:
            return ""
        made = self._in_line(lambda: self._budget.reserve(request))
        try:
            return await asyncio.shield(made) or ""
        except asyncio.CancelledError:
            if reservation := await made:
                await self.cancel(reservation)
            raise

    async def file(self, reservation: str, answer: Answer) -> None:
        """Returns when an answer and its cost are committed, together."""

        def entry() -> None:
            self._ledger.put(answer)
            self._budget.settle(reservation, answer)

        await self._surely(entry)

    async def cancel(self, reservation: str) -> None:
        """Gives back what was reserved: nothing was paid."""
        if reservation:
            await self._surely(lambda: self._budget.cancel(reservation))

    async def forfeit(self, reservation: str) -> None:
        """Books what was reserved as spent: it may have been paid."""
        if reservation:
            await self._surely(lambda: self._budget.forfeit(reservation))

    async def close(self) -> None:
        """Waits for what is under way."""
        if self._writing:
            await self._writing
        self._thread.shutdown()

    def _surely(self, entry: Entry) -> Awaitable[str | None]:
        """Whoever waits for it may be cancelled; the entry is made."""
        return asyncio.shield(self._in_line(entry))

    def _in_line(self, entry: Entry) -> "asyncio.Future[str | None]":
        made: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(entry, made))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return made

    async def _write(self) -> None:
        while self._waiting:
            lot, self._waiting = self._waiting, []
            entries = [waiting.entry for waiting in lot]
            loop = asyncio.get_running_loop()
            try:
                results = await loop.run_in_executor(self._thread, self._committed, entries)
            except Exception as error:
                results = [error] * len(lot)
            for waiting, result in zip(lot, results, strict=True):
                _tell(waiting.made, result)

    def _committed(self, entries: list[Entry]) -> list[str | Exception | None]:
        with together(self._ledger.engine):
            return [_result(entry) for entry in entries]


def _result(entry: Entry) -> str | Exception | None:
    try:
        return entry()
    except BudgetError as error:  # one request's affair: the others of the transaction hold
        return error


def _tell(made: "asyncio.Future[str | None]", result: str | Exception | None) -> None:
    if made.done():
        return
    if isinstance(result, Exception):
        made.set_exception(result)
        made.exception()  # whoever waited may be gone
    else:
        made.set_result(result)
