"""How the published models of the table would be shown a picture, from the image processors' settings as they publish them."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import Idefics2Config, Idefics3Config, Qwen2_5_VLConfig

from midefics.base_models import base_model
from midefics.vlm.families import FAMILIES, Processor
from midefics.vlm.twins import TWINS
from tests.letters import letters

PLAIN = {"do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "do_pad": True}
GREY = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1 / 255}
# name: published settings, the part of the configuration that counts tokens, tokens of a picture of 1000 by 700 pixels
PUBLISHED: dict[str, tuple[dict[str, Any], Any, str, int]] = {
    "idefics2-8b": (
        PLAIN | GREY | {"do_image_splitting": True, "size": {"longest_edge": 980, "shortest_edge": 378}},
        Idefics2Config(perceiver_config={"resampler_n_latents": 64, "hidden_size": 4096}),
        "tiny-idefics2",
        5 * 64,  # four quarters and the whole
    ),
    "idefics3-8b-llama3": (
        PLAIN
        | GREY
        | {"do_image_splitting": True, "size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364}},
        Idefics3Config(vision_config={"image_size": 364, "patch_size": 14}, scale_factor=2),
        "tiny-idefics3",
        169,  # (364 / 14)² / 2²
    ),
    "smolvlm-instruct": (
        PLAIN
        | GREY
        | {"do_image_splitting": True, "size": {"longest_edge": 1536}, "max_image_size": {"longest_edge": 384}},
        Idefics3Config(vision_config={"image_size": 384, "patch_size": 14}, scale_factor=3),
        "tiny-smolvlm",
        81,  # 27² / 3²
    ),
    "qwen2.5-vl-7b-instruct": (
        GREY
        | {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2},
        Qwen2_5_VLConfig(),
        "tiny-qwen2.5-vl",
        19 * 13,  # 1000 by 700 in the area of 448 by 448 is 535 by 375: 19 by 13 squares of 28
    ),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_a_large_picture_takes_the_tokens_that_the_table_says(name: str, tmp_path: Path) -> None:
    settings, config, twin, expected = PUBLISHED[name]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    spec = base_model(name)
    family: Any = FAMILIES[spec.architecture]
    tokenizer = letters(**TWINS[twin].letters)
    images = family.load_image_processor(str(tmp_path), None, spec.image_size)
    processor = Processor(tokenizer, images, family.tokens_per_view(config))
    shown = family.shown(Image.new("RGB", (1000, 700)), processor)
    token = tokenizer.convert_tokens_to_ids(family.image_token)
    assert sum(piece.token == token for piece in shown) == expected


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_limit_is_kept_where_the_model_is_saved(name: str, tmp_path: Path) -> None:
    settings, _, _, _ = PUBLISHED[name]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    spec = base_model(name)
    family: Any = FAMILIES[spec.architecture]
    limited = family.load_image_processor(str(tmp_path), None, spec.image_size)
    limited.save_pretrained(tmp_path / "saved")
    again = family.load_image_processor(str(tmp_path / "saved"), None, None)
    picture = Image.new("RGB", (300, 500), (90, 20, 60))
    first, second = (one([[picture]], return_tensors="pt")["pixel_values"] for one in (limited, again))
    assert first.shape == second.shape
