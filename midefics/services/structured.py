"""A model and a record in, the `response_format` to ask for out; and a weaker one where a service won't have it.

    {"type": "json_schema", "json_schema": {…, "strict": true}}   →   {"type": "json_object"}   →   none

The service then holds the model to the schema while it writes; we parse as strictly either way.
"""

import re
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

Format = dict[str, Any]

JSON_OBJECT: Format = {"type": "json_object"}
NAME = "response_format"
_KINDS = ("json_schema", "json_object")
"""From the strongest down."""
_WITHOUT = re.compile(r"gpt-3\.5|gpt-4(?:$|-)|gpt-4o-2024-05-13$|chatgpt-4o|o1-(?:mini|preview)")
"""Models of OpenAI that take no schema, by how their names begin (its guide to structured outputs). Of others we learn it."""
_SPOKEN_OF = re.compile(r"response_format|json_schema|json_object|structured output", re.IGNORECASE)
_DROPPED = ("title", "description", "default", "minLength", "maxLength", "pattern", "format")
"""Keywords that the strict mode refuses, or has refused."""


def format_for(model: str, record: type[BaseModel]) -> Format:
    """The strongest format that a model may take for answers of a record's shape."""
    if _WITHOUT.match(model):
        return JSON_OBJECT
    schema = {"name": record.__name__.lower(), "strict": True, "schema": _strict(record.model_json_schema())}
    return {"type": "json_schema", "json_schema": schema}


def weakened(wanted: Format, refused: Collection[str]) -> Format | None:
    """The strongest that is left of a format where some kinds are refused; None: ask without any."""
    ladder = (wanted, JSON_OBJECT)
    return next((one for one in ladder if one["type"] not in refused), None)


def kinds_above(kind: str | None) -> tuple[str, ...]:
    """Kinds of formats that are stronger than one; all of them than none."""
    return _KINDS[: _KINDS.index(kind)] if kind in _KINDS else _KINDS


def refuses_format(status: int | None, param: object, message: str) -> bool:
    """Whether an error of a service is about the format that was asked for."""
    return status == 400 and (str(param or "").startswith(NAME) or bool(_SPOKEN_OF.search(message)))


def _strict(schema: Any, names: bool = False) -> Any:
    """The schema in the words of the strict mode; `names`: the keys are a record's own, no keywords."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _strict(value, names=key in ("properties", "$defs") and not names)
        for key, value in schema.items()
        if names or key not in _DROPPED
    }
    if not names and kept.get("type") == "object":
        kept |= {"required": list(kept.get("properties", {})), "additionalProperties": False}
    return kept
