"""A seed in, a tiny IDEFICS out that can describe drawn pictures but has never been asked a question.

It is the real architecture (vision tower, perceiver, gated cross-attention, 4 bit and all) with 530,000 parameters, for
machines without a GPU: built, given a tokenizer, pretrained for half a minute on captions, and kept. Its widths are
multiples of 32 (bitsandbytes' CPU kernel), its initial weights larger than usual, without which it never learns to look.
"""

import logging
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations
from transformers import IdeficsConfig, IdeficsForVisionText2Text, PreTrainedTokenizerFast
from transformers.models.idefics.image_processing_pil_idefics import IdeficsImageProcessorPil
from transformers.models.idefics.modeling_idefics import IdeficsDecoupledLinear

from midefics.base_models import BASE_MODELS
from midefics.config import TrainConfig
from midefics.records import Turn
from midefics.services.progress import Progress
from midefics.sources.synthetic import captioned_pictures
from midefics.vlm.building import built_once
from midefics.vlm.collate import Sample
from midefics.vlm.families import FAMILIES, Processor
from midefics.vlm.fit import fit
from midefics.vlm.lettering import trained_tokenizer
from midefics.vlm.load import Loaded

log = logging.getLogger(__name__)

RECIPE = "1"
"""Raise it when anything below changes, or a base that was built before is taken for the new one."""
SIDE = BASE_MODELS["tiny-idefics"].image_size
PICTURES = 4000
PRETRAINING = TrainConfig(
    max_steps=500,
    batch_size=32,
    accumulation=1,
    learning_rate=2e-3,
    schedule="cosine",
    optimizer="adamw_torch",
    validations=0,
)
REQUEST = "Describe the image."


def build(
    folder: Path, seed: int, progress: Progress, recipe: TrainConfig = PRETRAINING, pictures_drawn: int = PICTURES
) -> Path:
    """Builds the model into `folder` unless it is there; the same seed gives the same weights."""
    if (folder / "config.json").is_file():
        return folder
    steps = recipe.max_steps or 0
    log.info("tiny-idefics: drawing %s pictures and pretraining %s steps, once", pictures_drawn, steps)
    pictures = list(captioned_pictures(pictures_drawn, seed, SIDE))
    tokenizer = _tokenizer([caption for _, caption in pictures])
    processor = Processor(tokenizer, IdeficsImageProcessorPil(image_size=SIDE), 1)
    torch.manual_seed(seed)
    model = IdeficsForVisionText2Text(tiny_config(len(tokenizer) - 3))
    family = FAMILIES["idefics"]
    family.mend(model)
    _feel_the_quantisation(model)
    samples = [
        Sample(*family.encode([Turn(question=REQUEST, answer=caption)], processor, picture, 512), image=picture)
        for picture, caption in pictures
    ]
    with built_once(folder) as draft, progress.track("base model", steps) as counter:
        fit(
            Loaded(model, processor, family), samples, (), recipe, seed=seed, folder=draft.parent,
            tell=lambda step, figures: counter.advance(step - counter.done, f"loss {figures['loss']:.3f}"),
        )  # fmt: skip
        for module in _quantised_later(model):
            remove_parametrizations(module, "weight")
        model.eval().save_pretrained(draft)
        processor.save_pretrained(draft)
    return folder


class _Nf4(torch.nn.Module):
    """Rounds a weight to nf4 on the way in and lets its gradient pass as if it had not (straight-through)."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        rounded = dequantize_4bit(*quantize_4bit(weight.detach(), quant_type="nf4"))
        return weight + (rounded - weight).detach()


def _feel_the_quantisation(model: torch.nn.Module) -> None:
    """Pretrains under the rounding that the weights will get: at this width nf4 would cost half of what was learnt."""
    for module in _quantised_later(model):
        register_parametrization(module, "weight", _Nf4())


def _quantised_later(model: torch.nn.Module) -> list[torch.nn.Linear]:
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and not isinstance(module, IdeficsDecoupledLinear)
        and not name.startswith("lm_head")
    ]


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """The three added tokens get the last ids, as in the real model."""
    return trained_tokenizer(
        texts,
        ("<unk>", "<s>", "</s>"),
        ("<fake_token_around_image>", "<image>", "<end_of_utterance>"),
        unk_token="<unk>",  # noqa: S106 (a token of text)
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        pad_token="<unk>",  # noqa: S106
    )


def tiny_config(vocabulary: int) -> IdeficsConfig:
    """Its sizes, around so many words."""
    return IdeficsConfig(
        vocab_size=vocabulary,
        additional_vocab_size=3,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        cross_layer_interval=1,
        qk_layer_norms=True,
        use_resampler=True,
        alpha_initializer="ones",
        initializer_range=0.15,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        vision_config={
            "embed_dim": 64,
            "image_size": SIDE,
            "patch_size": 8,
            "num_attention_heads": 4,
            "num_hidden_layers": 1,
            "intermediate_size": 128,
        },
        perceiver_config={
            "use_resampler": True,
            "resampler_depth": 1,
            "resampler_n_latents": 4,
            "resampler_n_heads": 4,
            "resampler_head_dim": 16,
            "qk_layer_norms_perceiver": True,
        },
    )
