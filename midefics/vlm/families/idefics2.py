"""Idefics2: a SigLIP tower that sees pictures in their own shape, a perceiver, and Mistral reading what it says in line."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from transformers import PreTrainedConfig
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

from midefics.vlm.chat import Piece
from midefics.vlm.collate import Picture
from midefics.vlm.families.family import Processor
from midefics.vlm.families.templated import Templated, control, views

SHORTEST = 378
"""The shorter side that pictures are enlarged to, pixels; the published processor's."""


class Idefics2(Templated):
    """HuggingFaceM4/idefics2-8b and its likes."""

    model_types = ("idefics2",)
    lora_targets: ClassVar = {
        "qkv": r".*\.(q|k|v)_proj",
        "text": r".*text_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj",
        "all": "all-linear",
    }
    blocks = ("MistralDecoderLayer", "Idefics2EncoderLayer", "Idefics2PerceiverLayer")
    template = (
        "{% for message in messages %}{{ message['role'] | capitalize }}:"
        "{% if message['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}"
        "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
        "{{ '<end_of_utterance>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
    )
    image_token = "<image>"  # noqa: S105 (a token of text)
    other_tokens = ("<fake_token_around_image>",)

    def load_image_processor(self, folder: str, revision: str | None, side: int | None) -> Any:
        """Pictures keep their shape, their longest side at most `side`."""
        size = {} if side is None else {"size": {"shortest_edge": min(SHORTEST, side), "longest_edge": side}}
        return Idefics2ImageProcessorPil.from_pretrained(folder, revision=revision, **size)

    def tokens_per_view(self, config: PreTrainedConfig) -> int:
        """The perceiver's latents."""
        return int(config.perceiver_config.resampler_n_latents)

    def shown(self, image: Picture, processor: Processor) -> list[Piece]:
        """One view, or four quarters and the whole where the image processor splits; then a space, as upstream has it."""
        del image
        fake = Piece(token=control(self.other_tokens[0], processor.tokenizer))
        token = Piece(token=control(self.image_token, processor.tokenizer))
        view = [fake, *[token] * processor.tokens_per_view]
        return [*view * (5 if processor.image_processor.do_image_splitting else 1), fake, Piece(" ")]

    def seen(
        self, ids: torch.Tensor, images: Sequence[Picture | None], processor: Processor
    ) -> dict[str, torch.Tensor]:
        """Pixels and the mask of the part of each view that is picture."""
        del ids
        return views(images, processor.image_processor)
