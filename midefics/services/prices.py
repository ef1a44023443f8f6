"""A model's name and tokens in, what they cost in millionths of a dollar out.

Prices are OpenAI's list prices for standard processing as third parties reported them, see `AS_OF`; nobody has checked them
against a bill. `label.prices` overrides them. A dollar for a million tokens is a millionth of a dollar for one.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from midefics.config import PriceConfig

if TYPE_CHECKING:
    from midefics.services.requests import Request

AS_OF = "2026-06"
"""When the table was last compared with published ones."""
BATCH_SHARE = Fraction(1, 2)
"""Of the price, what a request costs in a batch."""
_AROUND = 16
"""Tokens that frame a chat and each of its messages: more than any known model counts."""
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""What pins a model's version: `gpt-4o-mini-2024-07-18`. Older models priced their versions differently: they are listed."""


class Price(NamedTuple):
    """Dollars for a million tokens."""

    prompt: Fraction
    completion: Fraction

    def cost_microusd(self, prompt_tokens: int, completion_tokens: int, batch: bool = False) -> int:
        """What so many tokens cost, rounded up to whole millionths of a dollar."""
        exact = prompt_tokens * self.prompt + completion_tokens * self.completion
        share = exact * BATCH_SHARE if batch else exact
        return -(-share.numerator // share.denominator)


PRICES = {
    name: Price(Fraction(prompt), Fraction(completion))
    for name, prompt, completion in (
        ("gpt-3.5-turbo", "0.50", "1.50"),
        ("gpt-3.5-turbo-0125", "0.50", "1.50"),
        ("gpt-3.5-turbo-1106", "1", "2"),
        ("gpt-4-turbo", "10", "30"),
        ("gpt-4o", "2.50", "10"),
        ("gpt-4o-2024-05-13", "5", "15"),
        ("gpt-4o-mini", "0.15", "0.60"),
        ("gpt-4.1", "2", "8"),
        ("gpt-4.1-mini", "0.40", "1.60"),
        ("gpt-4.1-nano", "0.10", "0.40"),
        ("gpt-5", "1.25", "10"),
        ("gpt-5-mini", "0.25", "2"),
        ("gpt-5-nano", "0.05", "0.40"),
        ("gpt-5.4", "2.50", "15"),
        ("gpt-5.4-mini", "0.75", "4.50"),
        ("gpt-5.4-nano", "0.20", "1.25"),
        # Resellers list 2/12 and 2.50/15; the dearer one keeps a budget safe.
        ("gpt-5.6-terra", "2.50", "15"),
    )
}


def price_of(model: str, own: Mapping[str, PriceConfig]) -> Price | None:
    """A model's price: of the configuration, else of the table; a name with a date counts as the one without.

    None where neither knows it.
    """
    for name in (model, _DATED.sub("", model)):
        if name in own:
            return Price(Fraction(str(own[name].prompt)), Fraction(str(own[name].completion)))
        if name in PRICES:
            return PRICES[name]
    return None


def prompt_tokens_at_most(request: "Request") -> int:
    """Tokens that no tokenizer passes: one for each byte of all that is asked, and what frames the messages."""
    return len(request.model_dump_json().encode()) + _AROUND * (len(request.messages) + 1)
