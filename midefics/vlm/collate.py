"""Encoded conversations in, padded tensors of their ids, masks and labels out; the pictures are each family's affair."""

import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from PIL import Image

from midefics.pictures import SWAPPING, UPRIGHT, as_rgb
from midefics.vlm.chat import IGNORED

Picture = bytes | Image.Image
"""An encoded file's content, or a picture that is decoded already."""
Side = Literal["left", "right"]


class Sample(NamedTuple):
    """One conversation and its picture, decoded only when a batch needs it."""

    input_ids: list[int]
    labels: list[int]
    image: Picture | None
    """`None`: a conversation about no image."""
    id: str = ""
    """Of the row it was made of, for whoever has to find it."""


def pad(samples: Sequence[Sample], pad_token: int, side: Side) -> dict[str, torch.Tensor]:
    """Pads to the longest.

    Returns:
        `input_ids`, `attention_mask` and `labels`, each `(batch, seq)`.
    """
    longest = max(len(sample.input_ids) for sample in samples)

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        fill = [[value] * (longest - len(row)) for row in rows]
        return torch.tensor([row + pad if side == "right" else pad + row for row, pad in zip(rows, fill, strict=True)])

    return {
        "input_ids": padded([sample.input_ids for sample in samples], pad_token),
        "attention_mask": padded([[1] * len(sample.input_ids) for sample in samples], 0),
        "labels": padded([sample.labels for sample in samples], IGNORED),
    }


def opened(image: Picture) -> Image.Image:
    """The picture upright, in three channels of 8 bits; 16-bit greys are stretched, which Pillow would turn white."""
    if isinstance(image, bytes):
        image = Image.open(io.BytesIO(image))
        turn = _turn(image)
        image = image if turn is None else image.transpose(turn)
    return as_rgb(image)


def size_of(image: Picture) -> tuple[int, int]:
    """Width and height as `opened` has them, pixels; of a file only the header is read."""
    if isinstance(image, bytes):
        image = Image.open(io.BytesIO(image))
        if _turn(image) in SWAPPING:
            return image.height, image.width
    return image.size


def _turn(picture: Image.Image) -> Image.Transpose | None:
    return UPRIGHT.get(picture.getexif().get(0x0112) or 1)
