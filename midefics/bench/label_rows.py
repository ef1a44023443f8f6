"""A number in, so many drawn rows that are ready to be labelled out, and the surroundings to label them in."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from midefics.bench.label_server import CONVERSATION, LabelServer
from midefics.config import RunConfig
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.ledger import Answer
from midefics.services.requests import Request
from midefics.stages import label

MODEL, TOGETHER, BUDGET_USD = "gpt-3.5-turbo", 64, 500.0


class home_at:  # noqa: N801 (reads as a function)
    """Services of their own folder, pointed at the server."""

    def __init__(self, services: Services, server: LabelServer) -> None:
        self._folder = tempfile.TemporaryDirectory()
        changes = {"home": Path(self._folder.name), "openai_base_url": server.base_url, "openai_api_key": None}
        self._services = Services(services.settings.model_copy(update=changes))

    def __enter__(self) -> Services:
        return self._services

    def __exit__(self, *_: object) -> None:
        self._services.ledger.close()
        self._folder.cleanup()


def run_config(**values: object) -> RunConfig:
    """A configuration with a budget; values of its section `label` by name."""
    content = {"name": "bench", "base_model": "tiny-idefics", "sources": {"isic": {"path": "none"}}}
    fixed = {"model": MODEL, "concurrency": TOGETHER, "budget_usd": BUDGET_USD}
    return RunConfig.model_validate(content | {"label": fixed | values})


def requests_for_rows(home: Services, rows: int) -> list[Request]:
    """What is asked for the first so many rows."""
    return [request for _, request in asked_rows(home, rows) if request]


def asked_rows(home: Services, rows: int) -> Iterator[tuple[Row, Request | None]]:
    """The first so many rows, with what is asked for each."""
    return label.requests_for(run_config(), MODEL, [validated(home, rows)], home)


def validated(home: Services, rows: int) -> Manifest:
    """The first so many rows, in storage."""
    with home.storage.draft("validated") as draft:
        for number in range(rows):
            draft.add(_row(number))
    return draft.manifest


def _row(number: int) -> Row:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return Row(
        id=f"isic/ISIC_{number:07d}", source="isic", role="train", group=digest[:16], image=b"no picture is looked at",
        image_sha256=digest, phash=digest[:16], width=640, height=480, licence="CC-0", attribution="drawn",
        metadata={"age_approx": number % 90, "benign_malignant": "benign", "diagnosis": "nevus", "sex": "male"},
    )  # fmt: skip


def answer_to(request: Request) -> Answer:
    """What the server would answer."""
    return Answer(
        key=request.key, model=request.model, prompt_version=request.prompt_version, text=CONVERSATION,
        input_digest=request.input_digest, finish_reason="stop", prompt_tokens=700, completion_tokens=90,
    )  # fmt: skip
