from pathlib import Path

import pytest

from midefics.errors import SourceError
from midefics.records import Case, Rejected
from midefics.sources import isic

REAL = Path(__file__).parents[2] / "shared" / "data" / "isic"
HEADER = "isic_id,attribution,copyright_license,benign_malignant,diagnosis,patient_id,lesion_id,newest_column"


def archive(root: Path, *rows: str, images: str = "ABC", header: str = HEADER, end: str = "\r\n") -> Path:
    (root / "metadata.csv").write_text(end.join([header, *rows, ""]), encoding="utf-8", newline="")
    for name in images:
        (root / f"{name}.jpg").write_bytes(b"a picture")
    return root


def only(root: Path) -> Case | Rejected:
    (found,) = isic.cases(root)
    return found


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_row_becomes_a_case(tmp_path, end):
    case = only(archive(tmp_path, "A,Jane Doe,CC-BY,malignant,melanoma,IP_1,IL_2,secret", end=end))
    assert case == Case(
        id="isic/A",
        source="isic",
        path=tmp_path / "A.jpg",
        group="IP_1",
        links=("IL_2",),
        metadata={"benign_malignant": "malignant", "diagnosis": "melanoma"},
        licence="CC-BY",
        attribution="Jane Doe",
    )


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("benign_malignant,diagnosis,anatom_site_general", "malignant,melanoma,lower extremity"),
        (
            "diagnosis_1,diagnosis_2,diagnosis_3,anatom_site_1",
            'Malignant,Malignant melanocytic proliferations,"Melanoma, NOS",Lower extremity',
        ),
    ],
)
def test_old_and_new_vocabularies_come_out_the_same(tmp_path, columns, values):
    root = archive(tmp_path, f"A,{values},60,True", header=f"isic_id,{columns},age_approx,melanocytic")
    assert only(root).metadata == {
        "age_approx": 60,
        "anatom_site_general": "lower extremity",
        "benign_malignant": "malignant",
        "diagnosis": "melanoma",
        "melanocytic": True,
    }


@pytest.mark.parametrize(
    ("row", "group"),
    [
        ("A,,,benign,nevus,IP_1,IL_2,", "IP_1"),
        ("A,,,benign,nevus,,IL_2,", "IL_2"),
        ("A,,,benign,nevus,,,", "A"),
    ],
)
def test_the_group_is_the_patient_else_the_lesion_else_the_image(tmp_path, row, group):
    assert only(archive(tmp_path, row)).group == group


def test_patient_lesion_attribution_and_unknown_columns_stay_out_of_the_metadata(tmp_path):
    root = archive(tmp_path, "A,Jane,CC-0,benign,nevus,IP_1,IL_2,x,1/1/2020", header=HEADER + ",acquisition_day")
    assert set(only(root).metadata) == {"benign_malignant", "diagnosis"}


@pytest.mark.parametrize("absent", ["", "nan", "unknown", " "])
def test_a_patient_who_is_not_given_makes_no_group(tmp_path, absent):
    case = only(archive(tmp_path, f"A,,,benign,nevus,{absent},IL_2,"))
    assert (case.group, case.links) == ("IL_2", ())


def test_an_upper_case_suffix_is_found_and_leftovers_are_not_images(tmp_path):
    archive(tmp_path, "A,,,benign,nevus,,,", images="")
    (tmp_path / "A.JPG").write_bytes(b"a picture")
    (tmp_path / ".isic-partial.x1").write_bytes(b"half a picture")
    assert only(tmp_path).path == tmp_path / "A.JPG"


def test_cases_come_in_the_order_of_their_ids_whatever_the_file_has(tmp_path):
    root = archive(tmp_path, *(f"{name},,,benign,nevus,,," for name in "CAB"))
    assert [case.id for case in isic.cases(root)] == ["isic/A", "isic/B", "isic/C"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("Z,,,benign,nevus,,,", "missing image"),
        ("A,,,,,,,", "no label"),
        ("A,,,,unknown,,,", "no label"),
        ("../A,,,benign,nevus,,,", "path outside the archive"),
        ("/etc/passwd,,,benign,nevus,,,", "path outside the archive"),
    ],
)
def test_an_unusable_row_is_rejected_with_its_reason(tmp_path, row, reason):
    found = only(archive(tmp_path, row))
    assert (found.reason, found.origin) == (reason, "metadata.csv:2")


def test_an_empty_image_is_rejected(tmp_path):
    archive(tmp_path, "A,,,benign,nevus,,,")
    (tmp_path / "A.jpg").write_bytes(b"")
    assert only(tmp_path).reason == "empty file"


def test_a_repeated_id_is_rejected_once(tmp_path):
    first, second = isic.cases(archive(tmp_path, "A,,,benign,nevus,,,", "A,,,benign,nevus,,,"))
    assert isinstance(first, Case)
    assert second.reason == "repeated id"


def test_the_older_json_is_read_where_there_is_no_csv(tmp_path):
    (tmp_path / "A.jpg").write_bytes(b"a picture")
    (tmp_path / "A.json").write_text(
        '{"_id": "1", "name": "A", "meta": {"acquisition": {"image_type": "dermoscopic"},'
        ' "clinical": {"benign_malignant": "benign", "diagnosis": null, "age_approx": 55}}}'
    )
    case = only(tmp_path)
    assert case.metadata == {"age_approx": 55, "benign_malignant": "benign", "image_type": "dermoscopic"}
    assert case.licence == "not stated"


def test_one_broken_json_among_good_ones_is_rejected_alone(tmp_path):
    good = '{"name": "%s", "meta": {"acquisition": {}, "clinical": {"diagnosis": "nevus"}}}'
    for name, content in {"A": good % "A", "B": '{"name": "B", "meta"', "C": good % "C", ".D": "{"}.items():
        (tmp_path / f"{name}.json").write_text(content)
        (tmp_path / f"{name}.jpg").write_bytes(b"a picture")
    found = [(one.id, getattr(one, "reason", ""), one.origin) for one in isic.cases(tmp_path)]
    assert found == [("isic/A", "", ""), ("isic/B", "unreadable metadata", "B.json"), ("isic/C", "", "")]


def test_the_old_json_and_the_old_and_new_csv_come_out_the_same(tmp_path):
    shots = {"json": tmp_path / "json", "old": tmp_path / "old", "new": tmp_path / "new"}
    for root in shots.values():
        root.mkdir()
        (root / "A.jpg").write_bytes(b"a picture")
    (shots["json"] / "A.json").write_text(
        '{"name": "A", "meta": {"acquisition": {"image_type": "dermoscopic", "pixelsX": 9}, "clinical": {"sex": "female",'
        ' "age_approx": 60, "benign_malignant": "malignant", "diagnosis": "melanoma", "melanocytic": true,'
        ' "anatom_site_general": "anterior torso", "nevus_type": null}}}'
    )
    (shots["old"] / "metadata.csv").write_text(
        "isic_id,age_approx,anatom_site_general,benign_malignant,diagnosis,image_type,melanocytic,nevus_type,pixels_x,sex\n"
        "A,60,anterior torso,malignant,melanoma,dermoscopic,True,,9,female\n"
    )
    (shots["new"] / "metadata.csv").write_text(
        "isic_id,age_approx,anatom_site_1,diagnosis_1,diagnosis_3,image_type,melanocytic,pixels_x,sex\n"
        'A,60,Anterior torso,Malignant,"Melanoma, NOS",dermoscopic,True,9,female\n'
    )
    first, second, third = (only(root).metadata for root in shots.values())
    assert first == second == third
    assert first["anatom_site_general"] == "anterior torso"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no metadata.csv"),
        ("isic_id,diagnosis\n", "has no rows"),
        ("name,diagnosis\nA,nevus\n", "no column isic_id"),
        ("", "no column isic_id"),
    ],
)
def test_another_format_is_refused_with_the_way_out(tmp_path, content, told):
    if content is not None:
        (tmp_path / "metadata.csv").write_text(content)
    with pytest.raises(SourceError, match=told) as error:
        list(isic.cases(tmp_path))
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_bytes(b"isic_id\n\xff\xfe\n")
    with pytest.raises(SourceError, match="not a readable CSV"):
        list(isic.cases(tmp_path))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no folder .*--source isic=PATH"):
        list(isic.cases(tmp_path / "nowhere"))


def test_the_conversation_says_what_the_metadata_say():
    answers = [
        turn.answer
        for turn in isic.conversation(
            {"image_type": "dermoscopic", "benign_malignant": "malignant", "diagnosis": "melanoma"}
        )
    ]
    assert answers == [
        "A dermoscopic image of a melanoma.",
        "It is malignant.",
        "It should be seen by a dermatologist soon and removed.",
    ]


@pytest.mark.parametrize(
    ("metadata", "answers"),
    [
        ({"benign_malignant": "benign"}, ["A clinical image of a benign skin lesion.", "It is benign."]),
        ({"diagnosis": "angioma"}, ["A clinical image of an angioma.", "An angioma."]),
        ({"sex": "male"}, []),
    ],
)
def test_the_conversation_leaves_out_what_is_not_known(metadata, answers):
    assert [turn.answer for turn in isic.conversation(metadata)][: len(answers)] == answers


def test_the_questions_differ_between_images_but_not_between_runs():
    asked = [isic.conversation({"benign_malignant": "benign", "age_approx": age})[0].question for age in range(40)]
    assert set(asked) == {"What does this image show?", "What can be seen in this image?"}
    assert asked[7] == isic.conversation({"benign_malignant": "benign", "age_approx": 7})[0].question


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real ISIC download in {REAL}; see shared/data/README.md")
def test_the_real_download_adds_up():
    cases = list(isic.cases(REAL))
    labels = [case.metadata["benign_malignant"] for case in cases]
    assert (len(cases), labels.count("benign"), labels.count("malignant")) == (90, 57, 33)
    assert all(case.licence == "CC-0" for case in cases)
