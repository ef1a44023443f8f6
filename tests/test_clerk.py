import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event, text

from midefics.errors import StorageError
from midefics.services.budget import BudgetError
from midefics.services.clerk import Clerk
from midefics.services.ledger import Ledger
from midefics.services.spending import LedgerBudget
from tests.budget_worker import answer_to, config, request

EACH = 5_000  # five tokens at a thousandth of a dollar


@pytest.fixture
def ledger(ledger_address: SecretStr) -> Ledger:
    return Ledger.connect(ledger_address)


def budget(ledger: Ledger, requests: int = 40) -> LedgerBudget:
    return LedgerBudget("run", config(budget_usd=requests * EACH / 1e6), ledger)


async def results(clerk: Clerk, *waits: Coroutine[Any, Any, Any]) -> list[Any]:
    try:
        return await asyncio.gather(*waits, return_exceptions=True)
    finally:
        await clerk.close()


def test_entries_of_one_moment_share_a_transaction(ledger: Ledger) -> None:
    money, commits = budget(ledger), []
    event.listen(ledger.engine, "commit", lambda _: commits.append(1))

    async def ask() -> list[Any]:
        clerk = Clerk(ledger, money)
        return await results(clerk, *(clerk.reserve(request(number)) for number in range(20)))

    assert len(set(asyncio.run(ask()))) == 20
    assert len(commits) == 1
    assert money.stands() == (0, 20 * EACH)
    ledger.close()


def test_an_answer_and_its_cost_are_filed_once_whoever_else_has_it(ledger: Ledger) -> None:
    money, answer = budget(ledger), answer_to(request(1), completion_tokens=3)

    async def ask() -> None:
        clerk = Clerk(ledger, money)
        names = [await clerk.reserve(request(1)) for _ in range(2)]
        assert await results(clerk, *(clerk.file(name, answer) for name in names)) == [None, None]

    asyncio.run(ask())
    assert ledger.get_many([answer.key])[answer.key].cost_microusd == 3_000
    assert money.stands() == (6_000, 0)  # it was paid twice
    ledger.close()


def test_a_refused_reservation_leaves_the_others_of_its_transaction(ledger: Ledger) -> None:
    money = budget(ledger, requests=3)

    async def ask() -> list[Any]:
        clerk = Clerk(ledger, money)
        return await results(clerk, *(clerk.reserve(request(number)) for number in range(5)))

    assert sum(isinstance(one, BudgetError) for one in asyncio.run(ask())) == 2
    assert money.stands() == (0, 3 * EACH)
    ledger.close()


def test_who_is_cancelled_while_reserving_has_nothing_reserved(ledger: Ledger) -> None:
    money = budget(ledger)

    async def ask() -> None:
        clerk = Clerk(ledger, money)
        waiting = asyncio.create_task(clerk.reserve(request(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await clerk.close()

    asyncio.run(ask())
    assert money.stands() == (0, 0)
    ledger.close()


def test_what_may_have_been_paid_is_booked_whole(ledger: Ledger) -> None:
    money = budget(ledger)

    async def ask() -> None:
        clerk = Clerk(ledger, money)
        lost, refused = await clerk.reserve(request(1)), await clerk.reserve(request(2))
        await results(clerk, clerk.forfeit(lost), clerk.forfeit(lost), clerk.cancel(refused))

    asyncio.run(ask())
    assert money.stands() == (EACH, 0)
    ledger.close()


def test_a_broken_ledger_is_told_to_everybody_who_waits(ledger: Ledger) -> None:
    money = budget(ledger)
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE answers"))

    async def ask() -> list[Any]:
        clerk = Clerk(ledger, money)
        return await results(clerk, *(clerk.file("", answer_to(request(number), 1)) for number in range(3)))

    assert {type(one) for one in asyncio.run(ask())} == {StorageError}
    ledger.close()
