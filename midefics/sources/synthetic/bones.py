"""A body part in, an X-ray of it out, whole or broken.

A break is a dark gap in one or more bones, their far ends pushed aside and bent away, in swollen soft tissue.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from midefics.sources.synthetic.canvas import Field, as_picture, cloud, filled, grain, grid, turned

Point = tuple[float, float]


class Bone(NamedTuple):
    """A bone from one end to the other; lengths are shares of half the picture's side."""

    start: Point
    end: Point
    width: float
    """Half of the shaft's width; the joint ends of a long bone are wider by 0.4 of it."""
    breaks: bool = False
    """Whether this is (one of) the bones broken in an abnormal picture."""
    joined: bool = False
    """Grown together with the bone before it in the layout: no cortex between them."""
    cut_start: bool = False
    cut_end: bool = False
    """Where a break left a rough straight end."""


def _hand() -> Iterator[Bone]:
    """Five rays from the wrist, each of a metacarpal and its phalanges."""
    for ray, reach in enumerate((0.72, 0.96, 1.0, 0.95, 0.80)):
        angle = (ray - 2) * 0.17 - (0.18 if ray == 0 else 0)
        dx, dy = np.sin(angle), -np.cos(angle)
        x, y = (ray - 2) * 0.13, 0.38
        joints = (0.0, 0.40, 0.66, 0.85, 1.0)
        for number in range(4):
            low, high = (1.22 * reach * (joints[number] + 0.02), 1.22 * reach * (joints[number + 1] - 0.02))
            width = 0.062 * (1 - 0.16 * number)
            breaks = number == 0 and 1 <= ray <= 3
            yield Bone((x + dx * low, y + dy * low), (x + dx * high, y + dy * high), width, breaks)


def _carpals(y: float, scale: float) -> Iterator[Bone]:
    """Eight pebbles in two rows."""
    rows = ((-1.5, 0.1, 0.95), (-0.5, -0.1, 0.9), (0.5, -0.1, 1.1), (1.5, 0.1, 0.95))
    for row in (0, 1):
        for column, lift, width in rows:
            x, lower = scale * (2.2 * column + 0.4 * row), y + scale * (2.1 * row + lift * (1 - 2 * row))
            yield Bone((x - 0.3 * scale, lower), (x + 0.3 * scale, lower - 0.1 * scale), scale * width)


LAYOUTS: dict[str, tuple[Bone, ...]] = {
    "elbow": (
        Bone((-0.30, -1.2), (-0.36, 0.22), 0.17, breaks=True),
        Bone((-0.38, 0.52), (1.2, 0.46), 0.13),
        Bone((-0.02, 0.22), (1.2, 0.16), 0.09),
    ),
    "finger": (
        Bone((0.02, 1.3), (0.02, 0.66), 0.20),
        Bone((0.02, 0.46), (0.0, -0.10), 0.16, breaks=True),
        Bone((0.0, -0.26), (-0.02, -0.56), 0.105),
        Bone((-0.02, -0.66), (-0.02, -0.90), 0.08),
    ),
    "forearm": (
        Bone((-0.20, -0.92), (-0.26, 0.95), 0.11, breaks=True),
        Bone((0.24, -1.02), (0.20, 0.88), 0.10, breaks=True),
    ),
    "hand": (
        *_hand(),
        *_carpals(0.50, 0.068),
        Bone((-0.13, 0.84), (-0.15, 1.3), 0.11),
        Bone((0.15, 0.86), (0.17, 1.3), 0.09),
    ),
    "humerus": (
        Bone((-0.10, -0.64), (-0.08, -0.60), 0.26),
        Bone((0.0, -0.62), (0.04, 1.02), 0.16, breaks=True, joined=True),
    ),
    "shoulder": (
        Bone((-0.42, -0.16), (-0.40, -0.12), 0.27),
        Bone((-0.50, -0.10), (-0.66, 1.3), 0.16, breaks=True, joined=True),
        Bone((-0.55, -0.62), (1.2, -0.74), 0.08),
        Bone((0.06, -0.34), (0.0, 0.12), 0.10),
        Bone((0.06, -0.20), (0.50, 0.72), 0.09, joined=True),
        Bone((0.06, -0.40), (0.80, -0.38), 0.07, joined=True),
        *(Bone((0.62, 0.34 * rib), (1.2, 0.34 * rib - 0.16), 0.035) for rib in range(4)),
    ),
    "wrist": (
        Bone((-0.22, 0.30), (-0.24, 1.4), 0.19, breaks=True),
        Bone((0.26, 0.30), (0.24, 1.4), 0.13, breaks=True),
        *_carpals(-0.22, 0.115),
        *(Bone((0.20 * ray, -0.50), (0.36 * ray, -1.3), 0.085) for ray in (-2, -1, 0, 1, 2)),
    ),
}
BREAK_AT = {"elbow": 0.60, "shoulder": 0.42, "wrist": 0.32}
"""Where along a bone's length it breaks: in the middle, unless the middle is not in the picture."""
FLESH = {"hand": 0.09, "finger": 0.14, "shoulder": 0.34}
"""How far the soft tissue reaches beyond the bones, where not 0.2."""


def picture(part: str, abnormal: bool, size: int, study: np.random.Generator, shot: np.random.Generator) -> Image.Image:
    """Draws one X-ray, `size` pixels square.

    Args:
        part: a key of `LAYOUTS`.
        abnormal: whether it is broken.
        size: side in pixels.
        study: decides the bones and the break; the same seed gives the same patient's bones again.
        shot: decides what differs between two pictures of them: place, exposure and noise.
    """
    x, y = grid(size)
    zoom, place = study.uniform(0.94, 1.08), (shot.uniform(-0.06, 0.06), shot.uniform(-0.06, 0.06))
    x, y = turned(x / zoom, y / zoom, shot.uniform(-0.10, 0.10), place)
    bone, nearest, distance = np.zeros_like(x), np.full_like(x, 9.0), np.full_like(x, 9.0)
    for piece in _pieces(part, abnormal, study):
        own, straight = _distances(x, y, piece)
        distance = np.minimum(distance, own) if piece.joined else own
        nearest = np.minimum(nearest, straight)
        bone = np.maximum(bone, _shaded(distance, piece.width))
    reach = FLESH.get(part, 0.2) + (0.09 if abnormal else 0.0)
    flesh = filled(nearest - reach, 0.10) * (0.22 + 0.07 * filled(nearest - 0.3 * reach, reach))
    texture = 1 + 0.04 * cloud(study, size, 40) + 0.05 * cloud(shot, size, 6)
    field = 0.05 + (flesh + 0.62 * bone) * texture
    field = (field * shot.uniform(0.92, 1.08)) ** shot.uniform(0.9, 1.1)
    return as_picture(field + grain(shot, size, 0.022))


def _pieces(part: str, abnormal: bool, rng: np.random.Generator) -> Iterator[Bone]:
    side = rng.choice((-1.0, 1.0))
    shift, tilt, gap = rng.uniform(0.9, 1.3) * side, rng.uniform(0.10, 0.26) * side, rng.uniform(0.05, 0.07)
    at = BREAK_AT.get(part, 0.5) + rng.uniform(-0.04, 0.04)
    for bone in LAYOUTS[part]:
        width = bone.width * rng.uniform(0.92, 1.08)
        if abnormal and bone.breaks:
            yield from _broken(bone._replace(width=width), at, shift * min(width, 0.14), tilt, max(gap, 0.3 * width))
        else:
            yield bone._replace(width=width)


def _broken(bone: Bone, at: float, shift: float, tilt: float, gap: float) -> Iterator[Bone]:
    """Two pieces: the second is pushed sideways by `shift` and turned by `tilt` around the break."""
    (ax, ay), (bx, by) = bone.start, bone.end
    length = float(np.hypot(bx - ax, by - ay))
    dx, dy = (bx - ax) / length, (by - ay) / length
    near, far = at * length - gap, at * length + gap
    yield bone._replace(end=(ax + dx * near, ay + dy * near), cut_end=True)
    cos, sin = np.cos(tilt), np.sin(tilt)
    tx, ty = cos * dx - sin * dy, sin * dx + cos * dy
    start = (ax + dx * far - dy * shift, ay + dy * far + dx * shift)
    end = (start[0] + tx * (length - far), start[1] + ty * (length - far))
    yield bone._replace(start=start, end=end, cut_start=True, joined=False)


def _distances(x: Field, y: Field, bone: Bone) -> tuple[Field, Field]:
    """Signed distances to a bone's outline, and to that of the plain rod inside it."""
    (ax, ay), (bx, by) = bone.start, bone.end
    length, width = np.float32(np.hypot(bx - ax, by - ay)), np.float32(bone.width)
    dx, dy = np.float32(bx - ax) / length, np.float32(by - ay) / length
    px, py = x - np.float32(ax), y - np.float32(ay)
    along, across = px * dx + py * dy, py * dx - px * dy
    beyond = along - np.clip(along, -9 if bone.cut_start else 0, 9 if bone.cut_end else length)
    rod = np.hypot(beyond, across) - width
    outline = rod
    if length > 2.5 * width:
        ends = np.clip(np.abs(2 * along / length - 1), 0, 1)
        kept = (along > length / 2) if bone.cut_start else (along < length / 2) if bone.cut_end else True
        outline = rod - 0.4 * width * ends**8 * kept
    if bone.cut_start or bone.cut_end:
        rough = 0.3 * across + 0.14 * width * np.sin(across * (5 / width))
        outside = rough - along if bone.cut_start else along - length - rough
        outline = np.maximum(outline, outside)
    return outline, rod


def _shaded(distance: Field, width: float) -> Field:
    """A bright cortex around a greyer marrow."""
    depth = np.clip(-distance / np.float32(width), 0, 1)
    marrow: Field = np.clip((depth - 0.15) / 0.35, 0, 1)
    return filled(distance, 0.025) * (1.0 - 0.40 * marrow)
