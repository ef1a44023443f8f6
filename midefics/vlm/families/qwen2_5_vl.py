"""Qwen2.5-VL: pictures of any shape in patches, four of them one token, whose positions count in height and width too."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from midefics.vlm.chat import Piece
from midefics.vlm.collate import Picture, opened, size_of
from midefics.vlm.families.family import Processor
from midefics.vlm.families.templated import Templated, control
from midefics.vlm.mends import weigh_accumulated_batches_by_their_tokens

LEAST_PIXELS = 56 * 56
"""Smaller pictures are enlarged to that; the published processor's."""


class Qwen25Vl(Templated):
    """Qwen/Qwen2.5-VL-7B-Instruct and its likes; the processor's video half is never loaded."""

    model_types = ("qwen2_5_vl",)
    lora_targets: ClassVar = {
        "qkv": r".*\.((q|k|v)_proj|attn\.qkv)",
        "text": r".*language_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj",
        "all": "all-linear",
    }
    saved_under: ClassVar = {"model.language_model.": "model.", "model.visual.": "visual."}
    blocks = ("Qwen2_5_VLDecoderLayer", "Qwen2_5_VLVisionBlock")
    template = (
        "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% for part in message['content'] %}"
        "{{ '<|vision_start|><|image_pad|><|vision_end|>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
        "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    image_token = "<|image_pad|>"  # noqa: S105 (a token of text)
    other_tokens = ("<|vision_start|>", "<|vision_end|>")

    def load_image_processor(self, folder: str, revision: str | None, side: int | None) -> Any:
        """Pictures keep their shape, rounded to whole tokens, and get at most `side` times `side` pixels."""
        # By these names: as published they are set by them, and would win over a `size`.
        limits = {} if side is None else {"min_pixels": min(LEAST_PIXELS, side**2), "max_pixels": side**2}
        return Qwen2VLImageProcessorPil.from_pretrained(folder, revision=revision, **limits)

    def tokens_per_view(self, config: PreTrainedConfig) -> int:
        """As many as the picture's size makes."""
        del config
        return 0

    def mend(self, model: PreTrainedModel) -> None:
        """The common ones, and how gradients of several batches are added."""
        super().mend(model)
        weigh_accumulated_batches_by_their_tokens(model)

    def shown(self, image: Picture, processor: Processor) -> list[Piece]:
        """One token for each square of patches."""
        width, height = size_of(image)
        patches = processor.image_processor.get_number_of_image_patches(height, width)
        token = Piece(token=control(self.image_token, processor.tokenizer))
        return [token] * (patches // processor.image_processor.merge_size**2)

    def seen(
        self, ids: torch.Tensor, images: Sequence[Picture | None], processor: Processor
    ) -> dict[str, torch.Tensor]:
        """The patches of all pictures one after another, each one's grid, and which tokens stand for pictures."""
        kinds = (ids == control(self.image_token, processor.tokenizer)).int()
        present = [opened(image) for image in images if image is not None]
        if not present:
            return {"mm_token_type_ids": kinds}
        made = processor.image_processor(present, return_tensors="pt")
        return {
            "mm_token_type_ids": kinds,
            "pixel_values": made["pixel_values"],
            "image_grid_thw": made["image_grid_thw"],
        }
