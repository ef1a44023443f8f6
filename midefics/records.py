"""The types that cross a stage border: rows, what was rejected, and the manifest that names a stage's output."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

Scalar = str | int | float | bool | None
Role = Literal["train", "evaluation"]
Split = Literal["train", "validation", "test"]
Kind = Literal["images", "validated", "conversations", "dataset", "adapter", "evaluation", "registration", "promotion"]
AnyPath = Annotated[
    Path, PlainSerializer(lambda path: os.fsencode(path).decode(errors="backslashreplace"), when_used="json")
]
"""A file's name may be bytes that no text stands for."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(Record):
    """One question about an image and its answer."""

    question: str
    answer: str


class Case(Record):
    """One image as its archive tells of it, before anyone opened the file."""

    id: str
    """Unique over all sources: `isic/ISIC_0000015`."""
    source: str
    path: AnyPath
    """The image file in the archive, or the table that holds its bytes."""
    content: bytes | None = Field(None, exclude=True, repr=False)
    """The image file's bytes where they lie in a table; else they are read from `path`. In no dump, and in no log."""
    origin: str = ""
    """Where the row came from, as `Rejected` tells it; the file's name where empty."""
    group: str
    """The archive's own key of what must never be split: a patient, a lesion, an article. Hashed at ingest."""
    links: tuple[str, ...] = ()
    """Further keys that tie it to other images: the lesion, where the group is the patient. Hashed at ingest."""
    metadata: dict[str, Scalar]
    """What the archive says of the image, under the archive's own names; no patient or lesion key."""
    licence: str
    attribution: str
    turns: tuple[Turn, ...] = ()
    """A conversation that the archive itself brings."""


class Row(Record):
    """One image and all that is known of it so far: ingest makes it, label adds the turns, assemble the split."""

    id: str
    source: str
    role: Role
    """`evaluation` rows are only ever asked, never trained on."""
    group: str
    """Salted hash of the patient, lesion or article; from assemble on of all that is tied together. No split divides it."""
    links: tuple[str, ...] = ()
    """Salted hashes of further keys that tie it to other images."""
    image: bytes
    """A JPEG or PNG without EXIF, its longer side at most `ingest.image_size` pixels."""
    image_sha256: Digest
    """Of the archive's own file, byte for byte."""
    phash: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Perceptual hash of the picture: near-duplicates differ in a few of its 64 bits."""
    width: int
    """Of the archive's own picture, pixels."""
    height: int
    format: str = ""
    """Of the archive's own file: its true format, its colour mode and its name's ending, `JPEG RGB .jpg`."""
    metadata: dict[str, Scalar]
    licence: str
    attribution: str
    turns: tuple[Turn, ...] = ()
    text_only: tuple[Turn, ...] = ()
    """Turns about a term that the row names, which need no image and are learnt without it."""
    writer: str = ""
    """Who wrote the turns: a model's name, `offline` for the template writer, `archive` for the archive itself."""
    prompt_version: str = ""
    labelling: dict[str, Scalar] = {}
    """How a model came to write the turns: its fingerprint, tokens, cost in dollars, attempts, the checks they passed."""
    split: Split | None = None


class Rejected(Record):
    """One row that a stage put in quarantine, and why."""

    id: str
    source: str
    reason: str
    """A short stable code that counts can be kept by: `unreadable image`."""
    also: tuple[str, ...] = ()
    """What else it would have been rejected for."""
    detail: str
    origin: str
    """Where the row came from: a path inside the archive, or the digest of the input."""


class Manifest(Record):
    """Names one stage's output; a few hundred bytes, and the only thing that travels between tasks."""

    kind: Kind
    uri: str
    """Relative to the storage root: `images/3f9c0a1b2c3d4e5f`."""
    rows: int
    bytes: int
    digest: Digest
    """Of the content alone: the same rows give the same digest, whenever and wherever they were made."""
    parents: tuple[Digest, ...] = ()
    rejected: dict[str, int] = {}
    """How many rows went to quarantine, by reason."""
    facts: dict[str, Scalar] = {}
    """The few named values that the next stage or a reader wants: an MLflow run id, a difference and its interval."""


class Assessment(Record):
    """The decision on one promotion rule."""

    rule: str
    passed: bool
    detail: str
