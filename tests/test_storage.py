import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from midefics.errors import StorageError
from midefics.records import Rejected, Turn
from midefics.services.storage import Storage
from tests.rows import make_row


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    rows = [
        make_row(id="isic/a", turns=(Turn(question="What?", answer="A nevus."),)),
        make_row(id="isic/b", metadata={"age": 40, "sex": None}),
    ]
    with storage.draft("images", ["0" * 64]) as draft:
        for row in rows:
            draft.add(row)
    assert list(storage.rows(draft.manifest)) == rows
    assert (draft.manifest.rows, draft.manifest.parents) == (2, ("0" * 64,))


def test_same_rows_give_the_same_digest_and_nothing_twice(tmp_path: Path) -> None:
    storage, digests = Storage(tmp_path), set()
    for _ in range(2):
        with storage.draft("images") as draft:
            draft.add(make_row())
            draft.reject(Rejected(id="b", source="isic", reason="blank", detail="", origin="b.jpg"))
        digests.add(draft.manifest.digest)
    assert len(digests) == 1
    assert len(list((tmp_path / "images").iterdir())) == 1


@pytest.mark.parametrize(
    "change", [{"id": "isic/other"}, {"metadata": {"a": 1}}, {"image": b"other"}, {"split": "test"}]
)
def test_any_change_of_a_row_changes_the_digest(tmp_path: Path, change: dict[str, object]) -> None:
    digests = []
    for row in (make_row(), make_row(**change)):
        with Storage(tmp_path).draft("images") as draft:
            draft.add(row)
        digests.append(draft.manifest.digest)
    assert digests[0] != digests[1]


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Storage(tmp_path).draft("images") as draft:
        draft.add(make_row())
        raise RuntimeError
    assert list((tmp_path / "images").iterdir()) == []


def test_the_draft_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from midefics.services.storage import Storage
with Storage(Path({str(tmp_path)!r})).draft("images"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list((tmp_path / "images").iterdir())) == 1
    with Storage(tmp_path).draft("images") as draft:
        draft.add(make_row())
    assert [path.name for path in (tmp_path / "images").iterdir()] == [draft.manifest.digest[:16]]


def test_quarantine_is_counted_and_kept(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    bad = Rejected(id="isic/b", source="isic", reason="blank", detail="std 0.0", origin="b.jpg")
    with storage.draft("validated") as draft:
        draft.add(make_row())
        draft.reject(bad)
    assert draft.manifest.rejected == {"blank": 1}
    assert storage.rejected(draft.manifest) == [bad]


@pytest.mark.parametrize("reference", ["folder", "file", "uri", "json"])
def test_a_manifest_is_found_by_each_of_its_names(tmp_path: Path, reference: str) -> None:
    storage = Storage(tmp_path)
    with storage.draft("images") as draft:
        draft.add(make_row())
    folder = tmp_path / draft.manifest.uri
    names = {
        "folder": str(folder),
        "file": str(folder / "manifest.json"),
        "uri": draft.manifest.uri,
        "json": draft.manifest.model_dump_json(),
    }
    assert storage.find(names[reference]) == draft.manifest


@pytest.mark.parametrize("reference", ["nowhere", "{}", '{"kind": "images"'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(StorageError):
        Storage(tmp_path).find(reference)


def test_a_manifest_whose_rows_are_gone_is_refused(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with storage.draft("images") as draft:
        draft.add(make_row())
    (tmp_path / draft.manifest.uri / "manifest.json").unlink()
    with pytest.raises(StorageError, match="run the stage that makes it again"):
        list(storage.rows(draft.manifest))


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/self/ns/mnt").exists(),
    reason="a full disk is made with a small tmpfs, which needs root on Linux",
)
def test_a_full_disk_is_one_clear_error_and_keeps_nothing(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a tmpfs here; run as root on Linux")
    try:
        with (
            pytest.raises(StorageError, match=r"no space left under .*MIDEFICS_HOME"),
            Storage(tmp_path).draft("images") as draft,
        ):
            draft.add(make_row(image=os.urandom(200_000)))
        assert list((tmp_path / "images").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_parts_load_in_datasets_as_they_are(tmp_path: Path) -> None:
    import datasets

    storage = Storage(tmp_path / "data")
    with storage.draft("dataset") as draft:
        draft.add(make_row(turns=(Turn(question="What?", answer="A nevus."),)))
    folder = storage.folder(draft.manifest)
    loaded = datasets.Dataset.from_parquet(str(folder / "part-00000.parquet"), cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["image"].size == (64, 48)
    assert loaded[0]["turns"] == [{"question": "What?", "answer": "A nevus."}]
    assert json.loads(loaded[0]["metadata"]) == make_row().metadata
