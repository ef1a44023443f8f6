"""A row in, what a model is asked to write about it out: which prompt, what is told, what the answer must keep to.

Two kinds of conversation are about the image, *vqa* and *modelcall* (a share of the rows that a tool fits); a third is about
a term of medicine and no image.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache, partial
from typing import NamedTuple

from midefics import definitions
from midefics.config import LabelConfig
from midefics.definitions import Definition
from midefics.grounding import KINDS, kinds, problems, told
from midefics.grounding.manners import CERTAINTY, DOSAGE, LEAK, certainties, dosages, leaks
from midefics.grounding.vocabulary import MODALITY, SITE
from midefics.model_calls import Exchange, completed, draft_faults, exchange, listed, telling_place
from midefics.prompts import MODEL_CALLS, OF_SOURCE, TEXT_ONLY, VQA, Prompt, load_prompt
from midefics.records import Row, Scalar, Turn
from midefics.services.conversations import Conversation, Written
from midefics.services.requests import Objection, Request
from midefics.services.structured import format_for
from midefics.sources import source

BROKEN_CALL, NOT_GENERAL = "broken model call", "not general"
"""Reasons of conversations that are not taken."""
_FOUND_BY_TOOL = tuple(kind for kind in KINDS if kind not in (LEAK, DOSAGE, CERTAINTY))
_MADE_FOR = (MODALITY, SITE)
"""Kinds of claims that the answer about a tool may make without ground in the metadata."""
_OF_SOMETHING = re.compile(
    r"\b(?:this|that|the|your|his|her) (?:image|picture|photo\w*|scan|film|figure|patient|lesion|spot|finding)s?\b|\b(?:shown|seen) here\b",
    re.IGNORECASE,
)


class Task(NamedTuple):
    """One conversation that is wanted of a model."""

    row: Row
    prompt: Prompt
    about: Exchange | Definition | None = None
    """What it is about beside the row; of a term there is no image."""

    @property
    def is_text_only(self) -> bool:
        """Whether it is about no image."""
        return isinstance(self.about, Definition)

    def request(self, config: LabelConfig, model: str, base_url: str) -> Request:
        """What is sent."""
        return Request(
            base_url=base_url,
            model=model,
            messages=self._messages(),
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            prompt_version=self.prompt.version,
            input_digest=_input_digest(self.row),
            response_format=format_for(model, Conversation),
            check=self._check(),
        )

    def finished(self, written: Written) -> Written:
        """What came of it, as it is kept: a model call with its catalogue and its response."""
        if not (written.turns and isinstance(self.about, Exchange)):
            return written
        labelling = {**written.labelling, "checks": "format, grounding, model call"}
        return written._replace(turns=completed(self.about, written.turns), labelling=labelling)

    def _messages(self) -> tuple[dict[str, str], ...]:
        if isinstance(self.about, Definition):
            return self.prompt.messages({"term": self.about.asked, "definition": self.about.text})
        return self.prompt.messages(self.row.metadata, self.about.told() if self.about else None)

    def _check(self) -> "partial[Objection | None]":
        if isinstance(self.about, Definition):
            return partial(general_objection, self.about)
        if self.about:
            return partial(call_objection, self.row.source, self.row.metadata, self.about)
        return partial(objection, self.row.source, self.row.metadata)


def task_of(row: Row, config: LabelConfig) -> Task:
    """The conversation that is wanted about a row's image."""
    if about := call_for(row, config):
        return Task(row, prompt_for(MODEL_CALLS[row.source], row.source, listed()), about)
    return Task(row, prompt_for(OF_SOURCE.get(row.source, VQA), row.source))


def text_only_task_of(row: Row, config: LabelConfig) -> Task | None:
    """The conversation about no image that is wanted beside it."""
    about = term_for(row, config)
    return Task(row, text_only_prompt(), about) if about else None


def call_for(row: Row, config: LabelConfig) -> Exchange | None:
    """The exchange that a row's conversation is about; None for those beyond `label.modelcall_share`."""
    chosen = int(row.image_sha256[:8], 16) < config.modelcall_share * 2**32
    return exchange(row.source, row.metadata, row.image_sha256) if chosen else None


def term_for(row: Row, config: LabelConfig) -> Definition | None:
    """The term that a row is asked about without its image; None for those beyond `label.text_only_share`."""
    chosen = row.role == "train" and int(row.image_sha256[8:16], 16) < config.text_only_share * 2**32
    return definitions.definition(row.source, row.metadata, row.image_sha256) if chosen else None


@cache
def prompt_for(name: str, source_name: str, tools: str = "") -> Prompt:
    """A prompt with its source's glossary."""
    return load_prompt(name, source(source_name).glossary, tools)


@cache
def text_only_prompt() -> Prompt:
    """The prompt about terms."""
    return load_prompt(TEXT_ONLY, "")


def every_prompt() -> Iterator[Prompt]:
    """All there are, each with the glossary of its source."""
    for name in sorted(OF_SOURCE):
        yield prompt_for(OF_SOURCE[name], name)
    for name in sorted(MODEL_CALLS):
        yield prompt_for(MODEL_CALLS[name], name, listed())
    yield text_only_prompt()
    yield load_prompt(VQA, "")


def objection(source_name: str, metadata: dict[str, Scalar], turns: tuple[Turn, ...]) -> Objection | None:
    """What a conversation says that its row does not support."""
    found = problems(source_name, metadata, turns)
    return Objection(kinds(found), f"The data do not support {told(found)}.") if found else None


def call_objection(
    source_name: str, metadata: dict[str, Scalar], about: Exchange, turns: tuple[Turn, ...]
) -> Objection | None:
    """What breaks the grammar of a model call, else what has no ground: what the classifier finds stands for itself."""
    if broken := draft_faults(about, turns):
        return Objection("model call", f"The call is not as it must be: {'; '.join(broken[:6])}.", BROKEN_CALL)
    place, about_tool = telling_place(about, turns), _FOUND_BY_TOOL if about.chances else _MADE_FOR
    found = [one for one in problems(source_name, metadata, turns) if one.turn != place or one.kind not in about_tool]
    return Objection(kinds(found), f"The data do not support {told(found)}.") if found else None


def general_objection(about: Definition, turns: tuple[Turn, ...]) -> Objection | None:
    """What does not belong into a conversation about a term: an image, a dose, a certainty, another term first."""
    texts = [text for turn in turns for text in (turn.question, turn.answer)]
    words = [found for text in texts for found in (*leaks(text, ""), *dosages(text, ""), *certainties(text, ""))]
    words += [found.group() for text in texts for found in _OF_SOMETHING.finditer(text)]
    if words:
        listing = ", ".join(f'"{word}"' for word in words[:6])
        return Objection("manners", f"These words have no place in it: {listing}.", NOT_GENERAL)
    if about.term().lower() not in turns[0].question.lower():
        return Objection("another term", f"The first question does not ask for {about.asked}.", NOT_GENERAL)
    return None


def _input_digest(row: Row) -> str:
    content = [row.image_sha256, row.metadata]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
