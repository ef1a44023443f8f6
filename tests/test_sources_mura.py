from pathlib import Path

import pytest

from midefics.errors import SourceError
from midefics.records import Case
from midefics.sources import mura

STUDY = "MURA-v1.1/train/XR_WRIST/patient00007/study1_positive/"
OTHER = "MURA-v1.1/train/XR_HAND/patient00007/study1_negative/"


def archive(root: Path, images: str, studies: str) -> Path:
    top = root / "MURA-v1.1"
    for folder in (STUDY, OTHER):
        (root / folder).mkdir(parents=True)
        (root / folder / "image1.png").write_bytes(b"a picture")
    (top / "train_image_paths.csv").write_text(images, newline="")
    (top / "train_labeled_studies.csv").write_text(studies, newline="")
    return root


LISTED = f"{STUDY}image1.png\n{OTHER}image1.png\n"
LABELLED = f"{STUDY},1\n{OTHER},0\n"


@pytest.mark.parametrize("inner", [".", "MURA-v1.1"])
@pytest.mark.parametrize(
    ("images", "studies"),
    [
        (LISTED, LABELLED),
        (LISTED.replace("\n", "\r\n"), LABELLED.replace("\n", "\r\n")),
        ("image\n" + LISTED, "study,label\n" + LABELLED),
        ("\ufeff" + LISTED, "\ufeff" + LABELLED),
    ],
    ids=["plain", "CRLF", "header", "byte order mark"],
)
def test_every_copy_in_the_wild_reads_the_same(tmp_path, inner, images, studies):
    cases = {str(case.metadata["body_part"]): case for case in mura.cases(archive(tmp_path, images, studies) / inner)}
    assert set(cases) == {"wrist", "hand"}
    assert cases["wrist"].metadata == {"archive_split": "train", "body_part": "wrist", "study_label": "abnormal"}
    assert cases["hand"].metadata["study_label"] == "normal"
    assert cases["wrist"].path.samefile(tmp_path / STUDY / "image1.png")


def test_a_patient_is_one_group_over_body_parts_and_never_in_an_id(tmp_path):
    cases = list(mura.cases(archive(tmp_path, LISTED, LABELLED)))
    assert {case.group for case in cases} == {"patient00007"}
    assert not any("patient" in case.id or "patient" in str(case.metadata) for case in cases)
    assert [case.id for case in cases] == sorted({case.id for case in cases})


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (f"{STUDY}image2.png", "missing image"),
        ("MURA-v1.1/train/XR_WRIST/patient00009/study1_positive/image1.png", "missing image"),
        ("MURA-v1.1/../../../etc/passwd", "path outside the archive"),
        ("/etc/passwd", "path outside the archive"),
        ("MURA-v1.1/train/image1.png", "unknown layout"),
    ],
)
def test_an_unusable_line_is_rejected_and_keeps_the_patient_to_itself(tmp_path, listed, reason):
    (found,) = mura.cases(archive(tmp_path, listed + "\n", LABELLED))
    assert (found.reason, found.origin) == (reason, "train_image_paths.csv:1")
    assert "patient" not in found.model_dump_json()


def test_an_image_of_a_study_without_a_label_is_rejected(tmp_path):
    (found,) = mura.cases(archive(tmp_path, f"{STUDY}image1.png\n", f"{OTHER},0\n"))
    assert found.reason == "no label"


@pytest.mark.parametrize("studies", [f"{STUDY},1\n{STUDY},0\n", f"{STUDY},0\n"], ids=["in the list", "with its folder"])
def test_a_label_that_contradicts_itself_is_rejected(tmp_path, studies):
    (found,) = mura.cases(archive(tmp_path, f"{STUDY}image1.png\n", studies))
    assert found.reason == "contradictory label"


def test_the_label_is_the_studys_and_all_its_images_have_it(tmp_path):
    root = archive(tmp_path, f"{STUDY}image1.png\n{STUDY}image2.png\n", LABELLED)
    (root / STUDY / "image2.png").write_bytes(b"another picture")
    cases = [one for one in mura.cases(root) if isinstance(one, Case)]
    assert [case.metadata["study_label"] for case in cases] == ["abnormal", "abnormal"]


def test_both_of_the_archives_splits_are_read(tmp_path):
    root = archive(tmp_path, LISTED, LABELLED)
    study = STUDY.replace("train", "valid").replace("00007", "11185")
    (root / study).mkdir(parents=True)
    (root / study / "image1.png").write_bytes(b"a picture")
    (root / "MURA-v1.1" / "valid_image_paths.csv").write_text(f"{study}image1.png\r\n", newline="")
    (root / "MURA-v1.1" / "valid_labeled_studies.csv").write_text(f"{study},1\r\n", newline="")
    splits = sorted((case.group, case.metadata["archive_split"]) for case in mura.cases(root))
    assert splits == [("patient00007", "train"), ("patient00007", "train"), ("patient11185", "valid")]


def test_the_licence_is_the_agreement_that_forbids_passing_it_on(tmp_path):
    assert {case.licence for case in mura.cases(archive(tmp_path, LISTED, LABELLED))} == {"MURA research use agreement"}


def test_an_empty_image_and_a_repeated_line_are_rejected(tmp_path):
    root = archive(tmp_path, LISTED + f"{OTHER}image1.png\n", LABELLED)
    (root / STUDY / "image1.png").write_bytes(b"")
    reasons = sorted(found.reason for found in mura.cases(root) if hasattr(found, "reason"))
    assert reasons == ["empty file", "repeated id"]


@pytest.mark.parametrize(
    ("images", "studies", "told"),
    [
        ("", LABELLED, "name no images"),
        (LISTED, f"{STUDY},1\n{OTHER},maybe\n", "train_labeled_studies.csv:2"),
    ],
)
def test_another_format_is_refused(tmp_path, images, studies, told):
    with pytest.raises(SourceError, match=told):
        list(mura.cases(archive(tmp_path, images, studies)))


def test_a_missing_list_of_labels_is_refused(tmp_path):
    root = archive(tmp_path, LISTED, LABELLED)
    (root / "MURA-v1.1" / "train_labeled_studies.csv").unlink()
    with pytest.raises(SourceError, match=r"train_labeled_studies\.csv is not a readable"):
        list(mura.cases(root))


def test_a_folder_without_mura_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no train_image_paths\.csv"):
        list(mura.cases(tmp_path))
    with pytest.raises(SourceError, match="no folder"):
        list(mura.cases(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("label", "verdict"),
    [("abnormal", "Yes, the study is labelled abnormal."), ("normal", "No, the study is labelled normal.")],
)
def test_the_conversation_says_what_the_metadata_say(label, verdict):
    turns = mura.conversation({"body_part": "humerus", "study_label": label})
    assert [turn.answer for turn in turns] == ["An X-ray of the upper arm.", verdict, "The upper arm."]


def test_without_a_label_there_is_no_conversation():
    assert mura.conversation({"body_part": "hand"}) == ()
