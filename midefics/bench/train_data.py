"""A seed in, drawn pictures with conversations of very different lengths out: what both recipes are trained on."""

import io
import random
from collections.abc import Iterator, Sequence

from midefics.records import Turn
from midefics.sources.synthetic import captioned_pictures
from midefics.vlm.collate import Sample
from midefics.vlm.load import Loaded

SIDE = 160
"""Of the JPEG files, pixels: the demo's `ingest.image_size`."""
MEDIAN_TURNS, SPREAD = 1.5, 0.6
"""Of a lognormal distribution, from 1 to `MOST_TURNS`: real conversations are short with a long tail."""
MOST_TURNS, LONGEST = 12, 1024
"""Turns and tokens."""
QUESTIONS = (
    ("A description?", 0),
    ("What image?", 1),
    ("What kind of image is this?", 1),
    ("A lesion?", 2),
    ("What is it?", 2),
)
"""What is asked, and which part of the caption answers it: all, what comes before the finding, the finding."""


def conversations(count: int, seed: int) -> Iterator[tuple[bytes, tuple[Turn, ...]]]:
    """JPEG files and what is said about them."""
    chance = random.Random(seed)  # noqa: S311 (a benchmark, no secret)
    for picture, caption in captioned_pictures(count, seed, SIDE):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=92)
        turns = min(MOST_TURNS, max(1, round(MEDIAN_TURNS * chance.lognormvariate(0, SPREAD))))
        yield buffer.getvalue(), tuple(_turn(caption, *chance.choice(QUESTIONS)) for _ in range(turns))


def samples(loaded: Loaded, given: Sequence[tuple[bytes, tuple[Turn, ...]]]) -> list[Sample]:
    """The conversations as our recipe learns from them."""
    family, processor = loaded.family, loaded.processor
    return [Sample(*family.encode(turns, processor, image, LONGEST), image=image) for image, turns in given]


def _turn(caption: str, question: str, part: int) -> Turn:
    for word in (" of the ", " of a ", " showing ", ", "):
        kind, found, finding = caption.partition(word)
        if found:
            return Turn(question=question, answer=(caption, f"{kind}.", finding.capitalize())[part])
    return Turn(question=question, answer=caption)
