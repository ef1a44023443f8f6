"""The label stage against a service that fails, goes down, ends its models, or is left while it answers."""

import json
import logging
import random
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, ClassVar

import pytest
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Fail

from midefics.errors import ServiceError
from midefics.services.budget import BudgetError
from midefics.services.correspondence import correspond
from midefics.services.ledger import Answer
from midefics.services.requests import Request
from midefics.services.spending import LedgerBudget
from midefics.stages import label
from tests.rows import make_services, stored
from tests.test_label import CHAT, GOOD, chats, config, online, rows


class Faulty(BaseHTTPRequestHandler):
    """Answers well, or as its list of faults says next; keeps what was asked."""

    protocol_version = "HTTP/1.1"
    faults: ClassVar[list[str]] = []
    models: ClassVar[dict[str, str | None]] = {"gpt-3.5-turbo": None}
    asked: ClassVar[list[dict[str, Any]]] = []
    answered: ClassVar[int] = 0
    lock: ClassVar[Lock] = Lock()

    def do_GET(self) -> None:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "x", "shutdown_date": date}
            for name, date in self.models.items()
        ]
        self._answer(200, json.dumps({"object": "list", "data": data}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.lock:
            self.asked.append(body)
            fault = self.faults.pop() if self.faults else ""
        if fault == "429":
            self._answer(429, '{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}', retry_after="0.05")
        elif fault == "500":
            self._answer(500, '{"error": {"message": "oops"}}')
        elif fault == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{")
            self.close_connection = True
        elif fault == "stall":
            time.sleep(1.5)
            self.close_connection = True
        elif fault == "garbled":
            self._answer(200, '{"choices": [{"message": {"content": "{')
        else:
            self._answer(200, _completion(GOOD[:40] if fault == "malformed" else GOOD))

    def _answer(self, status: int, text: str, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text.encode())))
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _completion(text: str) -> str:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return json.dumps({"id": "1", "model": "m", "choices": [choice], "usage": usage, "system_fingerprint": "fp_1"})


@pytest.fixture
def faulty() -> Iterator[str]:
    """The address of a Faulty service."""
    Faulty.faults, Faulty.asked, Faulty.models = [], [], {"gpt-3.5-turbo": None}
    ThreadingHTTPServer.request_queue_size = 100
    with ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_under_a_mix_of_faults_every_row_is_labelled_or_in_quarantine(tmp_path: Path, faulty: str) -> None:
    shares = {"429": 10, "500": 6, "stall": 4, "cut": 4, "malformed": 3, "garbled": 3}
    faults = [fault for fault, count in shares.items() for _ in range(count)] + [""] * 170
    random.Random(4).shuffle(faults)  # noqa: S311 (a fixed order)
    Faulty.faults = faults
    services = make_services(tmp_path, openai_base_url=faulty)
    manifest = label.run(
        config(timeout_s=1, concurrency=16), stored(services, "validated", rows(200)), services=services
    )
    rejected = services.storage.rejected(manifest)
    assert manifest.rows + len(rejected) == 200
    assert manifest.rows >= 195
    assert all(one.reason in ("no answer", "unreadable answer") for one in rejected)
    ids = [row.id for row in services.storage.rows(manifest)] + [one.id for one in rejected]
    assert sorted(ids) == [row.id for row in rows(200)]
    assert manifest.facts["requests_made"] == len(Faulty.asked)


def test_a_row_keeps_how_it_was_written(tmp_path: Path, faulty: str) -> None:
    Faulty.faults = ["malformed", "500"]
    services = make_services(tmp_path, openai_base_url=faulty)
    (row,) = services.storage.rows(label.run(config(), stored(services, "validated", rows(1)), services=services))
    # a failure, an answer that can't be read, and its repair: three attempts, two of them paid: 11 x 0.5 + 7 x 1.5 = 16 each
    assert row.labelling == {
        "attempts": 3, "checks": "format, grounding", "completion_tokens": 14, "cost": 32e-6, "fingerprint": "fp_1",
        "prompt_tokens": 22,
    }  # fmt: skip


def test_what_timed_out_or_came_cut_counts_as_spent(tmp_path: Path, faulty: str) -> None:
    Faulty.faults = ["500", "garbled", "stall"]  # the last one first
    services = make_services(tmp_path, openai_base_url=faulty)
    prices = {"gpt-3.5-turbo": {"prompt": 0, "completion": 1000}}
    tried = config(timeout_s=1, prices=prices, budget_usd=10)
    assert label.run(tried, stored(services, "validated", rows(1)), services=services).rows == 1
    # 0.7 dollars each that may be billed, nothing for the 500, and 7 tokens of the answer
    assert LedgerBudget("tried", tried.label, services.ledger).stands() == (2 * 700_000 + 7_000, 0)


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ({"gpt-3.5-turbo": None, "gpt-4o-mini": None}, "gpt-3.5-turbo"),
        ({"gpt-3.5-turbo": "2023-06-13", "gpt-4o-mini": None}, "gpt-4o-mini"),
        ({"gpt-4o-mini": "2023-06-13", "gpt-4.1-mini": "2199-01-01"}, "gpt-4.1-mini"),
        ({"llama": None}, "gpt-3.5-turbo"),
    ],
)
def test_the_first_model_that_lasts_writes(
    tmp_path: Path, faulty: str, models: dict[str, str | None], chosen: str, caplog: pytest.LogCaptureFixture
) -> None:
    Faulty.models = models
    services = make_services(tmp_path, openai_base_url=faulty)
    with caplog.at_level(logging.INFO):
        manifest = label.run(config(), stored(services, "validated", rows(3)), services=services)
    assert f"label: {chosen} at {faulty} writes" in caplog.messages
    assert manifest.facts["writer"] == chosen
    assert {body["model"] for body in Faulty.asked} == {chosen}
    assert {row.writer for row in services.storage.rows(manifest)} == {chosen}


def test_a_service_that_goes_down_is_probed_and_given_up_and_what_was_answered_is_kept(
    tmp_path: Path, llmock: LLMock
) -> None:
    services = online(tmp_path, llmock)
    label.run(config(), stored(services, "validated", rows(5)), services=services)
    llmock.add(Fail(503, times=None, match=CHAT))
    given = stored(services, "validated", rows(40))
    with pytest.raises(ServiceError, match=r"503 .*what was answered so far is kept, run again to go on"):
        label.run(config(), given, services=services)
    # ten failures in a row, at most eight at once, and three probes
    assert len(chats(llmock)) <= 5 + 10 + 8 + 3
    assert label.estimate(config(), given, services=services)["in_ledger"] == 5


def test_a_service_that_comes_back_is_asked_on(tmp_path: Path, llmock: LLMock) -> None:
    services = online(tmp_path, llmock)
    llmock.add(Fail(503, times=12, match=CHAT))
    manifest = label.run(config(), stored(services, "validated", rows(40)), services=services)
    assert manifest.rows == 40


class Purse:
    """A budget for so many answers."""

    limited = True

    def __init__(self, answers: int) -> None:
        self.left, self.settled, self.cancelled = answers, 0, 0

    def reserve(self, request: Request) -> str:
        if not self.left:
            raise BudgetError("nothing left")
        self.left -= 1
        return request.key

    def settle(self, reservation: str, answer: Answer) -> None:
        assert reservation == answer.key
        self.settled += 1

    def cancel(self, reservation: str) -> None:
        assert reservation
        self.cancelled += 1
        self.left += 1

    def forfeit(self, reservation: str) -> None:
        raise AssertionError(f"{reservation} was answered or refused")


def test_without_money_nothing_is_sent_and_what_was_answered_is_kept(tmp_path: Path, llmock: LLMock) -> None:
    services, purse = online(tmp_path, llmock), Purse(7)
    given = stored(services, "validated", rows(20))

    surroundings = (services.settings, config().label, services.ledger, services.progress, purse)
    with pytest.raises(BudgetError):
        correspond(
            lambda model: label.requests_for(config(), model, [given], services), 20, *surroundings, lambda *_: None
        )
    assert (purse.settled, len(chats(llmock))) == (7, 7)
    assert label.estimate(config(), given, services=services)["in_ledger"] == 7
