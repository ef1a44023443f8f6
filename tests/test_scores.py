import pytest

from midefics.config import PromoteConfig
from midefics.evidence.closed import closed_match, is_closed
from midefics.evidence.rules import as_markdown, assess
from midefics.evidence.scores import bleu, exact_match, rouge_l, token_f1, token_recall


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("It is benign.", "it is  BENIGN", 1.0),
        ("It is malignant.", "It is benign.", 0.0),
        ("", "yes", 0.0),
        ("5 mm", "5 mm.", 1.0),
    ],
)
def test_exact_match_ignores_case_and_punctuation_only(answer: str, truth: str, score: float) -> None:
    assert exact_match(answer, truth) == score


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    # shared / said / true words: 3/3/3, 2/3/3, 0/1/1, 2/2/4 -> 2 * 2 / (2 + 4)
    [("a b c", "a b c", 1.0), ("a b c", "a b d", 2 / 3), ("x", "y", 0.0), ("a b", "a b c d", 2 / 3), ("", "a", 0.0)],
)
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(answer: str, truth: str, score: float) -> None:
    assert token_f1(answer, truth) == pytest.approx(score)


FACTS = {
    "difference": 0.5,
    "difference_low": 0.4,
    "difference_high": 0.6,
    "visual_gain": 0.2,
    "visual_gain_low": 0.1,
    "visual_gain_high": 0.3,
}


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, [True, True]),
        ({"difference_low": 0.0}, [False, True]),
        ({"visual_gain_low": -0.01}, [True, False]),
        ({"difference_low": float("nan")}, [False, True]),
    ],
)
def test_rules_want_the_whole_interval_above_the_bar(changes: dict[str, float], passed: list[bool]) -> None:
    decided = assess(FACTS | changes, PromoteConfig())
    assert [one.passed for one in decided] == passed
    assert as_markdown(decided).count("**fail**") == passed.count(False)


@pytest.mark.parametrize(
    ("question", "truth", "closed"),
    [
        ("Is it normal?", "No.", True),
        ("Is the lesion left or right?", "Left", True),
        ("Is the lesion left or right?", "both", False),
        ("Where is the lesion?", "left", False),
        ("Is it normal?", "", False),
        ("What of the order?", "order", False),
    ],
)
def test_closed_questions_are_those_that_offer_their_answer(question: str, truth: str, closed: bool) -> None:
    assert is_closed(question, truth) is closed


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("Yes, it is.", "yes", 1.0),
        ("There is no fracture, yes.", "yes", 0.0),
        ("It is.", "yes", 0.0),
        ("The left lung.", "Left", 1.0),
        ("Leftmost", "left", 0.0),
        ("", "no", 0.0),
    ],
)
def test_a_closed_answer_is_its_first_decision(answer: str, truth: str, score: float) -> None:
    assert closed_match(answer, truth) == score


@pytest.mark.parametrize(("answer", "truth", "score"), [("a b x", "a b c d", 0.5), ("a a", "a b", 0.5), ("", "a", 0.0)])
def test_token_recall_is_the_share_of_the_truth_that_is_said(answer: str, truth: str, score: float) -> None:
    assert token_recall(answer, truth) == score


def test_rouge_l_follows_the_longest_common_subsequence() -> None:
    # police the gunman: of 4 and 4 words 2 in order -> precision = recall = 0.5 (Lin 2004, section 3)
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)


def test_bleu_of_the_same_text_is_one_and_of_another_next_to_nothing() -> None:
    same = ["the heart is of normal size", "no fracture is seen here"]
    assert bleu(same, same) == pytest.approx(1.0)
    assert bleu(["completely different words in this"], ["the heart is of normal size"]) < 0.1
