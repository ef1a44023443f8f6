"""A person's edit in, turns that may be kept out: masked, held to the row's metadata, and to the grammar of model calls.

What an edit adds without ground a person may mean: it is shown and wants a second word, which holds for just that. A broken
call is refused: no model could learn from it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from midefics.errors import DataError
from midefics.grounding import problems
from midefics.model_calls import faults
from midefics.personal_data import without_personal_data
from midefics.records import Row, Turn
from midefics.review.edits import edited_turns

WRITTEN_BY_CODE = "offline"
"""Its conversations are checked as they are made, as a model's are, whose rows say so."""


class UnconfirmedError(DataError):
    """An edit that needs a second word; `token` is that word."""

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__(f"{'; '.join(found)}. Change it, or confirm that you mean it")
        self.token = token_of(found)


def token_of(found: Sequence[str]) -> str:
    """Stands for a list of problems: what is confirmed for one holds for no other."""
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def checked_turns(row: Row, pairs: Iterable[tuple[str, str]], confirmed: str = "") -> tuple[Turn, ...]:
    """Makes turns of an edit, personal data masked.

    Args:
        row: that is edited.
        pairs: questions and answers as they were typed.
        confirmed: the token of the problems that the person has seen and stands for; empty where none.

    Raises:
        DataError: it is no conversation, says what it said before, or breaks a model call.
        UnconfirmedError: it says what the metadata do not support, or holds personal data.
    """
    typed = edited_turns(row.turns, pairs)
    if broken := faults(typed):
        raise DataError("; ".join(broken))
    personal: Counter[str] = Counter()
    turns = without_personal_data(row.model_copy(update={"turns": typed}), personal).turns
    masks = [f"personal data is masked ({', '.join(sorted(personal))})"] if personal else []
    found = masks + _without_ground(row, turns)
    if found and confirmed != token_of(found):
        raise UnconfirmedError(found)
    return turns


def is_ungrounded(row: Row) -> bool:
    """Whether a conversation that nobody has checked yet says what its metadata do not support."""
    checked = "grounding" in str(row.labelling.get("checks", "")) or row.writer == WRITTEN_BY_CODE
    return not checked and not _calls(row) and bool(problems(row.source, row.metadata, row.turns))


def is_broken_call(row: Row) -> bool:
    """Whether a conversation breaks the grammar of model calls."""
    return _calls(row) and bool(faults(row.turns))


def _calls(row: Row) -> bool:
    return any(
        "modelcall>" in text or "function_response" in text
        for turn in row.turns
        for text in (turn.question, turn.answer)
    )


def _without_ground(row: Row, turns: Sequence[Turn]) -> list[str]:
    """What the edit says without ground and the original does not."""
    before = {(one.kind, one.words) for one in problems(row.source, row.metadata, row.turns)}
    new = [one for one in problems(row.source, row.metadata, turns) if (one.kind, one.words) not in before]
    return [f'turn {one.turn}: the metadata do not support "{one.words}" ({one.kind})' for one in new]
