"""Turns about no image: what they say, whom they belong to, and that they are learnt without a picture and never scored."""

import re
from pathlib import Path

import pytest

from midefics.config import RunConfig
from midefics.definitions import DEFINITIONS, defining, definition
from midefics.grounding.manners import certainties, dosages, leaks
from midefics.model_calls import compose
from midefics.records import Row, Turn
from midefics.services import Services
from midefics.services.parts import canonical, read_part, write_part
from midefics.stages.evaluate import _questions
from midefics.stages.train import _samples
from tests.rows import make_row, make_services, stored

TURN = Turn(question="What is seen?", answer="A nevus.")
TERM = Turn(question="What is a nevus?", answer="A mole.")


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


def config(sample: str = "turn") -> RunConfig:
    content = {
        "name": "tried",
        "base_model": "tiny-idefics",
        "sources": {"isic": {"path": "x"}},
        "train": {"sample": sample},
    }
    return RunConfig.model_validate(content)


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.asked)
def test_a_definition_is_short_speaks_of_its_term_and_gives_no_advice(one) -> None:
    assert re.search(rf"\b(?:{one.named})\b", one.text, re.IGNORECASE)
    assert len(one.text) <= 110
    assert [*leaks(one.text, ""), *dosages(one.text, ""), *certainties(one.text, "")] == []
    assert not re.search(r"\bthis\b|\bthe (?:image|patient)\b|\d", one.text)
    assert len(set(one.questions())) == 2


@pytest.mark.parametrize(
    ("source", "metadata", "named"),
    [
        ("isic", {"diagnosis": "melanoma", "benign_malignant": "malignant"}, {"a melanoma", "malignant"}),
        ("mura", {"body_part": "wrist", "study_label": "normal"}, {"the wrist", "an X-ray"}),
        ("roco", {"caption": "Axial CT with pleural effusion."}, {"a CT", "a pleural effusion"}),
        ("roco", {"caption": "A figure."}, set()),
    ],
)
def test_a_row_is_asked_about_what_it_names(source: str, metadata: dict[str, str], named: set[str]) -> None:
    found = [definition(source, metadata, str(number)) for number in range(60)]
    assert {one.asked for one in found if one} == named
    assert found == [definition(source, metadata, str(number)) for number in range(60)]
    assert all(defining(one, "k").answer == one.text for one in found if one)


def test_turns_about_no_image_travel_with_their_row_and_older_rows_keep_their_digest(tmp_path: Path) -> None:
    plain, telling = make_row(0, turns=(TURN,)), make_row(1, turns=(TURN,), text_only=(TERM,))
    write_part([plain, telling], tmp_path / "part-00000.parquet")
    assert list(read_part(tmp_path / "part-00000.parquet")) == [plain, telling]
    assert b"text_only" not in canonical(plain)
    assert b"text_only" in canonical(telling)


def split(number: int, name: str, **changes: object) -> Row:
    return make_row(number, split=name, **{"turns": (TURN,), "text_only": (TERM,)} | changes)


def test_they_are_learnt_without_the_picture_and_never_asked_as_questions(services: Services, tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    rows = [split(0, "train"), split(1, "validation"), split(2, "test")]
    dataset = stored(services, "dataset", rows)
    for sample in ("turn", "conversation"):
        train, validation = _samples(config(sample), dataset, services, tokenizer)
        assert [one.image for one in train] == [rows[0].image, None]
        assert [one.image for one in validation] == [rows[1].image, None]
        assert "<image>" in tokenizer.decode(train[0].input_ids)
        text = tokenizer.decode(train[1].input_ids)
        assert "What is a nevus?" in text
        assert "<image>" not in text
    assert [question.text for question in _questions(rows, config())] == ["What is seen?"]


def test_a_call_and_its_response_are_learnt_together_and_the_response_is_no_question(
    services: Services, tiny_base: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    call = next(found for n in range(20) if len(found := compose("isic", make_row().metadata, str(n))) == 2)
    rows = [split(0, "train", turns=(TURN, *call), text_only=()), split(1, "test", turns=(*call, TURN), text_only=())]
    content = {"name": "tried", "base_model": "tiny-idefics", "sources": {"isic": {"path": "x"}}}
    chosen = RunConfig.model_validate(content | {"train": {"sample": "turn", "max_length": 4000}})
    train, _ = _samples(chosen, stored(services, "dataset", rows), services, tokenizer)
    assert len(train) == 2
    assert "<function_response>" in tokenizer.decode(train[1].input_ids)
    assert [question.text for question in _questions(rows, config())] == [call[0].question, "What is seen?"]


def test_the_card_tells_them_from_turns_about_images(tmp_path: Path) -> None:
    from midefics.evidence.dataset_card import dataset_card
    from midefics.evidence.papers import Papers

    told = ({"text_only": "offline, definitions-1"}, {"text_only": "gpt-4o, text-1-abc"})
    with Papers(tmp_path) as papers:
        for number, labelling in enumerate(told):
            papers.add(split(number, "train", writer="code", prompt_version="modelcall-1", labelling=labelling))
    card = dataset_card("demo", papers)
    assert "- 1 turns by `offline, definitions-1, without the image`: definitions of our own" in card
    assert "- 1 turns by `gpt-4o, text-1-abc, without the image`: a language model, from our definitions" in card
    assert "- 2 turns by `code, prompt modelcall-1`: calls of a classifier, composed by code" in card
