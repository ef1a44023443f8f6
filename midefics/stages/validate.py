"""Images in, the ones worth labelling out: every picture and its metadata pass a suite of named expectations.

What a check needs is first derived from each row as a column (no image bytes among them); Great Expectations then
judges the columns, and the same judgement fills the quarantine, the Data Docs and the profile page. Rows go by twice, a
batch at a time: once to be judged, once to be let through or not. A person's release lets a row through all the same.
"""

import logging
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from midefics.config import RunConfig, ValidateConfig
from midefics.errors import DataError
from midefics.evidence.profile import PROFILE, Profile
from midefics.inspection import Inspection, inspect
from midefics.personal_data import without_personal_data
from midefics.records import Manifest, Rejected, Row, Scalar
from midefics.services import Services
from midefics.services.draft import Draft
from midefics.services.expectations import INDEX, Check, Expectations, Judgement, Verdict
from midefics.services.merging import rows_by_id
from midefics.services.releases import Released
from midefics.stages.checks import UNREADABLE, suites
from midefics.stages.likeness import COLUMNS, Likeness

log = logging.getLogger(__name__)

Columns = dict[str, Scalar]


class Failed(NamedTuple):
    """Why a row is not let through."""

    reasons: list[str]
    """In the order of the checks, without those that a person released it from."""
    partner: str | None
    """The row that it is the same file or shot as."""


class Judged(NamedTuple):
    """What was decided on the rows."""

    verdicts: dict[str, Verdict]
    """By source, without what people released."""
    failed: dict[str, Failed]
    """By id: what is not let through."""
    released: dict[str, list[str]]
    """By id: what a person lets through, and what it fails."""


def run(config: RunConfig, *images: Manifest, services: Services) -> Manifest:
    """Passes good rows on unchanged, in the order of their ids, and puts the others in quarantine.

    Raises:
        ConfigError: `validate.checks` names a check that does not exist.
        DataError: a source has more bad rows than `validate.max_bad_share` or a check's `max_share`, two rows have the
            same id, or none is left.
    """
    started = time.monotonic()
    expected = sum(manifest.rows for manifest in images)
    log.info("validate: %s rows of %s", expected, ", ".join(manifest.uri for manifest in images))
    judged = _judged(config, images, services)
    for source, verdict in judged.verdicts.items():
        _require_enough(source, verdict, config.validate_.max_bad_share)
    if expected == len(judged.failed):
        raise DataError(
            "validate: no image is left; look at the quarantine of ingest, or at sources in the configuration"
        )
    masked: Counter[str] = Counter()
    with services.storage.draft("validated", sorted(manifest.digest for manifest in images)) as draft:
        profile = Profile(config, images)
        for row, found in _masked(rows_by_id(services.storage, images), config.validate_):
            _pass_or_reject(row, judged, draft, profile)
            masked += Counter() if row.id in judged.failed else found
        profile.write(draft.path, judged.verdicts, len(judged.released))
        draft.facts |= _facts(judged)
        draft.facts |= {f"masked_{kind.replace(' ', '_')}": count for kind, count in sorted(masked.items())}
    log.info(
        "validate: %s rows in, %s out, %s rejected, %s released, %.1f s",
        expected, draft.rows, len(judged.failed), len(judged.released), time.monotonic() - started,
    )  # fmt: skip
    return draft.manifest


def _judged(config: RunConfig, images: Sequence[Manifest], services: Services) -> Judged:
    home, expected = services.settings.home, sum(manifest.rows for manifest in images)
    expectations, table = Expectations(home), suites(config.validate_)
    with Likeness(home) as likeness, expectations.judging(table, COLUMNS) as judgement:
        with services.progress.track("validate", expected) as counter:
            for row, found in _masked(rows_by_id(services.storage, images), config.validate_):
                _look_at(row, found.total(), likeness, judgement)
                counter.advance(note=row.source)
        for source, columns in likeness.columns(config.validate_.near_bits):
            judgement.add_late(source, columns)
        verdicts = expectations.publish(judgement, config.name)
    return _decided(verdicts, likeness, services.releases.current())


def _masked(rows: Iterator[Row], limits: ValidateConfig) -> Iterator[tuple[Row, Counter[str]]]:
    """Each row without personal data, unless it is to stay, and what was found in it."""
    for row in rows:
        found: Counter[str] = Counter()
        kept = row if limits.personal_data == "off" else without_personal_data(row, found, limits.mask_years)
        yield kept, found


def _look_at(row: Row, personal_data: int, likeness: Likeness, judgement: Judgement) -> None:
    if likeness.ids and row.id == likeness.ids[-1]:
        raise DataError(f"{row.source}: {row.id} comes in twice; give each source's images once")
    inspection = inspect(row.image)
    likeness.add(row, inspection.thumbnail)
    judgement.add(row.source, derived_columns(row, inspection) | {"personal_data": personal_data})


def derived_columns(row: Row, inspection: Inspection) -> Columns:
    """What the checks look at: a few numbers and words for each row, and its metadata."""
    kind, mode, suffix = _told_format(row.format)
    # The metadata come first: an archive's own name must not replace what was measured here.
    return row.metadata | {
        "id": row.id,
        "shorter_side": min(row.width, row.height),
        "aspect": round(max(row.width, row.height) / max(1, min(row.width, row.height)), 2),
        "told": sum(value not in (None, "") for value in row.metadata.values()) + len(row.turns),
        "licence": row.licence,
        "questions": len(row.turns),
        "caption_words": len(caption.split()) if isinstance(caption := row.metadata.get("caption"), str) else None,
        "original_mode": mode,
        "file_type": _as_named(kind, suffix),
        "readable": inspection.readable,
        "colour_mode": inspection.colour_mode,
        "contrast": inspection.contrast,
        "entropy": inspection.entropy,
        "colourfulness": inspection.colourfulness,
        "filled_below": inspection.filled_below,
        "text_line": inspection.text_line,
    }


def _told_format(told: str) -> tuple[str | None, str | None, str | None]:
    """Type, colour mode and ending out of a row's `format`; the ending may be missing, or all of it."""
    kind, mode, suffix = [*told.split(" "), "", "", ""][:3]
    return kind or None, mode or None, suffix or None


def _as_named(kind: str | None, suffix: str | None) -> str | None:
    """Whether a file is of the type that its name claims; nothing where the name claims none that we know."""
    from PIL import Image

    Image.init()
    claimed = Image.EXTENSION.get(suffix or "")
    if not (kind and claimed):
        return None
    return "as named" if claimed == kind or {claimed, kind} == {"JPEG", "MPO"} else f"{kind} as {suffix}"


def _decided(verdicts: Mapping[str, Verdict], likeness: Likeness, released: Released) -> Judged:
    """Takes out what people released; what can't be decoded stays."""
    judged = Judged({}, {}, {})
    for source, verdict in verdicts.items():
        kept: dict[str, list[str]] = {}
        for row, reasons in verdict.failed.items():
            place = bisect_left(likeness.ids, row)
            digest = likeness.digest(place)
            remaining = [one for one in reasons if one == UNREADABLE or (digest, one) not in released]
            if remaining:
                kept[row] = remaining
                judged.failed[row] = Failed(remaining, likeness.partner(place))
            else:
                judged.released[row] = reasons
        judged.verdicts[source] = verdict._replace(failed=kept)
    return judged


def _require_enough(source: str, verdict: Verdict, max_bad_share: float) -> None:
    for reason, count in verdict.warned.items():
        log.warning("validate: %s: %s of %s rows: %s", source, count, verdict.rows, reason)
    for check in verdict.checks:
        _require_share(source, verdict, check)
    bad = len(verdict.failed)
    if bad > max_bad_share * verdict.rows:
        first = min(verdict.failed)
        raise DataError(
            f"{source}: {bad} of {verdict.rows} images are not fit to label, first {first} ({verdict.failed[first][0]}); "
            f"see {INDEX}, or rerun with validate.max_bad_share above {max_bad_share:g} to quarantine them"
        )


def _require_share(source: str, verdict: Verdict, check: Check) -> None:
    if check.max_share is None:
        return
    failing = [row for row, reasons in verdict.failed.items() if check.reason in reasons]
    count = len(failing) or verdict.warned.get(check.reason, 0)
    if count > check.max_share * verdict.rows:
        key = f"validate.checks.{check.reason.replace(' ', '_')}"
        raise DataError(
            f"{source}: {count} of {verdict.rows} images fail the check “{check.reason}”, first "
            f"{min(failing) if failing else verdict.first[check.reason]}, and {key} stops the run above a share of "
            f"{check.max_share:g}; see {INDEX}, or rerun with --set {key}.max_share={count / verdict.rows + 0.001:.3f}"
        )


def _pass_or_reject(row: Row, judged: Judged, draft: Draft, profile: Profile) -> None:
    if (failed := judged.failed.get(row.id)) is None:
        draft.add(row)
        profile.accept(row)
        return
    reason, *also = failed.reasons
    detail = f"the same as {failed.partner}; " if failed.partner else ""
    detail += f"{row.width} x {row.height} pixels; see {INDEX}"
    digest = row.image_sha256
    draft.reject(Rejected(id=row.id, source=row.source, reason=reason, also=tuple(also), detail=detail, origin=digest))
    profile.reject(row, reason)


def _facts(judged: Judged) -> dict[str, Scalar]:
    warned: Counter[str] = Counter()
    for verdict in judged.verdicts.values():
        warned.update(verdict.warned)
    return {
        "expectations": sum(len(verdict.checks) for verdict in judged.verdicts.values()),
        "expectations_met": sum(verdict.met for verdict in judged.verdicts.values()),
        "warned": ", ".join(f"{count} {reason}" for reason, count in sorted(warned.items())),
        "released": len(judged.released),
        "data_docs": INDEX,
        "profile": PROFILE,
    }
