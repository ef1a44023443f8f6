import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from midefics.errors import ConfigError, StorageError
from midefics.services.databases import engine_at
from midefics.services.ledger import Ledger
from midefics.services.migrations import HEAD
from midefics.services.releases import Decision, Releases
from tests.postgres import PASSWORD, Postgres
from tests.test_ledger import answer

# As a ledger looked before its steps were counted, with an answer and a release in it.
OLD = """
CREATE TABLE answers (
    "key" VARCHAR(64) NOT NULL, model VARCHAR(200) NOT NULL, prompt_version VARCHAR(100) NOT NULL,
    input_digest VARCHAR(64) NOT NULL, text TEXT NOT NULL, finish_reason VARCHAR(50) NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, created_at {moment} NOT NULL, PRIMARY KEY ("key"));
CREATE INDEX ix_answers_input_digest ON answers (input_digest);
CREATE INDEX ix_answers_prompt_version ON answers (prompt_version);
CREATE TABLE releases (
    number {number}, image_sha256 VARCHAR(64) NOT NULL, reason VARCHAR(200) NOT NULL, released BOOLEAN NOT NULL,
    "row" VARCHAR(300) NOT NULL, decided_by VARCHAR(200) NOT NULL, why TEXT NOT NULL, decided_at {moment} NOT NULL);
CREATE INDEX ix_releases_image_sha256 ON releases (image_sha256);
INSERT INTO answers VALUES ('{key}', 'm', 'vqa-1-0', '{key}', 'old', 'stop', 7, 3, '2026-01-02 03:04:05');
INSERT INTO releases VALUES (1, '{key}', 'blank image', true, 'isic/1', 'Ann', 'a frozen section', '2026-01-02 03:04:05');
"""
DIALECTS = {
    "sqlite": {"moment": "DATETIME", "number": "INTEGER PRIMARY KEY"},
    "postgresql": {"moment": "TIMESTAMP WITH TIME ZONE", "number": "SERIAL PRIMARY KEY"},
}
OPEN = "import sys; from pydantic import SecretStr; from midefics.services.ledger import Ledger; from tests.test_ledger import answer\n"
OPEN += "Ledger.connect(SecretStr(sys.argv[1])).put(answer(int(sys.argv[2])))"


def make_old(address: SecretStr) -> None:
    engine = engine_at(address)
    with engine.begin() as connection:
        for statement in OLD.format(key=answer(1).key, **DIALECTS[engine.dialect.name]).split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def columns(ledger: Ledger) -> set[str]:
    with ledger.engine.connect() as connection:
        return set(connection.execute(text("SELECT * FROM answers")).keys())


def test_an_old_ledger_keeps_what_it_has_and_learns_the_rest(ledger_address: SecretStr) -> None:
    make_old(ledger_address)
    ledger = Ledger.connect(ledger_address)
    assert ledger.get_many([answer(1).key]) == {answer(1).key: answer(1, "old")}
    assert Releases(ledger.engine).history() == [
        Decision(
            image_sha256=answer(1).key,
            reason="blank image",
            released=True,
            row="isic/1",
            decided_by="Ann",
            why="a frozen section",
        )
    ]
    ledger.put(answer(2).model_copy(update={"fingerprint": "fp_1", "attempts": 3}))
    assert ledger.get_many([answer(2).key])[answer(2).key].attempts == 3
    assert columns(ledger) >= {"fingerprint", "attempts", "cost_microusd"}
    ledger.close()


def test_a_new_ledger_equals_an_old_one_brought_up_to_date(tmp_path: Path) -> None:
    old, new = (SecretStr(f"sqlite:///{tmp_path}/{name}.db") for name in ("old", "new"))
    make_old(old)
    assert columns(Ledger.connect(old)) == columns(Ledger.connect(new))


@pytest.mark.parametrize("old", [False, True])
def test_several_processes_open_it_at_once(ledger_address: SecretStr, old: bool) -> None:
    if old:
        make_old(ledger_address)
    address = ledger_address.get_secret_value()
    workers = [subprocess.Popen([sys.executable, "-c", OPEN, address, str(number)]) for number in range(2, 6)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    ledger = Ledger.connect(ledger_address)
    assert len(ledger.get_many(answer(number).key for number in range(1, 6))) == 4 + old
    with ledger.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]
    ledger.close()


def test_head_is_the_newest_step() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "midefics.services:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_ledger_of_a_newer_program_is_left_alone(ledger_address: SecretStr) -> None:
    ledger = Ledger.connect(ledger_address)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '99'"))
    ledger.close()
    with pytest.raises(StorageError, match="is at step 99, this program knows steps up to"):
        Ledger.connect(ledger_address)


def test_a_step_that_is_killed_is_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    make_old(SecretStr(f"sqlite:///{path}"))
    code = (
        "import os, sys; from pydantic import SecretStr; from midefics.services.ledger import Ledger\n"
        "from alembic import op\n"
        "make, op.create_table = op.create_table, lambda name, *a, **k: os.kill(os.getpid(), 9) if name == 'batches' else make(name, *a, **k)\n"
        "Ledger.connect(SecretStr(sys.argv[1]))"
    )
    killed = subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}"], check=False)
    assert killed.returncode == -9
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name = 'budgets'")] == []
    assert Ledger.open(path).get_many([answer(1).key])[answer(1).key].text == "old"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:secret@host:por-t/x",
        "no address with secret",
        "oracle+no://me:secret@host/x",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(ConfigError, match="MIDEFICS_LEDGER_URL is no address") as caught:
        Ledger.connect(SecretStr(address))
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_server_that_refuses_is_named_without_its_password(postgres: Postgres) -> None:
    address = postgres.database().get_secret_value()
    wrong = address.replace("midefics:", "nobody:") + "?application_name=secret"
    with pytest.raises(StorageError, match=r"ledger postgresql\+psycopg://nobody:\*\*\*@127.0.0.1") as caught:
        Ledger.connect(SecretStr(wrong))
    assert PASSWORD not in str(caught.value) and "secret" not in str(caught.value)
    with pytest.raises(StorageError, match="refused"):
        Ledger.connect(SecretStr("postgresql://midefics:x@127.0.0.1:1/x"))
