"""Small rows and pictures for tests, made by hand."""

import hashlib
import random
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from midefics.config import Settings
from midefics.records import Kind, Manifest, Row
from midefics.services import Services


def picture(seed: int = 0, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    """A PNG of noise: every seed another picture, none of them blank."""
    pixels = random.Random(seed).randbytes(size[0] * size[1] * len(mode))  # noqa: S311 (pixels, no secret)
    return encoded(Image.frombytes(mode, size, pixels))


def blank(size: tuple[int, int] = (64, 48)) -> bytes:
    """A PNG of one colour."""
    return encoded(Image.new("RGB", size, (120, 90, 80)))


def jpeg(size: tuple[int, int] = (64, 48)) -> bytes:
    """A JPEG whose left half is darker."""
    image = Image.new("RGB", size, (180, 120, 90))
    image.paste((20, 20, 20), (0, 0, size[0] // 2, size[1]))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def encoded(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_row(number: int = 0, **changes: Any) -> Row:
    """A good row of ISIC, with a picture of its own; the digest follows the picture."""
    fields: dict[str, Any] = {
        "id": f"isic/ISIC_{number:07d}",
        "source": "isic",
        "role": "train",
        "group": f"patient-{number}",
        "image": picture(number),
        "phash": f"{number:016x}",
        "width": 640,
        "height": 480,
        "metadata": {"age_approx": 45, "benign_malignant": "benign", "diagnosis": "nevus", "sex": "male"},
        "licence": "CC-0",
        "attribution": "Hospital Clinic of Somewhere",
    } | changes
    fields.setdefault("image_sha256", hashlib.sha256(fields["image"]).hexdigest())
    return Row.model_validate(fields)


def stored(services: Services, kind: Kind, rows: Iterable[Row]) -> Manifest:
    """The rows as a stage's output."""
    with services.storage.draft(kind) as draft:
        for row in rows:
            draft.add(row)
    return draft.manifest


def make_services(home: Path, **settings: Any) -> Services:
    """Services whose home is the folder; settings by field name, nothing from the environment of the test run."""
    unset = dict.fromkeys(("store", "openai_api_key", "openai_base_url", "mlflow_tracking_uri"))
    return Services(Settings().model_copy(update={**unset, "home": home, **settings}))
