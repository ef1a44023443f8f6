import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from midefics.errors import ConfigError, StorageError
from midefics.records import Manifest, Rejected, Row, Turn
from midefics.services.s3 import Bucket
from midefics.services.storage import Storage
from tests.rows import make_row


def written(storage: Storage, *rows: Row) -> Manifest:
    with storage.draft("images") as draft:
        for row in rows:
            draft.add(row)
    return draft.manifest


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_rows_come_back_as_they_were_written(storage: Storage) -> None:
    rows = [
        make_row(id="isic/a", turns=(Turn(question="What?", answer="A nevus."),)),
        make_row(id="isic/b", metadata={"age": 40, "sex": None}),
    ]
    with storage.draft("images", ["0" * 64]) as draft:
        for row in rows:
            draft.add(row)
    assert list(storage.rows(draft.manifest)) == rows
    assert (draft.manifest.rows, draft.manifest.parents) == (2, ("0" * 64,))


def test_same_rows_give_the_same_digest_and_nothing_twice(storage: Storage) -> None:
    digests = set()
    for _ in range(2):
        with storage.draft("images") as draft:
            draft.add(make_row())
            draft.reject(Rejected(id="b", source="isic", reason="blank", detail="", origin="b.jpg"))
        digests.add(draft.manifest.digest)
    assert len(digests) == 1
    assert [output.manifest for output in storage.outputs()] == [draft.manifest]


def test_the_newest_facts_stand_beside_content_that_was_there(storage: Storage) -> None:
    for seconds in (1, 2):
        with storage.draft("images") as draft:
            draft.add(make_row())
            draft.facts["seconds"] = seconds
    assert storage.find(draft.manifest.uri).facts == {"seconds": 2}


@pytest.mark.parametrize(
    "change", [{"id": "isic/other"}, {"metadata": {"a": 1}}, {"image": b"other"}, {"split": "test"}]
)
def test_any_change_of_a_row_changes_the_digest(tmp_path: Path, change: dict[str, object]) -> None:
    assert written(Storage(tmp_path), make_row()).digest != written(Storage(tmp_path), make_row(**change)).digest


def test_the_digest_does_not_depend_on_the_place(tmp_path: Path, s3: str) -> None:
    rows = [make_row(1), make_row(2)]
    assert written(Storage(tmp_path), *rows) == written(Storage.at(s3, tmp_path), *rows)


def test_a_block_that_raises_leaves_nothing(storage: Storage) -> None:
    with pytest.raises(RuntimeError), storage.draft("images") as draft:
        draft.add(make_row())
        raise RuntimeError
    assert list(storage.store.keys("")) == []
    assert list(storage.store.disk.rglob(".draft-*")) == []


def test_the_draft_of_a_killed_process_is_removed_by_the_next(location: str, tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from midefics.services.storage import Storage
with Storage.at({location!r}, Path({str(tmp_path / "home")!r})).draft("images"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    python(code).communicate()
    storage = Storage.at(location, tmp_path / "home")
    assert len(list(storage.store.disk.rglob(".draft-*"))) == 1
    assert list(storage.outputs()) == []
    written(storage, make_row())
    assert list(storage.store.disk.rglob(".draft-*")) == []


def test_the_draft_of_another_host_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "images" / ".draft-worker-2-4194305-0a1b2c3d"
    other.mkdir(parents=True)
    storage = Storage(tmp_path)
    written(storage, make_row())
    assert other.is_dir()
    assert [left.address for left in storage.store.leftovers(older_than_s=-1)] == [str(other)]
    assert list(storage.store.leftovers(older_than_s=3600)) == []


def test_quarantine_is_counted_and_kept(storage: Storage) -> None:
    bad = Rejected(id="isic/b", source="isic", reason="blank", detail="std 0.0", origin="b.jpg")
    with storage.draft("validated") as draft:
        draft.add(make_row())
        draft.reject(bad)
    assert draft.manifest.rejected == {"blank": 1}
    assert storage.rejected(draft.manifest) == [bad]


@pytest.mark.parametrize("reference", ["folder", "file", "uri", "json", "digest", "digest16"])
def test_a_manifest_is_found_by_each_of_its_names(storage: Storage, reference: str) -> None:
    manifest = written(storage, make_row())
    names = {
        "folder": storage.address(manifest),
        "file": f"{storage.address(manifest)}/manifest.json",
        "uri": manifest.uri,
        "json": manifest.model_dump_json(),
        "digest": manifest.digest,
        "digest16": manifest.digest[:16],
    }
    assert storage.find(names[reference]) == manifest


@pytest.mark.parametrize("reference", ["nowhere", "{}", '{"kind": "images"', "0" * 64])
def test_what_is_no_manifest_is_refused(storage: Storage, reference: str) -> None:
    with pytest.raises(StorageError):
        storage.find(reference)


def test_a_manifest_whose_rows_are_gone_is_refused(location: str, tmp_path: Path) -> None:
    manifest = written(Storage.at(location, tmp_path / "one"), make_row())
    storage = Storage.at(location, tmp_path / "other")
    storage.store.delete(manifest.uri)
    with pytest.raises(StorageError, match="run the stage that makes it again"):
        list(storage.rows(manifest))


def test_content_without_its_manifest_is_made_again(location: str, tmp_path: Path) -> None:
    manifest = written(Storage.at(location, tmp_path / "one"), make_row())
    if location.startswith("s3"):
        Bucket(location).delete([f"{manifest.uri}/manifest.json"])
    else:
        Path(location, manifest.uri, "manifest.json").unlink()
    storage = Storage.at(location, tmp_path / "other")
    assert list(storage.outputs()) == []
    written(storage, make_row())
    assert list(storage.rows(manifest)) == [make_row()]


def test_an_output_that_lost_a_part_is_refused_and_made_whole_again(location: str, tmp_path: Path) -> None:
    manifest = written(Storage.at(location, tmp_path / "one"), make_row())
    if location.startswith("s3"):
        Bucket(location).delete([f"{manifest.uri}/part-00000.parquet"])
    else:
        Path(location, manifest.uri, "part-00000.parquet").unlink()
    storage = Storage.at(location, tmp_path / "other")
    with pytest.raises(StorageError, match="run the stage that makes it again"):
        list(storage.rows(manifest))
    written(storage, make_row())
    assert list(storage.rows(manifest)) == [make_row()]


def test_the_newest_of_a_configuration_is_remembered(storage: Storage) -> None:
    one, two = written(storage, make_row(1)), written(storage, make_row(2))
    for manifest in (one, two):
        storage.remember("demo", manifest)
    assert storage.latest("demo", "images") == two
    assert storage.latest("demo", "dataset") is None
    assert list(storage.pointers()) == [("demo", two)]


def test_every_split_of_a_dataset_has_its_own_parts(storage: Storage) -> None:
    splits = ("train", "test", "train", "validation")
    rows = [make_row(number, split=split) for number, split in enumerate(splits)]
    with storage.draft("dataset") as draft:
        for row in rows:
            draft.add(row)
    names = sorted(path.name for path in storage.folder(draft.manifest).glob("*.parquet"))
    assert names == ["test-00000.parquet", "train-00000.parquet", "validation-00000.parquet"]
    assert list(storage.rows(draft.manifest)) == [rows[1], rows[0], rows[2], rows[3]]


def test_a_column_is_read_without_the_rest(location: str, tmp_path: Path) -> None:
    manifest = written(Storage.at(location, tmp_path / "one"), *(make_row(number) for number in range(3)))
    elsewhere = Storage.at(location, tmp_path / "other")
    assert list(elsewhere.columns(manifest, "id", "licence")) == [
        {"id": f"isic/ISIC_000000{number}", "licence": "CC-0"} for number in range(3)
    ]
    assert not (tmp_path / "other" / "cache" / "objects").exists()


def test_a_second_process_reads_what_the_first_wrote(location: str, tmp_path: Path) -> None:
    storage = Storage.at(location, tmp_path / "home")
    storage.remember("demo", written(storage, make_row(1), make_row(2)))
    code = f"""
from pathlib import Path
from midefics.services.storage import Storage
storage = Storage.at({location!r}, Path({str(tmp_path / "other")!r}))
print(*(row.id for row in storage.rows(storage.latest("demo", "images"))))
"""
    assert python(code).communicate()[0].split() == ["isic/ISIC_0000001", "isic/ISIC_0000002"]


def test_two_writers_of_the_same_content_at_once_make_one_output(location: str, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from midefics.services.storage import Storage
from tests.rows import make_row
with Storage.at({location!r}, Path({str(tmp_path)!r}, sys.argv[1])).draft("images") as draft:
    for number in range(300):
        draft.add(make_row(number))
    (draft.path / "weights.bin").write_bytes(bytes(9_000_000))
    print("ready", flush=True)
    sys.stdin.readline()
print(draft.manifest.digest)
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()
    with ThreadPoolExecutor() as pool:
        digests = {told[0].strip() for told in pool.map(lambda writer: writer.communicate("\n"), writers)}
    assert len(digests) == 1
    storage = Storage.at(location, tmp_path / "three")
    (output,) = storage.outputs()
    assert output.manifest.digest in digests
    assert len(list(storage.rows(output.manifest))) == 300
    assert (storage.folder(output.manifest) / "weights.bin").stat().st_size == 9_000_000


def test_a_damaged_part_is_one_clear_error(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    manifest = written(storage, make_row())
    (storage.folder(manifest) / "part-00000.parquet").write_bytes(b"half a part")
    with pytest.raises(StorageError, match=r"part-00000.parquet is damaged"):
        list(storage.rows(manifest))


@pytest.mark.parametrize("location", ["gs://bucket/x", "s3://"])
def test_another_kind_of_address_is_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(ConfigError, match="expected a folder or s3://bucket/prefix"):
        Storage.at(location, tmp_path)


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/self/ns/mnt").exists(),
    reason="a full disk is made with a small tmpfs, which needs root on Linux",
)
@pytest.mark.parametrize("kept", ["folder", "s3"])
def test_a_full_disk_is_one_clear_error_and_keeps_nothing(tmp_path: Path, s3: str, kept: str) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a tmpfs here; run as root on Linux")
    storage = Storage.at(s3, tmp_path) if kept == "s3" else Storage(tmp_path)
    try:
        with (
            pytest.raises(StorageError, match=rf"no space left under {tmp_path}.*MIDEFICS_HOME"),
            storage.draft("images") as draft,
        ):
            draft.add(make_row(image=os.urandom(200_000)))
        assert list(storage.outputs()) == []
        assert list(tmp_path.rglob(".draft-*")) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_parts_load_in_datasets_as_they_are(tmp_path: Path) -> None:
    import datasets

    storage = Storage(tmp_path / "data")
    with storage.draft("images") as draft:
        draft.add(make_row(turns=(Turn(question="What?", answer="A nevus."),)))
    folder = storage.folder(draft.manifest)
    loaded = datasets.Dataset.from_parquet(str(folder / "part-00000.parquet"), cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["image"].size == (64, 48)
    assert loaded[0]["turns"] == [{"question": "What?", "answer": "A nevus."}]
    assert json.loads(loaded[0]["metadata"]) == make_row().metadata


def test_a_dataset_loads_with_its_three_splits(tmp_path: Path) -> None:
    import datasets

    storage, splits = Storage(tmp_path / "data"), ("train", "test", "train", "validation")
    with storage.draft("dataset") as draft:
        for number, split in enumerate(splits):
            draft.add(make_row(number, split=split))
    loaded = datasets.load_dataset(
        str(storage.folder(draft.manifest)),
        data_files={split: f"{split}-*.parquet" for split in set(splits)},
        cache_dir=str(tmp_path / "cache"),
    )
    assert {split: rows["id"] for split, rows in loaded.items()} == {
        "train": ["isic/ISIC_0000000", "isic/ISIC_0000002"],
        "test": ["isic/ISIC_0000001"],
        "validation": ["isic/ISIC_0000003"],
    }
    assert loaded["test"][0]["image"].size == (64, 48)


def test_rows_of_another_version_are_one_clear_error(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    storage = Storage(tmp_path)
    with storage.draft("images") as draft:
        draft.add(make_row())
    (part,) = storage.folder(draft.manifest).glob("*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(["phash"]), part)
    with pytest.raises(StorageError, match=r"rows of another version of midefics \(phash: .*run the stage"):
        list(storage.rows(draft.manifest))
