"""A person's decisions on the quarantine in, what holds of them out: one table that only grows, beside the ledger's.

A release is of one file for one reason, whatever data set it comes in: the next validation lets it through. Nothing is
ever changed or deleted; who takes a release back adds a line.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Boolean, Column, DateTime, Engine, Integer, MetaData, String, Table, Text, select
from sqlalchemy.exc import SQLAlchemyError

from midefics.records import Digest, Record
from midefics.services.databases import explained

Released = frozenset[tuple[str, str]]
"""Pairs of a file's digest and a reason."""

_METADATA = MetaData()
_RELEASES = Table(
    "releases",
    _METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("image_sha256", String(64), nullable=False, index=True),
    Column("reason", String(200), nullable=False),
    Column("released", Boolean, nullable=False),
    Column("row", String(300), nullable=False),
    Column("decided_by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
)


class Decision(Record):
    """One person's word on one rejected row."""

    image_sha256: Digest
    reason: str
    """What the row was rejected for."""
    released: bool
    """Whether it is let through from now on, or no longer."""
    row: str
    """The id under which the person saw it."""
    decided_by: str
    why: str


class Releases:
    """The table of decisions, in the ledger's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Adds decisions, all or none.

        Raises:
            StorageError: the database can't be written.
        """
        rows = [decision.model_dump() | {"decided_at": datetime.now(UTC)} for decision in decisions]
        try:
            with self._engine.begin() as connection:
                connection.execute(_RELEASES.insert(), rows)
        except SQLAlchemyError as error:
            raise explained("releases in", self._engine, error) from error

    def history(self) -> list[Decision]:
        """All decisions, the oldest first."""
        columns = [column for column in _RELEASES.c if column.name in Decision.model_fields]
        try:
            with self._engine.connect() as connection:
                found = connection.execute(select(*columns).order_by(_RELEASES.c.number)).mappings().all()
        except SQLAlchemyError as error:
            raise explained("releases in", self._engine, error) from error
        return [Decision.model_validate(dict(row)) for row in found]

    def current(self) -> Released:
        """What is released: the last word on a file and a reason holds."""
        last = {(one.image_sha256, one.reason): one.released for one in self.history()}
        return frozenset(key for key, released in last.items() if released)
