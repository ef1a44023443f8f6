"""One conversation and what was decided on it in, its page out."""

import base64
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from midefics.records import Row, Turn
from midefics.review.edits import MOST
from midefics.review.form import Asked
from midefics.review.queue import Entry
from midefics.services.reviews import Key, Review

TOLD_ELSEWHERE = {
    "id", "source", "group", "links", "image", "image_sha256", "phash", "metadata", "turns", "text_only", "split", "licence", "attribution",
    "width", "height", "format",
}  # fmt: skip
"""What the page shows in places of its own, or what tells a reviewer nothing."""
FILES = {"review.css": "text/css", "review.js": "text/javascript"}


class Progress(NamedTuple):
    """How far one person has come in a sample."""

    decided: int
    rejected: int
    of: int


class View(NamedTuple):
    """Everything a page shows."""

    asked: Asked
    entry: Entry
    row: Row
    progress: Progress
    sources: Sequence[str]
    mine: Review | None
    """What the person has decided on this conversation."""
    others: Sequence[Review]
    """What others have; shown only to those who have decided themselves, so that nobody follows another."""
    may_decide: bool
    typed: Sequence[Turn] | None = None
    """What the person typed, where it could not be taken."""
    problem: str = ""
    token: str = ""
    """What confirms an edit in spite of the problem; empty where nothing can."""


def rendered(view: View) -> str:
    """The page as HTML."""
    shown = view.typed or (view.mine.turns if view.mine and view.mine.turns else view.row.turns)
    room = max(MOST, len(view.row.turns)) - len(shown)
    return _template().render(
        view._asdict(),
        turns=view.mine.turns if view.mine and view.mine.turns else view.row.turns,
        fields=[*shown, *[Turn(question="", answer="")] * room],
        metadata={name: value for name, value in view.row.metadata.items() if value not in (None, "")},
        facts=facts(view.row),
        picture=as_url(view.row.image),
    )


def static(name: str) -> str:
    """The style sheet or the script."""
    return (resources.files("midefics.review") / "static" / name).read_text(encoding="utf-8")


def facts(row: Row) -> dict[str, object]:
    """What a row carries besides: who wrote it, with which prompt, what was checked."""
    known = row.model_dump(exclude=TOLD_ELSEWHERE | {"labelling"}) | row.labelling
    return {name: value for name, value in known.items() if value not in (None, "", ())}


def as_url(picture: bytes) -> str:
    """A picture as an address that holds it."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def of_person(reviews: Sequence[Review], reviewer: str) -> dict[Key, Review]:
    """One person's decisions by conversation."""
    return {review.key: review for review in reviews if review.reviewer == reviewer}


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["name"] = lambda field: str(field).replace("_", " ")
    text = (resources.files("midefics.review") / "templates" / "page.html").read_text(encoding="utf-8")
    return environment.from_string(text)
