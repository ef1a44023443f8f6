"""Real captions and real lesions the whole way to conversations, asked of a faulty service and of an independent one."""

import json
import random
import shutil
from pathlib import Path

import pytest
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Reply
from PIL import Image
from pydantic import SecretStr

from midefics.config import RunConfig
from midefics.records import Manifest
from midefics.services import Services
from midefics.sources import source
from midefics.stages import ingest, label, validate
from tests.chat_server import MIX, Body, chat_server, told
from tests.rows import make_services

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CAPTIONS = DATA / "roco/data/test/radiology/captions.txt"
ROWS = {"isic": 90, "roco": 3446}
SAFE_TURNS = [
    {"question": question, "answer": answer}
    for question, answer in (
        ("What can you see in this picture?", "The picture shows a finding that deserves a closer look."),
        ("What could that mean?", "It may be harmless, and it may need treatment."),
        ("What should be done next?", "A specialist should look at the picture together with the patient."),
        ("Is anything else recommended?", "Earlier pictures may help to see whether it has changed."),
    )
]
"""They claim nothing."""
SAFE = json.dumps({"turns": SAFE_TURNS})
REASONS = {"no answer", "unreadable answer", "not grounded"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(
        not CAPTIONS.is_file(), reason=f"no {CAPTIONS}; the real archives are kept beside the project's folder"
    ),
]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two archives; the captions, whose pictures may not be copied, with grey noise of their own each."""
    roco = tmp_path_factory.mktemp("archives") / "roco"
    shutil.copytree(DATA / "roco", roco)
    images = roco / "data/test/radiology/images"
    images.mkdir(exist_ok=True)
    for line in CAPTIONS.read_text(encoding="utf-8").splitlines():
        name = line.partition("\t")[0].strip()
        pixels = random.Random(name).randbytes(24 * 24)  # noqa: S311 (pixels, no secret)
        drawn = Image.frombytes("L", (24, 24), pixels).resize((240, 240), Image.Resampling.BICUBIC)
        drawn.save(images / f"{name}.jpg", quality=85)
    return {"isic": DATA / "isic", "roco": roco}


@pytest.fixture(scope="module")
def validated(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A home with what validate let through."""
    home = tmp_path_factory.mktemp("home")
    services = make_services(home)
    images = ingest.run(config(archives), services=services)
    manifest = validate.run(config(archives), images, services=services)
    show(images=images.rows, ingest_rejected=images.rejected, validated=manifest.rows, rejected=manifest.rejected)
    assert images.rows + sum(images.rejected.values()) == sum(ROWS.values())
    return home, manifest


def config(archives: dict[str, Path]) -> RunConfig:
    sources = {name: {"path": str(path)} for name, path in archives.items()}
    values = {"timeout_s": 3, "concurrency": 32, "budget_usd": 100, "max_bad_share": 1.0}
    return RunConfig.model_validate({"name": "real", "base_model": "tiny-idefics", "sources": sources, "label": values})


def show(**figures: object) -> None:
    print(" ".join(f"{name}={value}" for name, value in figures.items()))  # noqa: T201 (for those who ask with -s)


def written(body: Body) -> str:
    """The conversation that the offline writer makes of the metadata that were sent, with turns that claim nothing after it."""
    metadata = told(body)
    turns = source("roco" if "caption" in metadata else "isic").conversation(metadata)
    return json.dumps({"turns": ([turn.model_dump() for turn in turns] + SAFE_TURNS)[:6]})


def all_accounted_for(services: Services, given: Manifest, made: Manifest) -> None:
    rejected = list(services.storage.rejected(made))
    ids = [row.id for row in services.storage.rows(made)] + [one.id for one in rejected]
    assert sorted(ids) == sorted(row.id for row in services.storage.rows(given))
    assert {one.reason for one in rejected} <= REASONS
    show(given=given.rows, labelled=made.rows, rejected=made.rejected, facts=made.facts)


def test_a_faulty_service_labels_every_real_row_or_says_why_not(
    archives: dict[str, Path], validated: tuple[Path, Manifest], tmp_path: Path
) -> None:
    home, given = validated
    with chat_server(written, faults=MIX, latency_s=0.02, stall_s=4) as service:
        ledger = f"sqlite:///{tmp_path}/ledger.db"
        services = make_services(home, openai_base_url=service.base_url, ledger_url=SecretStr(ledger))
        made = label.run(config(archives), given, services=services)
        show(met=dict(service.met), paid=service.paid.total(), asked_once=len(service.paid))
        all_accounted_for(services, given, made)
        assert made.rows > 0.9 * given.rows
        again = label.run(config(archives), given, services=services)
    assert (again.digest, again.facts["requests_made"]) == (made.digest, 0)


def test_an_independent_service_answers_every_real_row(
    archives: dict[str, Path], validated: tuple[Path, Manifest], tmp_path: Path, llmock: LLMock
) -> None:
    home, given = validated
    llmock.add(Reply(text=SAFE, times=None))
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    services = make_services(home, openai_base_url=llmock.base_url(), ledger_url=SecretStr(ledger))
    made = label.run(config(archives), given, services=services)
    all_accounted_for(services, given, made)
    assert made.facts["requests_made"] == len(
        [one for one in llmock.requests if one.path.endswith("/chat/completions")]
    )
    llmock.assert_resilient(strict=True)
