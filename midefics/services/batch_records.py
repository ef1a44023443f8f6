"""Batches made in, what is known of them after any crash out: two tables in the ledger's database.

A batch is written down under a name of our own before the service hears of it, and that name goes along as metadata: whoever
comes after a crash finds it again, by its number or by its name.
"""

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import psutil
from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, func, select
from sqlalchemy.exc import SQLAlchemyError

from midefics.services.databases import explained, writing_alone

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from midefics.services.requests import Request

OPEN = ("prepared", "created")
"""Written down; accepted by the service. A batch ends as `collected`, `unfit` (a parameter was refused), `too large` or `void`."""
LINES_PER_INSERT = 1000
REMEMBERED = timedelta(days=3)
"""How long a request that no batch answered is not asked again after it was given up."""
WARY = timedelta(days=1)
"""How long after the service found a batch too large smaller ones are made."""
_METADATA = MetaData()
_BATCHES = Table(
    "batches",
    _METADATA,
    Column("name", String(64), primary_key=True),
    Column("base_url", String(500), nullable=False),
    Column("batch_id", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("worker", String(200), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
_LINES = Table(
    "batch_lines",
    _METADATA,
    Column("batch", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("prompt_version", String(100), nullable=False),
    Column("input_digest", String(64), nullable=False),
)


class Batch(NamedTuple):
    """One batch."""

    name: str
    base_url: str
    batch_id: str
    """The service's; empty until it is known."""
    state: str
    worker: str
    created_at: datetime

    @property
    def abandoned(self) -> bool:
        """Whether whoever prepared it is certainly gone, or must be after an hour."""
        host, _, process = self.worker.rpartition(":")
        if host == socket.gethostname():
            return int(process) == os.getpid() or not psutil.pid_exists(int(process))
        made = self.created_at if self.created_at.tzinfo else self.created_at.replace(tzinfo=UTC)
        return (datetime.now(UTC) - made).total_seconds() > 3600


class BatchRecords:
    """The tables."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def prepare(self, name: str, base_url: str, requests: Sequence["Request"]) -> list["Request"]:
        """Writes a batch down that is about to be made; returns its requests: those that are in no other open one."""
        worker = f"{socket.gethostname()}:{os.getpid()}"
        batch = Batch(name, base_url, "", "prepared", worker, datetime.now(UTC))
        fields = ("key", "model", "prompt_version", "input_digest")
        with self._transaction(alone=True) as connection:
            taken = _taken(connection, [request.key for request in requests])
            mine = [request for request in requests if request.key not in taken]
            if mine:
                lines = [{"batch": name} | {field: getattr(request, field) for field in fields} for request in mine]
                connection.execute(_BATCHES.insert().values(batch._asdict()))
                for start in range(0, len(lines), LINES_PER_INSERT):
                    connection.execute(_LINES.insert(), lines[start : start + LINES_PER_INSERT])
        return mine

    def update(self, name: str, state: str, batch_id: str | None = None) -> None:
        """Takes down what has become of a batch."""
        values = {"state": state} | ({} if batch_id is None else {"batch_id": batch_id})
        with self._transaction() as connection:
            connection.execute(_BATCHES.update().where(_BATCHES.c.name == name).values(values))

    def under_way(self, base_url: str) -> list[Batch]:
        """A service's open batches, the oldest first."""
        wanted = select(_BATCHES).where((_BATCHES.c.base_url == base_url) & _BATCHES.c.state.in_(OPEN))
        with self._transaction() as connection:
            return [Batch(*row) for row in connection.execute(wanted.order_by(_BATCHES.c.created_at))]

    def lines(self, name: str) -> dict[str, dict[str, str]]:
        """What the answers of a batch are about, by key."""
        with self._transaction() as connection:
            found = connection.execute(select(_LINES).where(_LINES.c.batch == name)).mappings().all()
        return {row["key"]: {field: row[field] for field in row if field != "batch"} for row in found}

    def asked(self, keys: Iterable[str]) -> dict[str, int]:
        """In how many batches of late that came to an end each request was, those aside that the service did not take."""
        counting = select(_LINES.c.key, func.count()).join(_BATCHES, _BATCHES.c.name == _LINES.c.batch)
        late = _BATCHES.c.created_at > datetime.now(UTC) - REMEMBERED
        counting = counting.where((_BATCHES.c.state == "collected") & late).group_by(_LINES.c.key)
        wanted = list(keys)
        counts: dict[str, int] = {}
        with self._transaction() as connection:
            for start in range(0, len(wanted), LINES_PER_INSERT):
                some = _LINES.c.key.in_(wanted[start : start + LINES_PER_INSERT])
                counts.update((key, count) for key, count in connection.execute(counting.where(some)))
        return counts

    def smallest_refused(self, base_url: str) -> int | None:
        """Lines of the smallest batch that the service found too large, of late; None where there was none."""
        refused = (_BATCHES.c.base_url == base_url) & (_BATCHES.c.state == "too large")
        recent = refused & (_BATCHES.c.created_at > datetime.now(UTC) - WARY)
        counting = (
            select(func.count()).select_from(_LINES).join(_BATCHES, _BATCHES.c.name == _LINES.c.batch).where(recent)
        )
        with self._transaction() as connection:
            return min(connection.execute(counting.group_by(_LINES.c.batch)).scalars(), default=None)

    @contextmanager
    def _transaction(self, alone: bool = False) -> Iterator[Connection]:
        try:
            with writing_alone(self._engine) if alone else self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise explained("batches in", self._engine, error) from error


def _taken(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Those of the keys that an open batch has."""
    held = select(_LINES.c.key).join(_BATCHES, _BATCHES.c.name == _LINES.c.batch).where(_BATCHES.c.state.in_(OPEN))
    taken: set[str] = set()
    for start in range(0, len(keys), LINES_PER_INSERT):
        taken.update(connection.execute(held.where(_LINES.c.key.in_(keys[start : start + LINES_PER_INSERT]))).scalars())
    return taken
