"""Archives to a data set: the sections `sources`, `ingest`, `validate` and `assemble`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from midefics.config.values import Positive, PositiveFloat, Probability
from midefics.records import Record

FETCHED = ("isic", "roco")
"""The sources that have a fetcher."""


class FetchConfig(Record):
    """How an archive's folder is made and kept up to date over the network."""

    query: str = ""
    """ISIC: which images, in `isic-cli`'s search syntax (`age_approx:[20 TO 40] AND sex:male`); all where empty."""
    collections: tuple[Positive, ...] = ()
    """ISIC: only images of these collections, by number (`isic collection list` names them)."""
    layout: Literal["files", "packages"] = "files"
    """ROCO: `files` takes each figure from PubMed Central's cloud service, `packages` unpacks it from the package that
    `dlinks.txt` names. NCBI removed the packages in August 2026, so `packages` needs a mirror as `base_url`."""
    base_url: str | None = Field(None, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    """Where the archive is asked, for a mirror; the archive's own address where unset. Plain http holds for it alone."""
    allowed_hosts: tuple[str, ...] | None = None
    """Hosts that links and redirects may lead to, besides that of `base_url`; the archive's own where unset."""
    max_images: Positive | None = None
    """Fetch at most this many images, in the archive's order (ISIC lists the newest first); all where unset."""
    requests_per_second: PositiveFloat = 10.0
    """All requests together; less where the archive asks for a pause."""
    concurrency: Positive = 8
    """Downloads under way at once."""
    timeout_s: PositiveFloat = 30.0
    """Without a byte for so long a connection counts as stalled; likewise below 1 KB per second over that time."""
    attempts: Positive = 5
    """How often a request is tried before its image or page is given up; a pause that the archive asks for is no try."""
    retry_wait_s: PositiveFloat = 1.0
    """The first retry waits for at most so long, each further one for twice as long, 30 s at most; drawn at random."""
    max_image_mb: Positive = 100
    """A larger image is refused."""
    max_package_mb: Positive = 200
    """A larger package is refused, as sent."""
    max_unpacked_mb: Positive = 500
    """A package that unpacks to more is refused, whatever its headers claim."""
    max_failed_share: Probability = 0.25
    """Fail when a larger share of the images can't be fetched; up to it they are rows without an image."""


class SourceConfig(Record):
    """One archive."""

    path: str
    """Its folder (relative paths start at MIDEFICS_HOME), or `s3://bucket/prefix`: mirrored, then read."""
    limit: Positive | None = None
    """Take at most this many images, in the order of their ids; all where unset."""
    synthetic_cases: Annotated[int, Field(ge=0)] = 0
    """Draw an archive of this many cases at `path` first, in the source's true layout: for the demo and tests."""
    fetch: FetchConfig | None = None
    """Bring the folder up to date from the archive's own server first; `{}` where the defaults will do."""

    @model_validator(mode="after")
    def _draws_or_fetches(self) -> Self:
        if self.fetch and self.synthetic_cases:
            raise ValueError("synthetic_cases draws the archive and fetch downloads it; leave one out")
        return self

    @field_validator("path", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _draws_on_disk(self) -> Self:
        if self.synthetic_cases and "://" in self.path:
            raise ValueError("synthetic_cases draws in a local folder; give path one")
        if self.fetch and "://" in self.path:
            raise ValueError("fetch downloads into a local folder; give path one")
        return self


class IngestConfig(Record):
    """Archive to rows."""

    image_size: Positive = 336
    """Longer side of the stored picture, pixels; at least what the base model sees."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of a source's cases can't be read; up to it they go to quarantine."""
    threads: Positive | None = None
    """Pictures made at once; as many as there are cores where unset."""


class CheckConfig(Record):
    """What becomes of the rows that fail one check."""

    action: Literal["warn", "quarantine", "fail"] | None = None
    """`warn` lets them through and counts them, `quarantine` does not let them through, `fail` stops the run as well.
    As the table of checks says where unset."""
    max_share: Probability | None = None
    """Stop the run when a larger share of a source's rows fails, whatever the action. Unset: none is too large; with
    `fail`, any is."""


class ValidateConfig(Record):
    """What is let through to labelling."""

    min_side: Positive = 32
    """Shorter side of the archive's picture, pixels."""
    max_aspect: PositiveFloat = 4.0
    min_contrast: Annotated[float, Field(ge=0)] = 4.0
    """Standard deviation of the grey values (0 to 255) under which a picture counts as blank."""
    min_entropy: Annotated[float, Field(ge=0, le=8)] = 2.0
    """Bits of the grey values' distribution under which a picture counts as nearly blank; real ones have 3.7 and more."""
    max_letters: Positive = 4
    """Letter-like strokes in one row from beyond which a picture is suspected of writing."""
    near_bits: Annotated[int, Field(ge=0, le=7)] = 6
    """Bits in which the perceptual hashes of two pictures may differ for them to be compared as near-duplicates."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of a source's rows is put in quarantine."""
    checks: dict[str, CheckConfig] = Field(default_factory=dict)
    """By a check's reason, as the quarantine and the Data Docs name it: `blank image: {action: fail, max_share: 0.01}`."""
    personal_data: Literal["mask", "quarantine", "off"] = "mask"
    """What becomes of names, dates, record numbers and addresses of people in captions, metadata and turns. `mask`: they are
    replaced by `[name]`, `[date]` and the like, and counted. `quarantine`: the row is rejected. `off`: they stay, and reach
    whoever writes the labels."""
    mask_years: bool = False
    """Years that stand alone ("in 2009") are personal data too; HIPAA lets them stay."""


class AssembleConfig(Record):
    """Conversations to a data set with splits."""

    test_share: Probability = 0.25
    """Share of the images held out for evaluation, of every source and label as near as patients and articles allow."""
    validation_share: Probability = 0.1
    """Share of the images whose loss is watched while training."""
    near_duplicate_bits: Annotated[int, Field(ge=0, le=7)] = 4
    """Perceptual hashes that differ in at most this many of 64 bits are looked at again: the same shot goes into one split."""
    mixture: dict[str, Positive] = Field({})
    """The most images of a source: `{isic: 1200, roco: 2100}`; all of those not named here, and of evaluation sets."""
    use: Literal["any", "research", "commercial"] = "any"
    """What the data set is for. Images whose licence does not allow it go to quarantine; a licence that is not stated, or not
    understood, allows neither research nor commercial use."""
    reviews: Literal["honour", "require", "ignore"] = "honour"
    """What people's decisions on conversations do. `honour`: rejected ones go to quarantine, edited ones come as they were
    edited. `require`: besides, only what somebody has accepted or edited gets in, of every source. `ignore`: nothing."""

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share + validation_share must stay below 1, or nothing is left to train on")
        return self
