"""What a family of models knows and the rest of the code does not: how to load one, talk to it, and show it pictures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.chat import Encoded, Piece, encode_pieces
from midefics.vlm.collate import Picture, Sample, Side, pad
from midefics.vlm.mends import keep_cpu_from_repacking_weights


class Processor(NamedTuple):
    """What turns text and pictures into a model's inputs.

    None of transformers' own, which parse what people say for control tokens and some of which want torchvision, a video
    processor or the network.
    """

    tokenizer: PreTrainedTokenizerBase
    image_processor: Any
    tokens_per_view: int = 0
    """Tokens that stand for one view of a picture; 0 where that depends on its size."""

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes tokenizer, chat template and image processor, as `Family.load_processor` and transformers read them."""
        self.tokenizer.save_pretrained(str(folder))
        self.image_processor.save_pretrained(str(folder))


class Supports(NamedTuple):
    """What a family can do beyond the common."""

    packing: bool
    """Several conversations in one row, each blind to the others."""
    cached_vision: bool
    """The frozen vision tower's output in place of pixels."""


class Family(ABC):
    """One architecture; stateless, so that one instance serves every model of it and travels to loader workers."""

    model_types: ClassVar[tuple[str, ...]]
    """`model_type` of the configurations that belong here."""
    left_in_16_bit: ClassVar[tuple[str, ...]] = ("lm_head",)
    """Modules never quantised."""
    lora_targets: ClassVar[Mapping[str, str]]
    """What `train.lora.targets` means here, as patterns of module names: `qkv`, `text` and `all`."""
    saved_under: ClassVar[Mapping[str, str]] = {}
    """How weights' names begin in saved files where they begin otherwise in the model."""
    blocks: ClassVar[tuple[str, ...]]
    """Class names of the transformer blocks: what is sharded, checkpointed and compiled as one."""
    supports: ClassVar[Supports] = Supports(packing=False, cached_vision=False)

    @abstractmethod
    def load_processor(self, folder: str | Path, revision: str | None, side: int | None) -> Processor:
        """Loads tokenizer and image processor, the PIL one, so that torchvision is never needed.

        Args:
            folder: where the model lies.
            revision: the repository's commit, branch or tag.
            side: the longest side in pixels that a picture is shown with; `None`: as saved.

        Raises:
            ModelError: the tokenizer lacks one of the family's control tokens.
        """

    def mend(self, model: PreTrainedModel) -> None:
        """Applies every workaround that a loaded model needs."""
        keep_cpu_from_repacking_weights(model)

    def saved_name(self, name: str) -> str:
        """What a weight of the model is called in a saved file."""
        for begins, saved in self.saved_under.items():
            if name.startswith(begins):
                return saved + name.removeprefix(begins)
        return name

    @abstractmethod
    def pieces(
        self, turns: Sequence[Turn], question: str | None, processor: Processor, image: Picture | None
    ) -> list[Piece]:
        """A conversation in the family's chat format, its control tokens by id.

        Args:
            turns: what was said so far, or all there is to learn from.
            question: asked last, with the assistant's answer still to come; `None`: the conversation is complete.
            processor: the model's.
            image: what it is about, shown before the first question.
        """

    @abstractmethod
    def seen(
        self, ids: torch.Tensor, images: Sequence[Picture | None], processor: Processor
    ) -> dict[str, torch.Tensor]:
        """The inputs that pictures become.

        Args:
            ids: `(batch, seq)`, padded.
            images: one a row; `None` where a conversation is about no image.
            processor: the model's.
        """

    @abstractmethod
    def stops(self, processor: Processor) -> list[int]:
        """The tokens that end an answer."""

    @abstractmethod
    def forbidden(self, processor: Processor) -> list[int]:
        """The tokens that no answer may hold: those that stand for pictures."""

    def encode(self, turns: Sequence[Turn], processor: Processor, image: Picture | None, max_length: int) -> Encoded:
        """Encodes a conversation to learn from; turns that do not fit are dropped whole, from the end.

        Raises:
            ModelError: not even the first turn fits into `max_length` tokens.
        """
        return self.encode_what_fits(turns, processor, image, max_length)[0]

    def encode_what_fits(
        self, turns: Sequence[Turn], processor: Processor, image: Picture | None, max_length: int
    ) -> tuple[Encoded, int]:
        """As `encode`, and tells how many turns were dropped.

        Raises:
            ModelError: not even the first turn fits into `max_length` tokens.
        """
        for kept in range(len(turns), 0, -1):
            encoded = encode_pieces(self.pieces(turns[:kept], None, processor, image), processor.tokenizer)
            if len(encoded.input_ids) <= max_length:
                return encoded, len(turns) - kept
        raise ModelError(
            f"the first turn alone takes {len(encoded.input_ids)} tokens, more than train.max_length={max_length}"
        )

    def encode_question(
        self, history: Sequence[Turn], question: str, processor: Processor, image: Picture | None
    ) -> list[int]:
        """Encodes a conversation so far and the next question, ready for the assistant's answer."""
        return encode_pieces(self.pieces(history, question, processor, image), processor.tokenizer).input_ids

    def collate(self, samples: Sequence[Sample], processor: Processor, side: Side) -> dict[str, torch.Tensor]:
        """Pads to the longest, on the right to learn and on the left to generate, and adds what pictures become."""
        batch = pad(samples, processor.tokenizer.pad_token_id, side)
        return batch | self.seen(batch["input_ids"], [sample.image for sample in samples], processor)
