"""Paid answers in, the same answers out for ever: one table, in SQLite or any database that SQLAlchemy speaks to.

An answer is committed here before anyone uses it, so a crash loses at most what was under way, and the same
request is never paid twice.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from midefics.errors import StorageError
from midefics.records import Digest, Record

KEYS_PER_QUERY = 500
BUSY_TIMEOUT_MS = 30_000

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
    Column("created_at", DateTime(timezone=True), nullable=False),
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


class Ledger:
    """The table of answers; open it from as many processes as you like."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        """Other tables may live in the same database."""
        try:
            _METADATA.create_all(engine)
            _add_missing_columns(engine)
        except SQLAlchemyError as error:
            raise StorageError(f"ledger {engine.url.render_as_string()}: {_reason(error)}") from error

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """Opens a SQLite file, made where it is missing.

        Raises:
            StorageError: it can't be made, or is no ledger.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"ledger {path}: {error.strerror}") from error
        engine = create_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", _prepare)
        return cls(engine)

    def get_many(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers that are there, by key."""
        wanted = sorted(set(keys))
        columns = [column for column in _ANSWERS.c if column.name in Answer.model_fields]
        found: dict[str, Answer] = {}
        with self.engine.connect() as connection:
            for start in range(0, len(wanted), KEYS_PER_QUERY):
                chunk = wanted[start : start + KEYS_PER_QUERY]
                for row in connection.execute(select(*columns).where(_ANSWERS.c.key.in_(chunk))).mappings():
                    found[row["key"]] = Answer.model_validate(dict(row))
        return found

    def put(self, answer: Answer) -> None:
        """Commits one answer; the first one under a key stays."""
        values = answer.model_dump() | {"created_at": datetime.now(UTC)}
        try:
            with self.engine.begin() as connection:
                connection.execute(_ANSWERS.insert().values(values))
        except IntegrityError:
            return
        except SQLAlchemyError as error:
            raise StorageError(f"ledger {self.engine.url.render_as_string()}: {_reason(error)}") from error

    def close(self) -> None:
        """Gives the connections back; the ledger opens new ones when it is used again."""
        self.engine.dispose()


def _add_missing_columns(engine: Engine) -> None:
    # Of a ledger that an earlier version made.
    present = {column["name"] for column in inspect(engine).get_columns(_ANSWERS.name)}
    with engine.begin() as connection:
        for column in _ANSWERS.columns:
            if column.name not in present:
                definition = CreateColumn(column).compile(dialect=engine.dialect)
                connection.execute(text(f"ALTER TABLE {_ANSWERS.name} ADD COLUMN {definition}"))


def _prepare(connection: Any, _record: object) -> None:
    # The write-ahead log lets readers and one writer work at once; FULL, SQLite's default, survives a power cut too.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
