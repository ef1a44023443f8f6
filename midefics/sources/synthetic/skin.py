"""A diagnosis in, a dermoscopic picture out.

Malignant lesions are large, irregular and of several colours; benign ones small, round and of one.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from midefics.sources.synthetic.canvas import (
    Colour,
    Field,
    as_picture,
    cloud,
    ellipse,
    filled,
    glow,
    grain,
    grid,
    mixed,
    turned,
)


class Look(NamedTuple):
    """What a diagnosis looks like; lengths are shares of half the picture's side."""

    radius: tuple[float, float]
    irregularity: float
    edge: float
    colours: tuple[Colour, ...]
    """The first covers the lesion, every other one a patch of it."""


LOOKS = {
    "melanoma": Look(
        (0.52, 0.66), 0.15, 0.10,
        ((0.27, 0.16, 0.11), (0.09, 0.06, 0.07), (0.36, 0.40, 0.50), (0.48, 0.20, 0.16), (0.12, 0.08, 0.07)),
    ),
    "basal cell carcinoma": Look(
        (0.50, 0.62), 0.11, 0.16,
        ((0.74, 0.36, 0.34), (0.35, 0.32, 0.38), (0.40, 0.34, 0.40), (0.88, 0.60, 0.56)),
    ),
    "nevus": Look((0.26, 0.36), 0.02, 0.14, ((0.47, 0.28, 0.17),)),
    "seborrheic keratosis": Look((0.28, 0.38), 0.03, 0.06, ((0.66, 0.48, 0.24),)),
}  # fmt: skip
MALIGNANT = {"melanoma": True, "basal cell carcinoma": True, "nevus": False, "seborrheic keratosis": False}

SKINS: tuple[Colour, ...] = ((0.93, 0.76, 0.68), (0.89, 0.69, 0.58), (0.83, 0.62, 0.49), (0.76, 0.54, 0.42))


def picture(diagnosis: str, size: int, lesion: np.random.Generator, shot: np.random.Generator) -> Image.Image:
    """Draws one dermoscopic picture, `size` pixels square.

    Args:
        diagnosis: a key of `LOOKS`.
        size: side in pixels.
        lesion: decides the lesion and its skin; the same seed gives the same lesion again.
        shot: decides what differs between two pictures of it: place, light, hairs and noise.
    """
    look = LOOKS[diagnosis]
    skin = SKINS[lesion.integers(len(SKINS))]
    centre = (float(shot.uniform(-0.2, 0.2)), float(shot.uniform(-0.2, 0.2)))
    x, y = grid(size)
    u, v = turned(x, y, shot.uniform(-0.5, 0.5), centre)
    tone = 1 + 0.025 * cloud(shot, size, 5) + 0.02 * cloud(shot, size, 32)
    field = np.asarray(skin, dtype=np.float32) * tone[..., None]
    inside, depth = _outline(u, v, look, lesion)
    field = mixed(field, (skin[0] * 0.92, skin[1] * 0.72, skin[2] * 0.70), 0.55 * filled(depth, 0.5))
    field = _coloured(field, u, v, look, inside, lesion)
    field = _structured(field, u, v, diagnosis, inside, lesion)
    field = _hairs(field, x, y, shot)
    light = shot.uniform(0.92, 1.06) * (1 - shot.uniform(0.06, 0.28) * (x * x + y * y) ** 2 / 2)
    return as_picture(field * light[..., None] + grain(shot, size, 0.02)[..., None])


def _outline(u: Field, v: Field, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """How far each pixel belongs to the lesion, and the signed distance to its edge."""
    angle = np.arctan2(v, u)
    radius = np.full_like(u, rng.uniform(*look.radius))
    for waves in range(2, 8):
        strength = look.irregularity * rng.uniform(0.3, 1) / waves**0.5
        radius *= 1 + np.float32(strength) * np.cos(waves * angle + np.float32(rng.uniform(0, 6.3)))
    depth = np.hypot(u, v) - radius
    return filled(depth, look.edge), depth


def _coloured(field: Field, u: Field, v: Field, look: Look, inside: Field, rng: np.random.Generator) -> Field:
    size = u.shape[0]
    strength = rng.uniform(0.88, 1.08)
    texture = np.clip(0.94 + 0.05 * cloud(rng, size, 14), 0, 1)
    first, *others = (tuple(strength * part for part in colour) for colour in look.colours)
    field = mixed(field, (first[0], first[1], first[2]), inside * texture)
    for colour in others:
        turn, far = rng.uniform(0, 6.3), rng.uniform(0.12, 0.36)
        centre = (far * np.cos(turn), far * np.sin(turn))
        patch = np.clip(1.5 * glow(u, v, centre, rng.uniform(0.2, 0.3)) + 0.12 * cloud(rng, size, 9), 0, 1)
        field = mixed(field, (colour[0], colour[1], colour[2]), 0.85 * patch * inside)
    return field


def _structured(field: Field, u: Field, v: Field, diagnosis: str, inside: Field, rng: np.random.Generator) -> Field:
    """What the dermatoscope shows within: a pigment network, vessels, horn cysts."""
    if diagnosis == "seborrheic keratosis":
        for _ in range(7):
            place = (rng.uniform(-0.24, 0.24), rng.uniform(-0.24, 0.24))
            light = rng.random() < 0.6
            spot = filled(ellipse(u, v, place, (0.028, 0.028)), 0.02)
            field = mixed(field, (0.97, 0.95, 0.84) if light else (0.25, 0.17, 0.10), 0.8 * spot * inside)
        return field
    if diagnosis == "basal cell carcinoma":
        for _ in range(5):
            a, b = turned(u, v, rng.uniform(0, 6.3))
            a = a - rng.uniform(-0.3, 0.3) - 0.05 * np.sin(rng.uniform(5, 9) * b + rng.uniform(0, 6.3))
            field = mixed(field, (0.66, 0.08, 0.10), 0.6 * filled(np.abs(a) - 0.006, 0.02) * inside * (b > 0))
        return field
    spread = 26 if diagnosis == "nevus" else 19
    warp = 0.5 * cloud(rng, u.shape[0], 7)
    mesh = np.sin(spread * u + warp) * np.sin(spread * v - warp)
    lines: Field = 0.10 * inside * (np.abs(mesh) < 0.35)
    return field * (1 - lines[..., None])


def _hairs(field: Field, x: Field, y: Field, rng: np.random.Generator) -> Field:
    for _ in range(rng.integers(0, 4)):
        a, b = turned(x, y, rng.uniform(0, 3.1), (rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9)))
        near = np.abs(b - rng.uniform(-0.25, 0.25) * a * a) - 0.009
        # Thinner than a pixel where the picture is small: its share of the pixel is all that is left of it.
        thin = min(1.0, 0.018 * x.shape[0] / 3)
        field = mixed(field, (0.16, 0.11, 0.09), 0.75 * thin * filled(near) * (np.abs(a) < rng.uniform(0.5, 1.2)))
    return field
