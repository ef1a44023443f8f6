"""Idefics3 and SmolVLM: a SigLIP tower that sees square tiles and the whole, their features shuffled into fewer."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from midefics.vlm.chat import Piece, added_tokens
from midefics.vlm.collate import Picture, size_of
from midefics.vlm.families.family import Processor
from midefics.vlm.families.idefics2 import Idefics2
from midefics.vlm.families.templated import Templated, control, views


class Idefics3(Templated):
    """HuggingFaceM4/Idefics3-8B-Llama3, HuggingFaceTB/SmolVLM-Instruct and their likes."""

    model_types = ("idefics3", "smolvlm")
    lora_targets = Idefics2.lora_targets
    blocks = ("LlamaDecoderLayer", "Idefics3EncoderLayer", "SmolVLMEncoderLayer")
    template = "{{ bos_token }}" + Idefics2.template
    image_token = "<image>"  # noqa: S105 (a token of text)
    other_tokens = ("<fake_token_around_image>",)

    def load_image_processor(self, folder: str, revision: str | None, side: int | None) -> Any:
        """Pictures are scaled to a longest side of `side` and cut into tiles of the tower's size, if they exceed one."""
        size = {} if side is None else {"size": {"longest_edge": side}}
        return Idefics3ImageProcessorPil.from_pretrained(folder, revision=revision, **size)

    def tokens_per_view(self, config: PreTrainedConfig) -> int:
        """Patches of a tile, `scale_factor` by `scale_factor` of them in one."""
        patches = config.vision_config.image_size // config.vision_config.patch_size
        return int(patches**2 // config.scale_factor**2)

    def shown(self, image: Picture, processor: Processor) -> list[Piece]:
        """The tiles row by row, each under its place, and the whole; only that where one tile holds all of it."""
        tokenizer = processor.tokenizer
        fake = Piece(token=control(self.other_tokens[0], tokenizer))
        view = [Piece(token=control(self.image_token, tokenizer))] * processor.tokens_per_view
        width, height = size_of(image)
        _, rows, columns = processor.image_processor.get_number_of_image_patches(height, width)
        said: list[Piece] = []
        for row in range(1, rows + 1):
            for column in range(1, columns + 1):
                said += [fake, _place(f"<row_{row}_col_{column}>", tokenizer), *view]
            said.append(Piece("\n"))
        return [*said, *([Piece("\n")] if said else []), fake, _place("<global-img>", tokenizer), *view, fake]

    def seen(
        self, ids: torch.Tensor, images: Sequence[Picture | None], processor: Processor
    ) -> dict[str, torch.Tensor]:
        """Pixels of tiles and wholes, and their masks."""
        del ids
        return views(images, processor.image_processor)


def _place(mark: str, tokenizer: PreTrainedTokenizerBase) -> Piece:
    """Says which part of the picture comes: SmolVLM has a token for each, Idefics3 spells them."""
    number = added_tokens(tokenizer).ids.get(mark)
    return Piece(mark) if number is None else Piece(token=number)
