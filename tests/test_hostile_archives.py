"""Archives made to crash, hang, mislead or spy: whatever is wrong with one is told, and nothing outside it is read."""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from midefics.config import load_config
from midefics.errors import SourceError
from midefics.pictures import BROKEN, shrink
from midefics.records import Case, Manifest, Rejected
from midefics.services import Services
from midefics.sources import SOURCES, isic, mura, roco, vqa_rad
from midefics.stages import ingest
from tests.hostile import LAYOUTS, archive, png, refused_pictures, traps, tricky_pictures
from tests.rows import jpeg, make_services

PARSERS = {"isic": isic, "mura": mura, "roco": roco, "vqa_rad": vqa_rad}
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def ingested(source: str, root: Path, home: Path) -> tuple[Services, Manifest]:
    config = load_config("demo", {source: root}, {"ingest.max_bad_share": "1.0"}).only([source])
    services = make_services(home)
    return services, ingest.run(config, services=services)


def unpacked(zipped: Path, root: Path) -> Path:
    with zipfile.ZipFile(zipped) as file:
        file.extractall(root)  # Python keeps it within the folder
    return root


@every_layout
def test_a_zip_of_hostile_pictures_ends_in_quarantine_and_odd_but_true_ones_come_in_clean(tmp_path, layout):
    refused, tricky = refused_pictures(), tricky_pictures()
    if layout.source == "hf_dataset":  # may hold what `datasets` writes
        tricky |= {name: refused.pop(name) for name in ("tiff", "webp")}
    made = archive(tmp_path / "made", layout, refused | tricky)
    root = unpacked(Path(shutil.make_archive(str(tmp_path / "made"), "zip", made)), tmp_path / "archive")
    services, manifest = ingested(layout.source, root, tmp_path)
    assert manifest.rejected == {"unreadable image": len(refused) - 1, "empty file": 1}
    rows = list(services.storage.rows(manifest))
    assert {row.image_sha256 for row in rows} == {hashlib.sha256(content).hexdigest() for content in tricky.values()}
    for row in rows:
        with Image.open(io.BytesIO(row.image)) as small:
            assert (small.format, small.mode, len(small.getexif())) == ("JPEG", "RGB", 0)
            assert small.convert("L").getextrema()[1] - small.convert("L").getextrema()[0] > 50
        assert b"Jane Doe" not in row.image
    told = "".join(one.model_dump_json() for one in services.storage.rejected(manifest))
    assert str(tmp_path) not in told
    assert " at 0x" not in told


@every_layout
def test_the_same_hostile_archive_gives_the_same_digest(tmp_path, layout):
    root = archive(tmp_path / "archive", layout, refused_pictures() | tricky_pictures())
    digests = {ingested(layout.source, root, tmp_path / home)[1].digest for home in ("first", "second")}
    assert len(digests) == 1


@every_layout
def test_links_pipes_and_folders_in_the_place_of_images_are_rejected_unopened(tmp_path, layout):
    outside = tmp_path / "private" / "secret.jpg"
    outside.parent.mkdir()
    outside.write_bytes(jpeg())
    root = archive(tmp_path / "archive", layout, {"good": jpeg((60, 60))})
    for name, put in traps(outside).items():
        put(root / layout.image(name))
    (root / layout.image("link_inside")).symlink_to(Path(layout.image("good")).name)
    names = ["good", "link_inside", *traps(outside)]
    layout.lists(root, names)
    found = list(SOURCES[layout.source].cases(root))
    assert Counter(one.reason for one in found if isinstance(one, Rejected)) == {
        "path outside the archive": 3,
        "missing image": 2,
        "not a file": 2,
    }
    assert [one.path.read_bytes() for one in found if isinstance(one, Case)] == [jpeg((60, 60))] * 2


@pytest.mark.skipif(not hasattr(os, "mknod") or os.geteuid() != 0, reason="only root may make a device")
@every_layout
def test_a_device_in_the_place_of_an_image_is_rejected(tmp_path, layout):
    root = archive(tmp_path / "archive", layout, {"good": jpeg()})
    try:
        os.mknod(root / layout.image("zero"), 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices can't be made here: run it where root has CAP_MKNOD")
    layout.lists(root, ["zero"])
    assert [one.reason for one in SOURCES[layout.source].cases(root)] == ["not a file"]


@every_layout
def test_a_folder_of_images_that_leads_out_of_the_archive_is_not_entered(tmp_path, layout):
    private = archive(tmp_path / "private", layout, {"secret": jpeg()})
    root = tmp_path / "archive"
    root.mkdir()
    top = Path(layout.image("secret")).parts[0]
    if (private / top).is_file():
        pytest.skip("its images lie in the archive's own folder")
    (root / top).symlink_to(private / top)
    try:
        layout.lists(root, ["secret"])
        found = list(SOURCES[layout.source].cases(root))
    except SourceError as error:
        assert "leads out of the archive" in str(error)
    else:
        assert [one.reason for one in found] == ["path outside the archive"]


@every_layout
@pytest.mark.parametrize(
    "name",
    ["../secret", "a/../../../../../../../../secret", "/etc/passwd", "a\nb", "a\u202egpj.exe", "\u200f", "x" * 251, "x" * 100_000, "a\tb", ""],
    ids=["up", "up and up", "absolute", "line end", "right to left", "mark", "longest", "too long", "tab", "none"],
)  # fmt: skip
def test_a_hostile_name_in_a_list_is_rejected_or_found_nowhere(tmp_path, layout, name):
    root = archive(tmp_path / "archive", layout, {"good": jpeg()})
    for secret in (tmp_path / "secret.jpg", tmp_path / "secret.png"):
        secret.write_bytes(jpeg())
    layout.lists(root, [name])
    try:
        found = list(SOURCES[layout.source].cases(root))
    except SourceError as error:  # a tab or a line end in a list that has them between fields
        assert str(error).isprintable()
    else:
        assert found
        assert all(isinstance(one, Rejected) for one in found)
        assert all(len(one.model_dump_json()) < 1000 and one.id.isprintable() for one in found)


@every_layout
def test_the_longest_of_names_is_read(tmp_path, layout):
    name = "x" * 251  # 255 bytes with its suffix
    (found,) = SOURCES[layout.source].cases(archive(tmp_path / "archive", layout, {name: jpeg()}))
    assert isinstance(found, Case)


def test_ids_that_differ_in_case_alone_are_two_images(tmp_path):
    root = archive(tmp_path / "archive", LAYOUTS["isic"], {"isic_1": jpeg(), "ISIC_1": jpeg((60, 60))})
    services, manifest = ingested("isic", root, tmp_path)
    assert [(row.id, row.width) for row in services.storage.rows(manifest)] == [
        ("isic/ISIC_1", 60),
        ("isic/isic_1", 64),
    ]


LISTS = {
    "isic": ["metadata.csv"],
    "mura": ["MURA-v1.1/train_image_paths.csv", "MURA-v1.1/train_labeled_studies.csv"],
    "roco": [f"data/train/radiology/{name}.txt" for name in ("captions", "dlinks", "keywords", "licences")],
    "roco-kaggle": ["all_data/test/radiologytestdata.csv"],
    "vqa_rad": ["data_RAD/trainset.json"],
    "hf_dataset": ["train.parquet"],
}
every_list = pytest.mark.parametrize(("layout", "name"), [(kind, name) for kind in LISTS for name in LISTS[kind]])


@every_list
@pytest.mark.parametrize("spoil", ["UTF-16", "NUL", "a field of 10 MB", "Latin-1"])
def test_a_list_that_is_no_text_is_refused(tmp_path, layout, name, spoil):
    root = archive(tmp_path / "archive", LAYOUTS[layout], {"good": jpeg()})
    content = (root / name).read_bytes()
    (root / name).write_bytes(
        {
            "UTF-16": content.decode("latin-1").encode("utf-16"),
            "NUL": content[:-1] + b"\0\n",
            "a field of 10 MB": content.rstrip(b"\n") + b"x" * 10_000_000 + b"\n",
            "Latin-1": content.rstrip(b"\n") + b"\xe9\n",
        }[spoil]
    )
    with pytest.raises(SourceError, match=Path(name).name) as error:
        list(SOURCES[LAYOUTS[layout].source].cases(root))
    assert len(str(error.value)) < 600


@every_list
def test_a_list_with_a_byte_order_mark_is_read(tmp_path, layout, name):
    if name.endswith(".parquet"):
        pytest.skip("no text")
    root = archive(tmp_path / "archive", LAYOUTS[layout], {"good": jpeg()})
    (root / name).write_bytes(b"\xef\xbb\xbf" + (root / name).read_bytes())
    (found,) = SOURCES[LAYOUTS[layout].source].cases(root)
    assert isinstance(found, Case)


@every_list
@pytest.mark.parametrize("trap", traps(Path()))
def test_a_trap_in_the_place_of_a_list_neither_hangs_nor_leads_out(tmp_path, layout, name, trap):
    root = archive(tmp_path / "archive", LAYOUTS[layout], {"good": jpeg()})
    outside = tmp_path / "private" / "list"
    outside.parent.mkdir()
    (root / name).rename(outside)
    traps(outside)[trap](root / name)
    try:
        (found,) = SOURCES[LAYOUTS[layout].source].cases(root)
    except SourceError:
        return
    # A list that not every archive has: what it says is not known.
    assert Path(name).name in ("dlinks.txt", "keywords.txt", "licences.txt")
    assert trap != "link_outside"
    assert isinstance(found, Case)


TABLES = {"isic": "metadata.csv", "roco-kaggle": "all_data/test/radiologytestdata.csv"}


@pytest.mark.parametrize(("layout", "name"), TABLES.items())
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", ',"opened\n'),
        ("\n", ",id\n"),
        ("\n", ",isic_id\n"),
        ("\n", "," + ",".join(f"c{number}" for number in range(100_000)) + "\n"),
        ("\n", "," * 1_100_000 + "\n"),
    ],
    ids=["a quote that nothing closes", "a column twice", "the other twice", "100,000 columns", "a million commas"],
)
def test_a_table_of_another_shape_is_refused(tmp_path, layout, name, old, new):
    if (layout, new) in {("isic", ",id\n"), ("roco-kaggle", ",isic_id\n")}:
        pytest.skip("an unknown column more is no fault")
    root = archive(tmp_path / "archive", LAYOUTS[layout], {"good": jpeg()})
    (root / name).write_text((root / name).read_text().replace(old, new, 1))
    with pytest.raises(SourceError, match="not a readable CSV file"):
        list(SOURCES[LAYOUTS[layout].source].cases(root))


def test_a_quote_that_nothing_closes_never_swallows_the_rows_after_it(tmp_path):
    root = archive(tmp_path / "archive", LAYOUTS["isic"], {"A": jpeg(), "B": jpeg(), "C": jpeg()})
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace('"B",Somebody', '"B","Somebody'))
    with pytest.raises(SourceError, match="not a readable CSV file"):
        list(isic.cases(root))


def test_a_formula_stays_the_text_that_it_is(tmp_path):
    formula = '=HYPERLINK("http://evil.example","nevus")'
    root = archive(tmp_path / "archive", LAYOUTS["isic"], {"A": jpeg()})
    quoted = '"' + formula.replace('"', '""') + '"'
    (root / "metadata.csv").write_text((root / "metadata.csv").read_text().replace("Somebody", quoted))
    (case,) = isic.cases(root)
    assert case.attribution == formula


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("content", [DEEP, '{"name": ' + DEEP + "}", "null", "7", '"\\ud800"', "1" * 5000, ""])
def test_hostile_json_is_refused_or_rejected(tmp_path, content):
    (tmp_path / "A.json").write_text(content)
    (tmp_path / "A.jpg").write_bytes(jpeg())
    assert [one.reason for one in isic.cases(tmp_path)] == ["unreadable metadata"]
    with pytest.raises(SourceError, match=r"A\.json"):
        list(vqa_rad.cases(tmp_path))


def test_half_a_character_in_a_question_is_refused(tmp_path):
    root = archive(tmp_path / "archive", LAYOUTS["vqa_rad"], {"A": jpeg()})
    asked = root / "data_RAD" / "trainset.json"
    asked.write_text(asked.read_text().replace("normal", "\\ud800"))
    assert json.loads(asked.read_text())
    with pytest.raises(SourceError, match="not readable JSON"):
        list(vqa_rad.cases(root))


def test_a_line_repeated_ten_thousand_times_is_counted_as_often(tmp_path):
    root = archive(tmp_path / "archive", LAYOUTS["mura"], {"A": jpeg()})
    listed = root / "MURA-v1.1" / "train_image_paths.csv"
    listed.write_text(listed.read_text() * 10_000)
    assert sum(isinstance(one, Rejected) for one in mura.cases(root)) == 9_999


def test_a_png_that_ends_early_but_properly_is_blank_and_so_never_passes_validation():
    # Pillow fills up what such a file leaves out, and says nothing; 88 bytes here claim 81 megapixels.
    with Image.open(io.BytesIO(shrink(png(9_000, 9_000), 160).content)) as small:
        assert small.convert("L").getextrema() == (0, 0)


def size(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.size


def test_flipped_bits_raise_nothing_but_what_a_broken_picture_may():
    chance = random.Random(0)  # noqa: S311 (bits, no secret)
    for content in (*tricky_pictures().values(), *refused_pictures().values()):
        for _ in range(40):
            flipped = bytearray(content or b"\0")
            for _ in range(chance.choice((1, 4, 16))):
                flipped[chance.randrange(min(len(flipped), 400))] = chance.randrange(256)
            with contextlib.suppress(*BROKEN):
                assert max(size(shrink(bytes(flipped), 160).content)) <= 160
