"""Encoded conversations and pictures in, one padded batch of tensors out."""

import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from PIL import Image
from transformers import IdeficsProcessor

from midefics.vlm.chat import IGNORED, Control


class Sample(NamedTuple):
    """One conversation and its picture, decoded only when a batch needs it."""

    input_ids: list[int]
    labels: list[int]
    image: bytes | Image.Image | None
    """`None`: a conversation about no image."""
    id: str = ""
    """Of the row it was made of, for whoever has to find it."""


def pixels(images: Sequence[bytes | Image.Image | None], processor: IdeficsProcessor) -> torch.Tensor:
    """Decodes and normalises pictures; `None` becomes zeros.

    Returns:
        `(batch, 1 image each, 3, side, side)`, float32.
    """
    side = processor.image_processor.image_size
    result = torch.zeros(len(images), 1, 3, side, side)
    present = [index for index, image in enumerate(images) if image is not None]
    if present:
        pictures = [_opened(images[index]) for index in present]
        result[present] = processor.image_processor(pictures, return_tensors="pt").reshape(-1, 1, 3, side, side)
    return result


def image_attention(ids: torch.Tensor, control: Control) -> torch.Tensor:
    """Which image each token may look at: those after `<image>`, to the end, at that one.

    IdeficsProcessor ends it at `<end_of_utterance>` only where another image follows; with one image a conversation
    the two are the same.

    Args:
        ids: `(batch, seq)`.
        control: the control tokens' ids.

    Returns:
        `(batch, seq, 1)`, int64 zeros and ones.
    """
    return ((ids == control.image).cumsum(-1) > 0).long().unsqueeze(-1)


def collate(
    samples: Sequence[Sample], processor: IdeficsProcessor, side: Literal["left", "right"]
) -> dict[str, torch.Tensor]:
    """Pads to the longest: on the right to learn, on the left to generate."""
    tokenizer = processor.tokenizer
    longest = max(len(sample.input_ids) for sample in samples)

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        fill = [[value] * (longest - len(row)) for row in rows]
        return torch.tensor([row + pad if side == "right" else pad + row for row, pad in zip(rows, fill, strict=True)])

    ids = padded([sample.input_ids for sample in samples], tokenizer.pad_token_id)
    return {
        "input_ids": ids,
        "attention_mask": padded([[1] * len(sample.input_ids) for sample in samples], 0),
        "labels": padded([sample.labels for sample in samples], IGNORED),
        "pixel_values": pixels([sample.image for sample in samples], processor),
        "image_attention_mask": image_attention(ids, Control.of(tokenizer)),
    }


def _opened(image: bytes | Image.Image | None) -> Image.Image:
    if isinstance(image, bytes):
        image = Image.open(io.BytesIO(image))
    if image is None:
        raise ValueError("no image")
    return image.convert("RGB")
