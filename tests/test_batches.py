import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock
from pydantic import SecretStr

from midefics.config import LabelConfig, RunConfig, Settings
from midefics.errors import RefusedError
from midefics.services.batches import PendingError, correspond_in_batches
from midefics.services.budget import BudgetError
from midefics.services.correspondence import Correspondence
from midefics.services.ledger import Ledger
from midefics.services.progress import Progress
from midefics.services.requests import Request
from midefics.services.spending import LedgerBudget
from midefics.stages import label
from tests.batch_server import BatchService, batch_service
from tests.rows import make_row, make_services, stored

ROOT = Path(__file__).parent.parent
COST = 400  # (1000 x 0.5 + 200 x 1.5) / 2 millionths of a dollar: gpt-3.5-turbo in a batch


@pytest.fixture
def service() -> Iterator[BatchService]:
    with batch_service() as running:
        yield running


def config(**changes: object) -> LabelConfig:
    return LabelConfig.model_validate({"mode": "batch", "batch_poll_s": 0.02, "budget_usd": 5} | changes)


def requests(url: str, count: int) -> list[Request]:
    return [
        Request(
            base_url=url,
            model="gpt-3.5-turbo",
            messages=({"role": "user", "content": f"{number}"},),
            temperature=0,
            max_tokens=100,
            prompt_version="v",
            input_digest="0" * 64,
        )
        for number in range(count)
    ]


def run(url: str, address: str, count: int, wait: bool = True, **changes: object) -> Correspondence:
    ledger = Ledger.connect(SecretStr(address))
    settings = Settings().model_copy(update={"openai_base_url": url, "openai_api_key": None})
    chosen = config(**changes)
    budget = LedgerBudget("run", chosen, ledger)
    try:
        asked = requests(url, count)
        return correspond_in_batches(lambda _: asked, count, settings, chosen, ledger, Progress(), budget, wait)
    finally:
        ledger.close()


def answered(url: str, address: str, count: int) -> int:
    ledger = Ledger.connect(SecretStr(address))
    found = ledger.get_many(request.key for request in requests(url, count))
    assert all(answer.cost_microusd == COST for answer in found.values())
    ledger.close()
    return len(found)


def stands(address: str) -> tuple[int, int]:
    ledger = Ledger.connect(SecretStr(address))
    found = LedgerBudget("run", config(), ledger).stands()
    ledger.close()
    return found


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def test_all_are_answered_for_half_the_price_and_asked_once(service: BatchService, ledger_address: SecretStr) -> None:
    address = ledger_address.get_secret_value()
    done = run(service.url, address, 10, batch_lines=4)
    assert [len(service.files[batch["input_file_id"]].splitlines()) for batch in service.batches.values()] == [4, 4, 2]
    assert (answered(service.url, address, 10), done.prompt_tokens, done.problems) == (10, 10_000, {})
    assert stands(address) == (10 * COST, 0)
    assert run(service.url, address, 10).requests_made == 0
    run(service.url, address, 11)
    assert len(service.paid) == len(set(service.paid)) == 11


@pytest.mark.parametrize("outcome", ["half", "expired"])
def test_only_the_lines_that_failed_are_asked_again(service: BatchService, address: str, outcome: str) -> None:
    service.outcomes = [outcome, outcome]
    run(service.url, address, 8)
    sizes = [len(service.files[batch["input_file_id"]].splitlines()) for batch in service.batches.values()]
    assert sizes == [8, 4, 2]
    assert answered(service.url, address, 8) == len(service.paid) == 8
    assert stands(address) == (8 * COST, 0)


def test_what_no_batch_answers_is_given_up_with_its_reason(service: BatchService, address: str) -> None:
    service.outcomes = ["half", "failing", "failing"]
    done = run(service.url, address, 2)
    assert list(done.problems.values()) == ["{'code': 'server_error', 'message': 'not this time'}"]
    assert answered(service.url, address, 2) == 1
    assert list(run(service.url, address, 2).problems.values()) == ["3 batches brought no answer"]
    assert len(service.batches) == 3


def test_parameters_that_a_model_refuses_are_left_out_of_the_next_batch(service: BatchService, address: str) -> None:
    service.refuses = ("temperature", "max_tokens", "response_format")
    assert run(service.url, address, 3).problems == {}
    assert (answered(service.url, address, 3), len(service.batches)) == (3, 4)
    last = json.loads(service.files[list(service.batches.values())[-1]["input_file_id"]].splitlines()[0])
    assert last["body"].keys() == {"model", "messages", "max_completion_tokens"}
    assert stands(address) == (3 * COST, 0)


def test_what_was_left_out_of_a_batch_is_known_to_whoever_comes_back_to_it(service: BatchService, address: str) -> None:
    service.refuses = ("temperature", "max_tokens", "response_format")
    for _ in range(4):  # each begins anew, and leaves while its batch is under way
        with pytest.raises(PendingError):
            run(service.url, address, 3, wait=False)
    assert run(service.url, address, 3, wait=False).problems == {}
    assert (answered(service.url, address, 3), len(service.batches)) == (3, 4)


def test_a_batch_that_completes_without_output_is_asked_again(service: BatchService, address: str) -> None:
    service.outcomes = ["empty"]
    run(service.url, address, 3)
    assert (answered(service.url, address, 3), len(service.batches)) == (3, 2)


def test_a_batch_that_is_too_large_is_halved_until_it_is_taken(service: BatchService, address: str) -> None:
    service.largest = 3
    run(service.url, address, 10)
    assert answered(service.url, address, 10) == len(service.paid) == 10
    sizes = [len(service.files[batch["input_file_id"]].splitlines()) for batch in service.batches.values()]
    assert sizes == [10, 5, 2, 2, 2, 2, 2]
    assert stands(address) == (10 * COST, 0)


def test_a_batch_that_is_refused_says_why_and_costs_nothing(service: BatchService, address: str) -> None:
    service.outcomes = ["invalid"]
    with pytest.raises(RefusedError, match="refused batch batch_0: no such luck"):
        run(service.url, address, 3)
    assert stands(address) == (0, 0)


def test_a_batch_beyond_the_budget_is_not_made(service: BatchService, address: str) -> None:
    with pytest.raises(BudgetError, match=r"would pass \$0.0001"):
        run(service.url, address, 3, budget_usd=0.0001)
    assert service.batches == {}
    run(service.url, address, 3)
    assert stands(address) == (3 * COST, 0)


def test_who_does_not_wait_leaves_and_the_next_run_collects(service: BatchService, address: str) -> None:
    service.looks_before_done = 2
    for _ in range(2):
        with pytest.raises(PendingError, match=r"run again after \d\d:\d\d:\d\d") as caught:
            run(service.url, address, 4, wait=False)
        assert caught.value.exit_code == 75
    run(service.url, address, 4, wait=False)
    assert (answered(service.url, address, 4), len(service.batches)) == (4, 1)


@pytest.mark.parametrize("step", ["upload", "create", "retrieve", "content"])
def test_a_kill_at_any_step_pays_nothing_twice(service: BatchService, ledger_address: SecretStr, step: str) -> None:
    address = ledger_address.get_secret_value()
    code = "import sys; from tests.test_batches import run; input(); run(sys.argv[1], sys.argv[2], 6)"
    command = [sys.executable, "-c", code, service.url, address]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as worker:
        service.kill_at = (step, worker.pid)
        worker.communicate(b"\n", timeout=60)
    assert worker.returncode == -9
    run(service.url, address, 6)
    assert len(service.batches) == 1
    assert answered(service.url, address, 6) == len(service.paid) == len(set(service.paid)) == 6
    assert stands(address) == (6 * COST, 0)


def test_the_command_exits_with_75_while_batches_are_under_way(service: BatchService, tmp_path: Path) -> None:
    service.looks_before_done = 2
    services = make_services(tmp_path)
    manifest = stored(services, "validated", [make_row(n) for n in range(3)])
    options = ["label", manifest.uri, "--no-wait", "--set", "label.mode=batch", "--set", "label.text_only_share=0"]
    environment = os.environ | {"MIDEFICS_HOME": str(tmp_path), "OPENAI_BASE_URL": service.url}
    command = [sys.executable, "-m", "midefics", *options]
    first, second, third = (
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        for _ in range(3)
    )
    assert (first.returncode, second.returncode, third.returncode) == (75, 75, 0)
    assert "error: label: batches are under way; run again after" in first.stderr


def test_rows_are_labelled_by_batches_with_one_repair(service: BatchService, tmp_path: Path) -> None:
    service.outcomes = ["unreadable"]
    services = make_services(tmp_path, openai_base_url=service.url)
    content: dict[str, Any] = {"name": "tried", "base_model": "tiny-idefics", "sources": {"isic": {"path": "x"}}}
    chosen = RunConfig.model_validate(content | {"label": {"mode": "batch", "batch_poll_s": 0.02}})
    manifest = label.run(chosen, stored(services, "validated", [make_row(n) for n in range(3)]), services=services)
    rows = list(services.storage.rows(manifest))
    assert ([len(row.turns) for row in rows], len(service.batches)) == ([4, 4, 4], 2)
    assert [row.labelling["cost"] for row in rows] == [2 * COST / 1e6] * 3


def test_a_batch_whose_schema_is_refused_is_asked_again_for_an_object(service: BatchService, tmp_path: Path) -> None:
    service.outcomes = ["no schema", "no schema"]
    services = make_services(tmp_path, openai_base_url=service.url)
    content: dict[str, Any] = {"name": "tried", "base_model": "tiny-idefics", "sources": {"isic": {"path": "x"}}}
    label_ = {"mode": "batch", "batch_poll_s": 0.02, "model": "gpt-4o-mini", "successors": []}
    chosen = RunConfig.model_validate(content | {"label": label_})
    manifest = label.run(chosen, stored(services, "validated", [make_row(n) for n in range(3)]), services=services)
    files = [service.files[batch["input_file_id"]].splitlines() for batch in service.batches.values()]
    asked = [{json.loads(line)["body"]["response_format"]["type"] for line in lines} for lines in files]
    assert (manifest.rows, asked) == (3, [{"json_schema"}, {"json_object"}])
    assert len(service.paid) == 3


def test_an_independent_server_takes_our_batches(
    tmp_path: Path, llmock: LLMock, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr("llmock.routers.batch._BATCH_DELAY", 0.2)  # of the server, three seconds else
    done = run(llmock.base_url(), address, 3)
    # Its answers are prose: each is asked for repair, once.
    assert (done.problems, len([one for one in llmock.requests if one.path.endswith("/batches")])) == ({}, 2)
    ledger = Ledger.connect(SecretStr(address))
    assert len(ledger.get_many(request.key for request in requests(llmock.base_url(), 3))) == 3
    ledger.close()
