"""Rows in, precision and recall of the grounding checker out: on phrasings it was developed on, and on those it was not.

What is held out was written last, in another voice, and no rule of the checker has changed since: it says what to expect of a
writer that nobody has seen. What the checker was developed on says only that its rules do what they are meant to. Rows are the
drawn archives' and, where ../shared/data is there, real ones of ISIC and ROCO's captions. Besides: whether anything is objected
to where a real caption is only told in other sentences, and how many rows a second are checked.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from midefics.bench import Beside, Figure
from midefics.bench.grounding.corruptions import CORRUPTIONS
from midefics.bench.grounding.phrasing import Phrasing
from midefics.bench.grounding.phrasings import DEVELOPED, HELD_OUT
from midefics.bench.grounding.retelling import false_alarms
from midefics.bench.grounding.rows import SHARED, rows, shared_rows
from midefics.bench.grounding.scoring import Rate, Row, Scores, cases, scored
from midefics.grounding import problems
from midefics.services import Services

GOAL = 0.95
MAX_RETOLD = 0.005
"""Captions of which a retelling may be objected to."""
TIMED = 500
RUN = 15
"""Rows a second of a labelling run at 900 requests a minute, the fastest configured."""


def measure(services: Services) -> Iterator[Figure]:  # noqa: ARG001 (every benchmark has the same signature)
    """Precision and recall overall and by kind, for each of the two collections; then captions retold, and speed."""
    with tempfile.TemporaryDirectory() as scratch:
        known = rows(Path(scratch))
    for told, phrasings in (("held out", HELD_OUT), ("developed on", DEVELOPED)):
        if phrasings:
            yield from _figures(told, scored(known, phrasings, per_row=1))
    real = [*shared_rows(SHARED)]
    if real:
        alarms = false_alarms(real)
        yield Figure(
            name="grounding: captions retold that are objected to",
            unit="share",
            ours=alarms.value,
            beside=(Beside(name="all of them", value=1, goal=MAX_RETOLD, bound="at most"),),
            conditions=_counted(alarms),
        )
    yield _speed(known, (*HELD_OUT, *DEVELOPED)[0])


def _figures(told: str, scores: Scores) -> Iterator[Figure]:
    yield _figure(f"grounding precision, {told}", scores.precision)
    yield _figure(f"grounding recall, {told}", scores.recall)
    for name in CORRUPTIONS:
        yield _figure(f"grounding precision, {told}: {CORRUPTIONS[name].kind}", scores.precision_of(name))
        yield _figure(f"grounding recall, {told}: {name}", scores.recall_of(name))


def _figure(name: str, rate: Rate) -> Figure:
    return Figure(
        name=name,
        unit="share",
        ours=rate.value,
        beside=(Beside(name="all of them", value=1, goal=GOAL),),
        conditions=_counted(rate),
    )


def _counted(rate: Rate) -> str:
    low, high = rate.interval()
    return f"{rate.hits} of {rate.of}, 95 % interval {low:.3f} to {high:.3f} (Wilson)"


def _speed(known: Sequence[Row], phrasing: Phrasing) -> Figure:
    written = [*cases(known, phrasing, 1)][:TIMED]
    started = time.process_time()
    for case in written:
        problems(case.source, case.metadata, case.turns)
    rate = len(written) / (time.process_time() - started)
    return Figure(
        name="grounding: rows checked per second",
        unit="rows/s",
        ours=rate,
        beside=(Beside(name="rows a second that a labelling run writes", value=RUN, goal=1),),
        conditions=f"{len(written)} conversations of four or five turns, seconds of one core",
    )
