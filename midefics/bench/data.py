"""Images per second from an archive's files to training-size pictures."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from midefics.bench import Figure, best_rates
from midefics.config import load_config
from midefics.services import Services
from midefics.services.storage import Storage
from midefics.stages import ingest

IMAGES = 24
SIZE = (4000, 3000)
SIDE = 336


def measure(services: Services) -> Iterator[Figure]:
    """12-megapixel photographs through `ingest`, the notebook's loop, and a bare decode-and-resize loop."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = _photographs(Path(scratch) / "isic")
        files = sorted(folder.glob("*.jpg"))
        config = load_config("demo", {"isic": folder}, {"ingest.image_size": str(SIDE)}).only(["isic"])
        local = Services(services.settings.model_copy(update={"home": Path(scratch)}))
        local.storage = Storage(Path(scratch) / "data")
        rates = best_rates(
            {
                "ours": lambda: ingest.run(config, services=local),
                "notebook": lambda: [_as_the_notebook(file) for file in files],
                "bound": lambda: [_decode_and_resize(file) for file in files],
            },
            len(files),
        )
    yield Figure(
        name="ingest", unit="images/s", **rates, goal_ratio=3.0, goal_of_bound=0.8,
        conditions=f"{IMAGES} JPEGs of 12 megapixels to {SIDE} pixels, one core; bound: scaled decode and resize alone",
    )  # fmt: skip


def _photographs(folder: Path) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    lines = ["isic_id,attribution,copyright_license,benign_malignant,diagnosis"]
    for number in range(IMAGES):
        coarse = Image.fromarray(random.integers(0, 255, (60, 80, 3), dtype=np.uint8))
        coarse.resize(SIZE, Image.Resampling.BICUBIC).save(folder / f"ISIC_{number:07d}.jpg", quality=90)
        lines.append(f"ISIC_{number:07d},Anonymous,CC-0,benign,nevus")
    (folder / "metadata.csv").write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    return folder


def _as_the_notebook(file: Path) -> bytes:
    """Opens in full resolution, converts, resizes to the model's square, stores: one image at a time."""
    picture = Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _decode_and_resize(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        picture.draft("RGB", (2 * SIDE, 2 * SIDE))
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=None)
        return picture
