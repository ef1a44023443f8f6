import re
from pathlib import Path

import pytest

from midefics.evidence.distributions import Bar, Distribution, Numbers
from midefics.evidence.profile import SHOWN
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.stages import validate
from tests.rows import blank, make_row, make_services, picture, stored
from tests.test_validate import config, good


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


def run(services: Services, *rows: Row) -> tuple[Manifest, str]:
    manifest = validate.run(config(max_bad_share=1), stored(services, "images", rows), services=services)
    return manifest, (services.storage.folder(manifest) / str(manifest.facts["profile"])).read_text()


def test_the_page_counts_what_came_in_what_went_out_and_what_it_is(services: Services) -> None:
    rows = [
        make_row(number, metadata={"benign_malignant": "benign", "age_approx": 30 + number}) for number in range(12)
    ]
    rows += [make_row(20, metadata={"benign_malignant": "malignant"}, licence="CC-BY")]
    _, page = run(services, *rows, make_row(30, image=blank()))
    text = " ".join(re.sub(r"<[^>]+>|&[a-z]+;", " ", page[page.index("<body>") :]).split())
    assert "13 of 14 images are let through to labelling, 1 are in quarantine" in text
    assert "blank image put in quarantine 1" in text
    assert "label benign 12 malignant 1" in text
    assert "licence CC-0 12 CC-BY 1" in text
    assert "age, years 30 to 39 10 40 to 49 2" in text
    assert "longer side, pixels 512 to 767 13" in text
    assert "not given, rows age_approx 1" in text
    assert "All that are let through" in text


def test_the_page_is_the_same_whenever_it_is_made_and_needs_nothing_else(services: Services, tmp_path: Path) -> None:
    rows = [make_row(number) for number in range(40)]
    first, page = run(services, *rows)
    second, again = run(make_services(tmp_path / "elsewhere"), *rows)
    assert (first.digest, page) == (second.digest, again)
    assert page.count("<figure>") == SHOWN
    assert "Some that are let through" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert not re.search(r"\b20\d\d-\d\d", page)


def test_the_page_escapes_what_archives_say_and_names_no_patient(services: Services) -> None:
    hostile = "<script>alert(1)</script>"
    rows = [
        make_row(1, id=f"isic/{hostile}", metadata={"benign_malignant": "benign", "diagnosis": hostile, hostile: 1}),
        make_row(2, metadata={"benign_malignant": "benign", "caption": "A secret caption"}, licence=hostile),
        make_row(3, image=picture(3)[:200], group="patient-77"),
    ]
    _, page = run(services, *good(3, start=20), *rows)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "unreadable" in page
    assert "secret caption" not in page
    assert "patient-" not in page


def test_rows_that_ingest_could_not_use_are_told(services: Services) -> None:
    given = stored(services, "images", good(2)).model_copy(update={"rejected": {"missing image": 1200}})
    manifest = validate.run(config(), given, services=services)
    page = (services.storage.folder(manifest) / "profile.html").read_text()
    assert "ingest could not use 1,200 (missing image)" in page


def test_the_most_frequent_values_have_bars_and_the_others_one_together() -> None:
    distribution = Distribution()
    for number in range(12):
        for _ in range(20 - number):
            distribution.add(f"v{number:02d}")
    distribution.add(None)
    distribution.add("x" * 100)
    bars = distribution.bars()
    # 20 + 19 + … + 9 = 174, one long value and one without
    assert bars[0] == Bar("v00", 20, 20 / 176)
    assert [bar.name for bar in bars[-3:]] == ["v07", "5 others", "not given"]
    assert (bars[-2].rows, sum(bar.rows for bar in bars)) == (12 + 11 + 10 + 9 + 1, 176)
    assert Distribution().bars() == []


def test_numbers_fall_into_classes_without_gaps_between_them() -> None:
    numbers = Numbers((0, 10, 20, 30))
    for value in (-1, 9, 20, 29.5, 30, True, "5", None):
        numbers.add(value)
    assert [(bar.name, bar.rows) for bar in numbers.bars()] == [
        ("under 0", 1), ("0 to 9", 1), ("10 to 19", 0), ("20 to 29", 2), ("30 and more", 1),
    ]  # fmt: skip
    assert Numbers((0, 10)).bars() == []
