"""Images in, the ones worth labelling out: every picture and its metadata pass a suite of named expectations.

What a check needs is first derived from each row as a column (no image bytes among them); Great Expectations then
judges the columns, and the same judgement fills the quarantine and the Data Docs.
"""

import logging
import time
from collections import Counter as Counts
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO

from midefics.config import RunConfig, ValidateConfig
from midefics.errors import DataError
from midefics.personal_data import without_personal_data
from midefics.records import Manifest, Rejected, Row, Scalar
from midefics.services import Services
from midefics.services.expectations import INDEX, Check, Expectations, Verdict
from midefics.services.merging import rows_by_id
from midefics.services.progress import Counter

log = logging.getLogger(__name__)

Columns = dict[str, Scalar]


def common_checks(limits: ValidateConfig) -> tuple[Check, ...]:
    """What every source's rows must meet; a row is rejected for the first one that it fails."""
    return (
        Check("readable", "BeInSet", {"value_set": ["yes"]}, "unreadable image",
              "The stored picture must decode to its last pixel."),
        Check("duplicate_of", "BeNull", {}, "duplicate image",
              "The archive's file must not be, byte for byte, the file of an earlier row (named here); the first is kept."),
        Check("shorter_side", "BeBetween", {"min_value": limits.min_side}, "image too small",
              f"At least {limits.min_side} pixels (validate.min_side), or there is nothing to see."),
        Check("aspect", "BeBetween", {"max_value": limits.max_aspect}, "image too elongated",
              f"The longer side at most {limits.max_aspect:g} times the shorter (validate.max_aspect): "
              "the model sees a square, strips are crushed in it."),
        Check("contrast", "BeBetween", {"min_value": limits.min_contrast}, "blank image",
              f"Standard deviation of the grey values (0 to 255) at least {limits.min_contrast:g} (validate.min_contrast)."),
        Check("colour_mode", "BeInSet", {"value_set": ["L", "RGB"]}, "colour mode",
              "8-bit grey or RGB: other modes (16 bit, palette, CMYK) change their look on the way to the model."),
        Check("told", "BeBetween", {"min_value": 1}, "nothing told",
              "Metadata fields and turns that the archive brings: without any, no question about the image has an answer."),
        Check("licence", "NotBeInSet", {"value_set": ["", "not stated"]}, "licence not stated",
              "A licence is named: else look who may use the picture before you publish what is trained on it.", "warning"),
        Check("personal_data", "BeBetween", {"max_value": 0}, "personal data",
              "Names, dates, numbers and addresses of people in its texts; where validate.personal_data is `mask`, they are masked.",
              "critical" if limits.personal_data == "quarantine" else "warning"),
    )  # fmt: skip


SOURCE_CHECKS: Mapping[str, tuple[Check, ...]] = {
    "isic": (
        Check("benign_malignant", "MatchRegex", {"regex": r"^(?:benign|malignant|indeterminate.*)$"}, "unknown label",
              "Benign, malignant or indeterminate: another word means a new vocabulary that sources/isic.py does not translate."),
        Check("age_approx", "BeBetween", {"min_value": 0, "max_value": 120}, "implausible age",
              "0 to 120 years."),
        Check("sex", "BeInSet", {"value_set": ["female", "male"]}, "unknown sex",
              "Female or male, the archive's two words.", "warning"),
        Check("image_type", "MatchRegex", {"regex": r"^(?:dermoscopic|clinical|TBP tile.*|RCM.*)$"}, "unknown image type",
              "Dermoscopic, clinical, a tile of a total body photograph (TBP) or confocal microscopy (RCM): "
              "others come with new collections.", "warning"),
        Check("mel_thick_mm", "BeBetween", {"min_value": 0, "max_value": 50}, "implausible thickness",
              "Breslow thickness, 0 to 50 millimetres."),
        Check("clin_size_long_diam_mm", "BeBetween", {"min_value": 0, "max_value": 500}, "implausible size",
              "The lesion's longest diameter, 0 to 500 millimetres."),
    ),
    "mura": (
        Check("body_part", "BeInSet",
              {"value_set": ["elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist"]},
              "unknown body part", "Elbow, finger, forearm, hand, humerus, shoulder or wrist: MURA has studies of these seven."),
        Check("study_label", "BeInSet", {"value_set": ["normal", "abnormal"]}, "unknown label",
              "Normal or abnormal, the radiologist's word on the whole study."),
    ),
    "roco": (
        Check("caption_words", "BeBetween", {"min_value": 3}, "caption too short",
              "At least three words: fewer (“Case 2.”) say nothing of the image."),
        Check("caption_words", "BeBetween", {"max_value": 400}, "long caption",
              "At most 400 words: longer captions mostly describe several panels.", "warning"),
        Check("radiology", "BeInSet", {"value_set": [True]}, "not radiology",
              "A radiological image: figures of other kinds are photographs and diagrams.", "warning"),
    ),
    "vqa_rad": (
        Check("questions", "BeBetween", {"min_value": 1}, "no questions",
              "At least one: the archive's own questions are what models are evaluated with."),
        Check("image_organ", "BeInSet", {"value_set": ["abdomen", "chest", "head"]}, "unknown organ",
              "Abdomen, chest or head: VQA-RAD has images of these three regions.", "warning"),
    ),
}  # fmt: skip
"""Over the metadata's names as `sources/` yields them; a check applies where a row of the source has the column."""


def run(config: RunConfig, *images: Manifest, services: Services) -> Manifest:
    """Passes good rows on unchanged, in the order of their ids, and puts the others in quarantine.

    Raises:
        DataError: a source has more bad rows than `validate.max_bad_share`, two rows have the same id, or none is left.
    """
    started = time.monotonic()
    expected = sum(manifest.rows for manifest in images)
    log.info("validate: %s rows of %s", expected, ", ".join(manifest.uri for manifest in images))
    with services.progress.track("validate", expected) as counter:
        tables = _tables(_masked(rows_by_id(services.storage, images), config.validate_), counter)
    suites = {source: common_checks(config.validate_) + SOURCE_CHECKS.get(source, ()) for source in tables}
    verdicts = Expectations(services.settings.home).verdicts(tables, suites, config.name)
    failed = {row: reason for verdict in verdicts.values() for row, reason in verdict.failed.items()}
    _require_enough(tables, verdicts, config.validate_.max_bad_share)
    masked: Counts[str] = Counts()
    with services.storage.draft("validated", sorted(manifest.digest for manifest in images)) as draft:
        for row, found in _masked(rows_by_id(services.storage, images), config.validate_):
            if row.id in failed:
                draft.reject(_rejected(row, failed[row.id]))
            else:
                draft.add(row)
                masked += found
        draft.facts |= {
            "expectations": sum(verdict.expectations for verdict in verdicts.values()),
            "expectations_met": sum(verdict.met for verdict in verdicts.values()),
            "data_docs": INDEX,
            **{f"masked_{kind.replace(' ', '_')}": count for kind, count in sorted(masked.items())},
        }
    seconds = time.monotonic() - started
    log.info(
        "validate: %s rows in, %s out, %s rejected, %.1f s", expected, expected - len(failed), len(failed), seconds
    )
    return draft.manifest


def _masked(rows: Iterator[Row], limits: ValidateConfig) -> Iterator[tuple[Row, Counts[str]]]:
    """Each row without personal data, unless it is to stay, and what was found in it."""
    for row in rows:
        found: Counts[str] = Counts()
        kept = row if limits.personal_data == "off" else without_personal_data(row, found, limits.mask_years)
        yield kept, found


def _tables(rows: Iterator[tuple[Row, Counts[str]]], counter: Counter) -> dict[str, list[Columns]]:
    """One table for each source, in the order of the ids."""
    tables: dict[str, list[Columns]] = {}
    first_with: dict[str, str] = {}
    last = None
    for row, found in rows:
        if row.id == last:
            raise DataError(f"{row.source}: {row.id} comes in twice; give each source's images once")
        last = row.id
        first = first_with.setdefault(row.image_sha256, row.id)
        columns = derived_columns(row) | {
            "duplicate_of": None if first == row.id else first,
            "personal_data": found.total(),
        }
        tables.setdefault(row.source, []).append(columns)
        counter.advance(note=row.source)
    return tables


def derived_columns(row: Row) -> Columns:
    """What the checks look at: a few numbers and words for each row, and its metadata."""
    # The metadata come first: an archive's own name must not replace what was measured here.
    return row.metadata | {
        "id": row.id,
        "shorter_side": min(row.width, row.height),
        "aspect": round(max(row.width, row.height) / max(1, min(row.width, row.height)), 2),
        "told": sum(value not in (None, "") for value in row.metadata.values()) + len(row.turns),
        "licence": row.licence,
        "questions": len(row.turns),
        "caption_words": len(caption.split()) if isinstance(caption := row.metadata.get("caption"), str) else None,
        **_picture(row.image),
    }


def _picture(content: bytes) -> Columns:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            contrast = float(np.asarray(image.convert("L")).std())
            return {"readable": "yes", "contrast": round(contrast, 2), "colour_mode": image.mode}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return {"readable": f"no: {type(error).__name__}", "contrast": None, "colour_mode": None}


def _require_enough(
    tables: Mapping[str, Sequence[Columns]], verdicts: Mapping[str, Verdict], max_bad_share: float
) -> None:
    for source, verdict in verdicts.items():
        bad, total = len(verdict.failed), len(tables[source])
        for reason, count in verdict.warned.items():
            log.warning("validate: %s: %s of %s rows: %s", source, count, total, reason)
        if bad > max_bad_share * total:
            first = min(verdict.failed)
            raise DataError(
                f"{source}: {bad} of {total} images are not fit to label, first {first} ({verdict.failed[first]}); "
                f"see {INDEX}, or rerun with validate.max_bad_share above {max_bad_share:g} to quarantine them"
            )
    if not sum(len(rows) for rows in tables.values()) - sum(len(verdict.failed) for verdict in verdicts.values()):
        raise DataError(
            "validate: no image is left; look at the quarantine of ingest, or at sources in the configuration"
        )


def _rejected(row: Row, reason: str) -> Rejected:
    detail = f"{row.width} x {row.height} pixels; see {INDEX}"
    return Rejected(id=row.id, source=row.source, reason=reason, detail=detail, origin=row.image_sha256)
