"""A request in, what is sent of it out: without the parameters that its model was found to refuse.

Newer models take neither `temperature` nor `max_tokens`, and say so; the answer is filed under what was asked for.
"""

import logging
from typing import Any

from midefics.services.refusals import OPTIONAL, RENAMED, UNSUPPORTED
from midefics.services.requests import Request

log = logging.getLogger(__name__)


class Parameters:
    """What the models of one service take, as far as their refusals have told."""

    def __init__(self) -> None:
        self.learnt = 0
        """Refusals that told something new."""
        self._refused: dict[str, set[str]] = {}

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent."""
        body = request.model_dump(include={"model", "messages", "temperature", "max_tokens"})
        body["response_format"] = {"type": "json_object"}
        for name in self._refused.get(request.model, set()) & body.keys():
            value = body.pop(name)
            if name in RENAMED:
                body[RENAMED[name]] = value
        return body

    def adapt(self, model: str, code: object, parameter: object) -> bool:
        """Takes a refusal in; returns whether it is one of a parameter that a request can do without."""
        if code not in UNSUPPORTED or not isinstance(parameter, str) or parameter not in OPTIONAL:
            return False
        refused = self._refused.setdefault(model, set())
        if parameter not in refused:  # else another request, under way at the same time, has told
            log.warning("%s does not take %s; asking without it", model, parameter)
            refused.add(parameter)
            self.learnt += 1
        return True
