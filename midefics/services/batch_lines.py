"""Requests in, lines of a batch's file out; lines of its results in, what the service refused out."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from midefics.services.parameters import Parameters
from midefics.services.requests import Request

if TYPE_CHECKING:
    from openai.types import Batch as Told

ENDPOINT: Final = "/v1/chat/completions"
BAD_REQUEST = 400


def batch_line(request: Request, parameters: Parameters) -> str:
    """One line of the file that is uploaded; the request's key comes back with the result."""
    line = {"custom_id": request.key, "method": "POST", "url": ENDPOINT, "body": parameters.body(request)}
    return json.dumps(line, ensure_ascii=False) + "\n"


def json_lines(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a file; what is none is passed over."""
    for line in text.split("\n"):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def refusal(line: Mapping[str, Any]) -> dict[str, Any] | None:
    """The error of a result whose request was refused as it was."""
    response = line.get("response")
    if not isinstance(response, dict) or response.get("status_code") != BAD_REQUEST:
        return None
    error = (response.get("body") or {}).get("error")
    return error if isinstance(error, dict) else None


def counts(told: "Told") -> str:
    """How far a batch is, to be added to its state."""
    done = told.request_counts
    return f", {done.completed + done.failed} of {done.total} requests done" if done and done.total else ""
