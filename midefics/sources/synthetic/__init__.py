"""A source's name and a number in, a small archive in that source's true layout out; and captioned pictures.

The pictures show what their metadata say, so there is something to learn from looking. Nothing here is a real patient.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from midefics.errors import ConfigError, SourceError
from midefics.sources.mura import SPOKEN
from midefics.sources.reading import DRAWN, with_article
from midefics.sources.synthetic import archives, bones, radiology, skin

DRAWING = 1
"""Raise it when drawings change, so that archives drawn before are drawn again."""

__all__ = ["captioned_pictures", "draw"]


def draw(source: str, root: Path, cases: int, seed: int) -> None:
    """Draws an archive of `cases` images at `root`, about 3 % of them with a flaw; deterministic.

    An archive drawn before with the same arguments stays as it is, one with others is replaced; a folder that was not
    drawn here is never touched. A kill leaves nothing
    half-drawn: the archive appears by one rename.

    Raises:
        ConfigError: this source can't be drawn.
        SourceError: the folder holds something that was not drawn here, or can't be written.
    """
    if source not in archives.WRITERS:
        raise ConfigError(
            f"sources.{source}.synthetic_cases: only {', '.join(archives.WRITERS)} can be drawn; leave it out"
        )
    wanted = {"source": source, "cases": cases, "seed": seed, "drawing": DRAWING}
    if _drawn(source, root) == wanted:
        return
    draft = root.parent / f".{root.name}.drawing-{os.getpid()}"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        archives.WRITERS[source](draft, cases, seed & 0xFFFFFFFF)
        (draft / DRAWN).write_text(json.dumps(wanted), encoding="utf-8")
        _appear(draft, root)
    except OSError as error:
        if _drawn(source, root) != wanted:  # else another process was first, and drew the same
            raise SourceError(f"{source}: can't draw an archive at {root}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _drawn(source: str, root: Path) -> dict[str, object] | None:
    """What the archive at `root` was drawn with; None where there is none."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    try:
        content: dict[str, object] = json.loads((root / DRAWN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{source}: {root} is not empty and was not drawn here; leave synthetic_cases out to read it, "
            "or choose another path"
        ) from error
    return content


def _appear(draft: Path, root: Path) -> None:
    old = draft.with_name(f"{draft.name}-old")
    if root.exists():
        root.rename(old)
    draft.rename(root)
    shutil.rmtree(old, ignore_errors=True)


def captioned_pictures(count: int, seed: int, size: int = 64) -> Iterator[tuple[Image.Image, str]]:
    """Fresh pictures of all three kinds, each with a plain caption of all that can be seen; none is in an archive.

    Args:
        count: how many.
        seed: the same seed gives the same pictures.
        size: side in pixels; 64 takes about a millisecond.
    """
    rng = np.random.default_rng((seed & 0xFFFFFFFF, 99))
    for number in range(count):
        yield (_skin, _bones, _radiology)[number % 3](rng, size)


def _skin(rng: np.random.Generator, size: int) -> tuple[Image.Image, str]:
    diagnosis = str(rng.choice(list(skin.LOOKS)))
    kind = "malignant" if skin.MALIGNANT[diagnosis] else "benign"
    caption = f"A dermoscopic image of a {kind} lesion, {with_article(diagnosis)}."
    return skin.picture(diagnosis, size, rng, rng), caption


def _bones(rng: np.random.Generator, size: int) -> tuple[Image.Image, str]:
    part, abnormal = str(rng.choice(list(bones.LAYOUTS))), bool(rng.integers(2))
    caption = f"An X-ray of the {SPOKEN.get(part, part)}, {'abnormal' if abnormal else 'normal'}."
    return bones.picture(part, abnormal, size, rng, rng), caption


def _radiology(rng: np.random.Generator, size: int) -> tuple[Image.Image, str]:
    finding, side = radiology.FINDINGS[rng.integers(len(radiology.FINDINGS))], str(rng.choice(["left", "right"]))
    caption = f"{radiology.SEEN[finding.modality]} showing {with_article(finding.name)} on the {side}."
    return radiology.picture(finding, side, size, rng, rng), caption
