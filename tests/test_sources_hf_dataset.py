import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from midefics.config import load_config
from midefics.errors import SourceError
from midefics.exports import export
from midefics.pictures import shrink
from midefics.records import Case, Turn
from midefics.sources import hf_dataset
from midefics.stages import ingest, label
from tests.rows import jpeg, make_row, make_services

SAID = {"data": [{"question": "What is it?", "answer": "A nevus."}, {"question": "Is it benign?", "answer": "Yes."}]}
TURNS = (Turn(question="What is it?", answer="A nevus."), Turn(question="Is it benign?", answer="Yes."))
NAME = "data/train-00000-of-00001.parquet"


def row(identifier: object, conversation: object = None, **changes: object) -> dict[str, object]:
    image = {"bytes": jpeg(), "path": "a.jpg"}
    return {"id": identifier, "image": image, "conversation": conversation or SAID} | changes


def shard(root: Path, *rows: dict[str, Any], name: str = NAME) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return root


def test_a_row_becomes_a_case_with_its_own_turns_and_picture(tmp_path):
    (case,) = hf_dataset.cases(shard(tmp_path, row("ISIC_1")))
    assert case == Case(
        id="hf_dataset/ISIC_1",
        source="hf_dataset",
        path=tmp_path / NAME,
        content=jpeg(),
        origin=f"{NAME}:0",
        group="ISIC_1",
        metadata={"archive_split": "train"},
        licence="not stated",
        attribution="not stated",
        turns=TURNS,
    )


@pytest.mark.parametrize(
    "conversation",
    [
        SAID,
        SAID["data"],
        json.dumps(SAID),
        json.dumps(SAID["data"]),
        {"data": json.dumps(SAID["data"])},
        {"data": {"question": ["What is it?", "Is it benign?"], "answer": ["A nevus.", "Yes."]}},
        {"data": [*SAID["data"], {"question": " ", "answer": "Nothing."}, {"question": "Why?", "answer": None}]},
    ],
    ids=["records", "bare records", "JSON", "JSON of bare records", "JSON within", "columns", "gaps"],
)
def test_a_conversation_is_read_however_it_was_stored(tmp_path, conversation):
    (case,) = hf_dataset.cases(shard(tmp_path, row("A", conversation)))
    assert case.turns == TURNS


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/validation-00001-of-00002.parquet", "validation"),
        ("default/test/0000.parquet", "test"),
        ("dev.parquet", "validation"),
        ("contested.parquet", None),
    ],
)
def test_the_split_is_in_the_name(tmp_path, name, split):
    (case,) = hf_dataset.cases(shard(tmp_path, row("A"), name=name))
    assert case.metadata == ({"archive_split": split} if split else {})


def test_rows_come_in_the_order_of_their_ids_over_all_shards(tmp_path):
    shard(tmp_path, row("C"), row("A", image={"bytes": jpeg((90, 60)), "path": None}))
    shard(tmp_path, row("B"), row("A"), name="data/test-00000-of-00001.parquet")
    found = list(hf_dataset.cases(tmp_path))
    assert [one.id[-1] for one in found] == ["A", "A", "B", "C"]
    assert [(one.reason, one.origin) for one in found if not isinstance(one, Case)] == [("repeated id", f"{NAME}:1")]
    assert [one.content for one in found if isinstance(one, Case)] == [jpeg()] * 3


def test_numbers_as_ids_keep_their_order(tmp_path):
    cases = hf_dataset.cases(shard(tmp_path, *(row(number) for number in (2, 9, 10))))
    assert [case.id for case in cases] == [f"hf_dataset/{number:09d}" for number in (2, 9, 10)]


@pytest.mark.parametrize("column", ["patient_id", "group"])
def test_a_column_may_say_what_belongs_together(tmp_path, column):
    shard(tmp_path, row("A", **{column: "P1"}), row("B", **{column: "P1"}), row("C", **{column: None}))
    assert [case.group for case in hf_dataset.cases(tmp_path)] == ["P1", "P1", "C"]


@pytest.mark.parametrize(
    ("card", "credit"),
    [
        ("---\r\nlicense: cc-by-4.0\r\npretty_name: Skin\r\n---\r\n# Skin\r\n", ("cc-by-4.0", "Skin")),
        ("---\nlicense:\n- cc-by-4.0\n- mit\n---\n", ("cc-by-4.0, mit", "not stated")),
        ("---\nlicense: other\nlicense_name: research only\n---\n", ("research only", "not stated")),
        ("# No front matter\n", ("not stated", "not stated")),
        ("---\nlicense: {a: [\n---\n", ("not stated", "not stated")),
        ("---\nlicense: 2020-13-45\n---\n", ("not stated", "not stated")),
        ("---\nlicense: " + "[" * 50_000 + "\n---\n", ("not stated", "not stated")),
    ],
    ids=["one", "several", "of its own", "none", "broken", "a date that is none", "nested deep"],
)
def test_the_card_says_the_licence(tmp_path, card, credit):
    (tmp_path / "README.md").write_text(card, newline="")
    (case,) = hf_dataset.cases(shard(tmp_path, row("A")))
    assert (case.licence, case.attribution) == credit


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": {"bytes": b"", "path": None}}, "empty file"),
        ({"image": {"bytes": None, "path": "b.jpg"}}, "missing image"),
        ({"image": {"bytes": None, "path": "/etc/passwd"}}, "path outside the archive"),
        ({"image": {"bytes": None, "path": "../b.jpg"}}, "path outside the archive"),
        ({"image": None}, "missing image"),
        ({"conversation": {"data": [{"question": "Why?", "answer": ""}]}}, "no question"),
        ({"conversation": "no JSON"}, "no question"),
        ({"conversation": "[" * 100_000}, "no question"),
        ({"id": "  "}, "unusable name"),
        ({"id": "A\nB"}, "unusable name"),
    ],
)
def test_an_unusable_row_is_rejected_with_its_reason(tmp_path, changes, reason):
    (found,) = hf_dataset.cases(shard(tmp_path, row("A", **changes)))
    assert (found.reason, found.origin) == (reason, f"{NAME}:0")


def test_an_image_may_lie_beside_the_table(tmp_path):
    shard(tmp_path, row("A", image={"bytes": None, "path": "images/a.jpg"}))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(jpeg())
    (case,) = hf_dataset.cases(tmp_path)
    assert (case.path, case.content) == (tmp_path / "images" / "a.jpg", None)


def test_a_snapshot_in_the_hubs_cache_is_read_through_its_links(tmp_path):
    shard(tmp_path, row("A"), name="blobs/4f2a.parquet")
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "train.parquet").symlink_to(Path("../../blobs/4f2a.parquet"))
    (case,) = hf_dataset.cases(snapshot)
    assert case.id == "hf_dataset/A"


def test_a_shard_that_leads_out_of_the_data_set_is_refused(tmp_path):
    shard(tmp_path / "private", row("A"))
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "train.parquet").symlink_to(tmp_path / "private" / NAME)
    with pytest.raises(SourceError, match="must not lead out"):
        list(hf_dataset.cases(tmp_path / "public"))


@pytest.mark.parametrize("keep", [0, 4, 300, -9])
def test_a_broken_shard_is_refused(tmp_path, keep):
    path = shard(tmp_path, *(row(f"{number}") for number in range(40))) / NAME
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SourceError, match=r"parquet is broken: .*; fetch it again"):
        list(hf_dataset.cases(tmp_path))


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        list(hf_dataset.cases(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"no \*\.parquet"):
        list(hf_dataset.cases(tmp_path))
    (tmp_path / "cache-1f.arrow").write_bytes(b"a result that datasets kept")
    with pytest.raises(SourceError, match=r"no \*\.parquet"):
        list(hf_dataset.cases(tmp_path))
    shard(tmp_path, {"id": "A", "text": "no picture"})
    with pytest.raises(SourceError, match="no column image, conversation"):
        list(hf_dataset.cases(tmp_path))
    pq.write_table(pa.Table.from_pylist([row("A")])[:0], tmp_path / NAME)
    with pytest.raises(SourceError, match="have no rows"):
        list(hf_dataset.cases(tmp_path))


@pytest.mark.parametrize("saved_as", ["a data set", "splits", "Parquet"])
def test_what_datasets_writes_is_read(tmp_path, saved_as):
    datasets = pytest.importorskip("datasets", reason="the `datasets` library writes this test's files")
    text = datasets.Value("string")
    features = {"id": text, "image": datasets.Image(), "conversation": {"data": [{"question": text, "answer": text}]}}
    rows = [row(name, image=Image.open(io.BytesIO(jpeg()))) for name in "BAC"]
    made = datasets.Dataset.from_list(rows, features=datasets.Features(features))
    if saved_as == "Parquet":
        (tmp_path / "data").mkdir()
        made.to_parquet(tmp_path / NAME)
    elif saved_as == "splits":
        datasets.DatasetDict(train=made.select([0, 1]), test=made.select([2])).save_to_disk(tmp_path)
    else:
        made.save_to_disk(tmp_path)
    cases = list(hf_dataset.cases(tmp_path))
    assert [(case.id, case.turns) for case in cases] == [(f"hf_dataset/{name}", TURNS) for name in "ABC"]
    assert all(shrink(case.content, 60, hf_dataset.SOURCE.picture).width == 64 for case in cases)


def test_a_broken_arrow_file_is_refused(tmp_path):
    table = pa.Table.from_pylist([row(f"{number}") for number in range(3)])
    with (
        pa.OSFile(str(tmp_path / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table)
    path = tmp_path / "data-00000-of-00001.arrow"
    whole = path.read_bytes()
    assert len(list(hf_dataset.cases(tmp_path))) == 3
    # The offsets of the ids, 0 1 2 3: the last one is made to point far beyond the file.
    offsets = np.array([0, 1, 2, 3], np.int32).tobytes()
    assert offsets in whole
    path.write_bytes(whole.replace(offsets, np.array([0, 1, 2, 2**30], np.int32).tobytes(), 1))
    with pytest.raises(SourceError, match="is broken"):
        list(hf_dataset.cases(tmp_path))


@pytest.mark.parametrize("format_", ["TIFF", "WEBP", "PNG"])
def test_pictures_that_were_no_files_are_opened(format_):
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg())).save(file, format_)
    assert hf_dataset.SOURCE.picture(file.getvalue()).size == (64, 48)


def test_an_unchanged_data_set_is_not_read_in_again(tmp_path):
    shard(tmp_path / "archive", *(row(f"{number}") for number in range(4)))
    config = load_config("demo", {"hf_dataset": tmp_path / "archive"}).only(["hf_dataset"])
    services = make_services(tmp_path)
    assert ingest.run(config, services=services) == ingest.run(config, services=services)


def test_its_rows_pass_the_label_writer_by(tmp_path):
    shard(tmp_path / "archive", *(row(f"{number}") for number in range(4)))
    config = load_config("demo", {"hf_dataset": tmp_path / "archive"}).only(["hf_dataset"])
    services = make_services(tmp_path)
    (first, *_) = services.storage.rows(label.run(config, ingest.run(config, services=services), services=services))
    assert (first.id, first.writer, first.role, first.turns) == ("hf_dataset/0", "archive", "train", TURNS)


def test_an_export_in_the_original_shape_is_read_back(tmp_path):
    rows = [make_row(number, turns=TURNS, split="train") for number in range(3)]
    export(rows, tmp_path / "out", "original", "skin")
    cases = list(hf_dataset.cases(tmp_path / "out"))
    assert [(case.id, case.turns, case.content) for case in cases] == [
        (f"hf_dataset/{row.id}", TURNS, row.image) for row in rows
    ]
    assert {case.metadata["archive_split"] for case in cases} == {"train"}
