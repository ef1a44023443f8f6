import json
from pathlib import Path

import pytest

from midefics.errors import DataError
from midefics.exports import export
from midefics.records import Row, Turn
from tests.rows import make_row
from tests.test_command_line import midefics

TURNS = (Turn(question="Is it benign?", answer="Yes."), Turn(question="What next?", answer="Nothing."))


def dataset(mura: int = 4) -> list[Row]:
    found = [
        make_row(number, split=("train", "train", "test")[number % 3], turns=TURNS, writer="offline", links=("a",))
        for number in range(9)
    ]
    licence = "MURA research use agreement"
    return found + [
        make_row(n, id=f"mura/{n}", source="mura", licence=licence, split="train", turns=TURNS) for n in range(mura)
    ]


def opened(folder: Path, cache: Path) -> dict:
    import datasets

    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def test_the_original_schema_as_datasets_opens_it(tmp_path: Path) -> None:
    result = export(dataset(), tmp_path / "out", "original", "demo")
    assert result == (9, {"MURA research use agreement": 4})
    found = opened(tmp_path / "out", tmp_path / "cache")
    assert {split: len(found[split]) for split in found} == {"train": 6, "test": 3}
    first = found["train"][0]
    assert list(first) == ["id", "image", "conversation"]
    assert first["image"].size == (64, 48)
    assert first["conversation"] == {"data": [turn.model_dump() for turn in TURNS]}


def test_our_own_columns_without_hashed_keys(tmp_path: Path) -> None:
    export(dataset(), tmp_path / "out", "hf", "demo")
    first = opened(tmp_path / "out", tmp_path / "cache")["test"][0]
    assert not first.keys() & {"links", "phash", "role"}
    assert json.loads(first["metadata"])["benign_malignant"] == "benign"
    assert first["turns"] == [turn.model_dump() for turn in TURNS]


def test_what_may_not_be_passed_on_is_left_out_and_told(tmp_path: Path) -> None:
    export(dataset(), tmp_path / "out", "hf", "demo")
    card, papers = (tmp_path / "out" / "README.md").read_text(), (tmp_path / "out" / "ATTRIBUTION.csv").read_text()
    assert "Left out, because they may not be passed on: 4 (MURA research use agreement)" in card
    assert "license: cc0-1.0" in card
    assert "mura/" not in papers
    assert json.loads((tmp_path / "out" / "LICENCES.json").read_text())["images"] == 9


def test_everything_for_ones_own_use_says_so(tmp_path: Path) -> None:
    assert export(dataset(), tmp_path / "out", "original", "demo", everything=True) == (13, {})
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: other" in card
    assert "**Not for redistribution**: 4 images" in card


def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "other"):
        export(dataset(), tmp_path / name, "hf", "demo")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["ATTRIBUTION.csv", "LICENCES.json", "README.md", "test-00000.parquet", "train-00000.parquet"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes() for name in files)


def test_many_rows_go_into_several_files_and_stay_in_order(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    row = make_row(split="train")
    export((row.model_copy(update={"id": f"{n:05d}"}) for n in range(10_300)), tmp_path / "out", "original", "demo")
    parts = [pq.read_table(path, columns=["id"]) for path in sorted((tmp_path / "out").glob("train-*.parquet"))]
    assert [part.num_rows for part in parts] == [10_000, 300]
    assert [name for part in parts for name in part["id"].to_pylist()] == [f"{n:05d}" for n in range(10_300)]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(DataError, match="is not empty"):
        export(dataset(), tmp_path, "hf", "demo")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_where_nothing_may_be_passed_on_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing of this data set may be passed on"):
        export(dataset()[9:], tmp_path / "out", "hf", "demo")
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_what_is_no_data_set(tmp_path: Path) -> None:
    done = midefics(tmp_path, "export", "dataset/0123456789abcdef", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "no manifest there" in done.stderr.splitlines()[-1]
