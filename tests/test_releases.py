import json
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from midefics.commands.quarantine import app
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.releases import Decision, Releases
from midefics.stages import validate
from tests.rows import blank, make_row, make_services, picture, stored
from tests.test_validate import config, good


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


def decision(row: Row, reason: str, released: bool = True) -> Decision:
    return Decision(
        image_sha256=row.image_sha256, reason=reason, released=released, row=row.id, decided_by="Ann", why="looked"
    )


def test_the_last_word_on_a_file_and_a_reason_holds_and_none_is_lost(services: Services) -> None:
    row, other = good(2)
    releases = services.releases
    releases.decide([decision(row, "blank image"), decision(row, "duplicate image"), decision(other, "blank image")])
    releases.decide([decision(row, "blank image", released=False)])
    again = Releases(services.ledger.engine)
    assert again.current() == {(row.image_sha256, "duplicate image"), (other.image_sha256, "blank image")}
    assert [one.released for one in again.history()] == [True, True, True, False]
    with services.ledger.engine.connect() as connection:
        assert connection.execute(text("select count(*) from releases where decided_at is not null")).scalar() == 4


def run(services: Services, *rows: Row) -> Manifest:
    return validate.run(config(max_bad_share=0.9), stored(services, "images", rows), services=services)


def test_a_released_row_is_let_through_and_the_digest_follows_the_decisions_alone(services: Services) -> None:
    bad = make_row(9, image=blank())
    before = run(services, *good(3), bad)
    assert (before.rows, before.facts["released"]) == (3, 0)
    reasons = ("blank image", "nearly blank image", "colourless photograph")
    services.releases.decide(decision(bad, reason) for reason in reasons)
    after, again = run(services, *good(3), bad), run(services, *good(3), bad)
    assert (after.rows, after.rejected, after.facts["released"]) == (4, {}, 1)
    assert after.digest == again.digest != before.digest
    services.releases.decide([decision(bad, "blank image", released=False)])
    assert run(services, *good(3), bad).rejected == {"blank image": 1}


def test_a_release_for_one_reason_is_none_for_another_and_none_for_what_cannot_be_decoded(services: Services) -> None:
    small, broken = make_row(8, width=10, height=10, image=blank()), make_row(9, image=picture(9)[:200])
    services.releases.decide([decision(small, "image too small"), decision(broken, "unreadable image")])
    manifest = run(services, *good(3), small, broken)
    assert {row.id: row.reason for row in services.storage.rejected(manifest)} == {
        small.id: "blank image",
        broken.id: "unreadable image",
    }


def test_released_rows_do_not_count_as_bad(services: Services) -> None:
    bad = [make_row(10 + number, width=10, height=10) for number in range(3)]
    services.releases.decide(decision(row, "image too small") for row in bad)
    manifest = validate.run(
        config(checks={"image_too_small": {"action": "fail"}}),
        stored(services, "images", [*good(1), *bad]),
        services=services,
    )
    assert manifest.rows == 4


def test_a_person_looks_releases_and_takes_it_back(services: Services, tmp_path: Path) -> None:
    bad, broken = make_row(9, image=blank()), make_row(10, image=b"no picture")
    images = stored(services, "images", [*good(4), bad, broken])
    made = run_stage(services, images)

    def quarantine(*words: str) -> str:
        done = CliRunner().invoke(app, words, env={"MIDEFICS_HOME": str(tmp_path), "COLUMNS": "200"})
        return str(done.exception) if done.exception else done.stdout

    told = [json.loads(line) for line in quarantine("ls", "--json").splitlines()]
    assert [(one["id"], one["reason"], one["also"]) for one in told] == [
        (bad.id, "blank image", ["nearly blank image"]),
        (broken.id, "unreadable image", []),
    ]
    assert quarantine("ls", "--reason", "blank image").count("ISIC_") == 1
    why = ("--by", "Ann", "--why", "a frozen section")
    assert "unreadable image, which nobody can release" in quarantine("release", broken.id, *why)
    assert "not in the quarantine" in quarantine("release", "isic/other", *why)
    assert "only what validation rejected" in quarantine("release", bad.id, *why, "--manifest", images.uri)
    assert "blank image, nearly blank image" in quarantine("release", bad.id, *why)
    assert "(released)" in quarantine("ls")
    assert run_stage(services, images).rows == made.rows + 1
    assert "blank image" in quarantine("unrelease", bad.id, *why)
    assert "is not released" in quarantine("unrelease", bad.id, *why)
    assert run_stage(services, images).digest == made.digest


def run_stage(services: Services, images: Manifest) -> Manifest:
    """As the command does, which remembers the newest output for the configuration `demo`."""
    made = validate.run(config(max_bad_share=0.9).model_copy(update={"name": "demo"}), images, services=services)
    services.storage.remember("demo", made)
    return made
