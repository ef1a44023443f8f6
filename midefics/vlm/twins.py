"""A base model's name in, a tiny random model of the same architecture out, which has learnt nothing at all.

Each has the true parts (tower, connector, decoder, tokenizer, chat template, image processor) at a width of 64 to 128, so
that what holds for the large one can be tried without it. Widths are multiples of 32 (bitsandbytes' CPU kernel), the
initial weights larger than usual, without which an adapter alone learns next to nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoModelForImageTextToText,
    Idefics2Config,
    Idefics3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    SmolVLMConfig,
)
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from midefics.sources.synthetic import captioned_pictures
from midefics.vlm.building import built_once
from midefics.vlm.families import Processor
from midefics.vlm.lettering import trained_tokenizer

RECIPE = "1"
"""Raise it when anything below changes, or a twin that was built before is taken for the new one."""
SIDE = 32
SPREAD = 0.15
"""Standard deviation of the initial weights."""
IDEFICS_TOKENS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>")
TILES = ("<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)))
QWEN_TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": SPREAD,
}
TOWER = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": SPREAD,
}


class Twin(NamedTuple):
    """How one is made."""

    architecture: str
    letters: dict[str, Any]
    """What `trained_tokenizer` takes beside the texts."""
    config: Callable[[PreTrainedTokenizerFast], PreTrainedConfig]
    images: Callable[[], Any]


def build(name: str, folder: Path, seed: int) -> Path:
    """Builds the twin into `folder` unless it is there; the same seed gives the same weights."""
    if (folder / "config.json").is_file():
        return folder
    twin = TWINS[name]
    tokenizer = trained_tokenizer([caption for _, caption in captioned_pictures(300, seed, SIDE)], **twin.letters)
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(twin.config(tokenizer))
    with built_once(folder) as draft:
        model.save_pretrained(draft)
        Processor(tokenizer, twin.images()).save_pretrained(draft)
    return folder


def _read(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The decoder, made for the tokenizer."""
    roles = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    return TEXT | roles | {"vocab_size": len(tokenizer)}


def _idefics2(tokenizer: PreTrainedTokenizerFast) -> Idefics2Config:
    return Idefics2Config(
        text_config=_read(tokenizer),
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 8},
        perceiver_config={
            "hidden_size": TEXT["hidden_size"],
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 32,
            "num_key_value_heads": 1,
            "initializer_range": SPREAD,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=SPREAD,
    )


def _tiled(kind: type[PreTrainedConfig]) -> Callable[[PreTrainedTokenizerFast], PreTrainedConfig]:
    def config(tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
        return kind(
            text_config=_read(tokenizer) | {"model_type": "llama"},
            vision_config=TOWER | {"image_size": SIDE // 2, "patch_size": 4},
            scale_factor=2,
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=SPREAD,
        )

    return config


def _qwen(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    ids = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return Qwen2_5_VLConfig(
        text_config=_read(tokenizer) | {"rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6]}},
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_heads": 2,
            "out_hidden_size": TEXT["hidden_size"],
            "patch_size": 4,
            "window_size": 16,
            "fullatt_block_indexes": [1],
            "initializer_range": SPREAD,
        },
        initializer_range=SPREAD,
        **{role: tokenizer.convert_tokens_to_ids(token) for role, token in ids.items()},
    )


def _tiles() -> Idefics3ImageProcessorPil:
    return Idefics3ImageProcessorPil(size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE // 2})


TWINS = {
    "tiny-idefics2": Twin(
        "idefics2",
        {
            "reserved": ("<unk>", "<s>", "</s>"),
            "added": IDEFICS_TOKENS,
            "opens": True,
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<unk>",
        },
        _idefics2,
        lambda: Idefics2ImageProcessorPil(size={"shortest_edge": SIDE // 2, "longest_edge": SIDE}),
    ),
    "tiny-idefics3": Twin(
        "idefics3",
        {
            "reserved": ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>"),
            "added": IDEFICS_TOKENS,
            "opens": True,
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "pad_token": "<|finetune_right_pad_id|>",
        },
        _tiled(Idefics3Config),
        _tiles,
    ),
    "tiny-smolvlm": Twin(
        "idefics3",
        {
            "reserved": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
            "added": (*IDEFICS_TOKENS, *TILES),
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
        },
        _tiled(SmolVLMConfig),
        _tiles,
    ),
    "tiny-qwen2.5-vl": Twin(
        "qwen2_5_vl",
        {
            "reserved": ("<|endoftext|>",),
            "added": QWEN_TOKENS,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
        },
        _qwen,
        lambda: Qwen2VLImageProcessorPil(
            patch_size=4, size={"shortest_edge": SIDE * SIDE // 4, "longest_edge": SIDE * SIDE}
        ),
    ),
}
