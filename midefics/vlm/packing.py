"""Conversations in, one row that holds them end to end out, with masks that keep each to itself and to its own images.

Exact: the model computes for every token what it would compute for the conversation alone. Positions begin anew with each,
a token attends to earlier tokens of its own conversation only, and to its own images only. Position ids alone would not
do: IDEFICS fills in a mask of ones where none is given, and the conversations see each other.
"""

from collections.abc import Sequence

import torch

Tensors = dict[str, torch.Tensor]
IMAGES = ("pixel_values", "perceiver_embeddings")
"""What comes along the axis of images: `(1, images, …)`."""


def pack(samples: Sequence[Tensors]) -> Tensors:
    """Puts samples into one row.

    Args:
        samples: what `collate` makes of each alone: `input_ids` and `labels` `(1, seq)`, `image_attention_mask`
            `(1, seq, images)`, and the images under one of `IMAGES`. The first token of each must carry no label, since
            in the row the last token of the sample before stands before it.

    Returns:
        The same keys, `attention_mask` `(1, 1, seq, seq)` of booleans, and `position_ids` `(1, seq)`.
    """
    lengths = [sample["input_ids"].size(1) for sample in samples]
    masks = [sample["image_attention_mask"][0] for sample in samples]
    images = {name: torch.cat([sample[name] for sample in samples], dim=1) for name in IMAGES if name in samples[0]}
    return {
        "input_ids": torch.cat([sample["input_ids"] for sample in samples], dim=1),
        "labels": torch.cat([sample["labels"] for sample in samples], dim=1),
        "attention_mask": own_past(lengths),
        "position_ids": torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0),
        "image_attention_mask": torch.block_diag(*masks).to(masks[0].dtype).unsqueeze(0),
        **images,
    }


def own_past(lengths: Sequence[int]) -> torch.Tensor:
    """Which tokens each token of a row may attend to: those before it of its own conversation, and itself.

    Returns:
        `(1, 1, seq, seq)`, bool.
    """
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return torch.tril(owner[:, None] == owner[None, :])[None, None]
