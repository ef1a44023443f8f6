"""Archives in, rows with small clean pictures out."""

import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from midefics.config import RunConfig, SourceConfig
from midefics.errors import DataError, SourceError
from midefics.pictures import BROKEN, shrink
from midefics.records import Case, Manifest, Rejected, Row
from midefics.services import Services
from midefics.services.mirror import local_archive
from midefics.services.storage import Draft
from midefics.sources import source, synthetic

log = logging.getLogger(__name__)


def run(config: RunConfig, *, services: Services) -> Manifest:
    """Reads every configured archive; unreadable images go to quarantine.

    Raises:
        SourceError: an archive is missing, empty or in another format.
        DataError: more than `ingest.max_bad_share` of an archive can't be read.
    """
    started = time.monotonic()
    folders = {name: local_archive(name, spec.path, services) for name, spec in config.sources.items()}
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
    except BROKEN as error:
        # The message may hold the machine's path.
        detail = str(error).replace(str(found.path), found.path.name)
        draft.reject(
            Rejected(id=found.id, source=found.source, reason="unreadable image", detail=detail, origin=found.path.name)
        )


def _row(case: Case, image_size: int, salt: str) -> Row:
    original = case.path.read_bytes()
    picture = shrink(original, image_size)
    return Row(
        id=case.id,
        source=case.source,
        role=source(case.source).role,
        group=hidden(f"{case.source}:{case.group}", salt),
        links=tuple(hidden(f"{case.source}:{link}", salt) for link in case.links),
        image=picture.content,
        image_sha256=hashlib.sha256(original).hexdigest(),
        phash=picture.phash,
        width=picture.width,
        height=picture.height,
        metadata=case.metadata,
        licence=case.licence,
        attribution=case.attribution,
        turns=case.turns,
    )


def hidden(key: str, salt: str) -> str:
    """A patient's, lesion's or article's key as 16 hexadecimal digits that lead back to it for nobody without the salt."""
    return hmac.new(salt.encode(), key.encode(), hashlib.sha256).hexdigest()[:16]


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
