"""An address in, an engine with the ledger's tables up to date out; what a database says in errors, without passwords."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from midefics.errors import ConfigError, StorageError
from midefics.services.migrations import HEAD

log = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 30_000
_LOCK = 0x6D696465
"""The number under which processes that must write alone queue in PostgreSQL."""
_IMMEDIATE = "midefics_immediate"
_TOGETHER: ContextVar[Connection | None] = ContextVar("_TOGETHER", default=None)


def sqlite_engine(path: Path) -> Engine:
    """A SQLite file's engine; its folder is made where it is missing.

    Raises:
        StorageError: the folder can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"ledger {path}: {error.strerror}") from error
    return _sqlite(f"sqlite:///{path}")


def engine_at(address: SecretStr) -> Engine:
    """The engine of a database's address: `postgresql://user:password@host/name`, `sqlite:////folder/file.db`.

    Raises:
        ConfigError: it is no such address; the message holds nothing of it, for it may hold a password.
    """
    try:
        url = make_url(address.get_secret_value())
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite":
            return _sqlite(url.render_as_string(hide_password=False))
        # A server that was restarted, or a firewall that forgot an idle connection, is noticed before it is used.
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
        # Without its cause, whose message holds a part of the address.
        raise ConfigError(
            "MIDEFICS_LEDGER_URL is no address of a database; give postgresql://USER:PASSWORD@HOST:PORT/NAME (special "
            "characters of the password as %XX), or unset it for a SQLite file under MIDEFICS_HOME"
        ) from None


def prepare(engine: Engine) -> None:
    """Takes the steps of `migrations` that the database has not seen; several processes may do so at once.

    Raises:
        StorageError: the database can't be reached or written, or is newer than this program.
    """
    try:
        with engine.connect() as connection:
            current = _revision(connection) == HEAD
        if not current:
            _upgrade(engine)
    except SQLAlchemyError as error:
        raise explained("ledger", engine, error) from error


@contextmanager
def writing_alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other one of its kind overlaps with: what it reads holds until it has written."""
    with engine.connect() as fresh:
        connection = fresh.execution_options(**{_IMMEDIATE: True})
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection


@contextmanager
def together(engine: Engine) -> Iterator[None]:
    """All that asks for a `transaction` of this engine within the block, in this thread, shares one: committed whole, or not."""
    with writing_alone(engine) as connection:
        token = _TOGETHER.set(connection)
        try:
            yield
        finally:
            _TOGETHER.reset(token)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction of one's own, or the one that is shared, see `together`."""
    shared = _TOGETHER.get()
    if shared is not None and shared.engine is engine:
        yield shared
        return
    with engine.begin() as connection:
        yield connection


def explained(what: str, engine: Engine, error: SQLAlchemyError) -> StorageError:
    """One line on what went wrong where; neither a password nor anything else that the address carries is in it."""
    reason = (str(getattr(error, "orig", None) or error).splitlines() or ["no reason given"])[0]
    return StorageError(f"{what} {engine.url.set(query={}).render_as_string()}: {reason}")


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's module begins transactions by rules of its own, and none before a table is made: we begin them.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    # The write-ahead log lets readers and one writer work at once; FULL, SQLite's default, survives a power cut too.
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_IMMEDIATE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "midefics.services:migrations")
    with writing_alone(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            found = _revision(connection)
            raise StorageError(
                f"ledger {engine.url.set(query={}).render_as_string()} is at step {found}, this program knows "
                f"steps up to {HEAD}: update the program"
            ) from error
