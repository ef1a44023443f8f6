"""Requests in, leave to send them out, as long as their budget lasts: the budget that all workers on a ledger share.

The most that a request can cost is reserved before it is sent and what it did cost is settled after it, both in single
transactions on one counter, so that workers on many machines never pass the budget together. What a killed worker had
reserved stays reserved: nobody can say whether it was paid. Money is in millionths of a dollar.
"""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, DateTime, MetaData, String, Table, bindparam, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from midefics.config import LabelConfig
from midefics.services.budget import Budget, BudgetError, NoBudget
from midefics.services.databases import explained, transaction
from midefics.services.ledger import Answer, Ledger
from midefics.services.prices import Price, price_of, prompt_tokens_at_most

if TYPE_CHECKING:
    from midefics.services.requests import Request

log = logging.getLogger(__name__)

MICRO = 1_000_000
_METADATA = MetaData()
_BUDGETS = Table(
    "budgets",
    _METADATA,
    Column("name", String(200), primary_key=True),
    Column("spent_microusd", BigInteger, nullable=False),
    Column("reserved_microusd", BigInteger, nullable=False),
)
_RESERVATIONS = Table(
    "reservations",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("budget", String(200), nullable=False),
    Column("microusd", BigInteger, nullable=False),
    Column("cost_microusd", BigInteger),
    Column("state", String(10), nullable=False),
    Column("worker", String(200), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
# Made once: to build a statement anew takes SQLAlchemy longer than the database takes to execute it.
_NAMED = _BUDGETS.c.name == bindparam("of")
_AMOUNT = bindparam("amount", type_=BigInteger)
_COST = bindparam("cost", type_=BigInteger)
_TAKE = (
    _BUDGETS.update()
    .where(_NAMED & (_BUDGETS.c.spent_microusd + _BUDGETS.c.reserved_microusd + _AMOUNT <= bindparam("most")))
    .values(reserved_microusd=_BUDGETS.c.reserved_microusd + _AMOUNT)
)
_BOOK = (
    _BUDGETS.update()
    .where(_NAMED)
    .values(
        spent_microusd=_BUDGETS.c.spent_microusd + _COST,
        reserved_microusd=_BUDGETS.c.reserved_microusd - _AMOUNT,
    )
)
_RESERVE = _RESERVATIONS.insert()
_END = (
    _RESERVATIONS.update()
    .where((_RESERVATIONS.c.id == bindparam("reservation")) & (_RESERVATIONS.c.state == bindparam("was")))
    .values(state=bindparam("becomes"), cost_microusd=_COST)
    .returning(_RESERVATIONS.c.microusd)
)
_AMOUNT_OF = select(_RESERVATIONS.c.microusd).where(_RESERVATIONS.c.id == bindparam("reservation"))
_BATCH = "a batch"
"""In place of a worker's name: a batch outlives those who made it, and what is reserved for it never expires."""


class Spent(NamedTuple):
    """How a budget stands, in millionths of a dollar."""

    spent: int
    """Settled."""
    reserved: int
    """Under way, or lost with a killed worker."""


def budget_for(name: str, config: LabelConfig, ledger: Ledger) -> Budget:
    """The budget that a configuration spends from, by its name or `label.budget_name`.

    Raises:
        BudgetError: there is a limit, and nobody knows what the model costs.
    """
    if price_of(config.model, config.prices) is None and config.budget_usd is None:
        log.info("label: nobody knows what %s costs; set label.prices to have it counted", config.model)
        return NoBudget()
    return LedgerBudget(name, config, ledger)


class LedgerBudget:
    """Money that several workers spend from; without a limit what is spent is still counted."""

    def __init__(self, name: str, config: LabelConfig, ledger: Ledger) -> None:
        self.name = config.budget_name or name
        self._config, self._ledger, self._engine = config, ledger, ledger.engine
        self._limit = None if config.budget_usd is None else microusd(config.budget_usd)
        self._worker = f"{socket.gethostname()}:{os.getpid()}"[:200]
        if self._limit is not None:
            self.price(config.model)
        self._open()

    @property
    def limited(self) -> bool:
        """Whether there is a limit; without one nothing is set aside."""
        return self._limit is not None

    def price(self, model: str) -> Price:
        """What a model costs.

        Raises:
            BudgetError: nobody knows.
        """
        price = price_of(model, self._config.prices)
        if price is None:
            raise BudgetError(
                f"label.budget_usd is set and nobody knows what {model} costs; set label.prices.{model} to its dollars for a "
                "million tokens, {prompt: …, completion: …}, or leave label.budget_usd out"
            )
        return price

    def reserve(self, request: "Request") -> str:
        """Sets the most aside that a request may cost; returns the reservation's name, empty where there is no limit.

        Raises:
            BudgetError: there is not enough left.
        """
        if self._limit is None:
            return ""
        return self.set_aside(self.most(request), uuid.uuid4().hex, self._worker)

    def most(self, request: "Request", batch: bool = False) -> int:
        """The most that a request may cost."""
        price = self.price(request.model)
        return price.cost_microusd(prompt_tokens_at_most(request), request.max_tokens, batch)

    def set_aside(self, amount: int, reservation: str, worker: str = _BATCH) -> str:
        """Reserves an amount under a name that was not used before; returns that name.

        Raises:
            BudgetError: there is not enough left.
        """
        row = {"id": reservation, "budget": self.name, "microusd": amount, "state": "reserved", "worker": worker}
        row |= {"cost_microusd": None, "created_at": datetime.now(UTC)}
        with self._transaction() as connection:
            # One statement: the database locks the row, and weighs the limit again where it waited for another worker.
            taken = connection.execute(_TAKE, {"of": self.name, "amount": amount, "most": self._limit}).rowcount == 1
            if taken:
                connection.execute(_RESERVE, row)
        if not taken:
            raise BudgetError(self._refusal(amount))
        return reservation

    def settle(self, reservation: str, answer: Answer) -> None:
        """Books what an answer cost in place of what was reserved, and files it with the answer; once, however often called."""
        price = price_of(answer.model, self._config.prices)
        if price is None:  # only where there is no limit
            return
        cost = price.cost_microusd(answer.prompt_tokens, answer.completion_tokens)
        with self._transaction() as connection:
            if not reservation:
                if self._ledger.file_cost(connection, answer.key, cost):
                    self._book(connection, 0, cost)
            elif self._close(connection, reservation, "settled", cost):
                self._ledger.file_cost(connection, answer.key, cost)

    def settle_batch(self, reservation: str, costs: dict[str, int]) -> None:
        """Books what the answers of a batch cost, by their keys; once, however often called."""
        with self._transaction() as connection:
            new = {key: cost for key, cost in costs.items() if self._ledger.file_cost(connection, key, cost)}
            if self.limited:
                self._close(connection, reservation, "settled", sum(costs.values()))
            else:
                self._book(connection, 0, sum(new.values()))

    def cancel(self, reservation: str) -> None:
        """Gives back what was reserved: nothing was paid."""
        if reservation:
            with self._transaction() as connection:
                self._close(connection, reservation, "cancelled", 0)

    def forfeit(self, reservation: str) -> None:
        """Books all that was reserved as spent: the service may have answered, and charged, what never arrived."""
        if reservation:
            with self._transaction() as connection:
                amount = connection.execute(_AMOUNT_OF, {"reservation": reservation}).scalar() or 0
                self._close(connection, reservation, "forfeited", amount)

    def stands(self) -> Spent:
        """How much is spent and reserved."""
        with self._transaction() as connection:
            columns = select(_BUDGETS.c.spent_microusd, _BUDGETS.c.reserved_microusd)
            return Spent(*connection.execute(columns.where(_BUDGETS.c.name == self.name)).one())

    def _open(self) -> None:
        try:
            with self._transaction() as connection:
                connection.execute(_BUDGETS.insert().values(name=self.name, spent_microusd=0, reserved_microusd=0))
        except IntegrityError:
            self._expire()

    def _close(self, connection: Connection, reservation: str, state: str, cost: int) -> bool:
        """Ends a reservation, also one that has expired; False where it has ended before."""
        ending = {"reservation": reservation, "becomes": state, "cost": cost}
        amount = connection.execute(_END, ending | {"was": "reserved"}).scalar()
        if amount is None:
            if connection.execute(_END, ending | {"was": "expired"}).scalar() is None:
                return False
            amount = 0  # it was given back when it expired
        self._book(connection, amount, cost)
        return True

    def _book(self, connection: Connection, amount: int, cost: int) -> None:
        connection.execute(_BOOK, {"of": self.name, "amount": amount, "cost": cost})

    def _expire(self) -> None:
        if self._config.budget_expiry_h is None:
            return
        before = datetime.now(UTC) - timedelta(hours=self._config.budget_expiry_h)
        held = (_RESERVATIONS.c.budget == self.name) & (_RESERVATIONS.c.state == "reserved")
        stale = held & (_RESERVATIONS.c.worker != _BATCH) & (_RESERVATIONS.c.created_at < before)
        with self._transaction() as connection:
            expiring = _RESERVATIONS.update().where(stale).values(state="expired").returning(_RESERVATIONS.c.microusd)
            amounts = connection.execute(expiring).scalars().all()
            self._book(connection, sum(amounts), 0)
        if amounts:
            log.warning("budget %s: %s reservations of killed workers expired", self.name, len(amounts))

    def _refusal(self, amount: int) -> str:
        stands = self.stands()
        return (
            f"label.budget_usd: {dollars(amount)} more would pass {dollars(self._limit or 0)}; {dollars(stands.spent)} are "
            f"spent under {self.name!r}, {dollars(stands.reserved)} reserved by requests under way or lost with killed "
            "workers. What was answered is kept; raise label.budget_usd to go on"
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with transaction(self._engine) as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise explained("budget in", self._engine, error) from error


def microusd(usd: float) -> int:
    """Dollars in whole millionths; a part of one is left out, for a limit must not grow by it."""
    return int(Decimal(str(usd)) * MICRO)


def dollars(amount: int) -> str:
    """`$0.0123`: at least cents, and as many digits more as it has."""
    text = f"{Decimal(amount) / MICRO:.6f}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"${whole}.{part:0<2}"
