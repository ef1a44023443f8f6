"""What shape of answer is asked for, and what happens where a service won't have it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from midefics.services.batch_lines import batch_line
from midefics.services.conversations import Conversation
from midefics.services.parameters import Parameters
from midefics.services.requests import Request
from midefics.services.structured import JSON_OBJECT, format_for, refuses_format, weakened
from midefics.stages import label
from tests.chat_server import Body, chat_server, conversation
from tests.rows import make_services, stored
from tests.test_label import config, rows

TURNS = (
    ("What is seen?", "A nevus."),
    ("Is it benign?", "It may be."),
    ("What is next?", "Watch it."),
    ("Why?", "To be sure."),
)
TEXT = {"type": "string"}
TURN = {
    "type": "object", "properties": {"question": TEXT, "answer": TEXT}, "required": ["question", "answer"],
    "additionalProperties": False,
}  # fmt: skip


def test_the_schema_is_the_conversations_own_in_strict_words() -> None:
    asked = format_for("gpt-4o-mini", Conversation)
    turns = {"type": "array", "items": {"$ref": "#/$defs/WrittenTurn"}, "minItems": 4, "maxItems": 6}
    assert asked == {
        "type": "json_schema",
        "json_schema": {
            "name": "conversation",
            "strict": True,
            "schema": {
                "$defs": {"WrittenTurn": TURN},
                "type": "object",
                "properties": {"turns": turns},
                "required": ["turns"],
                "additionalProperties": False,
            },
        },
    }
    refused = [(), ("json_schema",), ("json_schema", "json_object")]
    assert [weakened(asked, kinds) for kinds in refused] == [asked, JSON_OBJECT, None]
    assert [weakened(JSON_OBJECT, kinds) for kinds in refused] == [JSON_OBJECT, JSON_OBJECT, None]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gpt-3.5-turbo", "json_object"), ("gpt-4", "json_object"), ("gpt-4-turbo", "json_object"),
        ("gpt-4o-2024-05-13", "json_object"), ("gpt-4o-2024-08-06", "json_schema"), ("gpt-4o", "json_schema"),
        ("gpt-4.1-mini", "json_schema"), ("gpt-5.6-terra", "json_schema"), ("some/other-7b", "json_schema"),
    ],
)  # fmt: skip
def test_models_known_to_take_no_schema_are_asked_for_an_object(model: str, kind: str) -> None:
    assert format_for(model, Conversation)["type"] == kind


@pytest.mark.parametrize(
    ("status", "param", "message", "is_it"),
    [
        (400, "response_format", "Invalid parameter", True),
        (400, "response_format.json_schema.schema", "Invalid schema", True),
        (400, None, "'response_format' of type 'json_schema' is not supported with this model", True),
        (400, None, "the prompt is too long", False),
        (500, "response_format", "oh", False),
        (None, None, "no connection", False),
    ],
)
def test_a_refusal_of_the_format_is_told_from_others(
    status: int | None, param: object, message: str, is_it: bool
) -> None:
    assert refuses_format(status, param, message) is is_it


@pytest.mark.parametrize("taken", ["json_schema", "json_object", "none"])
def test_the_strongest_format_that_the_service_takes_is_found_and_no_row_is_lost(tmp_path: Path, taken: str) -> None:
    def answer(body: Body) -> str | tuple[int, Body]:
        asked = body.get("response_format", {"type": "none"})["type"]
        if asked == taken:
            return conversation(*TURNS)
        message = f"'response_format' of type '{asked}' is not supported with this model."
        return 400, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}

    label_ = {"model": "gpt-4o-mini", "concurrency": 4, "timeout_s": 5}
    with chat_server(answer, "gpt-4o-mini") as server:
        services = make_services(tmp_path, openai_base_url=server.base_url)
        given = stored(services, "validated", rows(12))
        manifest = label.run(config(**label_), given, services=services)
        asked = Counter(body.get("response_format", {"type": "none"})["type"] for body in server.bodies)
        again = label.run(config(**label_), given, services=services)
    assert (manifest.rows, asked[taken], again.facts["requests_made"]) == (12, 12, 0)
    assert all(count <= 4 for kind, count in asked.items() if kind != taken)
    assert len(asked) == ["json_schema", "json_object", "none"].index(taken) + 1


def request(**changes: Any) -> Request:
    fields = {"base_url": "x", "model": "gpt-4o", "messages": ({"role": "user", "content": "y"},), "temperature": 0.7}
    return Request.model_validate(fields | {"max_tokens": 9, "prompt_version": "p", "input_digest": "0" * 64} | changes)


def test_the_format_is_part_of_the_key_and_answers_from_before_there_was_a_choice_hold() -> None:
    schema = format_for("gpt-4o", Conversation)
    assert request().key == request(response_format=JSON_OBJECT).key
    assert request().key != request(response_format=schema).key
    content = {
        "base_url": "x",
        "input_digest": "0" * 64,
        "max_tokens": 9,
        "messages": [{"content": "y", "role": "user"}],
    }
    text = json.dumps(content | {"model": "gpt-4o", "temperature": 0.7}, sort_keys=True)
    import hashlib

    assert request().key == hashlib.sha256(text.encode()).hexdigest()


def test_a_batch_line_asks_for_the_strongest_format_that_was_not_refused() -> None:
    schema, parameters, asked = format_for("gpt-4o", Conversation), Parameters(), []
    for _ in range(3):
        body = json.loads(batch_line(request(response_format=schema), parameters))["body"]
        asked.append(body.get("response_format"))
        parameters.adapt(body, 400, {"param": "response_format"})
    assert asked == [schema, JSON_OBJECT, None]
    assert json.loads(batch_line(request(), Parameters()))["body"]["response_format"] == JSON_OBJECT


def test_what_another_process_left_out_is_left_out_again() -> None:
    asked, first, second = request(response_format=format_for("gpt-4o", Conversation)), Parameters(), Parameters()
    first.adapt(first.body(asked), 400, {"param": "response_format"})
    first.adapt(first.body(asked), 400, {"code": "unsupported_parameter", "param": "max_tokens"})
    second.recall(first.body(asked))
    assert second.body(asked) == first.body(asked)
    assert second.body(asked).keys() == {"model", "messages", "temperature", "max_completion_tokens", "response_format"}
    assert not second.adapt(second.body(asked), 400, {"code": "unsupported_parameter", "param": "max_tokens"})
