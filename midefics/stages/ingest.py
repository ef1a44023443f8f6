"""Archives in, rows with small clean pictures out."""

import hashlib
import hmac
import io
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from midefics.config import RunConfig, SourceConfig
from midefics.errors import DataError, SourceError
from midefics.records import Case, Manifest, Rejected, Row
from midefics.services import Services
from midefics.services.storage import Draft
from midefics.sources import source, synthetic

log = logging.getLogger(__name__)

JPEG_QUALITY = 92
MAX_PIXELS = 200_000_000
"""A picture that claims more is refused unopened: a decompression bomb, or a scan nobody meant to train on."""


def run(config: RunConfig, *, services: Services) -> Manifest:
    """Reads every configured archive; unreadable images go to quarantine.

    Raises:
        SourceError: an archive is missing, empty or in another format.
        DataError: more than `ingest.max_bad_share` of an archive can't be read.
    """
    started = time.monotonic()
    folders = {name: services.settings.home / spec.path for name, spec in config.sources.items()}
    for name, spec in config.sources.items():
        if spec.synthetic_cases:
            synthetic.draw(name, folders[name], spec.synthetic_cases, config.seed)
    log.info("ingest: reading %s", ", ".join(f"{name} from {folder}" for name, folder in folders.items()))
    with services.storage.draft("images") as draft, services.progress.track("ingest") as counter:
        for name in sorted(folders):
            rows, rejected = draft.rows, Counter(draft.rejected)
            for found in _limited(source(name).cases(folders[name]), config.sources[name]):
                _take(found, config, services.settings.salt.get_secret_value(), draft)
                counter.advance(note=name)
            reasons = Counter(draft.rejected) - rejected
            _refuse_bad_archive(name, folders[name], draft.rows - rows, reasons, config.ingest.max_bad_share)
    log.info("ingest: %s rows, rejected %s, %.1f s", draft.rows, draft.rejected or 0, time.monotonic() - started)
    return draft.manifest


def _limited(cases: Iterator[Case | Rejected], spec: SourceConfig) -> Iterator[Case | Rejected]:
    taken = 0
    for case in cases:
        if spec.limit and taken == spec.limit:
            return
        taken += isinstance(case, Case)
        yield case


def _take(found: Case | Rejected, config: RunConfig, salt: str, draft: Draft) -> None:
    if isinstance(found, Rejected):
        draft.reject(found)
        return
    try:
        draft.add(_row(found, config.ingest.image_size, salt))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's decoders raise all of these on broken files; the message may hold the machine's path.
        detail = str(error).replace(str(found.path), found.path.name)
        draft.reject(
            Rejected(id=found.id, source=found.source, reason="unreadable image", detail=detail, origin=found.path.name)
        )


def _row(case: Case, image_size: int, salt: str) -> Row:
    original = case.path.read_bytes()
    picture, width, height = shrink(original, image_size)
    return Row(
        id=case.id,
        source=case.source,
        role=source(case.source).role,
        group=hmac.new(salt.encode(), f"{case.source}:{case.group}".encode(), hashlib.sha256).hexdigest()[:16],
        image=picture,
        image_sha256=hashlib.sha256(original).hexdigest(),
        width=width,
        height=height,
        metadata=case.metadata,
        licence=case.licence,
        attribution=case.attribution,
        turns=case.turns,
    )


def shrink(original: bytes, image_size: int) -> tuple[bytes, int, int]:
    """Makes the training-size picture, upright and without EXIF.

    Args:
        original: the bytes of an image file.
        image_size: longer side of the result at most, pixels; a smaller picture keeps its size.

    Returns:
        JPEG bytes, and the original's width and height as it is looked at.

    Raises:
        OSError, ValueError, SyntaxError: not an image, or a broken one.
    """
    with Image.open(io.BytesIO(original)) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}")
        if picture.getexif().get(0x0112, 1) >= 5:  # orientation tags 5 to 8 swap the sides
            width, height = height, width
        # JPEG decodes at 1/2, 1/4 or 1/8 for nearly nothing; twice the size wanted keeps the resampling exact enough.
        picture.draft("RGB", (2 * image_size, 2 * image_size))
        upright = ImageOps.exif_transpose(picture)
        upright.thumbnail((image_size, image_size), Image.Resampling.LANCZOS, reducing_gap=None)
        small = io.BytesIO()
        as_rgb(upright).save(small, "JPEG", quality=JPEG_QUALITY)
    return small.getvalue(), width, height


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB; 16-bit and float greys are stretched to 8 bit first, which Pillow would saturate to white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
        picture = Image.fromarray(((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8))
    return picture.convert("RGB")


def _refuse_bad_archive(name: str, folder: Path, good: int, reasons: Counter[str], max_bad_share: float) -> None:
    bad = reasons.total()
    if not good and not bad:
        raise SourceError(
            f"{name}: no images in {folder}; put the archive there or point to it with --source {name}=PATH"
        )
    if bad > max_bad_share * (good + bad):
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        raise DataError(
            f"{name}: {bad} of {good + bad} images can't be used ({listed}) in {folder}; "
            f"rerun with --set ingest.max_bad_share={min(1.0, round(bad / (good + bad) + 0.01, 2))} to quarantine them"
        )
