import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from midefics.errors import ConfigError, SourceError
from midefics.records import Case, Rejected
from midefics.sources import SOURCES, synthetic
from midefics.sources.synthetic.plan import plan

DRAWABLE = ["isic", "mura", "roco"]


def content(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("drawn")
    for name in DRAWABLE:
        synthetic.draw(name, home / name, 70, seed=1)
    return home


@pytest.mark.parametrize(
    ("name", "rejected"),
    [
        # 3 % of 70 are two images: the first two kinds of flaw, of which a truncated image is only found on opening it.
        ("isic", {"missing image": 1}),
        ("mura", {"missing image": 1}),
        ("roco", {"no caption": 1, "missing image": 1}),
    ],
)
def test_a_drawn_archive_reads_as_the_true_one(drawn, name, rejected):
    found = list(SOURCES[name].cases(drawn / name))
    assert len(found) == 70
    assert Counter(one.reason for one in found if isinstance(one, Rejected)) == rejected
    cases = [one for one in found if isinstance(one, Case)]
    assert [one.id for one in found] == sorted({one.id for one in found})
    assert all(2 <= len(SOURCES[name].conversation(case.metadata)) <= 4 for case in cases)
    assert 70 / 6 <= len({case.group for case in cases}) <= 35
    assert {case.attribution for case in cases} == {"drawn by midefics"}


def test_a_truncated_image_and_a_patient_with_several_body_parts_are_among_them(drawn):
    cases = [one for one in SOURCES["mura"].cases(drawn / "mura") if isinstance(one, Case)]
    parts = {(case.group, case.metadata["body_part"]) for case in cases}
    assert max(Counter(group for group, _ in parts).values()) > 1
    broken = 0
    for case in cases:
        with Image.open(case.path) as picture:
            try:
                picture.load()
            except OSError:
                broken += 1
    assert broken == 1


def test_the_flaws_of_a_larger_plan_are_of_every_kind():
    shots = list(plan(150, 0, ["a", "b"]))
    assert len(shots) == 150
    assert Counter(shot.flaw for shot in shots) == {None: 146, "missing": 1, "truncated": 1, "blank": 1, "empty": 1}
    subjects = {shot.subject: shot.item for shot in shots}
    assert abs(list(subjects.values()).count("a") - list(subjects.values()).count("b")) <= 1


@pytest.mark.parametrize("name", DRAWABLE)
def test_the_same_arguments_draw_the_same_bytes(tmp_path, name):
    synthetic.draw(name, tmp_path / "a", 4, seed=3)
    synthetic.draw(name, tmp_path / "b", 4, seed=3)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_second_draw_changes_nothing_and_another_seed_replaces(tmp_path):
    root = tmp_path / "archives" / "roco"
    synthetic.draw("roco", root, 4, seed=3)
    first, touched = content(root), (root / ".synthetic.json").stat().st_mtime_ns
    synthetic.draw("roco", root, 4, seed=3)
    assert (root / ".synthetic.json").stat().st_mtime_ns == touched
    synthetic.draw("roco", root, 4, seed=4)
    assert content(root) != first
    assert [path.name for path in root.parent.iterdir()] == ["roco"]


def test_a_folder_with_other_content_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.jpg").write_bytes(b"a real picture")
    with pytest.raises(SourceError, match="not empty and was not drawn here"):
        synthetic.draw("isic", tmp_path, 4, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jpg"]


def test_an_empty_folder_is_filled(tmp_path):
    synthetic.draw("isic", tmp_path, 2, seed=-1)
    assert len(list(SOURCES["isic"].cases(tmp_path))) == 2


def test_a_source_that_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"sources\.vqa_rad\.synthetic_cases: only isic, mura, roco"):
        synthetic.draw("vqa_rad", tmp_path, 4, seed=0)


def test_captioned_pictures_come_in_the_size_asked_for_and_again_the_same():
    first, second = (list(synthetic.captioned_pictures(6, seed=5, size=40)) for _ in range(2))
    assert [caption for _, caption in first] == [caption for _, caption in second]
    assert all(a.tobytes() == b.tobytes() for (a, _), (b, _) in zip(first, second, strict=True))
    assert {picture.size for picture, _ in first} == {(40, 40)}
    assert {picture.mode for picture, _ in first} == {"RGB"}


@pytest.fixture(scope="module")
def seen_small() -> list[tuple[np.ndarray, str]]:
    pictures = synthetic.captioned_pictures(1200, seed=6, size=48)
    return [(np.asarray(picture.resize((32, 32))).ravel(), caption) for picture, caption in pictures]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (0, ("malignant", "benign")),
        (0, ("melanoma", "basal cell carcinoma", "nevus", "seborrheic keratosis")),
        (1, (", abnormal", ", normal")),
        (1, ("elbow", "finger", "forearm", "hand", "upper arm", "shoulder", "wrist")),
        (2, ("X-ray", "CT", "MRI", "ultrasound")),
        (2, ("on the left", "on the right")),
    ],
    ids=["malignancy", "diagnosis", "abnormality", "body part", "modality", "side"],
)
def test_what_a_caption_says_can_be_seen_in_32_pixels(seen_small, kind, words):
    pixels, captions = zip(*seen_small[kind::3], strict=True)
    labels = [next(number for number, word in enumerate(words) if word in caption) for caption in captions]
    forest = RandomForestClassifier(100, random_state=0).fit(pixels[:280], labels[:280])
    assert forest.score(pixels[280:], labels[280:]) > 0.92
