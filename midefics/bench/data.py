"""From an archive's files to training-size pictures: rates, memory, what an unchanged archive costs, near-duplicates."""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from midefics.bench import BOUND, NOTEBOOK, Beside, Figure, best_rates
from midefics.config import load_config
from midefics.nearness import near_pairs
from midefics.pictures import HEADROOM
from midefics.services import Services
from midefics.services.storage import Storage
from midefics.stages import ingest

IMAGES, SIZE = 24, (4000, 3000)
SIDE = 336
MANY, SMALL = 100_000, (320, 240)
HASHES, BITS = 500_000, 7


def measure(services: Services) -> Iterator[Figure]:
    """12-megapixel photographs, then 100,000 small ones, then half a million hashes."""
    with tempfile.TemporaryDirectory() as scratch:
        yield from _rates(Path(scratch), services)
    with tempfile.TemporaryDirectory() as scratch:
        yield from _many(Path(scratch))
    yield _search()


def _rates(scratch: Path, services: Services) -> Iterator[Figure]:
    files = _archive(scratch / "isic", IMAGES, SIZE, IMAGES)
    rates = best_rates(
        {
            "ours": lambda: _ingest(scratch, services, threads=1),
            "two": lambda: _ingest(scratch, services, threads=2),
            "notebook": lambda: [_as_the_notebook(file) for file in files],
            "bound": lambda: [_decode_and_resize(file) for file in files],
        },
        len(files),
    )
    told = f"{IMAGES} JPEGs of 12 megapixels to {SIDE} pixels"
    yield Figure(
        name="ingest", unit="images/s", ours=rates["ours"], conditions=f"{told}, one thread; bound: scaled decode and resize alone",
        beside=(Beside(name=NOTEBOOK, value=rates["notebook"], goal=6.0), Beside(name=BOUND, value=rates["bound"], goal=0.8)),
    )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    yield Figure(
        name="ingest on two cores", unit="images/s", ours=rates["two"], conditions=f"{told}, two threads, {cores} cores here",
        beside=(Beside(name="one thread", value=rates["ours"], goal=1.7),),
    )  # fmt: skip


def _ingest(scratch: Path, services: Services, threads: int) -> None:
    values = {"ingest.image_size": str(SIDE), "ingest.threads": str(threads)}
    config = load_config("demo", {"isic": scratch / "isic"}, values).only(["isic"])
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        fresh = Services(services.settings.model_copy(update={"home": Path(home)}))
        fresh.storage = Storage(Path(home) / "data")
        ingest.run(config, services=fresh)


def _as_the_notebook(file: Path) -> bytes:
    """Opens in full resolution, converts, resizes to the model's square, stores: one image at a time."""
    picture = Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _decode_and_resize(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        scale = HEADROOM * SIDE / max(picture.size)
        picture.draft("RGB", (int(scale * picture.width), int(scale * picture.height)))
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=None)
        return picture


class _Taken(NamedTuple):
    seconds: float
    peak_gb: float


def _many(scratch: Path) -> Iterator[Figure]:
    """The command itself, twice: what it takes is what a person waits for."""
    _archive(scratch / "isic", MANY, SMALL, 500)
    first, again = (_command(scratch) for _ in range(2))
    told = f"{MANY:,} JPEGs of {SMALL[0]} x {SMALL[1]} pixels, the whole command"
    yield Figure(
        name="memory of ingest", unit="GB at most", ours=first.peak_gb, conditions=told,
        beside=(Beside(name="limit", value=1.5, goal=1.0, bound="at most"),),
    )  # fmt: skip
    yield Figure(
        name="an unchanged archive", unit="s", ours=again.seconds, conditions=told,
        beside=(Beside(name="the first time", value=first.seconds, goal=0.05, bound="at most"),),
    )  # fmt: skip


def _command(scratch: Path) -> _Taken:
    arguments = ["ingest", "--only", "isic", "--source", f"isic={scratch / 'isic'}", "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "midefics", *arguments],
        env=os.environ | {"MIDEFICS_HOME": str(scratch / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return _Taken(time.perf_counter() - started, used.ru_maxrss * 1024 / 1e9)


def _search() -> Figure:
    hashes = np.random.default_rng(0).integers(0, 2**64, HASHES, dtype=np.uint64)
    started = time.perf_counter()
    near_pairs(hashes, BITS)
    return Figure(
        name="near-duplicate search", unit="s", ours=time.perf_counter() - started,
        conditions=f"{HASHES:,} random hashes of 64 bits, pairs within {BITS} bits",
        beside=(Beside(name="limit", value=60.0, goal=1.0, bound="at most"),),
    )  # fmt: skip


def _archive(folder: Path, count: int, size: tuple[int, int], different: int) -> list[Path]:
    """An ISIC download of `count` images, `different` ones again and again (as hard links)."""
    folder.mkdir()
    random = np.random.default_rng(0)
    files = [folder / f"ISIC_{number:07d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        if number < different:
            coarse = Image.fromarray(random.integers(0, 255, (size[1] // 50 + 2, size[0] // 50 + 2, 3), dtype=np.uint8))
            coarse.resize(size, Image.Resampling.BICUBIC).save(file, quality=90)
        else:
            file.hardlink_to(files[number % different])
    lines = [f"{file.stem},Anonymous,CC-0,benign,nevus" for file in files]
    table = "\r\n".join(["isic_id,attribution,copyright_license,benign_malignant,diagnosis", *lines, ""])
    (folder / "metadata.csv").write_text(table, encoding="utf-8")
    return files
