"""`midefics label` as processes, ended by SIGKILL at random moments: what is paid is neither lost, nor paid twice, nor too much."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from midefics.services.ledger import Ledger
from midefics.services.spending import LedgerBudget
from midefics.stages import label
from tests.chat_server import MIX, ChatServer, chat_server
from tests.rows import make_row, make_services, stored
from tests.test_label import config

if TYPE_CHECKING:
    from midefics.records import Manifest
    from midefics.services import Services

CONCURRENCY = 4
MICRO_PER_TOKEN = 1000
PRICES = {"gpt-3.5-turbo": {"prompt": 0, "completion": MICRO_PER_TOKEN}}
"""A thousandth of a dollar for each token of an answer, prompts are free: 0.70 dollars are set aside for an answer."""
MOST_MICRO = 700 * MICRO_PER_TOKEN


class Worker:
    """One home, and `midefics label` on rows of its own."""

    def __init__(
        self, home: Path, rows: range, service: ChatServer, ledger: SecretStr | None, **values: object
    ) -> None:
        home.mkdir(exist_ok=True)
        self.services: Services = make_services(home, openai_base_url=service.base_url)
        given = [make_row(number, metadata={"diagnosis": "nevus", "age_approx": number}) for number in rows]
        self.given: Manifest = stored(self.services, "validated", given)
        self.config = config(concurrency=CONCURRENCY, timeout_s=1, **values)
        self._environment = {**os.environ, "MIDEFICS_HOME": str(home), "OPENAI_BASE_URL": service.base_url}
        if ledger:
            self._environment["MIDEFICS_LEDGER_URL"] = ledger.get_secret_value()

    def start(self) -> "subprocess.Popen[bytes]":
        path = self.services.settings.home / "run.yaml"
        path.write_text(self.config.model_dump_json(by_alias=True), encoding="utf-8")
        command = [sys.executable, "-m", "midefics", "label", self.given.uri, "--config", str(path)]
        return subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kills", "count"),
    [pytest.param(2, 120, id="2 kills"), pytest.param(30, 1500, id="30 kills", marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_every_row_is_labelled_once(tmp_path: Path, kills: int, count: int) -> None:
    moments = random.Random(11)  # noqa: S311 (moments)
    under_way = 0
    with chat_server(latency_s=0.15) as service:
        worker = Worker(tmp_path / "home", range(count), service, None)
        for kill in range(kills):
            under_way += _killed(worker.start(), service, moments, from_start=kill % 5 == 4)
        manifest = label.run(worker.config, worker.given, services=worker.services)
        ids = [row.id for row in worker.services.storage.rows(manifest)]
    twice = service.paid.total() - len(service.paid)
    print(f"{kills} kills, {count} rows: {twice} answers paid twice, {under_way} under way when killed")  # noqa: T201
    assert ids == [f"isic/ISIC_{number:07d}" for number in range(count)]
    assert manifest.rejected == {}
    assert len(service.paid) == count
    assert max(service.paid.values()) <= 1 + kills
    assert twice <= kills * CONCURRENCY


def _killed(process: "subprocess.Popen[bytes]", service: ChatServer, moments: random.Random, from_start: bool) -> int:
    """Kills within three seconds of the start or one of the first request; returns how many the service was answering."""
    arrived = service.met.total()
    while not from_start and service.met.total() == arrived and process.poll() is None:
        time.sleep(0.02)
    time.sleep(moments.uniform(0, 3 if from_start else 1))
    process.kill()
    under_way = service.under_way
    process.wait()
    while service.under_way:  # what was being answered is paid, whoever hears of it
        time.sleep(0.02)
    return under_way


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kills", "budget_usd"),
    [pytest.param(1, 25.0, id="1 kill"), pytest.param(30, 250.0, id="30 kills", marks=pytest.mark.slow)],
)
def test_four_workers_on_one_ledger_never_pass_the_budget(
    ledger_address: SecretStr, tmp_path: Path, kills: int, budget_usd: float
) -> None:
    values = {"budget_usd": budget_usd, "budget_name": "shared", "prices": PRICES}
    done = 0
    with chat_server(faults=MIX, latency_s=0.3, stall_s=1.5) as service:
        workers = [
            Worker(
                tmp_path / f"home-{place}",
                range(place * 10_000, place * 10_000 + 400),
                service,
                ledger_address,
                **values,
            )
            for place in range(4)
        ]
        done = _until_the_money_is_out(workers, service, kills)
        while service.under_way:
            time.sleep(0.05)
    ledger = Ledger.connect(ledger_address)
    spent, reserved = LedgerBudget("shared", workers[0].config.label, ledger).stands()
    ledger.close()
    bill, limit = service.completion_tokens * MICRO_PER_TOKEN, int(budget_usd * 1e6)
    print(f"{done} kills: of {limit} {bill} billed, {spent} booked, {reserved} reserved; {dict(service.met)}")  # noqa: T201
    assert done == kills
    assert bill <= spent + reserved <= limit
    assert reserved <= kills * CONCURRENCY * MOST_MICRO
    # Each worker stops where all others have the most set aside, and gives back what its own answers did not cost.
    assert spent + reserved > limit - (4 * CONCURRENCY + 1) * MOST_MICRO


def _until_the_money_is_out(workers: list[Worker], service: ChatServer, kills: int) -> int:
    """Runs all workers, kills one now and then and starts it again; returns the kills, when all have ended by themselves."""
    moments, done = random.Random(5), 0  # noqa: S311 (moments)
    running = [worker.start() for worker in workers]
    while any(process.poll() is None for process in running):
        time.sleep(moments.uniform(0.2, 0.8))
        place = moments.randrange(len(workers))
        if done < kills and service.met.total() and running[place].poll() is None:
            running[place].kill()
            done += running[place].wait() == -9
            running[place] = workers[place].start()
    return done
