"""Paired outcomes in, what they prove out: McNemar's test, Holm's correction, and how many questions a decision needs."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Discordant(NamedTuple):
    """Questions that one model got right and the other wrong: all that a paired comparison learns from."""

    only_first: int
    only_second: int
    p_value: float
    """Two-sided exact McNemar: the chance of so uneven a split where neither is better. It takes questions as independent;
    the interval, which counts patients, decides."""


def mcnemar(first: Sequence[float], second: Sequence[float]) -> Discordant:
    """Compares two models' right (1) and wrong (0) answers to the same questions."""
    from scipy.stats import binomtest

    pairs = list(zip(first, second, strict=True))
    only_first, only_second = sum(one > two for one, two in pairs), sum(one < two for one, two in pairs)
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return Discordant(only_first, only_second, p_value)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P values corrected for how many there are, by name (Holm 1979): at most 5 % chance of any false one below 0.05."""
    corrected: dict[str, float] = {}
    largest, left = 0.0, len(p_values)
    for name, value in sorted(p_values.items(), key=lambda pair: pair[1]):
        largest = max(largest, min(1.0, value * left))
        corrected[name] = largest
        left -= 1
    return {name: corrected[name] for name in p_values}


def questions_needed(difference: float, discordant_share: float, power: float = 0.8, level: float = 0.05) -> int | None:
    """Independent questions from which on a paired difference of this size shows with this power (Connor 1987).

    Questions about one patient are worth less.

    Args:
        difference: share of questions that one gets right, less the other's.
        discordant_share: of the questions that only one of the two gets right; at least `|difference|`.
        power: chance of finding it.
        level: chance of finding one that is not there, two-sided.

    Returns:
        None where there is no difference to find.
    """
    from scipy.stats import norm

    if not difference:
        return None
    share = max(discordant_share, abs(difference))
    one, other = norm.ppf(1 - level / 2), norm.ppf(power)
    root: float = one * math.sqrt(share) + other * math.sqrt(share - difference**2)
    return math.ceil(root**2 / difference**2)
