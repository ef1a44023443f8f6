"""The response to a chat request in, the answer to be kept out."""

import json
from typing import TYPE_CHECKING, Any

from midefics.services.ledger import Answer
from midefics.services.refusals import GarbledError

if TYPE_CHECKING:
    import httpx2

    from midefics.services.requests import Request


def answer_to(request: "Request", response: "httpx2.Response", attempts: int) -> Answer:
    """Reads a chat completion; what the service leaves out is empty or zero.

    Raises:
        GarbledError: it is none.
    """
    try:
        completion: dict[str, Any] = json.loads(response.content)
        about = {name: getattr(request, name) for name in ("key", "model", "prompt_version", "input_digest")}
        return answer_from(completion, about, attempts)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        shown = " ".join(response.text.split())[:80]
        raise GarbledError(f"an answer that is no chat completion ({shown or 'empty'})") from error


def answer_from(completion: dict[str, Any], about: dict[str, str], attempts: int) -> Answer:
    """Reads a chat completion that is JSON already.

    Args:
        completion: as the service sent it.
        about: the answer's key, model, prompt version and input digest.
        attempts: what it took.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it is none.
    """
    choice = completion["choices"][0]
    usage = completion.get("usage") or {}
    return Answer(
        **about,
        text=choice["message"].get("content") or "",
        finish_reason=choice.get("finish_reason") or "",
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        fingerprint=completion.get("system_fingerprint") or "",
        attempts=attempts,
    )
