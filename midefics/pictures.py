"""An image file's bytes in; a small clean picture, the original's size and a perceptual hash out."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

JPEG_QUALITY = 92
MAX_PIXELS = 200_000_000
"""A picture that claims more is refused unopened: a decompression bomb, or a scan nobody meant to train on."""
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow's decoders raise on files that are no image, or a broken one."""


class Picture(NamedTuple):
    """The training-size picture made of an image file."""

    content: bytes
    """JPEG, RGB, upright, without EXIF."""
    width: int
    """Of the original as it is looked at, pixels."""
    height: int
    phash: str
    """64-bit perceptual hash of the picture, 16 hexadecimal digits: near-duplicates differ in a few bits."""
    format: str
    """Of the original, told by its bytes, and its colour mode: `JPEG RGB`."""


def shrink(original: bytes, image_size: int) -> Picture:
    """Makes the training-size picture.

    Args:
        original: the bytes of an image file.
        image_size: longer side of the result at most, pixels; a smaller picture keeps its size.

    Raises:
        BROKEN: not an image, or a broken one.
    """
    with Image.open(io.BytesIO(original)) as picture:
        width, height = picture.size
        kind = f"{picture.format} {picture.mode}"
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}")
        if picture.getexif().get(0x0112, 1) >= 5:  # orientation tags 5 to 8 swap the sides
            width, height = height, width
        # JPEG decodes at 1/2, 1/4 or 1/8 for nearly nothing; twice the size wanted keeps the resampling exact enough.
        picture.draft("RGB", (2 * image_size, 2 * image_size))
        upright = ImageOps.exif_transpose(picture)
        upright.thumbnail((image_size, image_size), Image.Resampling.LANCZOS, reducing_gap=None)
        small, file = as_rgb(upright), io.BytesIO()
        small.save(file, "JPEG", quality=JPEG_QUALITY)
    return Picture(file.getvalue(), width, height, perceptual_hash(small), kind)


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB; 16-bit and float greys are stretched to 8 bit first, which Pillow would saturate to white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
        picture = Image.fromarray(((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8))
    return picture.convert("RGB")


def perceptual_hash(picture: Image.Image) -> str:
    """The DCT hash of a picture (Zauner 2010), as `imagehash` computes it: 64 bits in 16 hexadecimal digits."""
    import imagehash

    return str(imagehash.phash(picture))
