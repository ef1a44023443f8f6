"""A frozen base model in, the same with a low-rank adapter that learns out."""

import logging

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model

from midefics.config import LoraConfig
from midefics.vlm.load import Loaded

log = logging.getLogger(__name__)

LORA_TARGETS = {
    "qkv": r".*\.(q|k|v)_proj",
    "text": r".*model\.(layers|gated_cross_attn_layers)\.\d+\.(self_attn|cross_attn|mlp)\.\w+_proj",
    "all": "all-linear",
}


def add_adapter(loaded: Loaded, config: LoraConfig, seed: int) -> Loaded:
    """Puts a fresh low-rank adapter on a frozen base model.

    Not through peft's prepare_model_for_kbit_training: it turns norms, embeddings and head to float32, which costs
    memory and gains nothing here (IdeficsRMSNorm computes in float32 already).
    """
    torch.manual_seed(seed)
    spec = PeftLoraConfig(
        r=config.r, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=LORA_TARGETS[config.targets]
    )
    model: PeftModel = get_peft_model(loaded.model, spec)
    trainable, total = model.get_nb_trainable_parameters()
    log.info("adapter: %s of %s parameters learn (%.2f %%)", f"{trainable:,}", f"{total:,}", 100 * trainable / total)
    return loaded._replace(model=model)
