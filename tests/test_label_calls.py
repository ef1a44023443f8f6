"""Conversations that call a classifier, and those about no image, as a language model writes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from midefics.grounding import problems
from midefics.model_calls import MARK, TOOLS, catalogue, exchange, faults
from midefics.prompts import MODEL_CALLS, TEXT_ONLY, load_prompt
from midefics.records import Row
from midefics.services.conversations import parse_conversation
from midefics.sources import source
from midefics.stages import label
from midefics.stages.tasks import call_objection, general_objection
from tests.chat_server import Body, chat_server, conversation, told
from tests.rows import make_row, make_services, stored
from tests.test_label import config

OPENING = ("What is seen here?", "A skin lesion.")
ENDING = ("What is next?", "It should be watched.")


def rows(count: int) -> list[Row]:
    return [make_row(number, metadata={"diagnosis": "nevus", "benign_malignant": "benign"}) for number in range(count)]


def good(body: Body) -> str:
    """What an able model writes."""
    about = told(body)
    if "term" in about:
        return conversation(
            (f"What is {about['term']}?", about["definition"]),
            ("Is it common?", "It may be."),
            ENDING,
            ("Why?", "To be sure."),
        )
    if "tool" not in about:
        return conversation(OPENING, ("Is it benign?", "Yes."), ENDING, ("Is it a nevus?", "Yes."))
    if not about["tool_fits"]:
        return conversation(OPENING, (f"Run {about['tool']}.", "That does not fit."), ENDING, ("Is it benign?", "Yes."))
    chance = about["probabilities"]["nevus"]
    called = f'<modelcall> {{"name": "{about["tool"]}"}} </modelcall>'
    reading = f"It finds a nevus most likely, at {chance:.0%}."
    return conversation(OPENING, ("Classify it, please.", called), (MARK, reading), ENDING)


@pytest.mark.parametrize("name", sorted(MODEL_CALLS))
def test_the_examples_of_the_call_prompts_keep_their_rules(name: str) -> None:
    messages = load_prompt(MODEL_CALLS[name], source(name).glossary, "- tools").messages({})
    examples = list(zip(messages[1:-1:2], messages[2:-1:2], strict=True))
    assert [json.loads(asked["content"].splitlines()[1])["tool_fits"] for asked, _ in examples] == [True, False]
    for asked, answered in examples:
        data: dict[str, Any] = json.loads(asked["content"].splitlines()[1])
        about = exchange("isic", {"diagnosis": "nevus"}, "1")
        assert about
        about = about._replace(tool=data["tool"], chances=data.get("probabilities", {}))
        if about.chances:
            assert set(about.chances) == set(TOOLS[about.tool].classes)
            assert sum(about.chances.values()) == pytest.approx(1)
        assert call_objection(name, data, about, parse_conversation(answered["content"])) is None


def test_a_share_of_the_rows_calls_a_classifier_and_code_writes_what_it_finds(tmp_path: Path) -> None:
    with chat_server(good) as server:
        services = make_services(tmp_path, openai_base_url=server.base_url)
        manifest = label.run(config(modelcall_share=0.5), stored(services, "validated", rows(40)), services=services)
    made = list(services.storage.rows(manifest))
    called = [row for row in made if row.prompt_version.startswith("modelcall-isic-1-")]
    assert (len(made), len(server.bodies), manifest.rejected) == (40, 40, {})
    assert 10 < len(called) < 30
    assert {row.writer for row in made} == {"gpt-3.5-turbo"}
    assert [fault for row in called for fault in faults(row.turns)] == []
    assert {row.labelling["checks"] for row in called} == {"format, grounding, model call"}
    assert all(row.turns[0].question == f"{catalogue()}\n\n{OPENING[0]}" for row in called)
    fitting = [row for row in called if "<function_response>" in row.turns[2].question]
    assert 0 < len(fitting) < len(called)
    for row in fitting:
        about = exchange(row.source, row.metadata, row.image_sha256)
        assert about
        assert json.loads(row.turns[2].question.split(">")[1].split("<")[0]) == about.chances


BAD: dict[str, tuple[tuple[str, str], ...]] = {
    "0 questions are <function_response/>": (("Classify it.", "CALL"), ENDING),
    "2 questions are <function_response/>": (("Classify it.", "CALL"), (MARK, "A nevus."), (MARK, "A nevus.")),
    "it calls nothing": (("Classify it.", "No."), (MARK, "A nevus.")),
    "it calls eye_classifier": (
        ("Classify it.", '<modelcall> {"name": "eye_classifier"} </modelcall>'),
        (MARK, "A nevus."),
    ),
    "is not followed by its response": (("Classify it.", "CALL"), ENDING, (MARK, "A nevus.")),
    "does not name nevus first": (("Classify it.", "CALL"), (MARK, "A melanoma, not a nevus.")),
    "denies nevus": (("Classify it.", "CALL"), (MARK, "It is not a nevus.")),
    "0.5 is not what was found": (("Classify it.", "CALL"), (MARK, "A nevus with a probability of 0.5.")),
    "turn 3: a tag in a question": (
        ("Classify it.", "CALL"),
        ('<function_response> {"nevus": 1.0} </function_response>', "A nevus."),
    ),
    "a tag in an answer": (("Classify it.", "CALL"), (MARK, "A nevus. </function_response>")),
}


@pytest.mark.parametrize("says", sorted(BAD))
def test_a_broken_call_is_sent_back_once_with_what_is_wrong_and_else_put_in_quarantine(
    tmp_path: Path, says: str
) -> None:
    fits = next(
        row for row in rows(40) if (about := exchange("isic", row.metadata, row.image_sha256)) and about.chances
    )
    turns = [(question, answer.replace("CALL", '<modelcall> {"name": "skin_cond_classifier"} </modelcall>'))
             for question, answer in BAD[says]]  # fmt: skip
    with chat_server(
        lambda body: good(body) if told(body).get("sex") else conversation(OPENING, *turns, ENDING)
    ) as server:
        services = make_services(tmp_path, openai_base_url=server.base_url)
        fine = make_row(99, metadata={"diagnosis": "nevus", "sex": "male"})
        given = stored(services, "validated", [fits, fine])
        manifest = label.run(config(modelcall_share=1, max_bad_share=0.5), given, services=services)
    (rejected,) = services.storage.rejected(manifest)
    assert (rejected.reason, manifest.rows, len(server.bodies)) == ("broken model call", 1, 3)
    (repair,) = [body["messages"][-1]["content"] for body in server.bodies if len(body["messages"]) > 6]
    assert says in repair


def test_what_a_classifier_finds_needs_no_ground_and_all_else_does() -> None:
    metadata = {"diagnosis": "nevus", "benign_malignant": "benign"}
    about = exchange("isic", metadata, "1")
    assert about
    about = about._replace(tool="skin_cond_classifier", chances={"nevus": 0.9, "melanoma": 0.1})
    about = about._replace(chances=about.chances | {"basal cell carcinoma": 0.0, "seborrheic keratosis": 0.0})
    call = ("Classify it.", '<modelcall> {"name": "skin_cond_classifier"} </modelcall>')

    def objections(reading: str, last: str) -> str:
        turns = parse_conversation(conversation(OPENING, call, (MARK, reading), ("And?", last)))
        found = call_objection("isic", metadata, about, turns)
        return found.detail if found else ""

    assert objections("A nevus at 0.9, then a melanoma at 0.1.", "It is benign.") == ""
    assert objections("A nevus at 0.9, then a melanoma at 0.1.", "It is a melanoma.") == "diagnosis"
    assert objections("A nevus, without any doubt.", "It is benign.") == "certainty"


def test_turns_about_no_image_come_beside_a_row_and_fall_back_to_the_definition(tmp_path: Path) -> None:
    def careless(body: Body) -> str:
        text = good(body)
        return text.replace("It may be.", "Take 5 mg twice a day.") if told(body).get("term") == "benign" else text

    with chat_server(careless) as server:
        services = make_services(tmp_path, openai_base_url=server.base_url)
        manifest = label.run(config(text_only_share=0.5), stored(services, "validated", rows(40)), services=services)
    made = list(services.storage.rows(manifest))
    telling = [row for row in made if row.text_only]
    assert (manifest.rows, manifest.facts["text_only_rows"]) == (40, len(telling))
    assert 10 < len(telling) < 30
    by_model = [row for row in telling if row.labelling["text_only"].startswith("gpt-3.5-turbo, text-1-")]
    by_us = [row for row in telling if row.labelling["text_only"] == "offline, definitions-1"]
    assert len(by_model) + len(by_us) == len(telling)
    assert {len(row.text_only) for row in by_model} == {4}
    assert {row.text_only[0].answer for row in by_us} == {
        "Benign means that a growth is no cancer and does not spread."
    }
    assert len(server.bodies) == 40 + len(by_model) + 2 * len(by_us)
    assert all(len(row.turns) == 4 for row in made)
    assert label.estimate(config(text_only_share=0.5), stored(services, "validated", rows(40)), services=services)[
        "in_ledger"
    ] == len(server.bodies)


@pytest.mark.parametrize(
    ("turns", "detail"),
    [
        ((("What is a nevus?", "A mole."),) * 4, ""),
        ((("What is a nevus?", "A mole."), ("And?", "Look at this image."), *((ENDING,) * 2)), "manners"),
        ((("What is a mole?", "A spot."),) * 4, "another term"),
        ((("What is a nevus?", "Take two tablets every six hours."),) * 4, "manners"),
    ],
)
def test_a_conversation_about_a_term_keeps_to_it(turns: tuple[tuple[str, str], ...], detail: str) -> None:
    from midefics.definitions import DEFINITIONS

    about = next(one for one in DEFINITIONS if one.asked == "a nevus")
    found = general_objection(about, parse_conversation(conversation(*turns)))
    assert (found.detail if found else "") == detail


def test_the_example_about_a_term_keeps_its_rules() -> None:
    from midefics.definitions import Definition

    _, asked, answered, _ = load_prompt(TEXT_ONLY, "").messages({})
    data = json.loads(asked["content"].splitlines()[1])
    about = Definition(data["term"], data["definition"], "x")
    assert general_objection(about, parse_conversation(answered["content"])) is None
    assert problems("vqa_rad", {}, parse_conversation(answered["content"])) == []
