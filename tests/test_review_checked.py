"""Edits in review are held to the metadata: what they add without ground wants a second word, and no name is kept."""

import re
from pathlib import Path

import pytest

from midefics.errors import DataError
from midefics.model_calls import compose
from midefics.records import Turn
from midefics.review.checked import UnconfirmedError, checked_turns, is_broken_call, is_ungrounded
from midefics.review.doubts import Familiar
from midefics.services import Services
from tests.rows import make_row, make_services
from tests.test_review_page import client, conversations, decide, edit, labelled, turns

ROW = make_row(0, turns=turns(0))


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


def pairs(answer: str) -> list[tuple[str, str]]:
    return [*((turn.question, turn.answer) for turn in ROW.turns[:3]), ("What else is seen?", answer)]


def test_an_edit_that_the_metadata_support_is_taken_at_once() -> None:
    assert checked_turns(ROW, pairs("It is benign."))[3] == Turn(question="What else is seen?", answer="It is benign.")


@pytest.mark.parametrize(
    ("answer", "says", "kept"),
    [
        ("It is a melanoma.", 'turn 4: the metadata do not support "melanoma" (diagnosis)', "It is a melanoma."),
        ("It is on the left arm.", "(side)", "It is on the left arm."),
        ("Take 5 mg twice a day.", "(dosage)", "Take 5 mg twice a day."),
        ("Mr. John Miller has it.", "personal data is masked (names)", "[name] has it."),
    ],
)
def test_what_an_edit_adds_without_ground_is_shown_and_kept_when_it_is_confirmed(
    answer: str, says: str, kept: str
) -> None:
    with pytest.raises(UnconfirmedError) as caught:
        checked_turns(ROW, pairs(answer))
    assert says in str(caught.value)
    assert kept in checked_turns(ROW, pairs(answer), caught.value.token)[3].answer
    with pytest.raises(UnconfirmedError):
        checked_turns(ROW, pairs(f"{answer} It is on the right hand."), caught.value.token)


def test_what_the_original_says_without_ground_is_not_held_against_an_edit() -> None:
    row = ROW.model_copy(update={"turns": (*ROW.turns[:3], Turn(question="What is it?", answer="A melanoma."))})
    changed = [(turn.question, turn.answer) for turn in row.turns[1:]] + [("What is this, then?", "A melanoma.")]
    assert len(checked_turns(row, changed)) == 4


def test_an_edit_that_breaks_a_model_call_is_refused() -> None:
    made = next(found for n in range(20) if len(found := compose("isic", ROW.metadata, str(n))) == 2)
    row = ROW.model_copy(update={"turns": made, "writer": "code"})
    typed = [(made[0].question, made[0].answer), (made[1].question, "It is a melanoma.")]
    with pytest.raises(DataError, match="turn 2: the answer does not name nevus first"):
        checked_turns(row, typed)
    reworded = [(made[0].question, made[0].answer), (made[1].question, "Most likely a nevus.")]
    assert checked_turns(row, reworded)[1].answer == "Most likely a nevus."


def test_failed_checks_are_doubts() -> None:
    wrong = ROW.model_copy(update={"turns": (*ROW.turns[:3], Turn(question="What is it?", answer="It is a melanoma."))})
    passed = wrong.model_copy(update={"labelling": {"checks": "format, grounding"}})
    call = '<modelcall> {"name": "skin_cond_classifier"} </modelcall>'
    broken = ROW.model_copy(update={"turns": (Turn(question="Run it.", answer=call),), "writer": "archive"})
    assert [is_ungrounded(row) for row in (wrong, passed, broken)] == [True, False, False]
    assert [is_broken_call(row) for row in (wrong, passed, broken)] == [False, False, True]
    assert "says what the metadata do not support" in Familiar([wrong]).doubt(wrong).reasons
    assert "a broken model call" in Familiar([broken]).doubt(broken).reasons
    assert Familiar([wrong]).doubt(wrong).score >= 3


def test_the_page_asks_for_a_second_word_and_takes_it(services: Services) -> None:
    labelled(services, conversations(1))
    typed = edit(turns(0), **{"answer-1": "It is a melanoma."})
    answer = decide(client(services), decision="edit", **typed)
    assert (answer.status_code, services.reviews.history()) == (422, [])
    assert "the metadata do not support" in answer.text
    found = re.search(r'name="confirmed" value="([0-9a-f]{16})"', answer.text)
    assert found
    again = decide(client(services), decision="edit", confirmed=found[1], **typed)
    assert again.status_code == 303
    assert services.reviews.current()[0].turns[1].answer == "It is a melanoma."
