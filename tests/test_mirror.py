from pathlib import Path

import pytest

from midefics.config import load_config
from midefics.errors import ConfigError, SourceError
from midefics.services.mirror import local_archive
from midefics.services.s3 import Bucket
from midefics.stages import ingest
from tests.rows import jpeg, make_services

TABLE = b"isic_id,attribution,copyright_license,benign_malignant,diagnosis\nISIC_0000001,A,CC-0,benign,nevus\n"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_changed_is_fetched(s3: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bucket, services = Bucket(s3), make_services(tmp_path)

    def mirrored() -> tuple[dict[str, bytes], str]:
        caplog.clear()
        folder = local_archive("isic", s3, services)
        (told,) = (record.getMessage() for record in caplog.records if record.name.endswith("mirror"))
        return content(folder), ",".join(told.split(",")[1:4])

    bucket.put("a.csv", b"one")
    bucket.put("images/1.jpg", b"1")
    bucket.put("images/deep/2.jpg", b"2")
    bucket.put("images/", b"")
    assert mirrored() == (
        {"a.csv": b"one", "images/1.jpg": b"1", "images/deep/2.jpg": b"2"},
        " 3 files, 3 fetched, 0 gone",
    )
    assert mirrored()[1] == " 3 files, 0 fetched, 0 gone"
    bucket.put("a.csv", b"two")  # the same size
    bucket.delete(["images/deep/2.jpg"])
    assert mirrored() == ({"a.csv": b"two", "images/1.jpg": b"1"}, " 2 files, 1 fetched, 1 gone")
    (local_archive("isic", s3, services) / "images" / "1.jpg").unlink()
    assert mirrored() == ({"a.csv": b"two", "images/1.jpg": b"1"}, " 2 files, 1 fetched, 0 gone")
    assert not list(services.settings.home.rglob("deep"))


def test_ingest_reads_an_archive_in_s3(s3: str, tmp_path: Path) -> None:
    bucket = Bucket(s3)
    bucket.put("metadata.csv", TABLE)
    bucket.put("ISIC_0000001.jpg", jpeg())
    services = make_services(tmp_path)
    manifest = ingest.run(load_config("demo", {"isic": s3}).only(["isic"]), services=services)
    assert [row.id for row in services.storage.rows(manifest)] == ["isic/ISIC_0000001"]


def test_two_addresses_under_one_name_have_two_folders(s3: str, tmp_path: Path) -> None:
    services = make_services(tmp_path)
    for part in ("one", "two"):
        Bucket(f"{s3}/{part}").put("a.csv", part.encode())
    folders = [local_archive("isic", f"{s3}/{part}", services) for part in ("one", "two")]
    assert [content(folder) for folder in folders] == [{"a.csv": b"one"}, {"a.csv": b"two"}]


@pytest.mark.parametrize("key", ["../outside.jpg", "a/../../outside.jpg", "/etc/passwd", "a//b.jpg"])
def test_a_key_that_leads_outside_is_refused(s3: str, tmp_path: Path, key: str) -> None:
    Bucket(s3).put(key, b"x")
    with pytest.raises(SourceError, match="can't be a file's name"):
        local_archive("isic", s3, make_services(tmp_path / "home"))
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".db", ".lock")] == []


def test_an_empty_address_keeps_what_was_mirrored(s3: str, tmp_path: Path) -> None:
    bucket, services = Bucket(s3), make_services(tmp_path)
    bucket.put("a.csv", b"one")
    folder = local_archive("isic", s3, services)
    bucket.delete(["a.csv"])
    with pytest.raises(SourceError, match="no objects under"):
        local_archive("isic", s3, services)
    assert content(folder) == {"a.csv": b"one"}


def test_drawing_into_a_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sources.isic: synthetic_cases draws in a local folder"):
        load_config("demo", {"isic": "s3://bucket/isic"}, {"sources.isic.synthetic_cases": "3"})
