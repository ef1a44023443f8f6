"""What a packed row holds, written out by hand."""

import torch

from midefics.vlm.chat import IGNORED
from midefics.vlm.packing import pack

YES, NO = True, False


def sample(
    ids: list[int], labels: list[int], looks_at: list[list[int]], images: list[float]
) -> dict[str, torch.Tensor]:
    """One conversation as `collate` gives it; every image one pixel of three colours."""
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "image_attention_mask": torch.tensor([looks_at]),
        "pixel_values": torch.tensor(images).reshape(1, -1, 1, 1, 1).expand(1, -1, 3, 1, 1),
    }


def test_a_row_of_two_conversations_with_three_images() -> None:
    first = sample([1, 9, 5], [IGNORED, IGNORED, 5], [[0], [1], [1]], [0.1])
    second = sample(
        [1, 9, 6, 9, 7], [IGNORED, IGNORED, 6, IGNORED, 7], [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1]], [0.2, 0.3]
    )
    row = pack([first, second])
    assert row["input_ids"].tolist() == [[1, 9, 5, 1, 9, 6, 9, 7]]
    assert row["labels"].tolist() == [[IGNORED, IGNORED, 5, IGNORED, IGNORED, 6, IGNORED, 7]]
    assert row["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3, 4]]
    assert row["attention_mask"].shape == (1, 1, 8, 8)
    assert row["attention_mask"][0, 0].tolist() == [
        [YES, NO, NO, NO, NO, NO, NO, NO],
        [YES, YES, NO, NO, NO, NO, NO, NO],
        [YES, YES, YES, NO, NO, NO, NO, NO],
        [NO, NO, NO, YES, NO, NO, NO, NO],
        [NO, NO, NO, YES, YES, NO, NO, NO],
        [NO, NO, NO, YES, YES, YES, NO, NO],
        [NO, NO, NO, YES, YES, YES, YES, NO],
        [NO, NO, NO, YES, YES, YES, YES, YES],
    ]
    # Of three images, the first conversation looks at the first, the second at the second and, from its second on, the third.
    assert row["image_attention_mask"][0].tolist() == [
        [0, 0, 0], [1, 0, 0], [1, 0, 0],
        [0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1],
    ]  # fmt: skip
    assert row["pixel_values"][0, :, 0, 0, 0].tolist() == torch.tensor([0.1, 0.2, 0.3]).tolist()
