"""A million rows in, the memory that validating them takes out.

The rows are drawn to a scratch folder: three sources' metadata, small pictures out of a few hundred, one row in a hundred
a copy of the file before it and one in fifty the same shot. Validation runs in a process of its own, whose peak is told.
"""

import hashlib
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from midefics.bench import Beside, Figure
from midefics.config import RunConfig, Settings
from midefics.records import Manifest, Row, Scalar
from midefics.services import Services
from midefics.stages import validate

ROWS = 1_000_000
PICTURES = 300
SIDE = 64
SOURCES = ("isic", "mura", "roco")
PARTS = ("elbow", "finger", "hand", "wrist")


def measure(services: Services) -> Iterator[Figure]:
    """Draws the rows (a few minutes), and validates them in a process of its own (a quarter of an hour)."""
    del services
    with tempfile.TemporaryDirectory() as scratch:
        drawn = _draw(Path(scratch), ROWS)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            taken = pool.submit(_measure, scratch, drawn.model_dump_json()).result()
    yield Figure(
        name="memory of validate", unit="GB at most", ours=float(str(taken["peak MB"])) / 1000,
        conditions=f"{ROWS:,} metadata rows of three sources in {taken['seconds']} s, pictures of {SIDE} pixels",
        beside=(Beside(name="limit", value=1.5, goal=1.0, bound="at most"),),
    )  # fmt: skip


def _measure(home: str, manifest: str) -> dict[str, Scalar]:
    before, started = _peak_mb(), time.perf_counter()
    config = RunConfig(name="bench", base_model="tiny-idefics", sources={"isic": {"path": home}})
    given = Manifest.model_validate_json(manifest)
    made = validate.run(config, given, services=_services(Path(home)))
    seconds = time.perf_counter() - started
    return {
        "rows": given.rows, "let through": made.rows, "seconds": round(seconds, 1), "rows/s": round(given.rows / seconds),
        "peak MB": _peak_mb(), "peak MB before": before, "warned": made.facts["warned"], "rejected": str(made.rejected),
    }  # fmt: skip


def _draw(home: Path, rows: int) -> Manifest:
    random = np.random.default_rng(0)
    pictures = [_picture(random) for _ in range(PICTURES)]
    with _services(home).storage.draft("images") as draft:
        for row in _rows(rows, pictures, random):
            draft.add(row)
    return draft.manifest


def _rows(count: int, pictures: list[bytes], random: np.random.Generator) -> Iterator[Row]:
    before = ("0" * 64, 0, 0)
    for number in range(count):
        source = SOURCES[number * len(SOURCES) // count]
        file = (
            hashlib.sha256(str(number).encode()).hexdigest(),
            int(random.integers(2**63)),
            int(random.integers(PICTURES)),
        )
        if number % 100 == 99:
            file = before
        elif number % 50 == 24:
            file = (file[0], before[1] ^ 0b101, before[2])
        yield Row(
            id=f"{source}/{number:09d}", source=source, role="train", group=str(number // 3), image=pictures[file[2]],
            image_sha256=file[0], phash=f"{file[1]:016x}", width=1024, height=768, format="JPEG RGB .jpg",
            metadata=_metadata(source, number), licence="CC-BY", attribution="drawn",
        )  # fmt: skip
        before = file


def _metadata(source: str, number: int) -> dict[str, Scalar]:
    if source == "isic":
        label = ("benign", "malignant")[number % 2]
        return {
            "benign_malignant": label,
            "diagnosis": "nevus",
            "age_approx": number % 90,
            "sex": ("male", "female")[number % 2],
        }
    if source == "mura":
        return {"body_part": PARTS[number % 4], "study_label": ("normal", "abnormal")[number % 2]}
    return {"caption": f"Chest radiograph number {number} of the same patient", "keywords": "chest", "radiology": True}


def _picture(random: np.random.Generator) -> bytes:
    coarse = Image.fromarray(random.integers(0, 255, (5, 5, 3), dtype=np.uint8))
    file = BytesIO()
    coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()


def _services(home: Path) -> Services:
    return Services(Settings().model_copy(update={"home": home}))


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
