"""A row's metadata in, a conversation that calls a classifier out; and what is wrong with one, turn by turn.

    question   The tools and what is asked for
    answer     <modelcall> {"name": "skin_cond_classifier"} </modelcall>
    question   <function_response> {"nevus": 0.86, "melanoma": 0.08, …} </function_response>
    answer     The classifier finds a nevus most likely, with a probability of 0.86. …

A call and its answer are two turns, so that a conversation needs no further roles: what the function answers stands where the
person's words do, and is never learnt. Probabilities come from code: no language model writes them.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from midefics.records import Scalar, Turn

_CALL = re.compile(r"<modelcall> (\{.*\}) </modelcall>")
_RESPONSE = re.compile(r"<function_response> (\{.*\}) </function_response>")
_ANY_TAG = re.compile(r"</?(?:modelcall|function_response)>")
HUNDREDTHS = 100
NOT_FITTING_ONE_IN = 4
"""Of so many composed conversations one asks for a tool that does not fit the image."""


class Tool(NamedTuple):
    """A classifier that may be called."""

    does: str
    classes: tuple[str, ...]


PARTS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
TOOLS = {
    "skin_cond_classifier": Tool(
        "tells what a skin lesion is from a picture of it",
        ("melanoma", "nevus", "basal cell carcinoma", "seborrheic keratosis"),
    ),
    **{
        f"{part}_abnormality_classifier": Tool(
            f"tells whether an X-ray of the {part} is abnormal", ("abnormal", "normal")
        )
        for part in PARTS
    },
}


def catalogue() -> str:
    """The tools in words, as the conversation begins with them."""
    told = "\n".join(f"- {name}: {tool.does} ({', '.join(tool.classes)})" for name, tool in TOOLS.items())
    return f'You may call one of these, as <modelcall> {{"name": "…"}} </modelcall>, where it fits the image:\n{told}'


def compose(source: str, metadata: Mapping[str, Scalar], key: str) -> tuple[Turn, ...]:
    """A conversation about one row; empty where no tool knows what it shows. The same key gives the same again."""
    name, truth = _fitting(source, metadata)
    if not name:
        return ()
    if _draw(key, "fits") % NOT_FITTING_ONE_IN == 0:
        return _refused(source, key)
    chances = probabilities(name, truth, key)
    best = max(chances, key=chances.__getitem__)
    asked = ("What does the classifier say about this image?", "Please run the classifier that fits this image.")
    return (
        Turn(question=f"{catalogue()}\n\n{asked[_draw(key, 'asked') % len(asked)]}", answer=_call(name)),
        Turn(question=_response(chances), answer=_read(best, chances[best])),
    )


def probabilities(name: str, truth: str, key: str) -> dict[str, float]:
    """Of each declared class, in hundredths that sum to 1; the true one has the most."""
    classes = TOOLS[name].classes
    left = HUNDREDTHS - (55 + _draw(key, "top") % 43)
    chances = {truth: HUNDREDTHS - left}
    others = [one for one in classes if one != truth]
    for place, one in enumerate(others, start=1):
        chances[one] = left if place == len(others) else _draw(key, one) % (left + 1)
        left -= chances[one]
    return {one: chances[one] / HUNDREDTHS for one in classes}


def faults(turns: Sequence[Turn]) -> list[str]:
    """What breaks the grammar, turn by turn; empty for a conversation that keeps it."""
    found: list[str] = []
    called = ""
    for number, turn in enumerate(turns, start=1):
        found += [f"turn {number}: {fault}" for fault in _turn_faults(turn, called)]
        call = _CALL.fullmatch(turn.answer)
        called = _name(call[1]) if call else ""
    if called:
        found.append(f"turn {len(turns)}: the call of {called} gets no response")
    return found


def _turn_faults(turn: Turn, called: str) -> list[str]:
    found = []
    response = _RESPONSE.fullmatch(turn.question)
    if called and not response:
        found.append(f"the call of {called} is not followed by its response")
    if response and not called:
        found.append("a response to no call")
    if response and called:
        found += _response_faults(called, response[1], turn.answer)
    call = _CALL.fullmatch(turn.answer)
    if call and _name(call[1]) not in TOOLS:
        found.append(f"calls no tool of the catalogue: {call[1]}")
    if not call and _ANY_TAG.search(turn.answer):
        found.append("a tag in an answer that is no call")
    return found


def _response_faults(called: str, text: str, answer: str) -> list[str]:
    if called not in TOOLS:
        return []
    try:
        chances = json.loads(text)
    except ValueError:
        return ["the response is not JSON"]
    if set(chances) != set(TOOLS[called].classes):
        return [f"the response has other classes than {called}"]
    if not all(isinstance(chance, int | float) and 0 <= chance <= 1 for chance in chances.values()):
        return ["a probability is none"]
    if abs(sum(chances.values()) - 1) > 1e-6:
        return ["the probabilities do not sum to 1"]
    best = max(chances, key=chances.__getitem__)
    named = re.search("|".join(sorted(map(re.escape, chances), key=len, reverse=True)), answer)
    return [] if named and named.group() == best else [f"the answer does not name {best} first"]


def _name(text: str) -> str:
    try:
        content = json.loads(text)
    except ValueError:
        return "nothing that can be read"
    return str(content["name"]) if isinstance(content, dict) and set(content) == {"name"} else "nothing by name"


def _fitting(source: str, metadata: Mapping[str, Scalar]) -> tuple[str, str]:
    """The tool and the class it should find; empty where there is none."""
    diagnosis, label = str(metadata.get("diagnosis", "")), str(metadata.get("study_label", ""))
    if source == "isic" and diagnosis in TOOLS["skin_cond_classifier"].classes:
        return "skin_cond_classifier", diagnosis
    name = f"{metadata.get('body_part', '')}_abnormality_classifier"
    return (name, label) if source == "mura" and name in TOOLS and label in TOOLS[name].classes else ("", "")


def _refused(source: str, key: str) -> tuple[Turn, ...]:
    part = PARTS[_draw(key, "part") % len(PARTS)]
    wanted = f"{part}_abnormality_classifier" if source == "isic" else "skin_cond_classifier"
    seen = "a picture of the skin" if source == "isic" else "an X-ray"
    answer = f"That tool does not fit: it {TOOLS[wanted].does}, and this is {seen}."
    return (Turn(question=f"{catalogue()}\n\nPlease run {wanted} on this image.", answer=answer),)


def _call(name: str) -> str:
    return f"<modelcall> {json.dumps({'name': name})} </modelcall>"


def _response(chances: Mapping[str, float]) -> str:
    return f"<function_response> {json.dumps(chances)} </function_response>"


def _read(best: str, chance: float) -> str:
    sure = "fairly clear" if chance >= 0.8 else "not clear"
    return (
        f"The classifier finds {best} most likely, with a probability of {chance:.2f}. That is {sure}, and no diagnosis: "
        "a doctor should look at the image."
    )


def _draw(key: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{key}".encode()).digest()[:4])
