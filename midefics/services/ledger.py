"""Paid answers in, the same answers out for ever: a table in a SQLite file, or in PostgreSQL where several machines work.

An answer is committed here before anyone uses it, so a crash loses at most what was under way, and the same
request is never paid twice.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from midefics.records import Digest, Record
from midefics.services.databases import engine_at, explained, prepare, sqlite_engine, transaction

KEYS_PER_QUERY = 500

_METADATA = MetaData()
_ANSWERS = Table(
    "answers",
    _METADATA,
    Column("key", String(64), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("prompt_version", String(100), nullable=False, index=True),
    Column("input_digest", String(64), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("finish_reason", String(50), nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("fingerprint", String(200), nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("cost_microusd", BigInteger),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
_PUT = {
    name: dialect.insert(_ANSWERS).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_FILE_COST = (
    _ANSWERS.update()
    .where((_ANSWERS.c.key == bindparam("of")) & _ANSWERS.c.cost_microusd.is_(None))
    .values(cost_microusd=bindparam("cost", type_=BigInteger))
)


class Answer(Record):
    """What a model said, and what it cost."""

    key: Digest
    """Of the whole request, see `llm.Request.key`."""
    model: str
    prompt_version: str
    input_digest: Digest
    """Of what was asked about: one image and its metadata."""
    text: str
    finish_reason: str
    """`stop`, or why the model ended early: `length`, `content_filter`."""
    prompt_tokens: int
    completion_tokens: int
    fingerprint: str = ""
    """Of the system that answered, as the service reports it."""
    attempts: int = 1
    """How often it was asked until it answered; refusals for the rate do not count."""
    cost_microusd: int | None = None
    """In millionths of a dollar; None where nobody knew the price. Set when it is settled, see `budget`."""


class Ledger:
    """The table of answers; open it from as many processes as you like."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        """Other tables live in the same database."""
        prepare(engine)

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """Opens a SQLite file, made where it is missing.

        Raises:
            StorageError: it can't be made, or is no ledger.
        """
        return cls(sqlite_engine(path))

    @classmethod
    def connect(cls, address: SecretStr) -> "Ledger":
        """Opens the ledger in a database.

        Raises:
            ConfigError: that is no address; StorageError: the database can't be reached or written.
        """
        return cls(engine_at(address))

    def get_many(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers that are there, by key."""
        wanted = sorted(set(keys))
        columns = [column for column in _ANSWERS.c if column.name in Answer.model_fields]
        found: dict[str, Answer] = {}
        try:
            with self.engine.connect() as connection:
                for start in range(0, len(wanted), KEYS_PER_QUERY):
                    chunk = wanted[start : start + KEYS_PER_QUERY]
                    for row in connection.execute(select(*columns).where(_ANSWERS.c.key.in_(chunk))).mappings():
                        found[row["key"]] = Answer.model_validate(dict(row))
        except SQLAlchemyError as error:
            raise explained("ledger", self.engine, error) from error
        return found

    def put(self, answer: Answer) -> None:
        """Commits one answer; the first one under a key stays."""
        values = answer.model_dump() | {"created_at": datetime.now(UTC)}
        try:
            with transaction(self.engine) as connection:
                connection.execute(_PUT[self.engine.dialect.name], values)
        except SQLAlchemyError as error:
            raise explained("ledger", self.engine, error) from error

    def file_cost(self, connection: Connection, key: str, cost_microusd: int) -> bool:
        """Adds to an answer what it cost, as part of the transaction that books it; False where that was known."""
        return connection.execute(_FILE_COST, {"of": key, "cost": cost_microusd}).rowcount == 1

    def close(self) -> None:
        """Gives the connections back; the ledger opens new ones when it is used again."""
        self.engine.dispose()
