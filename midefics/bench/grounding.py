"""Rows in, precision and recall of the grounding checker out: on good conversations and on corrupted ones, by kind.

The phrasings measured were written when the rules stood, and what they showed has widened the rules since. At first sight of four
such sets, one after the other, precision was 0.75, 0.82, 0.74 and 0.93, recall 0.98, 0.87, 0.91 and 0.97: that is what to expect
of a writer nobody has seen. Rows are the drawn archives' and, where ../shared/data is there, real ones of ISIC and ROCO's captions.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from midefics.bench import Beside, Figure
from midefics.bench.grounding_corruptions import CORRUPTIONS, Case
from midefics.bench.grounding_gaps import Metadata, gaps
from midefics.bench.grounding_templates import HELD_OUT, TUNED, Template
from midefics.grounding import problems
from midefics.records import Case as ArchiveCase
from midefics.records import Turn
from midefics.services import Services
from midefics.sources import source
from midefics.sources.synthetic import draw

SHARED = Path("../shared/data")
TEMPLATES = (TUNED, HELD_OUT)
MEASURED = 1
"""The place of the phrasings that were written last."""
GOAL = 0.95
DRAWN_ROWS = 160
PER_ROW = 3
Rows = Sequence[tuple[str, Metadata]]


class Scores(NamedTuple):
    """What the checker made of a set."""

    good: int
    corrupted: dict[str, int]
    """How many, by the corruption's name."""
    false_alarms: int
    """Good conversations with a problem."""
    caught: dict[str, int]
    """Corrupted ones with a problem of a kind that fits, by the corruption's name."""
    examples: tuple[str, ...]
    """A few that went wrong."""

    @property
    def precision(self) -> float:
        """Of the conversations with a problem, the share that are corrupted."""
        caught = sum(self.caught.values())
        return caught / max(1, caught + self.false_alarms)

    @property
    def recall(self) -> float:
        """Of the corrupted conversations, the share that is caught for the right reason."""
        return sum(self.caught.values()) / max(1, sum(self.corrupted.values()))


def measure(services: Services) -> Iterator[Figure]:  # noqa: ARG001 (every benchmark has the same signature)
    """Precision and recall overall, recall by kind of corruption."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = [*drawn_rows(Path(scratch)), *shared_rows(SHARED)]
    scores = scored(rows, MEASURED)
    told = f"{scores.good} good, {sum(scores.corrupted.values())} corrupted, in phrasings that have widened the rules since"
    yield _figure("grounding precision", scores.precision, told)
    yield _figure("grounding recall", scores.recall, told)
    for name, count in scores.corrupted.items():
        yield _figure(f"grounding recall: {name}", scores.caught.get(name, 0) / count, f"{count} corrupted")


def _figure(name: str, value: float, conditions: str) -> Figure:
    return Figure(
        name=name,
        unit="share",
        ours=value,
        beside=(Beside(name="all of them", value=1, goal=GOAL),),
        conditions=conditions,
    )


def drawn_rows(root: Path, count: int = DRAWN_ROWS, seed: int = 23) -> Iterator[tuple[str, Metadata]]:
    """Rows of the three archives that can be drawn."""
    for name in ("isic", "mura", "roco"):
        draw(name, root / name, count, seed)
        yield from _rows(name, root / name)


def shared_rows(root: Path) -> Iterator[tuple[str, Metadata]]:
    """Real rows where the folder is there: all of ISIC, and ROCO's captions, whose images are not needed."""
    if (root / "isic").is_dir():
        yield from _rows("isic", root / "isic")
    captions = root / "roco/data/test/radiology/captions.txt"
    if captions.is_file():
        for line in captions.read_text(encoding="utf-8").splitlines():
            caption = " ".join(line.partition("\t")[2].split())
            yield "roco", {"caption": caption, "keywords": "", "radiology": True}


def _rows(name: str, root: Path) -> Iterator[tuple[str, Metadata]]:
    for case in source(name).cases(root):
        if isinstance(case, ArchiveCase):
            yield name, dict(case.metadata)


def scored(rows: Rows, part: int) -> Scores:
    """What the checker makes of the rows in one set of phrasings; as many good conversations as corrupted ones."""
    rng = random.Random(5)  # noqa: S311 (a choice of examples, no secret)
    good = false_alarms = 0
    corrupted: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    examples = []
    for number, case in enumerate(cases(rows, part)):
        name = tuple(CORRUPTIONS)[number % len(CORRUPTIONS)]
        turns = CORRUPTIONS[name].corrupt(case, rng, part)
        if turns is None:
            continue
        good, corrupted[name] = good + 1, corrupted[name] + 1
        if wrong := problems(case.source, case.metadata, case.turns):
            false_alarms += 1
            examples.append(f"false alarm: {wrong} in {case}")
        if CORRUPTIONS[name].kinds & {problem.kind for problem in problems(case.source, case.metadata, turns)}:
            caught[name] += 1
        else:
            examples.append(f"missed: {name} in {turns} of {case.metadata}")
    return Scores(good, dict(corrupted), false_alarms, dict(caught), tuple(examples))


def cases(rows: Rows, part: int) -> Iterator[Case]:
    """Every row with a few of the templates whose gaps it fills."""
    for number, (name, metadata) in enumerate(rows):
        fit = [case for template in TEMPLATES[part] if (case := _filled(template, name, metadata, number))]
        yield from (fit[(number + step) % len(fit)] for step in range(min(PER_ROW, len(fit))))


def _filled(template: Template, name: str, metadata: Metadata, number: int) -> Case | None:
    if name not in template.sources:
        return None
    words = gaps(name, metadata, number)
    try:
        turns = tuple(
            Turn(question=question.format(**words), answer=answer.format(**words))
            for question, answer in template.turns
        )
    except KeyError:
        return None
    return Case(name, metadata, turns)
