"""A row's metadata and its conversation in, what the conversation says without ground out.

Checked are the assistant's answers: every claim of the classes that `vocabulary` knows, held against what the metadata say,
what was left open (`may`, `to rule out`) passing; and in both voices the words that betray the metadata. A question is the
doctor's and may mention anything. Pure functions of their arguments.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from midefics.grounding.claims import Claim, answered
from midefics.grounding.facts import Facts, Metadata, facts
from midefics.grounding.layout import as_sentences
from midefics.grounding.manners import CERTAINTY, DOSAGE, LEAK, certainties, dosages, leaks
from midefics.grounding.measures import Measure, measured
from midefics.grounding.vocabulary import AGE, DIAGNOSIS, FINDING, MODALITY, SIDE, TABLES
from midefics.records import Turn

KINDS = (*TABLES, AGE, "size", LEAK, DOSAGE, CERTAINTY)
"""Every kind of problem there is."""
_SAME = 0.06
"""Share by which a stated size may be rounded."""


class Problem(NamedTuple):
    """One thing said without ground."""

    kind: str
    turn: int
    """From 1."""
    words: str
    """As they were said: for the one who repairs it, never for a log."""


def problems(source: str, metadata: Metadata, turns: Sequence[Turn]) -> list[Problem]:
    """What a conversation says that its row does not support, in the order of the turns; empty where all is well."""
    known = facts(source, metadata)
    return [problem for number, turn in enumerate(turns, start=1) for problem in _of_turn(known, number, turn)]


def told(found: Sequence[Problem]) -> str:
    """The problems in a line for whoever wrote the conversation: `answer 2: "left" (side)`."""
    return "; ".join(f'turn {problem.turn}: "{problem.words}" ({problem.kind})' for problem in found[:6])


def kinds(found: Sequence[Problem]) -> str:
    """The kinds of problems, without a word of what was said: `age, side`."""
    return ", ".join(sorted({problem.kind for problem in found}))


def _of_turn(known: Facts, number: int, turn: Turn) -> Iterator[Problem]:
    if _quoted(turn.answer, known.text):
        return
    answer = as_sentences(turn.answer)
    said = {(claim.kind, claim.words): claim for claim in answered(turn.question, answer) if not _holds(claim, known)}
    yield from (Problem(claim.kind, number, claim.words) for claim in said.values())
    yield from (
        Problem(measure.kind, number, measure.words)
        for measure in measured(turn.question, answer)
        if not _measured(measure, known)
    )
    yield from (
        Problem(LEAK, number, words) for text in (turn.question, turn.answer) for words in leaks(text, known.text)
    )
    yield from (Problem(DOSAGE, number, words) for words in dosages(turn.answer, known.text))
    if not known.confirmed:
        yield from (Problem(CERTAINTY, number, words) for words in certainties(turn.answer, known.text, turn.question))


def _quoted(answer: str, text: str) -> bool:
    """Whether the answer is the row's own text from its beginning on: cut off, but not cut out."""
    plain, own = (re.sub(r"\W+", " ", words).strip().lower() for words in (answer, text))
    return bool(plain) and own.startswith(plain)


def _holds(claim: Claim, known: Facts) -> bool:
    if claim.stance == "open":
        return True
    if claim.stance == "denied":
        return _may_be_denied(claim, known)
    if claim.value in known.values(claim.kind):
        return claim.kind != SIDE or _on_its_side(claim, known.text)
    if claim.kind == DIAGNOSIS and claim.value in known.values(FINDING):
        return True
    return not (known.understood or known.values(claim.kind) or claim.value in known.denied.get(claim.kind, ()))


def _may_be_denied(claim: Claim, known: Facts) -> bool:
    here, absent = known.values(claim.kind), known.denied.get(claim.kind, frozenset())
    if claim.value in absent:
        return True
    if claim.value in here:
        return False
    if claim.kind == FINDING:
        return known.healthy or not known.understood
    return bool(here) or claim.kind == MODALITY or not known.understood


def _on_its_side(claim: Claim, text: str) -> bool:
    """Whether a side goes with what follows it: not `right lung` where the text has the left lung alone."""
    side, _, thing = claim.words.lower().partition(" ")
    other = {"left": "right", "right": "left"}.get(side)
    own = text.lower()
    return not (other and thing and f"{other} {thing}" in own and f"{side} {thing}" not in own)


def _measured(measure: Measure, known: Facts) -> bool:
    values = known.ages if measure.kind == AGE else known.sizes
    if measure.stance == "open":
        return True
    slack = 0.0 if measure.kind == AGE else _SAME * measure.high
    within = any(measure.low - slack <= value <= measure.high + slack for value in values)
    return within or not (known.understood or values)


__all__ = ["KINDS", "Problem", "kinds", "problems", "told"]
