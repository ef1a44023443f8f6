from collections import Counter
from pathlib import Path

import pytest

from midefics.errors import SourceError
from midefics.records import Case
from midefics.sources import roco

REAL = Path(__file__).parents[2] / "shared" / "data"
LINK = "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/9e/PMC55.tar.gz -P /path/to/Dir"


def official(root: Path, caption: str = "Chest X-ray.", licence: str = "CC BY", split: str = "train") -> Path:
    folder = root / "data" / split / "radiology"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "ROCO_00002.jpg").write_bytes(b"a picture")
    (folder / "captions.txt").write_text(f"ROCO_00002\t {caption}\n", encoding="utf-8")
    (folder / "dlinks.txt").write_text(f"ROCO_00002\t{LINK}\tx-1.jpg\n")
    (folder / "keywords.txt").write_text("ROCO_00002\t\tchest\tray\n")
    if licence:
        (folder / "licences.txt").write_text(f"ROCO_ID,PMC_ID,CC\nROCO_00002,PMC55_x-1.jpg,{licence}\n")
    return root


def kaggle(root: Path, *rows: str, image: str = "PMC55_x-1.jpg") -> Path:
    images = root / "all_data" / "test" / "radiology" / "images"
    images.mkdir(parents=True)
    (images / image).write_bytes(b"a picture")
    text = "\n".join(["id,name,caption", *rows, ""])
    (root / "all_data" / "test" / "radiologytestdata.csv").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("inner", [".", "data"])
def test_the_official_layout_is_read_from_above_or_within(tmp_path, inner):
    (case,) = roco.cases(official(tmp_path, licence="NO-CC CODE") / inner)
    assert (case.id, case.group, case.licence) == ("roco/ROCO_00002", "PMC55", "NO-CC CODE")
    assert case.metadata == {
        "archive_split": "train",
        "caption": "Chest X-ray.",
        "keywords": "chest ray",
        "radiology": True,
    }
    assert case.attribution == "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC55/"


def test_figures_that_are_not_radiology_are_read_and_say_so(tmp_path):
    official(tmp_path)
    folder = tmp_path / "data" / "train" / "non-radiology"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "ROCO_00001.jpg").write_bytes(b"a picture")
    (folder / "captions.txt").write_text("ROCO_00001\t A photograph of the arm.\n")
    assert [case.metadata["radiology"] for case in roco.cases(tmp_path)] == [False, True]


def test_kaggles_other_list_and_the_official_keywords_beside_it_are_read(tmp_path):
    kaggle(tmp_path, "ROCO_00002,PMC55_x-1.jpg,A CT.")
    (tmp_path / "all_data" / "test" / "radiology" / "keywords.txt").write_text("ROCO_00002\t\tct\n")
    other = tmp_path / "all_data" / "test" / "non-radiology" / "images"
    other.mkdir(parents=True)
    (other / "PMC56_y.jpg").write_bytes(b"a picture")
    (tmp_path / "all_data" / "test" / "nonradiologytestdata.csv").write_text(
        "id,name,caption\nROCO_00003,PMC56_y.jpg,A photograph.\n"
    )
    told = [(case.metadata["radiology"], case.metadata["keywords"], case.group) for case in roco.cases(tmp_path)]
    assert told == [(True, "ct", "PMC55"), (False, "", "PMC56")]


def test_without_licences_the_links_still_name_the_article(tmp_path):
    (case,) = roco.cases(official(tmp_path, licence=""))
    assert (case.group, case.licence) == ("PMC55", "not stated")


@pytest.mark.parametrize("inner", [".", "all_data"])
def test_the_kaggle_layout_is_read_from_above_or_within(tmp_path, inner):
    (case,) = roco.cases(kaggle(tmp_path, 'ROCO_00002,PMC55_x-1.jpg," Chest\nX-ray.\n"') / inner)
    assert (case.group, case.metadata["caption"], case.path.name) == ("PMC55", "Chest X-ray.", "PMC55_x-1.jpg")


def test_splits_are_read_as_one_archive_in_the_order_of_ids(tmp_path):
    official(tmp_path, split="validation")
    folder = tmp_path / "data" / "train" / "radiology"
    (folder / "images").mkdir(parents=True)
    for number in (1, 3):
        (folder / "images" / f"ROCO_0000{number}.jpg").write_bytes(b"a picture")
    (folder / "captions.txt").write_text("ROCO_00003\t An MRI.\nROCO_00001\t A CT.\nROCO_00001\t A CT.\n")
    found = [(one.id, getattr(one, "reason", "")) for one in roco.cases(tmp_path)]
    assert found == [
        ("roco/ROCO_00001", ""),
        ("roco/ROCO_00001", "repeated id"),
        ("roco/ROCO_00002", ""),
        ("roco/ROCO_00003", ""),
    ]


def test_a_caption_may_hold_characters_that_unicode_counts_as_line_ends(tmp_path):
    (case,) = roco.cases(official(tmp_path, caption="CT of\u2028the\x85chest."))
    assert case.metadata["caption"] == "CT of the chest."


@pytest.mark.parametrize("caption", ["XXX.", "Figure 1", "Fig. 2a.", "", "...", "Image", "(Figure 3.)", "." * 100_000])
def test_a_junk_caption_is_rejected(tmp_path, caption):
    (found,) = roco.cases(official(tmp_path, caption=caption))
    assert found.reason == "no caption"


@pytest.mark.parametrize("caption", ["OPG.", "CT brain.", "Figure 5: MRI of conjoined twins", "." * 100_000 + "a CT"])
def test_a_short_caption_is_kept(tmp_path, caption):
    (found,) = roco.cases(official(tmp_path, caption=caption))
    assert isinstance(found, Case)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../../secret.jpg", "path outside the archive"),
        ("/etc/passwd", "path outside the archive"),
        ("PMC56_x.jpg", "missing image"),
        ("x" * 300, "missing image"),
    ],
)
def test_an_unusable_image_is_rejected(tmp_path, name, reason):
    (found,) = roco.cases(kaggle(tmp_path, f"ROCO_00002,{name},A CT."))
    assert (found.reason, found.origin) == (reason, "test/radiologytestdata.csv:2")


def test_an_empty_image_is_rejected(tmp_path):
    official(tmp_path)
    (tmp_path / "data/train/radiology/images/ROCO_00002.jpg").write_bytes(b"")
    (found,) = roco.cases(tmp_path)
    assert found.reason == "empty file"


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        list(roco.cases(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"no captions\.txt"):
        list(roco.cases(tmp_path))
    captions = tmp_path / "data" / "train" / "radiology" / "captions.txt"
    captions.parent.mkdir(parents=True)
    captions.write_text("")
    with pytest.raises(SourceError, match="have no rows"):
        list(roco.cases(tmp_path))
    captions.write_text("ROCO_00002,Chest X-ray.\n")
    with pytest.raises(SourceError, match=r"captions\.txt:1 has no tab"):
        list(roco.cases(tmp_path))


def test_a_kaggle_list_without_its_columns_is_refused(tmp_path):
    table = tmp_path / "all_data" / "test" / "radiologytestdata.csv"
    table.parent.mkdir(parents=True)
    table.write_text("id,caption\n1,A CT.\n")
    with pytest.raises(SourceError, match="no column name"):
        list(roco.cases(tmp_path))


@pytest.mark.parametrize(
    ("caption", "modality"),
    [
        ("Initial chest x-ray showing effusion.", "X-ray"),
        ("Computed tomography of the abdomen.", "CT"),
        ("Axial CT and MRI of the brain.", None),
        ("T2-weighted MR image.", "MRI"),
        ("Mr. Smith's ductal cancer.", None),
        ("Octreotide effect on the factor.", None),
        ("Transthoracic echocardiogram.", "Ultrasound"),
    ],
)
def test_the_modality_is_named_only_where_one_is_meant(caption, modality):
    assert roco.modality(caption) == modality


@pytest.mark.parametrize(
    ("caption", "side"),
    [("A mass in the Left lung, left of it.", "left"), ("Left to right shunt.", None), ("A bright spot.", None)],
)
def test_the_side_is_named_only_where_there_is_one(caption, side):
    assert roco.side(caption) == side


def test_the_conversation_says_what_the_caption_says():
    turns = roco.conversation({"caption": "CT of the right lung. Note the arrow.", "radiology": True})
    assert [turn.answer for turn in turns] == ["CT of the right lung.", "CT.", "The right."]
    assert roco.conversation({"keywords": "ct"}) == ()


def test_a_long_caption_is_cut_at_a_word():
    answer = roco.first_sentence("word " * 100)
    assert len(answer) <= roco.MAX_ANSWER + 2
    assert answer.endswith("word …")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real ROCO lists in {REAL}; see shared/data/README.md")
@pytest.mark.parametrize("folder", ["roco", "roco/data", "roco-kaggle", "roco-kaggle/all_data"])
def test_the_real_lists_add_up(folder):
    assert Counter(found.reason for found in roco.cases(REAL / folder)) == {"missing image": 3446}
