"""A data set's rows in, what a model learns from and is watched on out."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from midefics.base_models import base_model
from midefics.config import RunConfig
from midefics.errors import DataError, ModelError
from midefics.model_calls import exchanges
from midefics.pictures import BROKEN
from midefics.records import Manifest, Row, Turn
from midefics.services import Services

if TYPE_CHECKING:
    from midefics.vlm.chat import Encoded
    from midefics.vlm.collate import Sample
    from midefics.vlm.load import Loaded


class TrainingSamples(NamedTuple):
    """The splits `train` and `validation`, encoded."""

    train: "list[Sample]"
    validation: "list[Sample]"
    turns_dropped: int
    """For want of room in `train.max_length`."""
    unreadable: int
    """Left out, because their picture does not even tell its size."""
    held_out: list[Row]
    """Those that the validation samples were made of."""


def training_samples(config: RunConfig, dataset: Manifest, services: Services, loaded: "Loaded") -> TrainingSamples:
    """Encodes every conversation, or each of its turns as `train.sample` says; turns about no image without one.

    Raises:
        DataError: there is nothing to train on, or the pictures were made for another base model.
        ModelError: a first turn is longer than `train.max_length`, or a picture is broken and `train.bad_images` says `fail`.
    """
    from midefics.vlm.collate import Sample

    splits: dict[str, list[Sample]] = {"train": [], "validation": []}
    held_out: list[Row] = []
    dropped = unreadable = 0
    side = base_model(config.base_model).image_size
    for row in services.storage.rows(dataset):
        if row.split not in ("train", "validation") or not row.turns:
            continue
        refuse_shrunk(row, side, config.base_model)
        before = len(splits[row.split])
        for piece, shown in pieces(row.turns, row.text_only, config.train.sample):
            image = row.image if shown else None
            if made := _encoded(row, piece, image, config, loaded):
                splits[row.split].append(Sample(*made[0], image=image, id=row.id))
                dropped += made[1]
            else:
                unreadable += 1
        if row.split == "validation" and len(splits[row.split]) > before:
            held_out.append(row)
    if not splits["train"]:
        raise DataError(
            f"dataset {dataset.digest[:16]} has no training rows; assemble it with a smaller assemble.test_share"
        )
    return TrainingSamples(splits["train"], splits["validation"], dropped, unreadable, held_out)


def refuse_shrunk(row: Row, side: int, name: str) -> None:
    """A picture that ingest made smaller than the model sees it was made for another base model.

    Raises:
        DataError: this one was.
    """
    try:
        with Image.open(BytesIO(row.image)) as picture:
            stored = max(picture.size)
    except BROKEN:
        return  # told of where it is decoded
    if stored < min(side, max(row.width, row.height)):
        raise DataError(
            f"the data set was made for another base model: {row.id} is stored with {stored} pixels, {name} sees {side} "
            f"and the archive's picture has {max(row.width, row.height)}; run ingest with ingest.image_size={side} or more"
        )


def pieces(turns: Sequence[Turn], text_only: Sequence[Turn], sample: str) -> Iterator[tuple[Sequence[Turn], bool]]:
    """What becomes one sample each, by `train.sample`, and whether its picture is shown with it."""
    for said, shown in ((turns, True), (text_only, False)):
        for piece in exchanges(said) if sample == "turn" else [said] if said else []:
            yield piece, shown


def _encoded(
    row: Row, turns: Sequence[Turn], image: bytes | None, config: RunConfig, loaded: "Loaded"
) -> "tuple[Encoded, int] | None":
    try:
        return loaded.family.encode_what_fits(turns, loaded.processor, image, config.train.max_length)
    except ModelError as error:
        raise ModelError(f"{row.id}: {error}; raise it, or assemble the data set without the row") from error
    except BROKEN as error:
        if config.train.bad_images == "skip":
            return None
        raise ModelError(f"the image of {row.id} can't be decoded: {error}; or set train.bad_images: skip") from error
