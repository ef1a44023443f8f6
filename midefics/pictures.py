"""An image file's bytes in; a small clean picture, the original's size and a perceptual hash out."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

JPEG_QUALITY = 92
FORMATS = ("JPEG", "PNG")
"""What archives of image files hold. Pillow reads some forty more, each with a decoder that a broken file can upset."""
MAX_PIXELS = 200_000_000
"""A picture that claims more is refused unopened: a decompression bomb, or a scan nobody meant to train on."""
HEADROOM = 1.4
"""Decoded at least at this many times the side wanted."""
MAKING = 4
"""Raise it when pictures come out otherwise than before, so that none made before is used again."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What sets a picture upright, by EXIF's orientation. Pillow's `exif_transpose` also writes the EXIF anew, and fails on
what some cameras put there."""
SWAPPING = {UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow's decoders raise on files that are no image, or a broken one."""


class Picture(NamedTuple):
    """The training-size picture made of an image file."""

    content: bytes
    """JPEG, RGB, upright, without EXIF or comment."""
    width: int
    """Of the original as it is looked at, pixels."""
    height: int
    phash: str
    """64-bit perceptual hash of the picture, 16 hexadecimal digits: near-duplicates differ in a few bits."""
    format: str
    """Of the original, told by its bytes, and its colour mode: `JPEG RGB`."""


def opened(original: bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Opens an image file; its pixels are decoded when they are asked for.

    Raises:
        BROKEN: not an image of these formats whatever its name says, several pictures in one, or a broken one.
    """
    try:
        picture = Image.open(io.BytesIO(original), formats=formats)
    except UnidentifiedImageError as error:
        # Pillow's own words hold an address in memory, which differs from run to run.
        raise ValueError(f"no {' or '.join(formats)} file: it begins with {original[:8]!r}") from error
    # MPO is a photograph with its preview behind it, and a JPEG to every other reader.
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise ValueError("several pictures in one file: nobody says which is meant")
    return picture


def shrink(original: bytes, image_size: int, open_picture: Callable[[bytes], Image.Image] = opened) -> Picture:
    """Makes the training-size picture.

    Args:
        original: the bytes of an image file.
        image_size: longer side of the result at most, pixels; a smaller picture keeps its size.
        open_picture: opens the archive's kind of image file.

    Raises:
        BROKEN: not an image, or a broken one.
    """
    with open_picture(original) as picture:
        width, height = picture.size
        kind = f"{picture.format} {picture.mode}"
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}")
        turn = UPRIGHT.get(picture.getexif().get(0x0112) or 1)
        if turn in SWAPPING:
            width, height = height, width
        _decode_smaller(picture, image_size)
        picture.thumbnail((image_size, image_size), Image.Resampling.LANCZOS, reducing_gap=None)
        small, file = as_rgb(picture if turn is None else picture.transpose(turn)), io.BytesIO()
        small.info.clear()  # a JPEG's comment would be written again
        small.save(file, "JPEG", quality=JPEG_QUALITY)
    return Picture(file.getvalue(), width, height, perceptual_hash(small), kind)


def _decode_smaller(picture: Image.Image, image_size: int) -> None:
    """Lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, which saves most of the work.

    With `HEADROOM` times the pixels wanted left for the resampling, real skin images come out at a median 44.6 dB
    (5th percentile 38.5) of the full-size way as the model sees them: less than the JPEG it is stored as loses.
    """
    scale = HEADROOM * image_size / max(picture.size)
    if scale < 1:
        picture.draft("RGB", (max(1, int(scale * picture.width)), max(1, int(scale * picture.height))))


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
