"""A row in, the call that its conversation is to be about out; and whole conversations, by code or by a language model.

Whatever a classifier would find is decided here, by code: no language model writes a probability. A language model writes
the turns round the exchange and marks the place of the response with `MARK`, which code replaces.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from midefics.model_calls.grammar import call, called, faults, has_tag, response
from midefics.model_calls.tools import PARTS, TOOLS, catalogue
from midefics.records import Scalar, Turn

MARK = "<function_response/>"
"""Stands, as a language model writes it, where the response comes."""
HUNDREDTHS = 100
NOT_FITTING_ONE_IN = 4
"""Of so many conversations one asks for a tool that does not fit the image."""
_SKIN = "skin_cond_classifier"
_DECLINES = re.compile(r"\b(?:not|no|cannot)\b|n['’]t\b", re.IGNORECASE)


class Exchange(NamedTuple):
    """What is asked for, and what the tool finds."""

    tool: str
    chances: Mapping[str, float]
    """Of each of its classes; empty where the tool does not fit the image and is not called."""
    seen: str
    """What the image is: `an X-ray of the wrist`."""

    def told(self) -> dict[str, object]:
        """What a language model is told of it beside the metadata."""
        found = {"probabilities": dict(self.chances)} if self.chances else {}
        return {"tool": self.tool, "tool_fits": bool(self.chances)} | found


def exchange(source: str, metadata: Mapping[str, Scalar], key: str) -> Exchange | None:
    """The exchange about one row, the same for the same key; None where no tool knows what the image shows.

    ROCO has none: a caption does not say which of a tool's classes its figure belongs to.
    """
    name, truth = _fitting(source, metadata)
    if not name:
        return None
    part = str(metadata.get("body_part", ""))
    seen = f"an X-ray of the {part}" if source == "mura" else "a picture of the skin"
    if _draw(key, "fits") % NOT_FITTING_ONE_IN == 0:
        return Exchange(_not_fitting(part, key), {}, seen)
    return Exchange(name, probabilities(name, truth, key), seen)


def compose(source: str, metadata: Mapping[str, Scalar], key: str) -> tuple[Turn, ...]:
    """A conversation about one row by code alone; empty where no tool knows what it shows."""
    found = exchange(source, metadata, key)
    if found is None:
        return ()
    if not found.chances:
        answer = f"That tool does not fit: it {TOOLS[found.tool].does}, and this is {found.seen}."
        return (Turn(question=f"{catalogue()}\n\nPlease run {found.tool} on this image.", answer=answer),)
    asked = ("What does the classifier say about this image?", "Please run the classifier that fits this image.")
    return (
        Turn(question=f"{catalogue()}\n\n{asked[_draw(key, 'asked') % len(asked)]}", answer=call(found.tool)),
        Turn(question=response(found.chances), answer=_read(found.chances)),
    )


def completed(about: Exchange, turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """What a language model wrote, with the catalogue before it and the response in its place."""
    filled = [
        turn.model_copy(update={"question": response(about.chances)})
        if turn.question == MARK and about.chances
        else turn
        for turn in turns
    ]
    first = filled[0].model_copy(update={"question": f"{catalogue()}\n\n{filled[0].question}"})
    return (first, *filled[1:])


def draft_faults(about: Exchange, turns: Sequence[Turn]) -> list[str]:
    """What is wrong with a conversation as a language model wrote it, before it is completed."""
    tags = [f"turn {number}: a tag in a question" for number, turn in enumerate(turns, start=1)
            if turn.question != MARK and has_tag(turn.question)]  # fmt: skip
    return tags + (_call_faults(about, turns) if about.chances else _refusal_faults(about, turns))


def telling_place(about: Exchange, turns: Sequence[Turn]) -> int | None:
    """The place, from 1, of the answer that tells of the tool: what it found, or why it does not fit; None without one."""

    def tells(turn: Turn) -> bool:
        return turn.question == MARK if about.chances else about.tool in turn.question

    return next((number for number, turn in enumerate(turns, start=1) if tells(turn)), None)


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


def _call_faults(about: Exchange, turns: Sequence[Turn]) -> list[str]:
    marks = sum(turn.question == MARK for turn in turns)
    names = [name for turn in turns if (name := called(turn.answer))]
    if marks != 1:
        return [f"{marks} questions are {MARK}, and exactly one must be"]
    if names != [about.tool]:
        return [f"it calls {', '.join(names) or 'nothing'}, and must call {about.tool} once"]
    return faults(completed(about, turns))


def _refusal_faults(about: Exchange, turns: Sequence[Turn]) -> list[str]:
    if any(turn.question == MARK or has_tag(turn.answer) for turn in turns):
        return [f"{about.tool} does not fit the image and must not be called"]
    asked = next((turn for turn in turns if about.tool in turn.question), None)
    if asked is None:
        return [f"no question asks for {about.tool}"]
    return [] if _DECLINES.search(asked.answer) else [f"the answer does not say that {about.tool} does not fit"]


def _fitting(source: str, metadata: Mapping[str, Scalar]) -> tuple[str, str]:
    """The tool and the class it should find; empty where there is none."""
    diagnosis, label = str(metadata.get("diagnosis", "")), str(metadata.get("study_label", ""))
    if source == "isic" and diagnosis in TOOLS[_SKIN].classes:
        return _SKIN, diagnosis
    name = f"{metadata.get('body_part', '')}_abnormality_classifier"
    return (name, label) if source == "mura" and name in TOOLS and label in TOOLS[name].classes else ("", "")


def _not_fitting(part: str, key: str) -> str:
    """Of an X-ray the classifier of the skin or of another part, of a lesion that of any part."""
    others = [f"{one}_abnormality_classifier" for one in PARTS if one != part]
    if part and _draw(key, "kind") % 2:
        return _SKIN
    return others[_draw(key, "part") % len(others)]


def _read(chances: Mapping[str, float]) -> str:
    best = max(chances, key=chances.__getitem__)
    sure = "fairly clear" if chances[best] >= 0.8 else "not clear"
    return (
        f"The classifier finds {best} most likely, with a probability of {chances[best]:.2f}. That is {sure}, and no "
        "diagnosis: a doctor should look at the image."
    )


def _draw(key: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{key}".encode()).digest()[:4])
