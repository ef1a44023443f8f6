"""A few questions about held-out pictures in, one page of the model's answers as it learns out."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from midefics.evidence.held_out import evenly
from midefics.pictures import BROKEN
from midefics.records import Row
from midefics.vlm.collate import opened
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import Loaded

LONGEST = 64
"""Tokens; a longer answer is cut."""
STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;max-width:60rem}section{display:flex;gap:1.5rem;margin:2rem 0}"
    "img{width:12rem;height:12rem;object-fit:contain;background:#eee;image-rendering:pixelated}"
    "td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}td:first-child{color:#666}"
)


class Asked(NamedTuple):
    """One question that is asked again and again."""

    row: str
    question: str
    expected: str
    image: bytes


class SampleAnswers:
    """Asks the same questions at every validation.

    Args:
        rows: of the validation split; the first question of a few, evenly spread, is asked, unless their picture can't
            be decoded.
        count: how many.
        given: what an earlier process heard, by step and row; it may have asked others.
    """

    def __init__(self, rows: Sequence[Row], count: int, given: dict[str, dict[str, str]] | None = None) -> None:
        chosen = [row for row in evenly(rows, count) if _decodes(row.image)]
        self.asked = [Asked(row.id, row.turns[0].question, row.turns[0].answer, row.image) for row in chosen]
        self.given: dict[str, dict[str, str]] = dict(given or {})

    def ask(self, loaded: Loaded, step: int) -> None:
        """Asks; leaves the model in evaluation mode, as generating in training mode gives garbage."""
        prompts = [Prompt(asked.question, asked.image) for asked in self.asked]
        heard = answers(loaded, prompts, len(prompts), LONGEST)
        self.given[str(step)] = {asked.row: said for asked, said in zip(self.asked, heard, strict=True)}

    def page(self) -> str:
        """HTML that needs nothing else."""
        sections = "".join(map(self._section, self.asked))
        return (
            f'<!doctype html><meta charset="utf-8"><title>Sample answers</title><style>{STYLE}</style>'
            f"<h1>Sample answers</h1><p>Questions of the validation split, asked at every validation.</p>{sections}"
        )

    def _section(self, asked: Asked) -> str:
        kind = "png" if asked.image.startswith(b"\x89PNG") else "jpeg"
        picture = f"data:image/{kind};base64,{base64.b64encode(asked.image).decode()}"
        heard = sorted(self.given.items(), key=lambda item: int(item[0]))
        lines = "".join(
            f"<tr><td>step {step}</td><td>{escape(said[asked.row])}</td></tr>"
            for step, said in heard
            if asked.row in said
        )
        return (
            f'<section><img src="{picture}" alt=""><div><h3>{escape(asked.question)}</h3><small>{escape(asked.row)}</small>'
            f"<table><tr><th>expected</th><th>{escape(asked.expected)}</th></tr>{lines}</table></div></section>"
        )


def _decodes(image: bytes) -> bool:
    try:
        opened(image)
    except BROKEN:
        return False
    return True
