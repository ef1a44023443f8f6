"""A stored picture in, measurements out: what the checks of `stages/checks.py` judge, a few numbers for each picture.

All of them are taken from the training-size picture: what is too small to be seen there is too small for the model, too.
"""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from midefics.nearness import THUMBNAIL_SIDE, Thumbnails, thumbnail
from midefics.pictures import BROKEN

Grey = NDArray[np.uint8]

FILL = (126, 130)
"""Grey values with which decoders fill what a cut-off JPEG lacks: 128, give or take the rounding of another saving."""
STROKE_CONTRAST = 30
"""Grey values by which strokes of letters differ from their ground."""
LETTER_HEIGHTS = (4, 24)
"""Pixels."""
LETTERS_MOST = 2000
"""More strokes than this are texture (hair, noise), no text."""


class Inspection(NamedTuple):
    """What there is to say of a picture without knowing what it shows; None where it can't be decoded."""

    readable: str
    """`yes`, or `no: ` and what the decoder raised."""
    thumbnail: Thumbnails
    """All 0 where it can't be decoded."""
    colour_mode: str | None = None
    contrast: float | None = None
    """Standard deviation of the grey values (0 to 255)."""
    entropy: float | None = None
    """Of the distribution of the grey values, bits: 0 for one value, 8 for all equally often."""
    colourfulness: float | None = None
    """Hasler and Süsstrunk 2003: 0 for grey, about 15 for slightly, 45 for quite, 80 for very colourful photographs."""
    filled_below: float | None = None
    """Share of the picture's height, from its lower edge, that is nothing but the grey of a cut-off file."""
    text_line: int | None = None
    """Letter-like strokes in the longest row of such; 4 and more are mostly writing."""


def inspect(content: bytes) -> Inspection:
    """Measures a picture."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            rgb = np.asarray(image.convert("RGB"))
            grey_image = image.convert("L")
    except BROKEN as error:
        return Inspection(f"no: {type(error).__name__}", np.zeros(THUMBNAIL_SIDE**2, dtype=np.uint8))
    grey = np.asarray(grey_image)
    return Inspection(
        readable="yes",
        thumbnail=thumbnail(grey_image),
        colour_mode=image.mode,
        contrast=round(float(grey.std()), 2),
        entropy=round(float(grey_image.entropy()), 2),
        colourfulness=round(_colourfulness(rgb), 2),
        filled_below=round(_filled_below(rgb), 2),
        text_line=max(_longest_row(_letters(grey)), _longest_row(_letters(255 - grey))),
    )


def _colourfulness(rgb: NDArray[np.uint8]) -> float:
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    across, along = red - green, (red + green) / 2 - blue
    spread = np.hypot(across.std(), along.std())
    return float(spread + 0.3 * np.hypot(across.mean(), along.mean()))


def _filled_below(rgb: NDArray[np.uint8]) -> float:
    other = np.flatnonzero(((rgb < FILL[0]) | (rgb > FILL[1])).any(axis=(1, 2)))
    return 1 - (int(other[-1]) + 1) / len(rgb) if len(other) else 1.0


def _letters(grey: Grey) -> NDArray[np.int64]:
    """Boxes of bright thin shapes with the proportions of letters, `(letters, 4)`: top, bottom, left, right."""
    from scipy import ndimage

    thin = grey - _opened(grey) >= STROKE_CONTRAST
    labels, found = ndimage.label(thin, structure=np.ones((3, 3)))
    if not 0 < found <= LETTERS_MOST:
        return np.empty((0, 4), dtype=np.int64)
    boxes = np.array([(y.start, y.stop, x.start, x.stop) for y, x in ndimage.find_objects(labels)])
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    kept = (heights >= LETTER_HEIGHTS[0]) & (heights <= LETTER_HEIGHTS[1]) & (widths <= 1.6 * heights + 1)
    letters: NDArray[np.int64] = boxes[kept & (np.bincount(labels.ravel())[1:] >= LETTER_HEIGHTS[0])]
    return letters


def _opened(grey: Grey) -> Grey:
    """Without the bright shapes that a square of 5 pixels does not fit into (a morphological opening)."""
    for choose in (np.minimum, np.maximum):
        padded = np.pad(grey, 2, mode="edge")
        for _ in range(2):  # of five neighbours along one axis, then along the other: two, four, five
            two = choose(padded[:-1], padded[1:])
            four = choose(two[:-2], two[2:])
            padded = choose(four[:-1], padded[4:]).T
        grey = padded
    return grey


def _longest_row(letters: NDArray[np.int64]) -> int:
    """How many letters follow each other, as high as each other, on one line, with gaps no wider than they are high."""
    letters = letters[np.argsort(letters[:, 2], kind="stable")]
    heights, middles = letters[:, 1] - letters[:, 0], (letters[:, 0] + letters[:, 1]) / 2
    length = np.ones(len(letters), dtype=np.int64)
    for place in range(1, len(letters)):
        height = heights[place]
        gaps = letters[place, 2] - letters[:place, 3]
        follows = (gaps >= -1) & (gaps <= 1.2 * np.maximum(heights[:place], height))
        follows &= np.abs(middles[:place] - middles[place]) <= 0.25 * height + 0.5
        follows &= np.abs(heights[:place] - height) <= 0.3 * height + 1
        if follows.any():
            length[place] += length[:place][follows].max()
    return int(length.max(initial=0))
