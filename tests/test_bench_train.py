import torch
from transformers import IdeficsConfig, IdeficsForVisionText2Text

from midefics.bench.train_data import conversations
from midefics.bench.train_gpu import NINE_B, matmul_weights


def test_the_shape_of_9b_is_the_published_models_to_the_last_parameter() -> None:
    with torch.device("meta"):
        model = IdeficsForVisionText2Text(IdeficsConfig(**NINE_B))
    assert sum(weight.numel() for weight in model.parameters()) == 8_929_687_824
    # 32 (4 x 4096^2 + 3 x 4096 x 11008) + 8 (2 x 4096^2 + 3 x 4096 x 11008) + 4096 x 32003
    assert matmul_weights(model) == 7_957_655_552


def test_both_recipes_are_given_the_same_conversations_every_time() -> None:
    first, again = list(conversations(12, 0)), list(conversations(12, 0))
    assert first == again
    assert len({len(turns) for _, turns in first}) > 1
    assert all(turn.answer for _, turns in first for turn in turns)
