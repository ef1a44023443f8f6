import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from midefics.commands.review import app
from midefics.errors import DataError
from midefics.records import Row, Turn
from midefics.review.doubts import Doubt, Familiar
from midefics.review.edits import as_text, edited_turns, read_text
from midefics.review.queue import Queue, Sample
from midefics.services import Services
from midefics.services.reviews import Key, turns_digest
from tests.rows import make_row, make_services, stored
from tests.test_review_page import conversations, labelled, turns
from tests.test_reviews import review


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


def midefics(services: Services, *words: object) -> str:
    home = str(services.settings.home)
    done = CliRunner().invoke(app, [str(word) for word in words], env={"MIDEFICS_HOME": home, "COLUMNS": "200"})
    return done.stdout + (str(done.exception) if done.exception else "")


def test_a_random_sample_is_the_same_for_everybody_and_the_seed_draws_another(services: Services) -> None:
    labelled(services, conversations(40))
    queue = Queue(services)
    first = [entry.key for entry in queue.take(Sample(size=10))]
    assert first == [entry.key for entry in Queue(services).take(Sample(size=10))]
    assert first != sorted(first)
    assert [entry.key for entry in queue.take(Sample(size=20))][:10] == first
    assert [entry.key for entry in queue.take(Sample(size=10, seed=1))] != first


def test_the_newest_of_every_source_is_shown_and_one_output_where_it_is_named(services: Services) -> None:
    isic, mura = conversations(2), [make_row(7, id="mura/a", source="mura", turns=turns("old"))]
    parts = [stored(services, "conversations", rows) for rows in (isic, mura)]
    with services.storage.draft("dataset", [part.digest for part in parts]) as draft:
        draft.add(isic[0])
    services.storage.remember("demo", draft.manifest)
    anew = labelled(services, [mura[0].model_copy(update={"turns": turns("new")})])
    queue = Queue(services)
    shown = {entry.key for entry in queue.take(Sample())}
    assert shown == {Key(row.id, turns_digest(row.turns)) for row in isic} | {Key("mura/a", turns_digest(turns("new")))}
    assert queue.sources(Sample()) == ["isic", "mura"]
    assert [entry.key.row for entry in queue.take(Sample(of=(anew.uri,)))] == ["mura/a"]
    assert [entry.key.row for entry in queue.take(Sample(source="mura"))] == ["mura/a"]
    with pytest.raises(DataError, match="only conversations are reviewed"):
        queue.take(Sample(of=(draft.manifest.uri,)))


def asked(*questions: str, answer: str = "It is a nevus here.") -> Row:
    return make_row(
        0, turns=tuple(Turn(question=question, answer=f"{answer} {n}") for n, question in enumerate(questions))
    )


def test_doubt_adds_up_what_is_odd_and_how_rare_the_rarest_question_is() -> None:
    usual = asked("What is it?", "What is it?", "Is it new?", "Is it new?")
    assert Familiar([usual]).doubt(usual).reasons == ("a question asked twice",)
    # Of four questions, "is" and "it" are in all (0), "new" in one (log 4): the mean over three words is a third of log 4.
    row = asked("What is it?", "What was is it?", "Is it new?", "Is it what?")
    assert Familiar([row]).rarity("isic", "Is it new?") == pytest.approx(1 / 3)
    assert Familiar([row]).rarity("isic", "Zebras?") == 1
    assert Familiar([row]).rarity("elsewhere", "Zebras?") == 0


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({}, ()),
        ({0: "Yes."}, ("a very short answer",)),
        ({0: "word " * 81}, ("a very long answer",)),
        ({0: "It is that one.", 1: "it is  THAT one."}, ("an answer given twice",)),
    ],
)
def test_odd_answers_are_named(changed: dict[int, str], reasons: tuple[str, ...]) -> None:
    row = asked("What is a?", "What is b?", "What is c?", "What is d?")
    odd = [turn.model_copy(update={"answer": changed.get(n, turn.answer)}) for n, turn in enumerate(row.turns)]
    doubt = Familiar([row]).doubt(row.model_copy(update={"turns": tuple(odd)}))
    assert doubt == Doubt(pytest.approx(len(reasons) + 1 / 3), reasons)


def test_the_most_doubtful_come_first(services: Services) -> None:
    rows = conversations(5)
    rows[3] = rows[3].model_copy(update={"turns": (Turn(question="What?", answer="No."),) * 2})
    labelled(services, rows)
    first = Queue(services).take(Sample(order="doubtful"))[0]
    assert first.key.row == rows[3].id
    assert set(first.doubt.reasons) > {"few turns", "a very short answer", "a question asked twice"}


def test_a_conversation_as_text_is_read_back() -> None:
    assert read_text(as_text(turns(0))) == [(turn.question, turn.answer) for turn in turns(0)]
    assert read_text(" q: What?\n\nA:\tA nevus.\nFlat.\n") == [("What?", "A nevus. Flat.")]
    for bad in ("A: no question", "What?", "Q: one\nA: two\nA: three", "Q: one\nQ: two\nA: three"):
        with pytest.raises(DataError):
            read_text(bad)


def test_an_archives_own_short_conversation_may_stay_short() -> None:
    own = (Turn(question="Is it fractured?", answer="Yes."),)
    assert edited_turns(own, [("Is it broken?", "Yes.")]) == (Turn(question="Is it broken?", answer="Yes."),)
    with pytest.raises(DataError, match="1 to 6 turns, this one has 0"):
        edited_turns(own, [("", " ")])


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_what_was_exported_comes_in_once_and_into_another_ledger(
    services: Services, tmp_path_factory: pytest.TempPathFactory, tool: str
) -> None:
    rows = conversations(3)
    labelled(services, rows)
    said = [
        review(rows[0], "accept"),
        review(rows[1], "edit", reason="clumsy"),
        review(rows[1], "reject", "Bob", reason="no"),
    ]
    services.reviews.decide(said)
    file = tmp_path_factory.mktemp("out") / "reviews.json"
    assert "3 conversations" in midefics(services, "export", file, "--format", tool)
    assert "0 decisions added, 3 known already" in midefics(services, "import", file, "--format", tool)
    elsewhere = make_services(tmp_path_factory.mktemp("elsewhere"))
    labelled(elsewhere, rows)
    assert "3 decisions added, 0 known already" in midefics(elsewhere, "import", file, "--format", tool)
    assert "0 decisions added, 3 known already" in midefics(elsewhere, "import", file, "--format", tool)
    assert sorted(elsewhere.reviews.current(), key=str) == sorted(said, key=str)
    elsewhere.reviews.decide([review(rows[0], "reject", reason="on second thoughts")])
    assert "0 decisions added" in midefics(elsewhere, "import", file, "--format", tool)
    assert elsewhere.reviews.current([rows[0].id])[-1].decision == "reject"


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_pictures_are_in_the_file_or_beside_it(services: Services, tmp_path: Path, tool: str) -> None:
    rows = conversations(1)
    labelled(services, rows)
    file, folder = tmp_path / "out.json", tmp_path / "pictures"
    place = "data" if tool == "label-studio" else "fields"
    midefics(services, "export", file, "--format", tool)
    assert json.loads(file.read_text())[0][place]["image"].startswith("data:image/png;base64,")
    midefics(services, "export", file, "--format", tool, "--pictures", folder)
    assert Path(json.loads(file.read_text())[0][place]["image"]).read_bytes() == rows[0].image


def test_the_interface_has_the_fields_that_come_back(services: Services, tmp_path: Path) -> None:
    labelled(services, conversations(1))
    midefics(services, "export", tmp_path / "out.json", "--format", "label-studio")
    interface = ElementTree.fromstring((tmp_path / "out.xml").read_text())  # noqa: S314 (our own)
    named = {tag.get("name") for tag in interface.iter() if tag.get("toName")}
    assert named == {"decision", "edited", "reason"}
    data = json.loads((tmp_path / "out.json").read_text())[0]["data"]
    assert {tag.get("value", "")[1:] for tag in interface if tag.get("value", "").startswith("$")} <= set(data)


def from_label_studio(row: Row, *annotations: dict) -> str:
    """As Label Studio exports a task that was worked on."""
    data = {"row": row.id, "turns_sha256": turns_digest(row.turns), "image": "/data/upload/1.png"}
    return json.dumps([{"id": 7, "data": data, "annotations": annotations, "predictions": [], "project": 3}])


def annotation(number: int, decision: str, when: str, by: object = 10, **texts: str) -> dict:
    result = [
        {
            "id": "a",
            "from_name": "decision",
            "to_name": "conversation",
            "type": "choices",
            "value": {"choices": [decision]},
        }
    ]
    for name, text in texts.items():
        result.append(
            {"id": name, "from_name": name, "to_name": "conversation", "type": "textarea", "value": {"text": [text]}}
        )
    return {
        "id": number,
        "completed_by": by,
        "result": result,
        "was_cancelled": False,
        "created_at": when,
        "updated_at": when,
    }


def test_label_studios_decisions_come_in_by_time_and_a_change_of_mind_comes_in_again(
    services: Services, tmp_path: Path
) -> None:
    row, file = conversations(1)[0], tmp_path / "in.json"
    labelled(services, [row])
    text = as_text(turns(0)).replace("A nevus, 0, 0 mm.", "A brown nevus.")
    file.write_text(
        from_label_studio(
            row,
            annotation(2, "edit", "2026-03-02T10:00:00Z", edited=text),
            annotation(1, "accept", "2026-03-01T10:00:00Z"),
            annotation(3, "reject", "2026-03-01T10:00:00Z", by={"email": "bob@example.org"}, reason="no"),
            annotation(4, "reject", "2026-03-03T10:00:00Z") | {"was_cancelled": True},
        )
    )
    words = ("import", file, "--format", "label-studio", "--reviewer", "10=Ann")
    assert "3 decisions added" in midefics(services, *words)
    assert "0 decisions added, 3 known" in midefics(services, *words)
    current = {one.reviewer: one for one in services.reviews.current()}
    assert {name: one.decision for name, one in current.items()} == {"Ann": "edit", "bob@example.org": "reject"}
    assert current["Ann"].turns[0].answer == "A brown nevus."
    services.reviews.decide([review(row, "reject", reason="no")])
    file.write_text(from_label_studio(row, annotation(1, "accept", "2026-03-09T10:00:00Z")))
    assert "1 decisions added" in midefics(services, *words)


def test_argillas_drafts_do_not_count(services: Services, tmp_path: Path) -> None:
    row, file = conversations(1)[0], tmp_path / "in.json"
    labelled(services, [row])
    responses = {
        "decision": [
            {"value": "accept", "user_id": "u1", "status": "submitted"},
            {"value": "reject", "user_id": "u2", "status": "draft"},
        ]
    }
    metadata = {"row": row.id, "turns_sha256": turns_digest(row.turns)}
    file.write_text(
        json.dumps([{"id": "x", "fields": {}, "metadata": metadata, "responses": responses, "_server_id": "s"}])
    )
    assert "1 decisions added" in midefics(services, "import", file, "--format", "argilla", "--reviewer", "u1=Ann")
    assert [one.reviewer for one in services.reviews.current()] == ["Ann"]


def test_what_cannot_be_taken_is_told_and_the_rest_comes_in(services: Services, tmp_path: Path) -> None:
    rows, file = conversations(2), tmp_path / "in.json"
    labelled(services, rows)
    gone = rows[1].model_copy(update={"turns": turns("other")})
    when = "2026-03-01T10:00:00Z"
    tasks = [
        json.loads(from_label_studio(rows[0], annotation(1, "accept", when), annotation(2, "burn", when, by=11)))[0],
        json.loads(from_label_studio(rows[1], annotation(3, "edit", when, edited="Q: one\nA: two")))[0],
        json.loads(from_label_studio(gone, annotation(4, "accept", when)))[0],
    ]
    file.write_text(json.dumps(tasks))
    told = midefics(services, "import", file, "--format", "label-studio")
    for expected in (
        "1 decisions added",
        "decision 'burn'",
        "4 to 6 turns, this one has 1",
        "written anew",
        "3 decisions of",
    ):
        assert expected in told
    for text in ("no json", '{"a": 1}', "[1]", '[{"data": {}}]', '[{"data": {}, "annotations": [{}]}]'):
        file.write_text(text)
        assert (
            "no label-studio export" in midefics(services, "import", file, "--format", "label-studio")
            or text == '[{"data": {}}]'
        )


def test_statistics_are_told(services: Services) -> None:
    assert json.loads(midefics(services, "stats", "--json")) == {"decisions": [], "agreement": []}
    rows = conversations(2)
    services.reviews.decide(review(row, "accept", who) for row in rows for who in ("Ann", "Bob"))
    services.reviews.decide([review(rows[0], "reject", reason="no")])
    told = json.loads(midefics(services, "stats", "--json"))
    assert told["decisions"] == [
        {"source": "isic", "reviewer": "Ann", "decision": "accept", "count": 1},
        {"source": "isic", "reviewer": "Ann", "decision": "reject", "count": 1},
        {"source": "isic", "reviewer": "Bob", "decision": "accept", "count": 2},
    ]
    both = {"reviewers": ["Ann", "Bob"], "conversations": 2, "share": 0.5, "kappa": 0.0}
    assert told["agreement"] == [{"source": "all"} | both, {"source": "isic"} | both]
    assert "Ann and Bob" in midefics(services, "stats")
