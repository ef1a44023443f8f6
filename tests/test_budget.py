import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from midefics.services.budget import BudgetError, NoBudget
from midefics.services.ledger import Ledger
from midefics.services.prices import price_of, prompt_tokens_at_most
from midefics.services.spending import LedgerBudget, budget_for, dollars, microusd
from tests.budget_worker import BUDGET_USD, answer_to, config, request

KILLS = 4
ROOT = Path(__file__).parent.parent


@pytest.fixture
def ledger(ledger_address: SecretStr) -> Ledger:
    return Ledger.connect(ledger_address)


def rows(ledger: Ledger, query: str) -> list[tuple[object, ...]]:
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def started(address: SecretStr, bill: Path, first: int, budget_usd: float = BUDGET_USD) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "tests.budget_worker",
        address.get_secret_value(),
        str(bill),
        str(first),
        str(budget_usd),
    ]
    return subprocess.Popen(command, cwd=ROOT)


def test_reservations_settle_exactly(ledger: Ledger) -> None:
    budget = LedgerBudget("run", config(budget_usd=0.011), ledger)
    first, second = budget.reserve(request(1)), budget.reserve(request(2))
    assert budget.stands() == (0, 10_000)
    with pytest.raises(
        BudgetError, match=r"\$0.005 more would pass \$0.011; \$0.00 are spent under 'run', \$0.01 reserved"
    ):
        budget.reserve(request(3))
    answer = answer_to(request(1), completion_tokens=3)
    ledger.put(answer)
    for _ in range(2):
        budget.settle(first, answer)
    assert budget.stands() == (3_000, 5_000)
    budget.cancel(second)
    budget.cancel(second)
    assert budget.stands() == (3_000, 0)
    assert ledger.get_many([answer.key])[answer.key].cost_microusd == 3_000
    for number, max_tokens in ((4, 3), (5, 5)):
        budget.reserve(request(number, max_tokens))
    with pytest.raises(BudgetError, match=r"raise label\.budget_usd to go on"):
        budget.reserve(request(6, max_tokens=1))
    assert LedgerBudget("run", config(budget_usd=0.012), ledger).reserve(request(6, max_tokens=1))
    ledger.close()


def test_a_budget_lasts_over_runs_and_names(ledger: Ledger) -> None:
    LedgerBudget("run", config(budget_usd=0.005), ledger).reserve(request(1))
    for name, own in (("run", None), ("another", "run")):
        with pytest.raises(BudgetError):
            LedgerBudget(name, config(budget_usd=0.005, budget_name=own), ledger).reserve(request(2))
    assert LedgerBudget("another", config(budget_usd=0.005), ledger).reserve(request(2))
    ledger.close()


def test_what_is_spent_without_a_limit_counts_when_one_is_set(ledger: Ledger) -> None:
    budget, answer = LedgerBudget("run", config(budget_usd=None), ledger), answer_to(request(1), 5)
    reservation = budget.reserve(request(1))
    ledger.put(answer)
    for _ in range(2):
        budget.settle(reservation, answer)
    assert LedgerBudget("run", config(), ledger).stands() == (5_000, 0)
    ledger.close()


def test_what_a_killed_worker_had_reserved_expires_only_where_that_is_wanted(ledger: Ledger) -> None:
    full = LedgerBudget("run", config(budget_usd=0.005), ledger)
    lost = full.reserve(request(1))
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE reservations SET created_at = '2026-01-01 00:00:00'"))
    with pytest.raises(BudgetError):
        LedgerBudget("run", config(budget_usd=0.005), ledger).reserve(request(2))
    patient = LedgerBudget("run", config(budget_usd=0.005, budget_expiry_h=1), ledger)
    assert patient.stands() == (0, 0)
    answer = answer_to(request(1), 4)  # it was not dead after all: what it paid is booked
    ledger.put(answer)
    full.settle(lost, answer)
    full.settle(lost, answer)
    assert patient.stands() == (4_000, 0)
    ledger.close()


def test_four_workers_spend_a_budget_to_the_last_request(ledger_address: SecretStr, tmp_path: Path) -> None:
    bill = tmp_path / "bill"
    workers = [started(ledger_address, bill, first * 10_000) for first in range(4)]
    assert [worker.wait(120) for worker in workers] == [0] * 4
    paid = sum(map(int, bill.read_text().split()))
    ledger = Ledger.connect(ledger_address)
    assert LedgerBudget("run", config(), ledger).stands() == (paid, 0)
    assert rows(ledger, "SELECT SUM(cost_microusd) FROM answers") == [(paid,)]
    assert microusd(BUDGET_USD) - 5_000 < paid <= microusd(BUDGET_USD)
    ledger.close()


def test_workers_that_are_killed_never_pass_the_budget(ledger_address: SecretStr, tmp_path: Path) -> None:
    bill, draw = tmp_path / "bill", random.Random(1)  # noqa: S311 (a test's draw)
    ledger = Ledger.connect(ledger_address)
    budget_usd = 2.0
    workers = [started(ledger_address, bill, first * 10_000, budget_usd) for first in range(4)]
    kills = 0
    while any(worker.poll() is None for worker in workers):
        time.sleep(draw.uniform(0.02, 0.2))
        place = draw.randrange(4)
        if kills < KILLS and bill.exists() and workers[place].poll() is None:
            workers[place].kill()
            kills += workers[place].wait() == -9
            workers[place] = started(ledger_address, bill, (4 + kills) * 10_000, budget_usd)
    paid = sum(map(int, bill.read_text().split()))
    spent, reserved = LedgerBudget("run", config(), ledger).stands()
    assert spent <= paid <= spent + reserved <= microusd(budget_usd)
    assert rows(ledger, "SELECT COALESCE(SUM(microusd), 0) FROM reservations WHERE state = 'reserved'") == [(reserved,)]
    assert rows(ledger, "SELECT SUM(cost_microusd) FROM reservations WHERE state = 'settled'") == [(spent,)]
    assert reserved <= kills * 5_000
    assert kills == KILLS
    ledger.close()


@pytest.mark.parametrize(
    ("model", "tokens", "batch", "microusd_expected"),
    [
        ("gpt-3.5-turbo", (1000, 1000), False, 2000),  # 1000 x 0.5 + 1000 x 1.5
        ("gpt-3.5-turbo", (1000, 1000), True, 1000),
        ("gpt-4o-mini", (1, 0), False, 1),  # 0.15, rounded up
        ("gpt-4o-mini-2024-07-18", (100, 100), False, 75),  # 15 + 60
        ("gpt-4.1-nano", (700, 450), False, 250),  # 70 + 180
        ("mine", (3, 1), False, 3),  # 3 x 0.7 + 1 x 0.1 = 2.2
        ("gpt-5", (1_000_000, 0), False, 99),  # the configuration's, not the table's
    ],
)
def test_prices(model: str, tokens: tuple[int, int], batch: bool, microusd_expected: int) -> None:
    own = config(prices={"mine": {"prompt": 0.7, "completion": 0.1}, "gpt-5": {"prompt": 0.000099, "completion": 0}})
    price = price_of(model, own.prices)
    assert price is not None
    assert price.cost_microusd(*tokens, batch=batch) == microusd_expected


def test_a_model_without_a_price_is_refused_where_there_is_a_budget(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    assert isinstance(budget_for("run", config(model="llama", budget_usd=None), ledger), NoBudget)
    with pytest.raises(BudgetError, match=r"nobody knows what llama costs; set label.prices.llama"):
        budget_for("run", config(model="llama"), ledger)
    with pytest.raises(BudgetError, match="nobody knows what another costs"):
        budget_for("run", config(), ledger).reserve(request(1).model_copy(update={"model": "another"}))


def test_a_reservation_covers_whatever_the_tokenizer_makes_of_a_prompt() -> None:
    # No byte-level tokenizer makes more tokens than there are bytes: 3 for each of these characters.
    asked = request(1).model_copy(update={"messages": ({"role": "user", "content": "漢" * 1000},)})
    assert prompt_tokens_at_most(asked) >= 3000


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "$0.00"), (1, "$0.000001"), (1_500_000, "$1.50"), (12_000_000, "$12.00")]
)
def test_dollars(amount: int, shown: str) -> None:
    assert dollars(amount) == shown


def test_a_limit_never_grows_by_rounding() -> None:
    assert (microusd(0.1), microusd(1.0000019), microusd(29.99)) == (100_000, 1_000_001, 29_990_000)
