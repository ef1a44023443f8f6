"""A base model's name in, its shape out: built on torch's `meta` device, without weights and without the hub."""

import json
import re
from importlib import resources
from pathlib import Path

import torch
from transformers import IdeficsConfig, IdeficsForVisionText2Text

from midefics.base_models import base_model
from midefics.config import LoraConfig
from midefics.errors import ModelError
from midefics.planning.shape import Linear, Part, Shape, Tower
from midefics.vlm.families.idefics import Idefics

PARTS: dict[str, Part] = {
    "model.vision_model": "vision",
    "model.perceiver_resampler": "perceiver",
    "model.gated_cross_attn_layers": "cross",
    "model.layers": "text",
    "lm_head": "head",
}


def architecture(name: str, home: Path) -> IdeficsConfig:
    """What `config.json` of a base model says: of the one that was built here, or of the copy in this package.

    Raises:
        ModelError: neither is there, or it is of another family: the arithmetic knows no other.
    """
    if base_model(name).architecture != "idefics":
        raise ModelError(
            f"{name}: a plan can be made for idefics-9b-instruct and tiny-idefics, not for {base_model(name).architecture}; "
            "`midefics train` without --plan trains it, its memory unchecked"
        )
    if name == "tiny-idefics":
        from midefics.vlm.lettering import VOCABULARY
        from midefics.vlm.tiny import RECIPE, tiny_config

        built = home / "cache" / "base_models" / f"{name}-{RECIPE}" / "config.json"
        return IdeficsConfig.from_json_file(str(built)) if built.is_file() else tiny_config(VOCABULARY - 3)
    packaged = resources.files("midefics") / "planning" / "architectures" / f"{name}.json"
    if not packaged.is_file():
        raise ModelError(f"{name}: its shape is not known without loading it; add planning/architectures/{name}.json")
    return IdeficsConfig(**json.loads(packaged.read_text(encoding="utf-8")))


def shape_of(name: str, config: IdeficsConfig, lora: LoraConfig) -> Shape:
    """Builds the model without memory for its weights and reads its layers off."""
    with torch.device("meta"):
        model = IdeficsForVisionText2Text(config)
    vision, perceiver = config.vision_config, config.perceiver_config
    heads = config.num_attention_heads
    return Shape(
        name=name,
        linears=tuple(_linears(model, lora)),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        text=Tower(
            config.num_hidden_layers, config.hidden_size, config.intermediate_size, heads, config.hidden_size // heads
        ),
        cross_layers=len(model.model.gated_cross_attn_layers),
        norms_queries=config.qk_layer_norms,
        vision=Tower(
            vision.num_hidden_layers,
            vision.embed_dim,
            vision.intermediate_size,
            vision.num_attention_heads,
            vision.embed_dim // vision.num_attention_heads,
        ),
        vision_tokens=(vision.image_size // vision.patch_size) ** 2 + 1,
        image_size=vision.image_size,
        perceiver=Tower(
            perceiver.resampler_depth,
            vision.embed_dim,
            vision.embed_dim * 4,
            perceiver.resampler_n_heads,
            perceiver.resampler_head_dim,
        ),
        latents=perceiver.resampler_n_latents,
        vocabulary=config.vocab_size + config.additional_vocab_size,
    )


def _linears(model: torch.nn.Module, lora: LoraConfig) -> list[Linear]:
    pattern = Idefics.lora_targets[lora.targets]
    found = []
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear):
            continue
        plain = type(module) is torch.nn.Linear  # transformers replaces no other
        # peft's word for every linear layer but the head.
        adapted = plain if pattern == "all-linear" else re.fullmatch(pattern, name) is not None
        skipped = any(name.startswith(left) or f".{left}" in name for left in Idefics.left_in_16_bit)
        part = next(part for prefix, part in PARTS.items() if name.startswith(prefix))
        sizes = module.in_features, module.out_features
        found.append(Linear(name, part, *sizes, module.bias is not None, plain and not skipped, adapted))
    return found
