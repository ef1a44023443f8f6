"""What is read again when an archive, a setting or the store has changed; what is not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from midefics.config import RunConfig, load_config
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.s3 import Bucket
from midefics.stages import ingest
from tests.rows import jpeg, make_services

JUNK = b"no picture any more"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "isic"
    folder.mkdir()
    for number in range(4):
        (folder / f"ISIC_{number:07d}.jpg").write_bytes(jpeg((64, 40 + number)))
    write_table(folder)
    return folder


def write_table(folder: Path, diagnosis: str = "nevus") -> None:
    rows = [f"ISIC_{number:07d},Somebody,CC-0,benign,{diagnosis},IP_{number}" for number in range(4)]
    header = "isic_id,attribution,copyright_license,benign_malignant,diagnosis,patient_id"
    (folder / "metadata.csv").write_text("\n".join([header, *rows, ""]))


def spoil(folder: Path, number: int) -> None:
    """Makes a file unreadable behind everybody's back: same size, same time."""
    path = folder / f"ISIC_{number:07d}.jpg"
    before = path.stat()
    path.write_bytes(JUNK.ljust(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def run(archive: Path, services: Services, **values: str) -> Manifest:
    return ingest.run(configured(archive, **values), services=services)


def configured(archive: Path, **values: str) -> RunConfig:
    return load_config("demo", {"isic": archive}, values).only(["isic"])


def rows(services: Services, manifest: Manifest) -> list[Row]:
    return list(services.storage.rows(manifest))


def test_an_unchanged_archive_is_not_opened_again(tmp_path: Path, archive: Path) -> None:
    services = make_services(tmp_path / "home")
    first = run(archive, services)
    for number in range(4):
        spoil(archive, number)
    assert run(archive, services) == first


def test_only_what_changed_is_opened_again(tmp_path: Path, archive: Path) -> None:
    services = make_services(tmp_path / "home")
    before = rows(services, run(archive, services))
    spoil(archive, 0)
    (archive / "ISIC_0000002.jpg").write_bytes(jpeg((80, 80)))
    after = rows(services, run(archive, services))
    assert [row.width for row in after] == [64, 64, 80, 64]
    assert after[0] == before[0]


def test_new_metadata_reach_the_row_of_an_unchanged_picture(tmp_path: Path, archive: Path) -> None:
    services = make_services(tmp_path / "home")
    run(archive, services)
    write_table(archive, diagnosis="melanoma")
    spoil(archive, 1)
    assert {row.metadata["diagnosis"] for row in rows(services, run(archive, services))} == {"melanoma"}


def test_a_new_image_is_added_to_those_made_before(tmp_path: Path, archive: Path) -> None:
    services = make_services(tmp_path / "home")
    (archive / "ISIC_0000003.jpg").rename(tmp_path / "kept.jpg")
    assert run(archive, services).rejected == {"missing image": 1}
    (tmp_path / "kept.jpg").rename(archive / "ISIC_0000003.jpg")
    spoil(archive, 0)
    assert [row.width for row in rows(services, run(archive, services))] == [64] * 4


CHANGES: dict[str, Callable[[Path], tuple[dict[str, str], dict[str, object]]]] = {
    "picture size": lambda _: ({"ingest.image_size": "40"}, {}),
    "salt": lambda _: ({}, {"salt": SecretStr("another")}),
    "limit": lambda _: ({"sources.isic.limit": "2"}, {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_setting_gives_what_a_fresh_start_would(tmp_path: Path, archive: Path, change: str) -> None:
    values, settings = CHANGES[change](archive)
    run(archive, make_services(tmp_path / "home"))
    again = run(archive, make_services(tmp_path / "home", **settings), **values)
    fresh = run(archive, make_services(tmp_path / "fresh", **settings), **values)
    assert again.digest == fresh.digest


def test_an_output_that_is_gone_is_made_again(tmp_path: Path, archive: Path) -> None:
    services = make_services(tmp_path / "home")
    first = run(archive, services)
    shutil.rmtree(services.storage.folder(first))
    assert run(archive, services).digest == first.digest
    assert len(rows(services, first)) == 4


def test_an_output_that_is_gone_or_lost_a_part_is_made_again_everywhere(
    tmp_path: Path, archive: Path, location: str
) -> None:
    here, elsewhere = (make_services(tmp_path / name, store=location) for name in ("here", "elsewhere"))
    first = run(archive, here)
    part = f"{first.uri}/part-00000.parquet"
    for spoiling in (lambda: elsewhere.storage.store.delete(first.uri), lambda: remove(location, part)):
        spoiling()
        assert run(archive, here) == first
        assert elsewhere.storage.holds(first)


def remove(location: str, key: str) -> None:
    if location.startswith("s3"):
        Bucket(location).delete([key])
    else:
        Path(location, key).unlink()


@pytest.mark.parametrize("suffix", ["json", "stamps"])
def test_a_broken_watermark_is_none(tmp_path: Path, archive: Path, suffix: str) -> None:
    services = make_services(tmp_path / "home")
    first = run(archive, services)
    (file,) = (tmp_path / "home" / "cache" / "ingest").glob(f"*.{suffix}")
    file.write_text("{")
    (archive / "metadata.csv").write_text((archive / "metadata.csv").read_text() + "\n")
    assert run(archive, services).digest == first.digest


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_nothing(tmp_path: Path, archive: Path, threads: int) -> None:
    values = {"ingest.threads": str(threads)}
    one = run(archive, make_services(tmp_path / "one"), **{"ingest.threads": "1"})
    assert run(archive, make_services(tmp_path / "many"), **values).digest == one.digest
