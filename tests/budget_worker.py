"""A worker of the budget's tests: asks for leave, pays (a line in a file that stands for the service's bill), settles."""

import os
import random
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from midefics.config import LabelConfig
from midefics.services.budget import BudgetError
from midefics.services.ledger import Answer, Ledger
from midefics.services.requests import Request
from midefics.services.spending import LedgerBudget

BUDGET_USD = 0.2


def config(**changes: object) -> LabelConfig:
    """One completion token costs a thousandth of a dollar, prompts are free."""
    prices = {"m": {"prompt": 0, "completion": 1000}}
    return LabelConfig.model_validate({"model": "m", "budget_usd": BUDGET_USD, "prices": prices} | changes)


def request(number: int, max_tokens: int = 5) -> Request:
    """A request of its own."""
    return Request(
        base_url="http://x",
        model="m",
        messages=({"role": "user", "content": str(number)},),
        temperature=0,
        max_tokens=max_tokens,
        prompt_version="v",
        input_digest="0" * 64,
    )


def answer_to(asked: Request, completion_tokens: int, prompt_tokens: int = 9) -> Answer:
    """An answer of so many tokens."""
    return Answer(
        key=asked.key,
        model=asked.model,
        prompt_version=asked.prompt_version,
        input_digest=asked.input_digest,
        text="{}",
        finish_reason="stop",
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def work(address: str, bill: Path, first: int, budget_usd: float) -> None:
    """Until the money is out."""
    ledger = Ledger.connect(SecretStr(address))
    budget = LedgerBudget("run", config(budget_usd=budget_usd), ledger)
    draw = random.Random(first)  # noqa: S311 (a test's draw)
    file = os.open(bill, os.O_APPEND | os.O_WRONLY | os.O_CREAT)
    number = first
    while True:
        number += 1
        asked = request(number)
        try:
            reservation = budget.reserve(asked)
        except BudgetError:
            return
        if draw.random() < 0.1:
            budget.cancel(reservation)
            continue
        tokens = draw.randint(1, asked.max_tokens)
        time.sleep(draw.uniform(0, 0.004))
        os.write(file, f"{tokens * 1000}\n".encode())
        answer = answer_to(asked, tokens)
        ledger.put(answer)
        budget.settle(reservation, answer)


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
