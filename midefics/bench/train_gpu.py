"""A shape's name in, a base model of it out; and what a GPU's arithmetic is measured against."""

import time
from pathlib import Path
from typing import Any

import torch
from transformers import IdeficsConfig, IdeficsForVisionText2Text

from midefics.errors import ConfigError
from midefics.services import Services
from midefics.vlm.base import locate
from midefics.vlm.families import FAMILIES

NINE_B: dict[str, Any] = {
    "vocab_size": 32000, "additional_vocab_size": 3, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "cross_layer_interval": 4, "qk_layer_norms": True,
    "alpha_type": "float", "use_resampler": True,
    "vision_config": {
        "embed_dim": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120,
        "image_size": 224, "patch_size": 14,
    },
    "perceiver_config": {
        "use_resampler": True, "resampler_n_latents": 64, "resampler_depth": 6, "resampler_n_heads": 16,
        "resampler_head_dim": 96, "qk_layer_norms_perceiver": True,
    },
}  # fmt: skip
"""IDEFICS-9b's; its parameters are the published model's to the last one."""
SIDE = 8192
"""Of the matrices whose product says what the GPU can do."""


def base_of_shape(shape: str, services: Services) -> Path:
    """The tiny base, or random weights in the shape of IDEFICS-9b with the tiny base's tokenizer; kept under `cache`.

    Raises:
        ConfigError: the shape has no GPU to run on.
    """
    home = services.settings.home
    tiny = Path(locate("tiny-idefics", home, services.progress).folder)
    if shape == "tiny":
        return tiny
    folder = home / "cache" / "base_models" / "shape-9b"
    if not torch.cuda.is_available():
        raise ConfigError(
            "bench train --shape 9b: needs an NVIDIA GPU with 24 GB and 20 GB of disk; there is no GPU here"
        )
    if not (folder / "config.json").is_file():
        processor = FAMILIES["idefics"].load_processor(tiny, None, None)
        processor.image_processor.image_size = NINE_B["vision_config"]["image_size"]
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        try:
            with torch.device("cuda"):
                model = IdeficsForVisionText2Text(IdeficsConfig(**NINE_B))
        finally:
            torch.set_default_dtype(torch.float32)
        processor.save_pretrained(folder)
        model.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
    return folder


def matmul_weights(model: torch.nn.Module) -> int:
    """Weights that each token of text is multiplied with: decoder, cross-attention but for the keys and values, head."""
    return sum(
        module.in_features * (module.out_features + getattr(module, "out_additional_features", 0))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and ("layers." in name or name.endswith("lm_head"))
        and "vision_model" not in name
        and "perceiver" not in name
        and not name.endswith(("cross_attn.k_proj", "cross_attn.v_proj", "additional_fc"))
        and "lora_" not in name
    )


def peak_flops() -> float:
    """What a bare bfloat16 product reaches, operations per second."""
    left, right = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        torch.cuda.synchronize()
        started = time.perf_counter()
        left @ right
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best
