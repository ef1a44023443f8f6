"""Rows to write conversations about: drawn archives, and real ones where they are at hand."""

import random
from collections.abc import Iterator
from pathlib import Path

from midefics.bench.grounding.scoring import Row
from midefics.records import Case as ArchiveCase
from midefics.sources import source
from midefics.sources.synthetic import draw

SHARED = Path("../shared/data")
DRAWN_ROWS = 80
"""Of each archive that can be drawn."""
CAPTIONS = 400
"""Real captions that conversations are written about."""


def rows(scratch: Path) -> list[Row]:
    """All drawn ones, all of ISIC's real ones, and some of ROCO's real captions, the same every time."""
    real = [*shared_rows(SHARED)]
    captions = [row for row in real if row[0] == "roco"]
    chosen = random.Random(3).sample(captions, min(CAPTIONS, len(captions)))  # noqa: S311 (a choice of examples, no secret)
    return [*drawn_rows(scratch), *(row for row in real if row[0] != "roco"), *chosen]


def drawn_rows(root: Path, count: int = DRAWN_ROWS, seed: int = 23) -> Iterator[Row]:
    """Rows of the three archives that can be drawn."""
    for name in ("isic", "mura", "roco"):
        draw(name, root / name, count, seed)
        yield from _rows(name, root / name)


def shared_rows(root: Path) -> Iterator[Row]:
    """Real rows where the folder is there: all of ISIC, and ROCO's captions, whose images are not needed."""
    if (root / "isic").is_dir():
        yield from _rows("isic", root / "isic")
    captions = root / "roco/data/test/radiology/captions.txt"
    if captions.is_file():
        for line in captions.read_text(encoding="utf-8").splitlines():
            caption = " ".join(line.partition("\t")[2].split())
            yield "roco", {"caption": caption, "keywords": "", "radiology": True}


def _rows(name: str, root: Path) -> Iterator[Row]:
    for case in source(name).cases(root):
        if isinstance(case, ArchiveCase):
            yield name, dict(case.metadata)
