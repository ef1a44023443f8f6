import io
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr

from midefics.config import RunConfig, load_config
from midefics.errors import DataError, SourceError
from midefics.stages import ingest
from tests.rows import jpeg, make_services


def isic_archive(folder: Path, images: dict[str, bytes]) -> RunConfig:
    folder.mkdir()
    lines = ["isic_id,attribution,copyright_license,benign_malignant,diagnosis,patient_id"]
    for name, content in images.items():
        (folder / f"{name}.jpg").write_bytes(content)
        lines.append(f"{name},Somebody,CC-0,benign,nevus,IP_{name[-3:]}")
    (folder / "metadata.csv").write_text("\r\n".join(lines) + "\r\n")
    return load_config("demo", {"isic": folder}).only(["isic"])


def test_rows_hold_small_pictures_and_no_patient(tmp_path: Path) -> None:
    config = isic_archive(tmp_path / "isic", {"ISIC_0000001": jpeg((800, 400)), "ISIC_0000002": jpeg()})
    services = make_services(tmp_path)
    manifest = ingest.run(config, services=services)
    one, two = services.storage.rows(manifest)
    assert (one.id, one.width, one.height) == ("isic/ISIC_0000001", 800, 400)
    assert Image.open(io.BytesIO(one.image)).size == (160, 80)
    assert Image.open(io.BytesIO(two.image)).size == (64, 48)
    assert "IP_" not in one.model_dump_json(exclude={"image"})
    assert one.group != two.group


def test_groups_depend_on_the_salt_alone(tmp_path: Path) -> None:
    config = isic_archive(tmp_path / "isic", {"ISIC_0000001": jpeg()})
    groups = []
    for home, salt in (("a", "one"), ("b", "one"), ("c", "two")):
        services = make_services(tmp_path / home, salt=SecretStr(salt))
        groups += [row.group for row in services.storage.rows(ingest.run(config, services=services))]
    assert groups[0] == groups[1] != groups[2]


def test_unreadable_images_go_to_quarantine_with_a_reason(tmp_path: Path) -> None:
    good = {f"ISIC_000000{n}": jpeg() for n in range(6)}
    config = isic_archive(
        tmp_path / "isic", good | {"ISIC_0000007": jpeg()[:300], "ISIC_0000008": b"<html>not found</html>"}
    )
    services = make_services(tmp_path)
    manifest = ingest.run(config, services=services)
    assert (manifest.rows, sum(manifest.rejected.values())) == (6, 2)
    assert manifest.rejected == {"unreadable image": 2}
    assert {bad.id for bad in services.storage.rejected(manifest)} == {"isic/ISIC_0000007", "isic/ISIC_0000008"}
    assert str(tmp_path) not in "".join(bad.model_dump_json() for bad in services.storage.rejected(manifest))


def test_too_many_unreadable_images_stop_the_stage(tmp_path: Path) -> None:
    config = isic_archive(tmp_path / "isic", {"ISIC_0000001": jpeg(), "ISIC_0000002": b"junk"})
    services = make_services(tmp_path)
    with pytest.raises(
        DataError, match=r"isic: 1 of 2 images can't be used \(1 unreadable image\).*ingest.max_bad_share=0.51"
    ):
        ingest.run(config, services=services)
    assert not any((services.settings.home / "data" / "images").iterdir())


def test_limit_takes_the_first_images(tmp_path: Path) -> None:
    folder = tmp_path / "isic"
    isic_archive(folder, {f"ISIC_000000{n}": jpeg() for n in range(5)})
    services = make_services(tmp_path)
    config = load_config("demo", {"isic": folder}, {"sources.isic.limit": "2"}).only(["isic"])
    assert [row.id for row in services.storage.rows(ingest.run(config, services=services))] == [
        "isic/ISIC_0000000",
        "isic/ISIC_0000001",
    ]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    config = load_config("demo", {"isic": tmp_path / "nowhere"}).only(["isic"])
    with pytest.raises(SourceError, match="nowhere"):
        ingest.run(config, services=make_services(tmp_path))
