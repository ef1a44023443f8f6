"""Turns in, what breaks the grammar of calls and responses out, turn by turn; and which turns belong together.

question   …
answer     <modelcall> {"name": "skin_cond_classifier"} </modelcall>
question   <function_response> {"nevus": 0.86, "melanoma": 0.08, …} </function_response>
answer     …, which names the likeliest class first and agrees with every number
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from midefics.model_calls.agreement import disagreements
from midefics.model_calls.tools import TOOLS, catalogue
from midefics.records import Turn

_CALL = re.compile(r"<modelcall> (\{[^{}]*\}) </modelcall>")
_RESPONSE = re.compile(r"<function_response> (\{[^{}]*\}) </function_response>")
_ANY_TAG = re.compile(r"<\s*/?\s*(?:modelcall|function_response)\b[^>]*>", re.IGNORECASE)
_SUM_SLACK = 1e-6


def call(name: str) -> str:
    """The answer that calls a tool."""
    return f"<modelcall> {json.dumps({'name': name})} </modelcall>"


def response(chances: Mapping[str, float]) -> str:
    """The question that brings what the tool found."""
    return f"<function_response> {json.dumps(dict(chances))} </function_response>"


def is_response(question: str) -> bool:
    """Whether a question is what a tool answered, and nobody's words."""
    return bool(_RESPONSE.fullmatch(question))


def has_tag(text: str) -> bool:
    """Whether a text holds a tag of this grammar, whole or broken."""
    return bool(_ANY_TAG.search(text))


def called(answer: str) -> str:
    """The name in a call; empty where the answer is none."""
    found = _CALL.fullmatch(answer)
    return _name(found[1]) if found else ""


def exchanges(turns: Sequence[Turn]) -> list[tuple[Turn, ...]]:
    """The turns in groups that mean nothing apart: a call with its response, every other turn alone."""
    groups: list[tuple[Turn, ...]] = []
    for turn in turns:
        if groups and is_response(turn.question):
            groups[-1] = (*groups[-1], turn)
        else:
            groups.append((turn,))
    return groups


def faults(turns: Sequence[Turn]) -> list[str]:
    """What breaks the grammar, turn by turn; empty for a conversation that keeps it."""
    found: list[str] = []
    before = ""
    for number, turn in enumerate(turns, start=1):
        found += [f"turn {number}: {fault}" for fault in _turn_faults(turn, before)]
        before = called(turn.answer)
    if before:
        found.append(f"turn {len(turns)}: the call of {before} gets no response")
    return found


def _turn_faults(turn: Turn, before: str) -> Iterator[str]:
    responded = _RESPONSE.fullmatch(turn.question)
    if before and not responded:
        yield f"the call of {before} is not followed by its response"
    if responded and not before:
        yield "a response to no call"
    if responded and before:
        yield from _response_faults(before, responded[1], turn.answer)
    if not responded and has_tag(turn.question.removeprefix(catalogue())):  # which shows how to call
        yield "a tag in a question that is no response"
    name = called(turn.answer)
    if name and name not in TOOLS:
        yield f"calls no tool of the catalogue: {name}"
    if not name and has_tag(turn.answer):
        yield "a tag in an answer that is no call"


def _response_faults(name: str, text: str, answer: str) -> list[str]:
    if name not in TOOLS:
        return []
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except ValueError:
        return ["the response is not JSON"]
    chances = dict(pairs)
    if len(pairs) != len(chances) or set(chances) != set(TOOLS[name].classes):
        return [f"the response has other classes than {name}"]
    if not all(type(chance) in (int, float) and 0 <= chance <= 1 for chance in chances.values()):
        return ["a probability is none"]
    if abs(sum(chances.values()) - 1) > _SUM_SLACK:
        return ["the probabilities do not sum to 1"]
    return [] if called(answer) else disagreements(answer, chances)


def _name(text: str) -> str:
    try:
        content = json.loads(text)
    except ValueError:
        return "nothing that can be read"
    return str(content["name"]) if isinstance(content, dict) and set(content) == {"name"} else "nothing by name"
