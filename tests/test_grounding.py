from pathlib import Path

import pytest

from midefics.bench.grounding.phrasings import DEVELOPED, HELD_OUT
from midefics.bench.grounding.retelling import retold
from midefics.bench.grounding.rows import drawn_rows, shared_rows
from midefics.bench.grounding.scoring import Rate, scored
from midefics.grounding import kinds, problems, told
from midefics.grounding.repetition import UNTIL, Questions, same_question
from midefics.records import Scalar, Turn
from midefics.sources import source

NEVUS: dict[str, Scalar] = {
    "age_approx": 45, "anatom_site_general": "lower extremity", "benign_malignant": "benign", "diagnosis": "nevus",
    "image_type": "dermoscopic", "sex": "male", "clin_size_long_diam_mm": 4.2,
}  # fmt: skip
MELANOMA = NEVUS | {
    "benign_malignant": "malignant",
    "diagnosis": "melanoma",
    "diagnosis_confirm_type": "histopathology",
}
NORMAL: dict[str, Scalar] = {"body_part": "wrist", "study_label": "normal"}
ABNORMAL: dict[str, Scalar] = {"body_part": "wrist", "study_label": "abnormal"}
CAPTION: dict[str, Scalar] = {
    "caption": "Chest CT of a 62-year-old woman: a 3 cm nodule in the left lung, no effusion; the right lung is clear."
}
DICOM: dict[str, Scalar] = {"modality": "MR", "body_part": "knee", "laterality": "left", "patient_sex": "female"}


def found(name: str, metadata: dict[str, Scalar], question: str, answer: str) -> str:
    return kinds(problems(name, metadata, [Turn(question=question, answer=answer)]))


@pytest.mark.parametrize(
    ("name", "metadata", "question", "answer"),
    [
        ("isic", NEVUS, "What is it?", "A dermoscopic image of a nevus on the leg of a 45-year-old man."),
        ("isic", NEVUS, "Is it malignant?", "No."),
        ("isic", NEVUS, "Is it malignant?", "No, it is not malignant and it isn't a melanoma."),
        ("isic", NEVUS, "Is this nevus malignant?", "No, it is benign."),
        ("isic", NEVUS, "Is it a melanoma?", "It may be, and a biopsy is there to rule out a melanoma."),
        ("isic", NEVUS, "What next?", "There is no need to remove the nevus. A CT would not help."),
        ("isic", NEVUS, "What could it be?", "A nevus, a melanoma or a lentigo."),
        ("isic", NEVUS, "How large is it?", "About 4 mm; anything larger than 6 mm should be seen."),
        ("isic", NEVUS, "How old is the patient?", "In his forties."),
        ("isic", MELANOMA, "Is it certain?", "Yes, it has been confirmed by histopathology."),
        ("mura", NORMAL, "Is there a fracture?", "No, there is no fracture, dislocation or hardware."),
        ("mura", ABNORMAL, "Is anything wrong?", "Yes, the study is abnormal; there might be a fracture."),
        ("roco", CAPTION, "What is shown?", "A nodule of 30 mm in the left lung, without effusion."),
        ("roco", CAPTION, "Is there an effusion?", "No."),
        ("dicom", DICOM, "What is it?", "An MRI of the left knee of a woman."),
        ("elsewhere", {"diagnosis": "melanoma"}, "Where is it?", "On the left leg of a man, 5 mm in size."),
    ],
)
def test_a_grounded_answer_passes(name: str, metadata: dict[str, Scalar], question: str, answer: str) -> None:
    assert found(name, metadata, question, answer) == ""


@pytest.mark.parametrize(
    ("name", "metadata", "question", "answer", "kind"),
    [
        ("isic", NEVUS, "What is it?", "A melanoma.", "diagnosis"),
        ("isic", NEVUS, "Is it a melanoma?", "Yes.", "diagnosis"),
        ("isic", MELANOMA, "Is it a melanoma?", "No.", "diagnosis"),
        ("isic", MELANOMA, "Is it dangerous?", "No, it is not malignant.", "malignancy"),
        ("isic", NEVUS, "Where is it?", "On the arm.", "site"),
        ("isic", NEVUS, "Where is it?", "On the left leg.", "side"),
        ("isic", NEVUS, "How old is the patient?", "About 60.", "age"),
        ("isic", NEVUS, "Who is it?", "A woman in her forties.", "sex"),
        ("isic", NEVUS, "How large is it?", "It measures 1.2 cm.", "size"),
        ("isic", NEVUS, "Is it sure?", "Yes, this is definitely so.", "certainty"),
        ("isic", NEVUS, "Which subtype?", "The subtype is not specified in the provided information.", "leak"),
        ("isic", NEVUS, "What do the metadata say?", "A nevus.", "leak"),
        ("isic", NEVUS, "What helps?", "Ibuprofen, 500 mg.", "dosage"),
        ("mura", NORMAL, "Is it normal?", "No, it is abnormal.", "normality"),
        ("mura", NORMAL, "Is there a fracture?", "Yes.", "finding"),
        ("mura", ABNORMAL, "Is there a fracture?", "No, there is no fracture.", "finding"),
        ("mura", NORMAL, "What is it?", "An X-ray of the elbow.", "site"),
        ("roco", CAPTION, "Where is it?", "In the right lung.", ""),
        ("roco", CAPTION, "What is it?", "An MRI of the chest.", "modality"),
        ("roco", CAPTION, "Is there an effusion?", "Yes, an effusion.", "finding"),
        ("roco", CAPTION, "How old is she?", "She is 26 years old.", "age"),
        ("dicom", DICOM, "Which side?", "The right.", "side"),
        ("elsewhere", {"diagnosis": "melanoma"}, "What is it?", "A nevus.", "diagnosis, malignancy"),
    ],
)
def test_what_the_row_does_not_support_is_a_problem(
    name: str, metadata: dict[str, Scalar], question: str, answer: str, kind: str
) -> None:
    assert found(name, metadata, question, answer) == kind.replace("diagnosis, malignancy", "diagnosis")


def test_a_side_belongs_to_what_follows_it() -> None:
    caption: dict[str, Scalar] = {"caption": "X-ray with a left effusion and a right pneumothorax."}
    assert found("roco", caption, "What is seen?", "There is a left effusion.") == ""
    assert found("roco", caption, "What is seen?", "There is a right effusion.") == "side"


def test_problems_are_told_by_turn_and_kinds_without_words() -> None:
    turns = [Turn(question="What is it?", answer="A nevus."), Turn(question="Where?", answer="On the left arm.")]
    wrong = problems("isic", NEVUS, turns)
    assert {problem.turn for problem in wrong} == {2}
    assert kinds(wrong) == "side, site"
    assert 'turn 2: "arm" (site)' in told(wrong)


def test_no_conversation_of_the_offline_writer_is_lost(tmp_path: Path) -> None:
    rows = [*drawn_rows(tmp_path, count=120), *list(shared_rows(Path("../shared/data")))[::8]]
    lost = [row for row in rows if problems(row[0], row[1], source(row[0]).conversation(row[1]))]
    assert lost == []
    assert len(rows) > 300


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is a melanoma?", "Melanoma is a type of skin cancer; it is malignant in nature."),
        ("How do doctors tell them apart?", "Melanomas are often asymmetric, with irregular borders."),
        ("Should we get an MRI?", "An MRI may be advised, but CT is reserved for advanced tumours."),
        ("What margin is used?", "Melanomas are removed with a margin of 1 to 2 cm."),
        ("Does everyone have moles?", "Most moles appear before the age of 40."),
        ("Where do melanomas grow?", "Melanomas grow on the face, the arms and the back."),
        ("Any warning signs?", "Bleeding, crusting or an ulcer warrants a visit."),
        ("Why?", "Because a basal cell carcinoma can look alike."),
    ],
)
def test_what_is_said_in_general_is_no_claim(question: str, answer: str) -> None:
    assert found("isic", NEVUS, question, answer) == ""


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("What is a melanoma?", "This lesion is a melanoma.", "diagnosis"),
        ("How do doctors tell them apart?", "Here we see irregular borders.", "finding"),
        ("Should we get an MRI?", "As this is an MRI, no.", "modality"),
        ("What margin is used?", "The lesion measures 15 mm.", "size"),
        ("Any warning signs?", "The patient is a woman.", "sex"),
    ],
)
def test_what_is_said_of_this_image_is_a_claim_whatever_was_asked(question: str, answer: str, kind: str) -> None:
    assert found("isic", NEVUS, question, answer) == kind


def test_a_caption_told_in_other_sentences_is_grounded() -> None:
    assert [turn for turn in retold(str(CAPTION["caption"])) if problems("roco", CAPTION, [turn])] == []


def test_hostile_text_takes_time_with_its_length() -> None:
    words = ("yes, ", "a nevus can ", "cysts and ", "the left ", "in general, ", "that this is ", "no ", "5 x 5 x ")
    turns = [Turn(question=word * 100, answer=word * 1_000) for word in words]
    assert isinstance(problems("isic", NEVUS, turns), list)


def test_wilsons_interval_holds_the_share() -> None:
    low, high = Rate(90, 100).interval()
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)  # worked out by hand from Wilson's formula


def test_precision_and_recall_on_drawn_rows(tmp_path: Path) -> None:
    rows = list(drawn_rows(tmp_path, count=15))
    scores = scored(rows, DEVELOPED, per_row=1)
    assert sum(scores.corrupted.values()) > 200
    assert scores.precision.value >= 0.95
    assert scores.recall.value >= 0.95
    assert not [phrasing for phrasing in HELD_OUT if phrasing in DEVELOPED]


def test_questions_are_near_identical_when_the_telling_words_are() -> None:
    assert same_question("Is the lesion benign or malignant?") == same_question("Is this lesion malignant or benign?")
    assert same_question("Is the lesion benign?") != same_question("Is the lesion malignant?")


def test_a_question_asked_too_often_goes_but_never_the_first() -> None:
    questions = Questions(max_share=0.5)
    same = [Turn(question=text, answer="x") for text in ("What is it?", "Who?", "Is it benign?", "And then?")]
    kept = [questions.thin(same) for _ in range(UNTIL + 10)]
    assert {len(turns) for turns in kept[:UNTIL]} == {4}
    assert {len(turns) for turns in kept[UNTIL:]} == {3}
    assert all(turns[0] == same[0] for turns in kept)
    assert questions.thinned == 10
