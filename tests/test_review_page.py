"""The review page: who may see and decide, that nothing quoted runs, and what reaches the ledger."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from midefics.records import Manifest, Row, Turn
from midefics.review.application import review_application
from midefics.review.form import MAX_FORM
from midefics.services import Services
from midefics.services.reviews import Review, turns_digest
from tests.rows import make_row, make_services, stored

REPOSITORY = Path(__file__).resolve().parents[1]
OURS = {"sec-fetch-site": "same-origin"}


def turns(mark: object) -> tuple[Turn, ...]:
    return tuple(Turn(question=f"What is seen at {mark}, {n}?", answer=f"A nevus, {mark}, {n} mm.") for n in range(4))


def conversations(count: int = 3, **changes: object) -> list[Row]:
    return [make_row(n, **{"turns": turns(n), "writer": "gpt-3.5-turbo"} | changes) for n in range(count)]


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


def labelled(services: Services, rows: list[Row]) -> Manifest:
    manifest = stored(services, "conversations", rows)
    services.storage.remember("demo", manifest)
    return manifest


def client(services: Services, reviewer: str = "Ann", allowed: bool = True) -> TestClient:
    application = review_application(services, lambda: reviewer, lambda: allowed, {"https://airflow.example.org"})
    return TestClient(application, follow_redirects=False)


def shown(page: str) -> dict[str, str]:
    """The hidden fields of the first form that decides."""
    form = page.partition('id="accept"')[2].partition("</form>")[0]
    return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form))


def decide(pages: TestClient, at: int = 1, headers: dict[str, str] = OURS, **fields: str):
    form = shown(pages.get(f"/?at={at}").text) | fields
    return pages.post("/decide", data=form, headers=headers)


def edit(original: tuple[Turn, ...], **changes: str) -> dict[str, str]:
    fields = {f"question-{n}": turn.question for n, turn in enumerate(original)}
    return fields | {f"answer-{n}": turn.answer for n, turn in enumerate(original)} | changes


def test_the_page_shows_picture_metadata_conversation_checks_and_progress(services: Services) -> None:
    labelled(services, conversations(1))
    answer = client(services).get("/")
    assert answer.status_code == 200
    for expected in (
        "data:image/png;base64,", "<dd>nevus</dd>", "<dt>age approx</dt>", "What is seen at 0, 3?", "gpt-3.5-turbo",
        "0 of 1, 0 rejected", "doubt score", "CC-0",
    ):  # fmt: skip
        assert expected in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "private, no-store"


def test_the_keys_are_told_to_eyes_and_to_screen_readers(services: Services) -> None:
    labelled(services, conversations(3))
    page = client(services).get("/?at=2").text
    for key in "AERJK?":
        assert f'aria-keyshortcuts="{key}"' in page
    assert page.count("<h1") == 1
    assert 'lang="en"' in page
    images = re.findall(r"<img[^>]*>", page)
    assert images
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    assert client(services).get("/static/review.js").headers["content-type"].startswith("text/javascript")
    assert client(services).get("/static/review.css").status_code == 200


def test_no_address_on_the_page_leaves_the_base_path(services: Services) -> None:
    labelled(services, conversations(3))
    outer = FastAPI()
    outer.mount("/airflow/midefics-review", client(services).app)
    pages = TestClient(outer, follow_redirects=True)
    page = pages.get("/airflow/midefics-review/?at=2")
    addresses = re.findall(r'(?:href|src|action)="([^"#d][^"]*)"', page.text)
    assert addresses
    assert not [address for address in addresses if address.startswith(("/", "http"))]
    after = pages.post("/airflow/midefics-review/decide", data=shown(page.text), headers=OURS)
    assert (after.status_code, after.url.path) == (200, "/airflow/midefics-review/")


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><textarea></textarea></form>"


def test_what_archives_models_and_people_wrote_is_escaped(services: Services) -> None:
    bad = tuple(Turn(question=f"{HOSTILE} {n}", answer=HOSTILE) for n in range(4))
    labelled(services, [make_row(0, turns=bad, writer=HOSTILE, attribution=HOSTILE, metadata={HOSTILE: HOSTILE})])
    decide(client(services, HOSTILE), decision="reject", reason=HOSTILE)
    decide(client(services), decision="accept")
    page = client(services).get("/").text
    assert HOSTILE not in page
    assert "<script>" not in page
    assert "onerror=alert(1)>" not in page
    assert page.count("&lt;script&gt;") > 10
    assert "onerror" not in client(services).get("/?source=%3Cimg+onerror%3D1%3E").headers["content-type"]


def test_decisions_reach_the_ledger_and_lead_on(services: Services) -> None:
    labelled(services, conversations(3))
    pages = client(services)
    first = shown(pages.get("/").text)
    answer = decide(pages, decision="reject", reason="contradicts the picture")
    assert (answer.status_code, answer.headers["location"]) == (303, "./?at=2")
    assert decide(pages, at=2).headers["location"] == "./?at=3"
    assert decide(pages, at=3).headers["location"] == "./?at=3"
    page = pages.get("/?at=1").text
    assert "3 of 3, 1 rejected" in page
    assert "You decided: reject (contradicts the picture)" in page
    assert "You have decided on every conversation" in page
    kept = services.reviews.history()[0]
    assert kept == Review(
        row=first["row"], turns_sha256=first["turns_sha256"], source="isic", decision="reject",
        reason="contradicts the picture", reviewer="Ann",
    )  # fmt: skip
    assert "0 of 3" in client(services, "Bob").get("/").text


def test_others_are_shown_only_to_those_who_have_decided(services: Services) -> None:
    labelled(services, conversations(1))
    decide(client(services, "Bob"), decision="reject", reason="too sure")
    assert "Bob" not in client(services).get("/").text
    decide(client(services), decision="accept")
    assert "Bob: reject (too sure)" in client(services).get("/").text


def test_an_edit_keeps_the_original_beside_it(services: Services) -> None:
    labelled(services, conversations(1))
    answer = decide(client(services), decision="edit", **edit(turns(0), **{"answer-1": "A brown nevus.\r\nFlat."}))
    assert answer.status_code == 303
    kept = services.reviews.current()[0]
    assert kept.turns == (
        turns(0)[0],
        Turn(question=turns(0)[1].question, answer="A brown nevus.\nFlat."),
        *turns(0)[2:],
    )
    assert kept.turns_sha256 == turns_digest(turns(0))
    page = client(services).get("/").text
    assert "This is your wording" in page
    assert "A nevus, 0, 1 mm." in page.partition("As it was written")[2]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"answer-2": "<image> of a nevus"}, "turn 3, answer: holds a control token"),
        ({"answer-0": " "}, "turn 1, answer: String should have at least 1 character"),
        ({"question-3": "", "answer-3": ""}, "a conversation has 4 to 6 turns, this one has 3"),
        ({"answer-1": "x" * 1501}, "turn 2, answer: String should have at most 1500 characters"),
        ({}, "nothing has been changed"),
    ],
)
def test_an_edit_is_held_to_what_written_turns_are_and_nothing_typed_is_lost(
    services: Services, changes: dict[str, str], problem: str
) -> None:
    labelled(services, conversations(1))
    answer = decide(
        client(services),
        decision="edit",
        **edit(turns(0), **{"question-0": "What is typed?"} if changes else {}, **changes),
    )
    assert answer.status_code == 422
    assert problem in answer.text
    assert 'role="alert"' in answer.text
    assert not changes or "What is typed?" in answer.text
    assert services.reviews.history() == []


def test_a_rejection_needs_a_reason(services: Services) -> None:
    labelled(services, conversations(1))
    answer = decide(client(services), decision="reject", reason="  ")
    assert (answer.status_code, "say why it is rejected" in answer.text) == (422, True)


def test_who_may_only_read_sees_no_form_and_cannot_decide(services: Services) -> None:
    labelled(services, conversations(1))
    reader = client(services, allowed=False)
    assert "You may read" in reader.get("/").text
    assert "<form id=" not in reader.get("/").text
    fields = shown(client(services).get("/").text)
    assert reader.post("/decide", data=fields, headers=OURS).status_code == 403
    assert services.reviews.history() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://testserver"}, 303),
        ({"origin": "https://airflow.example.org"}, 303),
        ({}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://testserver"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_other_sites_cannot_decide_in_somebodys_name(services: Services, headers: dict[str, str], status: int) -> None:
    labelled(services, conversations(1))
    assert decide(client(services), headers=headers, decision="accept").status_code == status
    assert len(services.reviews.history()) == (status == 303)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"decision=burn&row=x&turns_sha256=y", 422),
        (b"\xff\xfe", 422),
        (b"decision=accept&row=isic/none&turns_sha256=0", 404),
        (b"x=" + b"y" * MAX_FORM, 413),
        (b"&".join(b"a%d=1" % n for n in range(500)), 422),
        (b"decision=accept&row=isic/none&turns_sha256=0&at=-1", 422),
        (b"decision=accept&row=isic/none&turns_sha256=0&of=../../etc/passwd", 422),
    ],
)
def test_a_form_that_is_none_of_ours_is_refused(services: Services, body: bytes, status: int) -> None:
    labelled(services, conversations(1))
    headers = OURS | {"content-type": "application/x-www-form-urlencoded"}
    assert client(services).post("/decide", content=body, headers=headers).status_code == status
    assert services.reviews.history() == []


@pytest.mark.parametrize(
    "path",
    [
        "/?of=../../etc/passwd", "/?of=conversations/0123456789abcdef", "/?at=0", "/?at=x", "/?size=0", "/?order=best",
        "/?source=nowhere", "/static/page.html", "/static/..%2fpage.py", "/nowhere", "/decide/x",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(services: Services, path: str) -> None:
    labelled(services, conversations(1))
    assert client(services).get(path).status_code == 404


def test_nothing_labelled_yet_is_said(services: Services) -> None:
    answer = client(services).get("/")
    assert (answer.status_code, "nothing has been labelled yet" in answer.text) == (404, True)


def test_a_conversation_written_anew_meanwhile_is_not_decided_on(services: Services) -> None:
    labelled(services, conversations(1))
    fields = shown(client(services).get("/").text)
    labelled(services, conversations(1, turns=turns("new")))
    answer = client(services).post("/decide", data=fields, headers=OURS)
    assert (answer.status_code, "written anew" in answer.text) == (404, True)


def test_a_stranger_is_refused_everything(services: Services) -> None:
    labelled(services, conversations(1))

    def stranger() -> str:
        raise HTTPException(401, "Not authenticated")

    pages = TestClient(review_application(services, stranger, lambda: True))
    assert {pages.get(path).status_code for path in ("/", "/static/review.js", "/?at=2")} == {401}
    assert pages.post("/decide", data={}, headers=OURS).status_code == 401


@pytest.fixture
def plugin(services: Services, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    monkeypatch.setenv("MIDEFICS_HOME", str(services.settings.home))
    import stage_review

    return TestClient(stage_review._application(), follow_redirects=False)


def test_inside_airflow_a_stranger_is_refused(services: Services, plugin: TestClient) -> None:
    labelled(services, conversations(1))
    assert plugin.get("/").status_code == 401
    assert plugin.post("/decide", data={}, headers=OURS).status_code == 401


ASKED_BY_AIRFLOW = ("dag", "dag_bundle", "dag_bundle_team", "team")
"""Tables of its database in which it looks up whose a DAG is."""


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("user", True), ("admin", True)])
def test_inside_airflow_who_may_edit_the_data_dag_decides(
    services: Services, plugin: TestClient, monkeypatch: pytest.MonkeyPatch, role: str, may: bool
) -> None:
    from airflow import settings
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.models.base import Base
    from airflow.models.dag import DagModel

    settings.initialize()
    Base.metadata.create_all(settings.engine, [Base.metadata.tables[name] for name in ASKED_BY_AIRFLOW])
    assert DagModel.get_team_name("midefics_data") is None
    create_auth_manager()
    labelled(services, conversations(1))
    plugin.app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="Ann", role=role)
    page = plugin.get("/")
    assert page.status_code == 200
    assert ('<form id="accept"' in page.text) is may
    fields = shown(page.text) or {"decision": "accept"}
    assert plugin.post("/decide", data=fields, headers=OURS).status_code == (303 if may else 403)
    assert [review.reviewer for review in services.reviews.history()] == ["Ann"] * may


def test_the_plugin_costs_nothing_until_asked() -> None:
    code = "import sys; sys.path.insert(0, 'plugins'); import stage_review; print('midefics' in sys.modules, 'uvicorn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[-2:] == ["False", "False"], done.stderr


def test_label_has_a_button_to_the_page() -> None:
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    from types import SimpleNamespace

    from stage_links import ReviewLink

    manifest = {"kind": "conversations", "uri": "conversations/0123456789abcdef"}
    link = ReviewLink().get_link(SimpleNamespace(stage="label", manifest=manifest), ti_key=None)
    assert link.endswith("/midefics-review/?of=conversations/0123456789abcdef")
    assert parse_qs(link.partition("?")[2]) == {"of": [manifest["uri"]]}
    for other in (SimpleNamespace(stage="train", manifest=manifest), SimpleNamespace(stage="label", manifest={})):
        assert ReviewLink().get_link(other, ti_key=None) == ""
