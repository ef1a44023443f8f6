"""What the drawings share: a picture is a field of numbers over a square from -1 to 1, x to the right, y downwards.

Shapes are signed distances (negative inside), so every drawing comes out the same at any size, only finer.
"""

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Field: TypeAlias = npt.NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

REFERENCE_SIZE = 224
"""Side at which an archive is drawn, pixels; smaller drawings have the noise that shrinking would leave them."""


@cache
def grid(size: int) -> tuple[Field, Field]:
    """The x and y of every pixel's centre, each `(size, size)`."""
    steps = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
    x, y = np.meshgrid(steps, steps)
    return x, y


def turned(x: Field, y: Field, angle: float, centre: tuple[float, float] = (0, 0)) -> tuple[Field, Field]:
    """The coordinates in a frame moved to `centre` and turned by `angle`, radians."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    return cos * dx + sin * dy, cos * dy - sin * dx


def filled(distance: Field, soft: float = 0.0) -> Field:
    """1 inside a shape and 0 outside, over an edge `soft` wide (at least a pixel and a half)."""
    width = np.float32(max(soft, 3 / distance.shape[0]))
    inside: Field = np.clip(np.float32(0.5) - distance / width, 0, 1)
    return inside


def ellipse(x: Field, y: Field, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Field:
    """Signed distance to an ellipse: exact at its edge, near enough elsewhere."""
    u, v = turned(x, y, angle, centre)
    scaled = np.sqrt((u / np.float32(radii[0])) ** 2 + (v / np.float32(radii[1])) ** 2)
    return (scaled - 1) * np.float32(min(radii))


def glow(x: Field, y: Field, centre: tuple[float, float], radius: float) -> Field:
    """A soft round spot: 1 at its centre, falling off as a Gaussian."""
    return np.exp(-((x - np.float32(centre[0])) ** 2 + (y - np.float32(centre[1])) ** 2) / np.float32(radius**2))


def cloud(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Smooth random texture of about unit spread, with bumps a `cells`-th of the picture wide."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def grain(rng: np.random.Generator, size: int, strength: float) -> Field:
    """Noise of single pixels."""
    return rng.standard_normal((size, size), dtype=np.float32) * np.float32(strength * size / REFERENCE_SIZE)


def mixed(below: Field, colour: Colour, share: Field) -> Field:
    """Lays a colour over an RGB field `(size, size, 3)`, where `share` `(size, size)` is 1 entirely."""
    return below + share[..., None] * (np.asarray(colour, dtype=np.float32) - below)


def as_picture(field: Field) -> Image.Image:
    """An RGB picture of a grey `(size, size)` or RGB field with values from 0 to 1."""
    pixels = (np.clip(field, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")
