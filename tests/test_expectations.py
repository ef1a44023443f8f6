import json
from pathlib import Path

import pytest

from midefics.errors import DataError
from midefics.services import expectations
from midefics.services.expectations import Check, Expectations, Verdict

LARGE = Check("size", "BeBetween", {"min_value": 10}, "small", "At least 10.")
NAMED = Check("name", "NotBeInSet", {"value_set": ["x"]}, "x-named", "Not x.", "warn")
ALONE = Check("twin", "BeNull", {}, "twin", "Has no twin.")
RARE = Check("rare", "BeBetween", {"min_value": 0}, "negative", "Not negative.")
ABSENT = Check("absent", "BeBetween", {"min_value": 0}, "never", "Of a column that no row has.")


@pytest.fixture
def portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four rows at a time, so that ten make three portions."""
    monkeypatch.setattr(expectations, "ROWS_AT_ONCE", 4)


def judged(home: Path) -> Verdict:
    made = Expectations(home)
    with made.judging(lambda _: (LARGE, ALONE, NAMED, RARE, ABSENT), late=("twin",)) as judgement:
        for number in range(10):
            columns = {
                "id": f"r{number}",
                "size": None if number == 3 else number * 3,
                "name": "x" if number > 7 else "y",
            }
            judgement.add("things", columns | ({"rare": -1} if number == 9 else {}))
        for number in range(10):
            judgement.add_late("things", {"id": f"r{number}", "twin": "r0" if number in (2, 6) else None})
        return made.publish(judgement, "tried")["things"]


def test_portions_add_up_to_one_verdict(tmp_path: Path, portions: None) -> None:
    verdict = judged(tmp_path)
    # sizes 0, 3, 6, -, 12 …: rows 0 to 2 are small, row 3 has none
    assert verdict.failed == {
        "r0": ["small"],
        "r1": ["small"],
        "r2": ["small", "twin"],
        "r6": ["twin"],
        "r9": ["negative"],
    }
    assert (verdict.rows, verdict.warned, verdict.first) == (10, {"x-named": 2}, {"x-named": "r8"})
    assert [check.reason for check in verdict.checks] == ["small", "twin", "x-named", "negative"]
    assert verdict.met == 0


def test_portions_add_up_to_one_result_in_the_data_docs(tmp_path: Path, portions: None) -> None:
    judged(tmp_path)
    (file,) = (tmp_path / "great_expectations" / "results").rglob("*.json")
    small = json.loads(file.read_text())["results"][0]["result"]
    assert (small["element_count"], small["missing_count"], small["unexpected_count"]) == (10, 1, 3)
    assert small["unexpected_percent"] == pytest.approx(100 * 3 / 9)
    assert small["unexpected_percent_total"] == pytest.approx(100 * 3 / 10)
    assert [row["id"] for row in small["unexpected_index_list"]] == ["r0", "r1", "r2"]
    # r0, r1, r2, r6 and r9 do not pass; r8 is only warned of
    assert "5 of 10 rows" in (tmp_path / "data_docs" / "index.html").read_text()


def test_the_data_docs_name_the_first_of_very_many(tmp_path: Path) -> None:
    made = Expectations(tmp_path)
    with made.judging(lambda _: (LARGE,)) as judgement:
        for number in range(1000):
            judgement.add("things", {"id": f"r{number:04d}", "size": 1})
        assert len(made.publish(judgement, "tried")["things"].failed) == 1000
    (file,) = (tmp_path / "great_expectations" / "results").rglob("*.json")
    (result,) = json.loads(file.read_text())["results"]
    assert len(result["result"]["unexpected_index_list"]) == 200
    assert result["result"]["unexpected_count"] == 1000


def test_values_that_cannot_be_judged_are_named(tmp_path: Path) -> None:
    made = Expectations(tmp_path)
    with made.judging(lambda _: (LARGE,)) as judgement, pytest.raises(DataError, match="things: size can't be checked"):
        for number, size in enumerate([3, "wide", 20]):
            judgement.add("things", {"id": f"r{number}", "size": size})
        made.publish(judgement, "tried")
