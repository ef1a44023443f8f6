"""Versioned prompt files in, chat messages out.

A file is `<name>-<N>.md`: parts that begin with `=== <role>`, the last one for the row in hand. Its version is its
name and a hash of its content and of the glossary, so that no edit can ever be served an answer to an older text.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import NamedTuple

from midefics.records import Scalar

VQA = "vqa-1"
"""The prompt of a source that has none of its own."""
OF_SOURCE = {"isic": "vqa-isic-1", "mura": "vqa-mura-1", "roco": "vqa-roco-1"}
MODEL_CALLS = {"isic": "modelcall-isic-1", "mura": "modelcall-mura-1"}
"""Prompts for conversations that call a classifier, of the sources that a tool fits."""
TEXT_ONLY = "text-1"
"""The prompt for conversations about no image."""
NEVER_SENT = re.compile(
    r"(^|_)(id|ids|patient|lesion|group|attribution|licen[cs]e|path|file|date|day|split)$", re.IGNORECASE
)
"""Metadata that identify someone or something, or say nothing of the image: no prompt holds them."""
_PART = re.compile(r"^=== (system|user|assistant)\n", re.MULTILINE)


class Prompt(NamedTuple):
    """A template and the source it is written for."""

    name: str
    text: str
    glossary: str
    tools: str = ""
    """The classifiers that may be called, a line each."""

    @property
    def version(self) -> str:
        """`vqa-1-3f9c0a1b`."""
        return f"{self.name}-{self.digest[:8]}"

    @property
    def digest(self) -> str:
        """SHA-256 of all that is fixed about it."""
        return _digest(self.text + self.glossary + self.tools)

    def messages(
        self, metadata: dict[str, Scalar], told: Mapping[str, object] | None = None
    ) -> tuple[dict[str, str], ...]:
        """Chat messages about one row, with its metadata fenced as data.

        The fence is a hash of what it encloses: the same every time, and out of reach of whoever wrote a value.

        Args:
            metadata: what the archive says.
            told: what we say besides, inside the same fence; it holds where the metadata have a field of that name.
        """
        data = _in_one_line({**sendable(metadata), **(told or {})})
        values = {
            "metadata": data,
            "fence": _fence(data),
            "example_fence": _fence(self.text),
            "glossary": self.glossary,
            "tools": self.tools,
        }
        # One pass: what is put in is not looked through for further $names.
        return tuple(
            {"role": role, "content": Template(part).substitute(values).strip()} for role, part in self.parts()
        )

    def parts(self) -> list[tuple[str, str]]:
        """Role and template of each message."""
        _, *parts = _PART.split(self.text)
        return list(zip(parts[::2], parts[1::2], strict=True))


def load_prompt(name: str, glossary: str, tools: str = "") -> Prompt:
    """Reads `<name>.md` of this folder."""
    return Prompt(name, (resources.files(__name__) / f"{name}.md").read_text(encoding="utf-8"), glossary, tools)


def sendable(metadata: dict[str, Scalar]) -> dict[str, Scalar]:
    """What may leave the house: no identifiers, nothing empty."""
    return {name: value for name, value in metadata.items() if value not in (None, "") and not NEVER_SENT.search(name)}


def _in_one_line(content: Mapping[str, object]) -> str:
    """JSON in which everything that can't be seen is escaped: line ends of every kind, and letters that hide."""
    data = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in data)


def _fence(content: str) -> str:
    return f"-----{_digest(content)[:24]}-----"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
