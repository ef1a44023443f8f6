"""Archives in, rows with small clean pictures out."""

import hashlib
import hmac
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from midefics.config import RunConfig
from midefics.errors import DataError, SourceError
from midefics.fetching import fetch_first
from midefics.pictures import BROKEN, MAKING, shrink
from midefics.records import Case, Manifest, Rejected, Row
from midefics.services import Services
from midefics.services.mirror import local_archive
from midefics.services.threads import map_in_order
from midefics.services.watermark import Paired, Watermark, fingerprint
from midefics.sources import source, synthetic

log = logging.getLogger(__name__)


def run(config: RunConfig, *, services: Services) -> Manifest:
    """Reads every configured archive; unreadable images go to quarantine.

    Pictures of files that have not changed since the last time are not made again, and where nothing has changed at all
    the output is the last one.

    Raises:
        SourceError: an archive is missing, empty or in another format.
        DataError: more than `ingest.max_bad_share` of an archive can't be read.
    """
    started = time.monotonic()
    folders = _folders(config, services)
    salt, watermark = services.settings.salt.get_secret_value(), _watermark(config, services)
    log.info("ingest: reading %s", ", ".join(f"{name} from {folder}" for name, folder in folders.items()))
    listed = (found for name in folders for found in _listed(name, folders[name], config))
    mark = fingerprint(listed, config.ingest.max_bad_share, hidden("watermark", salt))
    if unchanged := watermark.unchanged(mark):
        log.info("ingest: nothing has changed since %s, %.1f s", unchanged.uri, time.monotonic() - started)
        return unchanged
    make = partial(_made, image_size=config.ingest.image_size, salt=salt)
    with services.storage.draft("images") as draft, services.progress.track("ingest") as counter:
        for name, folder in folders.items():
            rows, rejected = draft.rows, Counter(draft.rejected)
            pairs = watermark.beside(_listed(name, folder, config))
            for outcome in map_in_order(make, pairs, config.ingest.threads or len(os.sched_getaffinity(0))):
                draft.take(outcome)
                counter.advance(note=name)
            reasons = Counter(draft.rejected) - rejected
            _refuse_bad_archive(name, folder, draft.rows - rows, reasons, config.ingest.max_bad_share)
        draft.facts["sources"] = ", ".join(folders)
    watermark.advance(mark, draft.manifest)
    log.info("ingest: %s rows, rejected %s, %.1f s", draft.rows, draft.rejected or 0, time.monotonic() - started)
    return draft.manifest


def _folders(config: RunConfig, services: Services) -> dict[str, Path]:
    """Where each archive is, in the order of their names; drawn or fetched first where the configuration says so."""
    folders = {name: local_archive(name, config.sources[name].path, services) for name in sorted(config.sources)}
    for name, folder in folders.items():
        spec = config.sources[name]
        if spec.synthetic_cases:
            synthetic.draw(name, folder, spec.synthetic_cases, config.seed)
        fetch_first(name, spec, folder, services)
    return folders


def _watermark(config: RunConfig, services: Services) -> Watermark:
    folder, name = services.settings.home / "cache" / "ingest", "-".join([config.name, *sorted(config.sources)])
    return Watermark(folder, name, f"making {MAKING}, {config.ingest.image_size} pixels", services.storage)


def _listed(name: str, folder: Path, config: RunConfig) -> Iterator[Case | Rejected]:
    """What an archive lists, up to the limit: rows without a usable image don't count towards it."""
    taken, limit = 0, config.sources[name].limit
    for found in source(name).cases(folder):
        if limit and taken == limit:
            return
        taken += isinstance(found, Case)
        yield found


def _made(pair: Paired, image_size: int, salt: str) -> Row | Rejected:
    found = pair.found
    if isinstance(found, Rejected):
        return found
    try:
        return _row(found, pair.made, image_size, salt)
    except BROKEN as error:
        origin = found.origin or found.path.name
        detail = str(error).replace(str(found.path), origin)  # the message may hold the machine's path
        return Rejected(id=found.id, source=found.source, reason="unreadable image", detail=detail, origin=origin)


def _row(case: Case, made: Row | None, image_size: int, salt: str) -> Row:
    told = {
        "group": hidden(f"{case.source}:{case.group}", salt),
        "links": tuple(hidden(f"{case.source}:{link}", salt) for link in case.links),
        "metadata": case.metadata,
        "licence": case.licence,
        "attribution": case.attribution,
        "turns": case.turns,
    }
    if made:
        return made.model_copy(update=told)
    archive = source(case.source)
    original = case.path.read_bytes() if case.content is None else case.content
    picture = shrink(original, image_size, archive.picture)
    return Row(
        id=case.id,
        source=case.source,
        role=archive.role,
        image=picture.content,
        image_sha256=hashlib.sha256(original).hexdigest(),
        phash=picture.phash,
        width=picture.width,
        height=picture.height,
        format=f"{picture.format} {case.path.suffix.lower()}".strip(),
        **told,
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
