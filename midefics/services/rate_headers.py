"""The headers of an answer in, what they tell of limits and pauses out."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

NEAR = 0.25
"""A rate worked out of a rounded time lies so near the one that a minute's limit names, and then means that one."""
_PARTS = re.compile(r"([\d.]+)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Limit(NamedTuple):
    """A bucket as a service tells of it."""

    rate: float
    """What it regains in a second."""
    size: float
    remaining: float


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a service asks to wait, from `retry-after-ms` or `Retry-After` (seconds or a date)."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and text:
        try:
            seconds = max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except ValueError:
            return None
    return seconds


def limit_told(headers: Mapping[str, str], kind: str) -> Limit | None:
    """The limit on `requests` or `tokens`; None where the headers name none."""
    limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
    if not limit or remaining is None:
        return None
    reset, minute = _duration(headers.get(f"x-ratelimit-reset-{kind}")), limit / 60
    # The bucket regains what it lacks in `reset` seconds; a full one tells no more than its size for a minute.
    rate = (limit - remaining) / reset if reset and limit > remaining else minute
    return Limit(minute if abs(rate / minute - 1) < NEAR else max(rate, 0.001), limit, remaining)


def spent(headers: Mapping[str, str]) -> bool:
    """Whether the headers say that nothing is left of a limit."""
    return any((limit := limit_told(headers, kind)) and limit.remaining < 1 for kind in ("requests", "tokens"))


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def _duration(text: str | None) -> float | None:
    """OpenAI's form: `20ms`, `1.5s`, `6m0s`."""
    parts = _PARTS.findall(text or "")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None
