"""A request in, what is sent of it out: without what its model was found to refuse.

Newer models take neither `temperature` nor `max_tokens`, older ones no schema of the answer, and say so; the answer is filed
under what was asked for.
"""

import logging
from collections.abc import Mapping
from typing import Any

from midefics.services.refusals import OPTIONAL, RENAMED, UNSUPPORTED
from midefics.services.requests import Request
from midefics.services.structured import JSON_OBJECT, NAME, kinds_above, refuses_format, weakened

log = logging.getLogger(__name__)


class Parameters:
    """What the models of one service take, as far as their refusals have told."""

    def __init__(self) -> None:
        self._refused: dict[str, set[str]] = {}
        """Of each model, names of parameters and kinds of formats."""

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent."""
        refused = self._refused.get(request.model, set())
        body = request.model_dump(include={"model", "messages", "temperature", "max_tokens"})
        if asked := weakened(request.response_format or JSON_OBJECT, refused):
            body[NAME] = asked
        for name in refused & body.keys():
            value = body.pop(name)
            if name in RENAMED:
                body[RENAMED[name]] = value
        return body

    def adapt(self, body: Mapping[str, Any], status: int | None, error: Mapping[str, Any]) -> bool:
        """Learns from a refusal; returns whether it is one of something that the request can do without.

        Args:
            body: that was sent.
            status: that came back.
            error: the service's own words: `code`, `param` and `message`.
        """
        code, parameter = error.get("code"), error.get("param")
        if NAME in body and refuses_format(status, parameter, str(error.get("message"))):
            self._refuse(body["model"], body[NAME]["type"])
        elif code in UNSUPPORTED and parameter in OPTIONAL and parameter in body:
            self._refuse(body["model"], parameter)
        else:
            return False
        return True

    def recall(self, body: Mapping[str, Any]) -> None:
        """Learns from what another process has sent: whatever it left out had been refused."""
        kind = body[NAME]["type"] if NAME in body else None
        left_out = {name for name in OPTIONAL if name not in body} | set(kinds_above(kind))
        self._refused.setdefault(body["model"], set()).update(left_out)

    def _refuse(self, model: str, name: str) -> None:
        refused = self._refused.setdefault(model, set())
        if name not in refused:  # else another request, under way at the same time, has told
            log.warning("%s does not take %s; asking without it", model, name)
            refused.add(name)
