import json
from pathlib import Path

import pytest

from midefics.errors import ConfigError, SourceError
from midefics.records import Turn
from midefics.sources import SOURCES, source, vqa_rad

REAL = Path(__file__).parents[2] / "shared" / "data" / "vqa_rad"


def archive(root: Path, *records: dict[str, object]) -> Path:
    (root / "data_RAD" / "images").mkdir(parents=True)
    (root / "data_RAD" / "images" / "a.jpg").write_bytes(b"a picture")
    (root / "data_RAD" / "trainset.json").write_text(json.dumps(records))
    return root


def asked(question: str, answer: object, image: str = "a.jpg") -> dict[str, object]:
    return {"qid": 1, "image_name": image, "image_organ": "ABD", "question": question, "answer": answer}


@pytest.mark.parametrize("inner", [".", "data_RAD"])
def test_an_image_brings_all_its_questions(tmp_path, inner):
    root = archive(tmp_path, asked("How many lesions? ", 2), asked("Is it normal?", "No"), asked("", "x"))
    (case,) = vqa_rad.cases(root / inner)
    assert case.turns == (
        Turn(question="How many lesions?", answer="2"),
        Turn(question="Is it normal?", answer="No"),
    )
    assert (case.id, case.metadata, case.licence) == ("vqa_rad/a", {"image_organ": "abdomen"}, "CC0-1.0")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (asked("Is it?", "No", image="b.jpg"), "missing image"),
        (asked("Is it?", "No", image="../trainset.json"), "path outside the archive"),
        (asked("Is it?", "No", image="a\n.jpg"), "unusable name"),
        (asked(" ", "No"), "no question"),
    ],
)
def test_an_unusable_image_is_rejected(tmp_path, record, reason):
    (found,) = vqa_rad.cases(archive(tmp_path, record))
    assert found.reason == reason


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "hold no questions"),
        ('[{"question": "Is it?"}]', "not a list of records with answer, image_name, question"),
        ("{", "not readable JSON"),
    ],
)
def test_another_format_is_refused(tmp_path, content, told):
    archive(tmp_path)
    (tmp_path / "data_RAD" / "trainset.json").write_text(content)
    with pytest.raises(SourceError, match=told):
        list(vqa_rad.cases(tmp_path))


def test_two_images_whose_names_differ_in_the_suffix_alone_do_not_share_an_id(tmp_path):
    archive(tmp_path, asked("Is it?", "No"), asked("Is it?", "Yes", image="a.png"))
    found = list(vqa_rad.cases(tmp_path))
    assert [(one.id, getattr(one, "reason", "")) for one in found] == [("vqa_rad/a", ""), ("vqa_rad/a", "repeated id")]


def test_a_missing_folder_or_list_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        list(vqa_rad.cases(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"no \*\.json"):
        list(vqa_rad.cases(tmp_path))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real VQA-RAD in {REAL}; see shared/data/README.md")
def test_the_real_archive_adds_up():
    cases = list(vqa_rad.cases(REAL))
    assert (len(cases), sum(len(case.turns) for case in cases)) == (111, 1152)


def test_sets_that_others_ask_of_are_kept_for_evaluation():
    evaluated = {name for name, row in SOURCES.items() if row.role == "evaluation"}
    assert evaluated == {"path_vqa", "slake", "vqa_med", "vqa_rad"}


def test_an_unknown_source_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"sources\.chexpert: not one of dicom, hf_dataset, isic, mura, path_vqa, roco, slake"
    ):
        source("chexpert")
