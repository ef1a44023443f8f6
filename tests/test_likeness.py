from pathlib import Path

import numpy as np
from PIL import Image

from midefics.inspection import inspect
from midefics.pictures import perceptual_hash
from midefics.records import Row, Scalar
from midefics.stages.likeness import Likeness
from tests.rows import encoded, make_row


def shot(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def row(id_: str, image: Image.Image, role: str = "train", **changes: object) -> Row:
    fields = {"source": id_.split("/")[0], "role": role, "image": encoded(image), "phash": perceptual_hash(image)}
    return make_row(id=id_, **(fields | changes))


def named(folder: Path, *rows: Row) -> dict[Scalar, dict[str, Scalar]]:
    """What each row that is like another is like."""
    with Likeness(folder) as likeness:
        for one in rows:
            likeness.add(one, inspect(one.image).thumbnail)
        found = {columns.pop("id"): columns for _, columns in likeness.columns(6)}
        assert [likeness.digest(place) for place in range(len(rows))] == [one.image_sha256 for one in rows]
    assert list(found) == [one.id for one in rows]
    filled = {id_: {name: value for name, value in columns.items() if value} for id_, columns in found.items()}
    return {id_: columns for id_, columns in filled.items() if columns}


def test_the_first_of_several_copies_is_named_and_files_come_before_shots(tmp_path: Path) -> None:
    rows = [
        row("isic/1", shot(1)),
        row("isic/2", shot(2)),
        row("mura/3", shot(1)),
        row("mura/4", shot(1, (160, 120))),
        row("roco/5", shot(1)),
    ]
    assert named(tmp_path, *rows) == {
        "mura/3": {"duplicate_of": "isic/1"},
        "mura/4": {"near_duplicate_of": "isic/1"},
        "roco/5": {"duplicate_of": "isic/1"},
    }


def test_what_is_asked_about_is_found_among_what_is_trained_on_and_stays(tmp_path: Path) -> None:
    rows = [
        row("isic/1", shot(1)),
        row("isic/2", shot(2, (200, 150))),
        row("isic/3", shot(3)),
        row("vqa_rad/4", shot(1), "evaluation"),
        row("vqa_rad/5", shot(2), "evaluation"),
        row("vqa_rad/6", shot(4), "evaluation"),
    ]
    assert named(tmp_path, *rows) == {
        "isic/1": {"evaluation_twin": "vqa_rad/4"},
        "isic/2": {"evaluation_twin": "vqa_rad/5"},
    }


def test_one_hash_is_not_enough_and_blank_pictures_are_like_nothing(tmp_path: Path) -> None:
    rows = [
        row("mura/1", shot(1), phash="0f" * 8),
        row("mura/2", shot(2), phash="0f" * 8),
        row("mura/3", Image.new("RGB", (64, 48), "white"), phash="0" * 16),
        row("mura/4", Image.new("RGB", (65, 48), "black"), phash="0" * 16),
        make_row(5, id="mura/5", source="mura", image=b"no picture", phash="0" * 16),
    ]
    assert named(tmp_path, *rows) == {}


def test_no_rows_have_no_columns(tmp_path: Path) -> None:
    assert named(tmp_path) == {}
