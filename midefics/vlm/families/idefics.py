"""IDEFICS, the first: gated cross-attention to a perceiver's view of the picture; one `<image>` token stands for it.

The chat format that IDEFICS-instruct was trained on:

    <s>User:<fake_token_around_image><image><fake_token_around_image>QUESTION<end_of_utterance>
    Assistant: ANSWER<end_of_utterance>
    User: QUESTION<end_of_utterance>
    Assistant: ANSWER<end_of_utterance>
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.idefics.image_processing_pil_idefics import IdeficsImageProcessorPil

from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.chat import Piece
from midefics.vlm.collate import Picture, opened
from midefics.vlm.families.family import Family, Processor, Supports
from midefics.vlm.mends import count_the_added_tokens_in_the_loss

USER, ASSISTANT = "User:", "\nAssistant:"


class Control(NamedTuple):
    """The ids of the tokens that structure a conversation."""

    start: int
    fake: int
    image: int
    end: int
    """`<end_of_utterance>`"""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Control":
        """Looks them up.

        Raises:
            ModelError: the tokenizer is not one of IDEFICS.
        """
        names = ("<fake_token_around_image>", "<image>", "<end_of_utterance>")
        ids = tokenizer.convert_tokens_to_ids(names)
        if tokenizer.bos_token_id is None or any(number in (None, tokenizer.unk_token_id) for number in ids):
            raise ModelError(f"the tokenizer lacks one of <s>, {', '.join(names)}; is this an IDEFICS model?")
        return cls(tokenizer.bos_token_id, *ids)


class Idefics(Family):
    """HuggingFaceM4/idefics-9b and -80b, and the project's tiny base."""

    model_types = ("idefics",)
    left_in_16_bit = ("lm_head", "embed_tokens")
    """As in the original. Leaving them out of this list quantises a part of the head that then crashes."""
    lora_targets: ClassVar = {
        "qkv": r".*\.(q|k|v)_proj",
        "text": r".*model\.(layers|gated_cross_attn_layers)\.\d+\.(self_attn|cross_attn|mlp)\.\w+_proj",
        "all": "all-linear",
    }
    blocks = ("IdeficsDecoderLayer", "IdeficsGatedCrossAttentionLayer", "IdeficsVisionEncoderLayer")
    supports = Supports(packing=True, cached_vision=True)

    def load_processor(self, folder: str | Path, revision: str | None, side: int | None) -> Processor:
        """Loads it as it is: the vision tower sees one size of picture only."""
        del side
        tokenizer = AutoTokenizer.from_pretrained(str(folder), revision=revision)
        Control.of(tokenizer)
        return Processor(tokenizer, IdeficsImageProcessorPil.from_pretrained(str(folder), revision=revision), 1)

    def mend(self, model: PreTrainedModel) -> None:
        """The common ones, and the loss."""
        super().mend(model)
        count_the_added_tokens_in_the_loss(model)

    def pieces(
        self, turns: Sequence[Turn], question: str | None, processor: Processor, image: Picture | None
    ) -> list[Piece]:
        """The format above; the tokens that are learnt begin after the colon of `Assistant:`."""
        control = Control.of(processor.tokenizer)
        said = [Piece(token=control.start)]
        asked = [turn.question for turn in turns] + ([] if question is None else [question])
        for number, text in enumerate(asked):
            said += _question(text, control, number == 0, image is not None)
            said.append(Piece(ASSISTANT))
            if number < len(turns):
                said += [Piece(f" {turns[number].answer}", learnt=True), Piece(token=control.end, learnt=True)]
        return said

    def seen(
        self, ids: torch.Tensor, images: Sequence[Picture | None], processor: Processor
    ) -> dict[str, torch.Tensor]:
        """Pixels of every row, zeros where there is no picture, and which tokens may look at them."""
        mask = image_attention(ids, Control.of(processor.tokenizer))
        return {"pixel_values": pixels(images, processor), "image_attention_mask": mask}

    def stops(self, processor: Processor) -> list[int]:
        """`<end_of_utterance>` and `</s>`."""
        return [Control.of(processor.tokenizer).end, int(processor.tokenizer.eos_token_id)]

    def forbidden(self, processor: Processor) -> list[int]:
        """`<image>` and the tokens around it."""
        control = Control.of(processor.tokenizer)
        return [control.image, control.fake]


def pixels(images: Sequence[Picture | None], processor: Processor) -> torch.Tensor:
    """Decodes and normalises pictures; `None` becomes zeros.

    Returns:
        `(batch, 1 image each, 3, side, side)`, float32.
    """
    side = processor.image_processor.image_size
    result = torch.zeros(len(images), 1, 3, side, side)
    present = {index: opened(image) for index, image in enumerate(images) if image is not None}
    if present:
        seen = processor.image_processor(list(present.values()), return_tensors="pt")
        result[list(present)] = seen.reshape(-1, 1, 3, side, side)
    return result


def image_attention(ids: torch.Tensor, control: Control) -> torch.Tensor:
    """Which image each token may look at: those after `<image>`, to the end, at that one.

    IdeficsProcessor ends it at `<end_of_utterance>` only where another image follows; with one image a conversation
    the two are the same.

    Args:
        ids: `(batch, seq)`.
        control: the control tokens' ids.

    Returns:
        `(batch, seq, 1)`, int64 zeros and ones.
    """
    return ((ids == control.image).cumsum(-1) > 0).long().unsqueeze(-1)


def _question(question: str, control: Control, first: bool, has_image: bool) -> list[Piece]:
    if not first:
        return [Piece(f"\n{USER} {question}"), Piece(token=control.end)]
    if not has_image:
        return [Piece(f"{USER} {question}"), Piece(token=control.end)]
    # The picture parts the two texts; LLaMA's tokenizer begins each piece with a space of its own.
    picture = [Piece(token=control.fake), Piece(token=control.image), Piece(token=control.fake)]
    return [Piece(USER), *picture, Piece(question), Piece(token=control.end)]
