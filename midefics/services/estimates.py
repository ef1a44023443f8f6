"""Requests that would be sent in, their tokens, dollars and hours out; nobody is asked, and no network is touched."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from midefics.config import LabelConfig, Settings
from midefics.records import Record
from midefics.services.ledger import Ledger
from midefics.services.prices import AS_OF, price_of
from midefics.services.requests import Request, estimated_tokens
from midefics.services.spending import MICRO, LedgerBudget, microusd

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLES = "https://openaipublic.blob.core.windows.net/encodings/"
_FRAME = 3
"""Tokens that OpenAI's chat format puts round each message, and before the answer."""


class Estimate(Record):
    """What is still to be asked; the names of the fields are the keys that a dry run prints."""

    to_ask: int
    """Requests."""
    prompt_tokens_estimated: int
    answer_tokens_at_most: int
    tokens_by: str
    """How the prompts' tokens were counted: `tiktoken o200k_base`, or `4 characters a token`."""
    dollars_at_most: float | None
    """If each answer is as long as it may be; None where nobody knows the price."""
    dollars_at_most_in_batches: float | None
    prices_as_of: str
    """The month of the table, or `label.prices`."""
    hours_at_limits: float | None
    """At `label.requests_per_minute` and `label.tokens_per_minute`; None where neither is set: the service's are unknown."""
    budget_name: str
    budget_dollars: float | None
    budget_left_dollars: float | None
    """What is neither spent nor reserved."""
    within_budget: bool
    """Whether the dollars of the configured mode, or none where there is no price, stay within what is left."""


class _Counted(NamedTuple):
    requests: int
    prompt: int
    answer: int


def estimated(
    requests: Iterable[Request], name: str, config: LabelConfig, settings: Settings, ledger: Ledger
) -> Estimate:
    """Weighs requests against prices, limits and what is left of the budget of the configuration of that name."""
    counter, by = _counter(config.model, settings)
    counted = _count(requests, counter)
    price = price_of(config.model, config.prices)
    costs = [price.cost_microusd(counted.prompt, counted.answer, batch) if price else None for batch in (False, True)]
    left = _left(name, config, ledger)
    cost = costs[config.mode == "batch"]
    return Estimate(
        to_ask=counted.requests,
        prompt_tokens_estimated=counted.prompt,
        answer_tokens_at_most=counted.answer,
        tokens_by=by,
        dollars_at_most=_dollars(costs[0]),
        dollars_at_most_in_batches=_dollars(costs[1]),
        prices_as_of="label.prices" if config.model in config.prices else AS_OF,
        hours_at_limits=_hours(counted, config),
        budget_name=config.budget_name or name,
        budget_dollars=config.budget_usd,
        budget_left_dollars=_dollars(left),
        within_budget=left is None or (cost is not None and cost <= left),
    )


def _count(requests: Iterable[Request], counter: "Callable[[Sequence[dict[str, str]]], int]") -> _Counted:
    asked = prompt = answer = 0
    for request in requests:
        asked, prompt, answer = asked + 1, prompt + counter(request.messages), answer + request.max_tokens
    return _Counted(asked, prompt, answer)


def _hours(counted: _Counted, config: LabelConfig) -> float | None:
    minutes = [
        amount / limit
        for amount, limit in (
            (counted.requests, config.requests_per_minute),
            (counted.prompt + counted.answer, config.tokens_per_minute),
        )
        if limit
    ]
    return round(max(minutes) / 60, 4) if minutes else None


def _left(name: str, config: LabelConfig, ledger: Ledger) -> int | None:
    if config.budget_usd is None:
        return None
    stands = LedgerBudget(name, config, ledger).stands()
    return max(microusd(config.budget_usd) - stands.spent - stands.reserved, 0)


def _dollars(amount: int | None) -> float | None:
    return None if amount is None else amount / MICRO


def _counter(model: str, settings: Settings) -> "tuple[Callable[[Sequence[dict[str, str]]], int], str]":
    try:
        import tiktoken

        name = tiktoken.encoding_name_for_model(model)
        # Without this file it would go to the network, and hang where there is none.
        table = hashlib.sha1(f"{_TABLES}{name}.tiktoken".encode(), usedforsecurity=False).hexdigest()
        if not ((settings.tiktoken_cache_dir or Path("/nowhere")) / table).is_file():
            raise LookupError(name)
        encode = tiktoken.get_encoding(name).encode_ordinary
    except (ImportError, LookupError, ValueError, OSError):
        return estimated_tokens, "4 characters a token"

    def count(messages: "Sequence[dict[str, str]]") -> int:
        return _FRAME + sum(_FRAME + sum(len(encode(text)) for text in message.values()) for message in messages)

    return count, f"tiktoken {name}"
