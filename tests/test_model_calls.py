import pytest

from midefics.model_calls import HUNDREDTHS, TOOLS, catalogue, compose, faults, probabilities
from midefics.records import Turn

CALL = '<modelcall> {"name": "wrist_abnormality_classifier"} </modelcall>'
SAID = '<function_response> {"abnormal": 0.9, "normal": 0.1} </function_response>'


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_probabilities_are_of_the_declared_classes_and_sum_to_one(name: str) -> None:
    for number in range(200):
        truth = TOOLS[name].classes[number % len(TOOLS[name].classes)]
        chances = probabilities(name, truth, str(number))
        assert tuple(chances) == TOOLS[name].classes
        assert sum(round(chance * HUNDREDTHS) for chance in chances.values()) == HUNDREDTHS
        assert max(chances, key=chances.__getitem__) == truth
        assert min(chances.values()) >= 0


def test_composed_conversations_keep_the_grammar_and_some_refuse() -> None:
    rows = [("isic", {"diagnosis": "nevus"}), ("mura", {"body_part": "wrist", "study_label": "abnormal"})]
    made = [compose(*rows[number % 2], str(number)) for number in range(400)]
    assert [fault for turns in made for fault in faults(turns)] == []
    assert all(turns[0].question.startswith(catalogue()) for turns in made)
    assert 60 < sum(len(turns) == 1 for turns in made) < 140
    assert made[3] == compose(*rows[1], "3")
    assert compose("roco", {"caption": "x"}, "1") == compose("isic", {"diagnosis": "lentigo"}, "1") == ()


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        ([(CALL, "")], "gets no response"),
        ([("Q", CALL), ("And?", "abnormal")], "is not followed by its response"),
        ([(SAID, "abnormal")], "a response to no call"),
        ([("Q", "<modelcall> {'name': 'wrist'</modelcall>")], "a tag in an answer that is no call"),
        ([("Q", '<modelcall> {"name": "eye_classifier"} </modelcall>'), (SAID, "x")], "calls no tool"),
        ([("Q", CALL), (SAID.replace("0.1", "0.5"), "abnormal")], "do not sum to 1"),
        ([("Q", CALL), (SAID.replace("normal", "broken"), "abnormal")], "other classes"),
        ([("Q", CALL), (SAID, "It is normal.")], "does not name abnormal first"),
    ],
)
def test_a_broken_grammar_is_named(turns: list[tuple[str, str]], fault: str) -> None:
    conversation = [Turn(question=question, answer=answer) for question, answer in turns]
    if fault == "gets no response":
        conversation = [Turn(question="Q", answer=CALL)]
    assert any(fault in one for one in faults(conversation))
    assert faults([Turn(question="Q", answer=CALL), Turn(question=SAID, answer="It is abnormal.")]) == []
