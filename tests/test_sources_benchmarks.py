"""SLAKE, PathVQA and VQA-Med 2019 in their own layouts; VQA-RAD, which is at hand for real, has a file of its own."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Turn
from midefics.sources import path_vqa, slake, vqa_med
from tests.rows import jpeg


def turns(*pairs: tuple[str, str]) -> tuple[Turn, ...]:
    return tuple(Turn(question=question, answer=answer) for question, answer in pairs)


def slake_record(name: str, question: str, answer: str, language: str = "en") -> dict[str, object]:
    return {"img_id": 1, "img_name": name, "question": question, "answer": answer, "q_lang": language,
            "location": "Abdomen", "modality": "MRI", "answer_type": "OPEN", "qid": 0}  # fmt: skip


@pytest.fixture
def slake_folder(tmp_path: Path) -> Path:
    for name in ("xmlab1", "xmlab2"):
        (tmp_path / "imgs" / name).mkdir(parents=True)
        (tmp_path / "imgs" / name / "source.jpg").write_bytes(jpeg())
    asked = [
        slake_record("xmlab2/source.jpg", "Is the lung healthy?", "No"),
        slake_record("xmlab1/source.jpg", "What modality is used?", "MRI"),
        slake_record("xmlab1/source.jpg", "图像的模态是什么?", "MRI", "zh"),
        slake_record("xmlab1/source.jpg", "Which organ is abnormal?", "Liver"),
    ]
    (tmp_path / "test.json").write_text(json.dumps(asked))
    (tmp_path / "train.json").write_text(json.dumps([slake_record("xmlab1/source.jpg", "Of training?", "Yes")]))
    return tmp_path


def test_slake_asks_the_english_questions_of_its_test_list(slake_folder: Path) -> None:
    first, second = slake.cases(slake_folder)
    assert isinstance(first, Case)
    assert (first.id, first.metadata) == ("slake/xmlab1/source", {"location": "abdomen", "modality": "mri"})
    assert first.turns == turns(("What modality is used?", "MRI"), ("Which organ is abnormal?", "Liver"))
    assert second.turns == turns(("Is the lung healthy?", "No"))


def test_slake_without_a_test_list_asks_of_all(slake_folder: Path) -> None:
    (slake_folder / "test.json").unlink()
    (only,) = slake.cases(slake_folder)
    assert only.turns == turns(("Of training?", "Yes"))


def test_slake_without_any_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no test\.json, validate\.json or train\.json"):
        list(slake.cases(tmp_path))


def med_folder(root: Path, *lines: str) -> Path:
    (root / "VQAMed2019_Test_Images").mkdir()
    (root / "VQAMed2019_Test_Images" / "synpic1.jpg").write_bytes(jpeg())
    (root / "VQAMed2019_Test_Questions_w_Ref_Answers.txt").write_text("\n".join(lines))
    return root


def test_vqa_med_reads_lines_with_and_without_a_category(tmp_path: Path) -> None:
    root = med_folder(
        tmp_path, "synpic1|modality|is this an mri?|no", "synpic1|what is seen?|a fracture", "synpic2|x|y"
    )
    kept, missing = vqa_med.cases(root)
    assert kept.turns == turns(("is this an mri?", "no"), ("what is seen?", "a fracture"))
    assert isinstance(missing, Rejected)
    assert (missing.id, missing.reason) == ("vqa_med/synpic2", "missing image")


@pytest.mark.parametrize("line", ["synpic1 no separator", "a|b|c|d|e"])
def test_vqa_med_refuses_lines_in_another_format(tmp_path: Path, line: str) -> None:
    with pytest.raises(SourceError, match="not 3 or 4"):
        list(vqa_med.cases(med_folder(tmp_path, line)))


def test_vqa_med_without_its_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder of images"):
        list(vqa_med.cases(tmp_path))


def shard(root: Path, name: str, *rows: tuple[bytes | None, str, str | None]) -> None:
    images = [{"bytes": content, "path": None} if content else None for content, _, _ in rows]
    table = pa.table(
        {
            "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "question": [row[1] for row in rows],
            "answer": [row[2] for row in rows],
        }
    )
    (root / "data").mkdir(exist_ok=True)
    pq.write_table(table, root / "data" / name)


def test_path_vqa_brings_rows_of_one_image_together_across_shards(tmp_path: Path) -> None:
    one, two = jpeg((20, 20)), jpeg((30, 20))
    shard(tmp_path, "test-00000-of-00002.parquet", (one, "Is this a smear?", "yes"), (two, "Where is it?", "liver"))
    shard(tmp_path, "test-00001-of-00002.parquet", (one, "What is it?", "a cell"), (one, "Without an answer?", None))
    shard(tmp_path, "train-00000-of-00001.parquet", (one, "Of training?", "yes"))
    first, second = path_vqa.cases(tmp_path)
    assert (first.id, first.content) == ("path_vqa/test-00000-of-00002-000000000", one)
    assert first.turns == turns(("Is this a smear?", "yes"), ("What is it?", "a cell"))
    assert (second.id, second.content) == ("path_vqa/test-00000-of-00002-000000001", two)


def test_path_vqa_rejects_a_row_without_an_image_and_refuses_a_folder_without_rows(tmp_path: Path) -> None:
    shard(tmp_path, "test.parquet", (None, "Is this a smear?", "yes"))
    (missing,) = path_vqa.cases(tmp_path)
    assert missing.reason == "missing image"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no \*\.parquet"):
        list(path_vqa.cases(tmp_path / "empty"))
