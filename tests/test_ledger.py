import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from midefics.errors import StorageError
from midefics.services.ledger import Answer, Ledger


def answer(number: int, text: str = "{}") -> Answer:
    key = hashlib.sha256(str(number).encode()).hexdigest()
    return Answer(
        key=key,
        model="m",
        prompt_version="vqa-1-0",
        input_digest=key,
        text=text,
        finish_reason="stop",
        prompt_tokens=7,
        completion_tokens=3,
    )


def test_answers_come_back_when_the_ledger_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.db"
    answers = [answer(number, f"é {number}") for number in range(1200)]
    ledger = Ledger.open(path)
    for one in answers[:1100]:
        ledger.put(one)
    ledger.close()
    found = Ledger.open(path).get_many(one.key for one in answers)
    assert found == {one.key: one for one in answers[:1100]}


def test_the_first_answer_under_a_key_stays(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    ledger.put(answer(1, "first"))
    ledger.put(answer(1, "second"))
    assert ledger.get_many([answer(1).key])[answer(1).key].text == "first"
    assert ledger.get_many([]) == {}


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    ledgers = [Ledger.open(tmp_path / "ledger.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ledgers[n % 4].put(answer(n)), range(200)))
    assert len(ledgers[0].get_many(answer(n).key for n in range(200))) == 200


def test_a_process_that_is_killed_loses_no_answer_it_has_put(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from tests.test_ledger import answer; from midefics.services.ledger import Ledger\n"
        "ledger = Ledger.open(pathlib.Path(sys.argv[1]))\n"
        "[ledger.put(answer(n)) for n in range(50)]\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "ledger.db")], check=False)
    assert killed.returncode == -9
    assert len(Ledger.open(tmp_path / "ledger.db").get_many(answer(n).key for n in range(50))) == 50


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("nothing of the kind " * 100)
    with pytest.raises(StorageError, match=r"ledger.db: file is not a database"):
        Ledger.open(tmp_path / "ledger.db")
