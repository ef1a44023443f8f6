"""Errors of the openai client in; which of them pass by themselves, and one line that says the way out for the rest."""

import re

from midefics.errors import RefusedError, ServiceError

UNSUPPORTED = ("unsupported_parameter", "unsupported_value")
OPTIONAL = ("temperature", "max_tokens")
"""Parameters that a request can do without; of the format see `structured`."""
RENAMED = {"max_tokens": "max_completion_tokens"}
"""What a parameter that newer models refuse is called there."""
_ONE_REQUEST = ("context_length_exceeded", "content_filter", "content_policy_violation", "string_above_max_length")
_TOO_MANY = "lower label.requests_per_minute or label.concurrency, or come back later"
_KEY = re.compile(r"\bsk-\S+")
_KEPT = "what was answered so far is kept, run again to go on"


class GarbledError(Exception):
    """An answer came, and it is no chat completion: cut short, or not JSON at all."""


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code >= 500 or error.status_code in (408, 409)
    return isinstance(error, openai.APIConnectionError | TimeoutError | GarbledError)


def may_be_paid(error: BaseException) -> bool:
    """Whether the service may have answered, and charge for it, although no answer arrived that could be read.

    What it refuses, or answers with an error of its own, it does not charge for; nor what it was never sent.
    """
    import httpx2
    import openai

    if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
        return False
    return isinstance(error, openai.APIConnectionError | TimeoutError | GarbledError)


def concerns_one_request(error: BaseException) -> bool:
    """Whether another request may do where this one is refused: too long, or against a content policy."""
    return getattr(error, "code", None) in _ONE_REQUEST


def explained(error: BaseException, base_url: str, model: str, offer: str) -> ServiceError:
    """What is wrong and the way out, in one line.

    Args:
        error: as the client raised it, or our own time-out.
        base_url: of the service that refuses.
        model: that was asked for.
        offer: some models that the service has; empty where it lists none.
    """
    import openai

    status = getattr(error, "status_code", None)
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        way_out = "set OPENAI_API_KEY to a key that may use the model"
    elif isinstance(error, openai.NotFoundError):
        way_out = "set label.model" + (
            f" to one of {offer}" if offer else ", or OPENAI_BASE_URL to the service that has it"
        )
    elif getattr(error, "code", None) == "insufficient_quota":
        way_out = f"add credit to the account of OPENAI_API_KEY; {_KEPT}"
    elif _limits_rate(error):
        way_out = f"{_TOO_MANY}; {_KEPT}"
    elif passes(error):
        way_out = f"see that it runs, or set OPENAI_BASE_URL to another; {_KEPT}"
    else:
        way_out = "check label.model, label.temperature and label.max_tokens"
    kind = ServiceError if passes(error) or _limits_rate(error) else RefusedError
    return kind(f"{base_url}, asked for {model}: {f'{status} ' if status else ''}{said(error)}; {way_out}")


def _limits_rate(error: BaseException) -> bool:
    import openai

    return isinstance(error, openai.RateLimitError) and error.code != "insufficient_quota"


def said(error: BaseException) -> str:
    """The error's own words: one line, short, no key in it."""
    import openai

    text = str(error)
    if isinstance(error, openai.APIStatusError) and isinstance(error.body, dict):
        text = str(error.body.get("message") or text)
    elif isinstance(error, openai.APITimeoutError | TimeoutError):
        text = "no answer in time"
    elif isinstance(error, openai.APIConnectionError):
        text = f"no connection ({error.__cause__ or 'broken off'})"
    return _KEY.sub("sk-…", " ".join(text.split()))[:200].rstrip(".;")
