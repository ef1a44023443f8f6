import re
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.inspection import inspect
from midefics.records import Row
from midefics.services import Services
from midefics.services.expectations import KEPT_RUNS, Expectations
from midefics.stages import validate
from tests.rows import blank, encoded, make_row, make_services, picture, stored


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


TURNS = ({"question": "Is there a fracture?", "answer": "no"},)


def config(**limits: object) -> RunConfig:
    content = {"name": "tried", "base_model": "tiny-idefics", "sources": {"isic": {"path": "x"}}, "validate": limits}
    return RunConfig.model_validate(content)


def good(count: int, start: int = 0) -> list[Row]:
    return [make_row(number) for number in range(start, start + count)]


def run(services: Services, *rows: Row, **limits: object) -> tuple[list[str], dict[str, str]]:
    """Ids that pass, and reasons by id of the others."""
    manifest = validate.run(config(**limits), stored(services, "images", rows), services=services)
    rejected = {one.id: one.reason for one in services.storage.rejected(manifest)}
    return [row.id for row in services.storage.rows(manifest)], rejected


def test_validate_quarantines_each_defect_under_its_reason(services: Services) -> None:
    defects = {
        "blank image": {"image": blank()},
        "unreadable image": {"image": picture(99)[:200]},
        "image too small": {"width": 20, "height": 400},
        "image too elongated": {"width": 2000, "height": 400},
        "duplicate image": {"image": picture(0)},
        "colour mode": {"image": encoded(Image.open(BytesIO(picture(7))).quantize(16))},
        "nothing told": {"metadata": {}},
        "unknown label": {"metadata": {"benign_malignant": "sinister"}},
        "implausible age": {"metadata": {"age_approx": 450, "diagnosis": "nevus"}},
    }
    bad = [make_row(100 + number, **change) for number, change in enumerate(defects.values())]
    passed, rejected = run(services, *good(20), *bad, max_bad_share=0.5)
    assert passed == [row.id for row in good(20)]
    assert rejected == {row.id: reason for row, reason in zip(bad, defects, strict=True)}


def test_validate_passes_rows_on_unchanged_and_by_id_when_several_inputs_are_unordered(services: Services) -> None:
    first, second = good(3, start=5), good(3)
    inputs = [stored(services, "images", reversed(first)), stored(services, "images", second)]
    manifest = validate.run(config(), *inputs, services=services)
    assert list(services.storage.rows(manifest)) == second + first
    again = validate.run(config(), *reversed(inputs), services=services)
    assert again.digest == manifest.digest
    assert manifest.facts["expectations"] == manifest.facts["expectations_met"] == 20
    assert sorted(manifest.parents) == sorted(one.digest for one in inputs)


def test_validate_only_warns_when_a_check_is_no_reason_to_drop_a_row(services: Services) -> None:
    row = make_row(1, licence="not stated", metadata={"diagnosis": "nevus", "sex": "x"})
    manifest = validate.run(config(), stored(services, "images", [row]), services=services)
    assert manifest.rows == 1
    assert manifest.facts["expectations"] - manifest.facts["expectations_met"] == 2


def test_validate_counts_in_the_facts_what_it_only_warns_of(services: Services) -> None:
    odd = make_row(1, format="PNG RGBA .jpg", licence="not stated")
    manifest = validate.run(config(), stored(services, "images", [*good(2, start=5), odd]), services=services)
    assert manifest.facts["warned"] == "1 converted colour mode, 1 licence not stated, 1 wrong extension"
    assert validate.run(config(), stored(services, "images", good(2)), services=services).facts["warned"] == ""


@pytest.mark.parametrize(
    ("told", "as_named"),
    [
        ("JPEG RGB .jpg", "as named"),
        ("JPEG L .jpeg", "as named"),
        ("MPO RGB .jpg", "as named"),
        ("PNG RGB .jpg", "PNG as .jpg"),
        ("PNG L .image", None),
        ("PNG L", None),
        ("", None),
    ],
)
def test_a_file_s_type_is_held_against_its_name(told: str, as_named: str | None) -> None:
    row = make_row(1, format=told)
    assert validate.derived_columns(row, inspect(row.image))["file_type"] == as_named


def test_validate_keeps_out_of_training_what_is_asked_about_and_says_what_a_copy_is_a_copy_of(
    services: Services,
) -> None:
    asked = make_row(
        3, id="vqa_rad/3", source="vqa_rad", role="evaluation", metadata={"image_organ": "head"}, turns=TURNS
    )
    leaked = make_row(3, id="isic/leak")
    copied = make_row(1, id="isic/copy")
    manifest = validate.run(
        config(max_bad_share=0.5), stored(services, "images", [*good(3), copied, leaked, asked]), services=services
    )
    assert "vqa_rad/3" in [row.id for row in services.storage.rows(manifest)]
    assert {row.id: (row.reason, row.detail.split(";")[0]) for row in services.storage.rejected(manifest)} == {
        "isic/leak": ("in evaluation set", "the same as vqa_rad/3"),
        "isic/copy": ("duplicate image", "the same as isic/ISIC_0000001"),
    }


def test_validate_stops_at_a_check_that_may_not_fail_and_names_the_way_out(services: Services) -> None:
    small = [make_row(100 + number, width=16, height=16) for number in range(2)]
    rows = [*good(18), *small]
    with pytest.raises(DataError) as caught:
        run(services, *rows, checks={"image_too_small": {"action": "fail", "max_share": 0.05}})
    assert str(caught.value) == (
        "isic: 2 of 20 images fail the check “image too small”, first isic/ISIC_0000100, and "
        "validate.checks.image_too_small stops the run above a share of 0.05; see data_docs/index.html, or rerun with "
        "--set validate.checks.image_too_small.max_share=0.101"
    )
    passed, rejected = run(services, *rows, checks={"image_too_small": {"action": "fail", "max_share": 0.101}})
    assert (len(passed), set(rejected.values())) == (18, {"image too small"})
    passed, rejected = run(services, *rows, checks={"image_too_small": {"action": "warn"}})
    assert (len(passed), rejected) == (20, {})
    with pytest.raises(DataError, match="2 of 20 images fail the check “image too small”, first isic/ISIC_0000100"):
        run(services, *rows, checks={"image_too_small": {"action": "warn", "max_share": 0.05}})


def test_validate_says_which_and_why_when_too_many_are_bad(services: Services) -> None:
    bad = [make_row(10 + number, image=blank((64, 40 + number))) for number in range(2)]
    with pytest.raises(DataError) as caught:
        run(services, *good(4), *bad)
    assert str(caught.value) == (
        "isic: 2 of 6 images are not fit to label, first isic/ISIC_0000010 (blank image); "
        "see data_docs/index.html, or rerun with validate.max_bad_share above 0.25 to quarantine them"
    )
    assert (services.settings.home / "data_docs" / "index.html").is_file()


def test_validate_fails_when_nothing_is_left_or_a_row_comes_twice(services: Services) -> None:
    with pytest.raises(DataError, match="no image is left"):
        run(services, make_row(1, image=blank()), max_bad_share=1)
    same = stored(services, "images", good(2))
    with pytest.raises(DataError, match="ISIC_0000000 comes in twice"):
        validate.run(config(), same, same, services=services)


def test_validate_shows_every_suite_in_pages_that_need_no_network_and_prints_nothing(
    services: Services, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile = "<script>alert(1)</script>"
    rows = [
        *good(3),
        make_row(7, id="mura/1", source="mura", metadata={"body_part": hostile, "study_label": "normal"}),
        make_row(8, id="roco/1", source="roco", metadata={"caption": f"A secret caption {hostile}"}),
    ]
    run(services, *rows, max_bad_share=1)
    site = services.settings.home / "data_docs"
    index = (site / "index.html").read_text()
    assert all(f"expectations/{suite}.html" in index for suite in ("isic", "mura", "roco"))
    pages = "".join(page.read_text() for page in site.rglob("*.html"))
    assert not re.findall(r"(?:src|href|url)\W{1,2}https?:", pages)
    assert hostile not in pages
    assert "&lt;script" in pages
    assert "secret caption" not in pages
    assert "patient-" not in pages
    assert capfd.readouterr().out == ""


def test_data_docs_forget_the_oldest_runs(tmp_path: Path) -> None:
    results = tmp_path / "great_expectations" / "results" / "isic" / "demo"
    for day in range(1, KEPT_RUNS + 3):
        (results / f"202601{day:02d}T000000.000000Z").mkdir(parents=True)
    expectations = Expectations(tmp_path)
    with expectations.judging(lambda _: ()) as judgement:
        expectations.publish(judgement, "demo")
    kept = sorted(run.name for run in results.iterdir())
    assert len(kept) == KEPT_RUNS
    assert kept[0].startswith("20260103")


def test_validate_keeps_the_run_before_in_the_data_docs(services: Services) -> None:
    run(services, *good(2))
    run(services, *good(3))
    index = (services.settings.home / "data_docs" / "index.html").read_text()
    assert len(re.findall(r'href="validations/isic/', index)) == 2 * 2  # the status and the time are links
