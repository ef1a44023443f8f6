import pytest
from pydantic import ValidationError
from sqlalchemy import text

from midefics.errors import ConfigError
from midefics.evidence.agreement import Agreement, Vote, agreements, cohens_kappa
from midefics.records import Manifest, Row, Turn
from midefics.services import Services
from midefics.services.reviews import Key, Review, Reviews, Verdict, turns_digest
from tests.rows import make_row, make_services, stored
from tests.test_assemble import assembled, rows, splits

TURNS = tuple(Turn(question=f"What is seen at {place}?", answer=f"A nevus at {place}.") for place in "abcd")
OTHERS = tuple(Turn(question=f"What is seen at {place}?", answer=f"A brown nevus at {place}.") for place in "abcd")


@pytest.fixture
def services(tmp_path) -> Services:
    return make_services(tmp_path)


def review(row: Row, decision: str, reviewer: str = "Ann", **more: object) -> Review:
    turns = {"turns": OTHERS} if decision == "edit" else {}
    return Review.model_validate(
        {"row": row.id, "turns_sha256": turns_digest(row.turns), "source": row.source, "decision": decision}
        | {"reviewer": reviewer}
        | turns
        | more
    )


def conversation(number: int = 0) -> Row:
    return make_row(number, turns=TURNS, writer="gpt-3.5-turbo")


def test_the_newest_decision_of_each_person_counts_and_none_is_lost(services: Services) -> None:
    one, other = conversation(1), conversation(2)
    reviews = services.reviews
    reviews.decide([review(one, "reject", reason="no"), review(one, "accept", "Bob"), review(other, "reject", "Bob")])
    reviews.decide([review(one, "accept")])
    again = Reviews(services.ledger.engine)
    assert [(found.row, found.reviewer, found.decision) for found in again.current()] == [
        (one.id, "Bob", "accept"),
        (other.id, "Bob", "reject"),
        (one.id, "Ann", "accept"),
    ]
    assert [found.decision for found in again.history()] == ["reject", "accept", "reject", "accept"]
    assert [found.row for found in again.current([other.id, "isic/none"])] == [other.id]
    with services.ledger.engine.connect() as connection:
        assert connection.execute(text("select count(*) from reviews where decided_at is not null")).scalar() == 4


def test_one_rejection_rejects_until_it_is_taken_back_and_then_the_newest_edit_holds(services: Services) -> None:
    row = conversation()
    key = Key(row.id, turns_digest(TURNS))
    services.reviews.decide(
        [review(row, "edit"), review(row, "reject", "Bob", reason="wrong"), review(row, "accept", "Cy")]
    )
    assert services.reviews.verdicts() == {key: Verdict("reject", (), "wrong")}
    services.reviews.decide([review(row, "accept", "Bob")])
    assert services.reviews.verdicts() == {key: Verdict("edit", OTHERS)}
    services.reviews.decide([review(row, "accept")])
    assert services.reviews.verdicts() == {key: Verdict("accept")}


def test_a_decision_with_a_known_reference_is_not_taken_again(services: Services) -> None:
    row = conversation()
    imported = review(row, "reject", reason="no", reference="label-studio 17")
    assert services.reviews.decide([imported, imported]) == 1
    services.reviews.decide([review(row, "accept")])
    assert services.reviews.decide([imported]) == 0
    assert services.reviews.current()[0].decision == "accept"


def test_an_edit_has_turns_and_nothing_else_has() -> None:
    with pytest.raises(ValidationError, match="an edit needs turns"):
        review(conversation(), "edit", turns=())
    with pytest.raises(ValidationError, match="an edit needs turns"):
        review(conversation(), "accept", turns=OTHERS)


def test_the_digest_tells_where_a_question_ends() -> None:
    assert turns_digest([Turn(question="a", answer="bc")]) != turns_digest([Turn(question="ab", answer="c")])


def test_cohens_kappa_of_a_textbook_table() -> None:
    # 20 both accept, 5 only the first, 10 only the second, 15 both reject:
    # observed 35/50 = 0.7; expected 25/50 * 30/50 + 25/50 * 20/50 = 0.5; kappa 0.2 / 0.5 = 0.4.
    told = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohens_kappa(told) == pytest.approx(0.4)
    assert cohens_kappa([("y", "n"), ("n", "y")]) == pytest.approx(-1)
    assert cohens_kappa([("y", "y")] * 3) is None


def test_agreement_is_of_every_two_people_by_source_and_over_all() -> None:
    table = {
        "isic": {"1": {"Ann": "accept", "Bob": "accept"}, "2": {"Ann": "reject", "Bob": "accept"}},
        "roco": {"3": {"Bob": "reject", "Ann": "reject", "Cy": "edit"}, "4": {"Ann": "accept"}},
    }
    votes = [
        Vote(source, (row,), reviewer, decision)
        for source, found in table.items()
        for row, cast in found.items()
        for reviewer, decision in cast.items()
    ]
    pair = ("Ann", "Bob")
    # Over all: observed 2/3; Ann accepts 1/3, rejects 2/3; Bob accepts 2/3, rejects 1/3: expected 4/9; (6-4)/(9-4).
    assert agreements(votes) == [
        Agreement("all", pair, 3, pytest.approx(2 / 3), pytest.approx(0.4)),
        Agreement("all", ("Ann", "Cy"), 1, 0.0, 0.0),
        Agreement("all", ("Bob", "Cy"), 1, 0.0, 0.0),
        Agreement("isic", pair, 2, 0.5, pytest.approx(0.0)),
        Agreement("roco", pair, 1, 1.0, None),
        Agreement("roco", ("Ann", "Cy"), 1, 0.0, 0.0),
        Agreement("roco", ("Bob", "Cy"), 1, 0.0, 0.0),
    ]


def written(groups: int = 40) -> list[Row]:
    return [row.model_copy(update={"turns": TURNS, "writer": "gpt-3.5-turbo"}) for row in rows("isic", groups)]


def kept(services: Services, manifest: Manifest) -> dict[str, Row]:
    return {row.id: row for row in services.storage.rows(manifest)}


def test_rejected_conversations_leave_and_edited_ones_come_as_edited(services: Services) -> None:
    found = written()
    before = assembled(services, found)
    services.reviews.decide([review(found[0], "reject", reason="says what nothing supports"), review(found[1], "edit")])
    after = assembled(services, found)
    assert (after.rows, after.rejected) == (before.rows - 1, {"rejected by a reviewer": 1})
    out = services.storage.rejected(after)[0]
    assert (out.id, out.detail) == (found[0].id, "says what nothing supports")
    edited, other = kept(services, after)[found[1].id], kept(services, after)[found[2].id]
    assert (edited.turns, edited.writer) == (OTHERS, "gpt-3.5-turbo edited")
    assert (other.turns, other.writer) == (TURNS, "gpt-3.5-turbo")
    assert splits(services, after).items() <= splits(services, before).items()


def test_a_decision_that_matters_makes_a_new_data_set_and_others_make_none(services: Services) -> None:
    found = written()
    before = assembled(services, found)
    services.reviews.decide([review(found[0], "accept"), review(conversation(777), "reject", reason="not in here")])
    assert assembled(services, found) == before
    services.reviews.decide([review(found[0], "reject", reason="wrong")])
    after = assembled(services, found)
    assert after.digest != before.digest
    assert before.digest in after.parents
    assert assembled(services, found) == after
    services.reviews.decide([review(found[0], "accept")])
    assert splits(services, assembled(services, found)) == splits(services, before)


def test_a_decision_does_not_hold_for_a_conversation_written_anew(services: Services) -> None:
    found = written()
    services.reviews.decide([review(found[0], "reject", reason="wrong")])
    anew = [row.model_copy(update={"turns": OTHERS}) for row in found]
    assert assembled(services, anew).rows == len(found)


@pytest.mark.parametrize(("way", "expected"), [("honour", 119), ("require", 60), ("ignore", 120)])
def test_decisions_may_be_required_or_ignored(services: Services, way: str, expected: int) -> None:
    found = written()
    services.reviews.decide(review(row, "edit" if place % 2 else "accept") for place, row in enumerate(found[:61]))
    services.reviews.decide([review(found[0], "reject", reason="wrong")])
    manifest = assembled(services, found, reviews=way)
    assert manifest.rows == expected
    turned_away = {"honour": {"rejected by a reviewer": 1}, "ignore": {}}
    both = {"rejected by a reviewer": 1, "not reviewed": 59}
    assert manifest.rejected == turned_away.get(way, both)
    edits = sum(row.writer.endswith(" edited") for row in services.storage.rows(manifest))
    assert edits == (0 if way == "ignore" else 30)


def test_a_licence_is_named_before_a_rejection(services: Services) -> None:
    found = written()
    found[0] = found[0].model_copy(update={"licence": "unheard of"})
    services.reviews.decide([review(found[0], "reject", reason="wrong")])
    assert assembled(services, found, use="research").rejected == {"licence not known": 1}


def test_an_unknown_way_is_refused() -> None:
    from tests.test_assemble import demo

    with pytest.raises(ConfigError, match=r"assemble\.reviews"):
        demo(reviews="perhaps")


def test_what_is_stored_is_described_without_pictures_and_found_by_place(services: Services) -> None:
    from midefics.errors import StorageError
    from midefics.services.descriptions import described, row_at

    found = [make_row(number, turns=TURNS, image=b"\x89PNG" + bytes([number % 256])) for number in range(1100)]
    manifest = stored(services, "conversations", found)
    assert list(described(services.storage, manifest)) == [row.model_copy(update={"image": b""}) for row in found]
    for place in (0, 63, 64, 999, 1000, 1099):
        assert row_at(services.storage, manifest, place) == found[place]
    with pytest.raises(StorageError, match="has no row that far"):
        row_at(services.storage, manifest, 1100)
