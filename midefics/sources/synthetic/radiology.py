"""A modality, a finding and a side in, a radiological picture out.

Sides follow the radiological convention: one looks at the patient, so the patient's left is on the viewer's right.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from midefics.sources.synthetic.canvas import Field, as_picture, cloud, ellipse, filled, glow, grain, grid, turned


class Finding(NamedTuple):
    """One thing that can be seen in pictures of one modality."""

    modality: str
    name: str
    captions: tuple[str, ...]
    """As an article's authors might write it; `{side}` stands for left or right."""


FINDINGS = (
    Finding("X-ray", "mass", (
        "Chest X-ray showing a large rounded mass in the {side} lung.",
        "Frontal chest radiograph. A well-defined mass is seen in the {side} lung.",
    )),
    Finding("X-ray", "pleural effusion", (
        "Chest X-ray demonstrating a {side} pleural effusion.",
        "Posteroanterior chest radiograph on admission with {side} pleural effusion.",
    )),
    Finding("CT", "cyst", (
        "Axial CT of the abdomen showing a large hypodense cyst in the {side} kidney.",
        "Contrast-enhanced CT scan reveals a simple cyst of the {side} kidney.",
    )),
    Finding("CT", "haematoma", (
        "CT scan of the abdomen showing a hyperdense haematoma around the {side} kidney.",
        "Axial CT image demonstrates a bright perirenal haematoma on the {side} side.",
    )),
    Finding("MRI", "tumour", (
        "Axial MRI of the brain showing a hyperintense tumour in the {side} hemisphere.",
        "Brain MRI demonstrates a bright mass in the {side} hemisphere.",
    )),
    Finding("MRI", "infarct", (
        "Axial brain MRI showing an old infarct, dark, in the {side} hemisphere.",
        "T1-weighted MRI shows a hypointense area in the {side} hemisphere.",
    )),
    Finding("Ultrasound", "cyst", (
        "Ultrasound of the liver showing an anechoic cyst in the {side} lobe.",
        "Transverse ultrasonography reveals a simple hepatic cyst, {side} lobe.",
    )),
    Finding("Ultrasound", "haemangioma", (
        "Ultrasound of the liver with a hyperechoic haemangioma in the {side} lobe.",
        "Abdominal sonogram demonstrating a bright round lesion in the {side} lobe of the liver.",
    )),
)  # fmt: skip


SEEN = {
    "X-ray": "A chest X-ray",
    "CT": "An abdominal CT scan",
    "MRI": "A brain MRI scan",
    "Ultrasound": "An ultrasound of the liver",
}
"""A plain name for what the pictures of a modality show."""


def picture(
    finding: Finding, side: str, size: int, article: np.random.Generator, shot: np.random.Generator
) -> Image.Image:
    """Draws one picture, `size` pixels square.

    Args:
        finding: one of `FINDINGS`.
        side: the patient's `left` or `right`.
        size: side in pixels.
        article: decides the patient and the finding's place; the same seed gives the same again.
        shot: decides what differs between two pictures of one patient: place, contrast and noise.
    """
    x, y = grid(size)
    zoom = shot.uniform(0.95, 1.05)
    x, y = turned(x / zoom, y / zoom, shot.uniform(-0.05, 0.05), (shot.uniform(-0.04, 0.04), shot.uniform(-0.04, 0.04)))
    # Mirrored coordinates put the finding right of the middle always; the anatomy uses the true ones.
    towards = x if side == "left" else -x
    field = _DRAWN[finding.modality](x, y, towards, finding.name, article)
    field = np.clip(field, 0, 1) * shot.uniform(0.93, 1.07)
    return as_picture(field ** shot.uniform(0.9, 1.1) + grain(shot, size, 0.025))


def _chest(x: Field, y: Field, towards: Field, finding: str, rng: np.random.Generator) -> Field:
    size = x.shape[0]
    body = filled(ellipse(x, y, (0, 0.5), (1.02, 1.45)), 0.15)
    lungs = np.maximum(
        filled(ellipse(x, y, (-0.46, -0.02), (0.34, 0.72), 0.12), 0.10),
        filled(ellipse(x, y, (0.46, -0.02), (0.34, 0.72), -0.12), 0.10),
    )
    domes = filled(
        np.minimum(ellipse(x, y, (-0.48, 0.92), (0.52, 0.46)), ellipse(x, y, (0.48, 0.98), (0.52, 0.46))), 0.06
    )
    heart = filled(ellipse(x, y, (0.14, 0.36), (0.34, 0.30), 0.6), 0.08)
    spine = filled(np.abs(x) - 0.12, 0.10)
    ribs = _ribs(x, y) * body
    hilum = glow(np.abs(x), y, (0.24, 0.02), 0.24)
    field = body * (0.55 + 0.02 * cloud(rng, size, 12)) - 0.42 * lungs * body
    field = field + 0.11 * ribs + 0.14 * spine * body + hilum * lungs * (0.12 + 0.08 * cloud(rng, size, 26))
    field = np.maximum(field, 0.66 * np.maximum(domes, heart) * body)
    if finding == "mass":
        centre = (rng.uniform(0.40, 0.52), rng.uniform(-0.38, -0.08))
        blob = filled(ellipse(towards, y, centre, (rng.uniform(0.20, 0.25), rng.uniform(0.20, 0.25))), 0.10)
    else:
        level = rng.uniform(0.02, 0.14)
        # The fluid's upper border climbs towards the chest wall: the meniscus.
        blob = filled(level - 1.2 * (towards - 0.45) ** 2 - y, 0.12) * filled(0.18 - towards, 0.10) * body
        blob = blob * filled(towards - 0.78 - 0.1 * y, 0.16)
    return field + blob * np.clip(0.74 - field, 0, 1)


def _ribs(x: Field, y: Field) -> Field:
    wave = np.sin((y + 0.75 * x * x - 0.65 * np.abs(x)) * np.float32(22.0))
    return np.clip(wave * 2 - 0.6, 0, 1) * filled(np.abs(x) - 0.82, 0.2) * filled(np.abs(y + 0.1) - 0.7, 0.2)


def _abdomen(x: Field, y: Field, towards: Field, finding: str, rng: np.random.Generator) -> Field:
    size = x.shape[0]
    outline = ellipse(x, y, (0, 0), (0.93, 0.70))
    body, wall = filled(outline), filled(outline + 0.10, 0.05)
    field = 0.22 * body + wall * (0.16 + 0.03 * cloud(rng, size, 16))
    liver = filled(ellipse(x, y, (-0.46, -0.20), (0.36, 0.34), 0.4), 0.05)
    stomach = filled(ellipse(x, y, (0.40, -0.26), (0.26, 0.20), -0.3), 0.05)
    field = field + 0.20 * np.maximum(liver, stomach) * (1 + 0.06 * cloud(rng, size, 30))
    for kidney in (-0.44, 0.44):
        field = field + 0.22 * filled(ellipse(x, y, (kidney, 0.26), (0.15, 0.20)), 0.05)
    field = np.maximum(field, 0.62 * filled(ellipse(x, y, (0.08, 0.12), (0.08, 0.08)), 0.03))
    spine = np.minimum(ellipse(x, y, (0, 0.34), (0.16, 0.14)), ellipse(x, y, (0, 0.54), (0.05, 0.12)))
    field = np.maximum(field, 0.98 * filled(spine, 0.04))
    for turn in np.linspace(0.3, 5.98, 9):
        centre = (0.82 * float(np.sin(turn)), -0.59 * float(np.cos(turn)))
        field = np.maximum(field, 0.92 * filled(ellipse(x, y, centre, (0.075, 0.035), turn), 0.03))
    table = filled(np.abs(y - 0.80 - 0.06 * (1 - x * x)) - 0.012) * (np.abs(x) < 0.8)
    field = np.maximum(field, 0.35 * table)
    centre, radius = (rng.uniform(0.44, 0.52), rng.uniform(0.10, 0.22)), rng.uniform(0.19, 0.24)
    blob = filled(ellipse(towards, y, centre, (radius * 1.1, radius)), 0.05) * wall
    inside = 0.10 if finding == "cyst" else 0.86
    drawn: Field = field + blob * (inside - field)
    return drawn


def _brain(x: Field, y: Field, towards: Field, finding: str, rng: np.random.Generator) -> Field:
    size = x.shape[0]
    head = ellipse(x, y, (0, 0), (0.78, 0.92))
    brain = filled(head + 0.15, 0.03)
    folds = np.abs(cloud(rng, size, 15))
    cortex = np.clip(1 + (head + 0.15) / 0.34, 0, 1)
    field = 0.78 * filled(np.abs(head + 0.03) - 0.035, 0.03) + brain * (0.56 - 0.14 * cortex)
    field = field - brain * cortex * 0.22 * (folds < 0.28)
    for ventricle in (-1, 1):
        horn = ellipse(x, y, (0.11 * ventricle, -0.10), (0.07, 0.26), -0.25 * ventricle)
        field = field * (1 - 0.85 * filled(horn, 0.04))
    field = field * (1 - 0.55 * filled(np.abs(x) - 0.008) * brain * (np.abs(y) > 0.32))
    centre = (rng.uniform(0.36, 0.44), rng.uniform(-0.34, 0.26))
    radius = rng.uniform(0.19, 0.24)
    wobble = 0.03 * cloud(rng, size, 7)
    blob = filled(ellipse(towards, y, centre, (radius, radius * rng.uniform(1.0, 1.25))) + wobble, 0.07) * brain
    inside = 0.92 + 0.05 * cloud(rng, size, 12) if finding == "tumour" else 0.06 + 0 * blob
    drawn: Field = field + blob * (inside - field)
    return drawn


def _liver(x: Field, y: Field, towards: Field, finding: str, rng: np.random.Generator) -> Field:
    size = x.shape[0]
    far, angle = np.hypot(x, y + 1.35), np.abs(np.arctan2(x, y + 1.35))
    fan = filled((angle - 0.46) * far) * filled(np.maximum(far - 2.18, 0.5 - far))
    speckle = np.abs(cloud(rng, size, 80) + 0.6 * cloud(rng, size, 44))
    tissue = 0.24 + 0.17 * speckle + 0.05 * cloud(rng, size, 5)
    for _ in range(3):
        vessel = ellipse(x, y, (rng.uniform(-0.25, 0.25), rng.uniform(-0.4, 0.6)), (0.13, 0.035), rng.uniform(-1, 1))
        tissue = tissue * (1 - 0.55 * filled(vessel, 0.05))
    tissue = tissue + 0.5 * glow(far - 2.02, x * 0, (0, 0), 0.05)
    centre, radius = (rng.uniform(0.36, 0.46), rng.uniform(-0.05, 0.30)), rng.uniform(0.21, 0.26)
    blob = filled(ellipse(towards, y, centre, (radius, radius * 0.9)), 0.06)
    inside = 0.03 if finding == "cyst" else 0.86 + 0.08 * speckle
    tissue = tissue + blob * (inside - tissue)
    if finding == "cyst":  # sound that was not absorbed in the fluid makes what lies behind it brighter
        behind = filled(ellipse(towards, y, (centre[0] * 1.12, centre[1] + 0.38), (radius * 0.7, 0.22)), 0.1)
        tissue = tissue + 0.2 * behind * (1 - blob)
    field: Field = fan * tissue * (1.08 - 0.12 * far)
    return field


_DRAWN: dict[str, Callable[[Field, Field, Field, str, np.random.Generator], Field]] = {
    "X-ray": _chest,
    "CT": _abdomen,
    "MRI": _brain,
    "Ultrasound": _liver,
}
