"""What the families share whose chat format is a Jinja template: the template in, the pieces of a conversation out.

The template is the tokenizer's own, else the family's. It is rendered with marks where people's words will be, so that
no question can pass for a part of it; of what it writes itself, every added token of the tokenizer is a control token.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.chat import Added, Piece, added_tokens
from midefics.vlm.collate import Picture, opened
from midefics.vlm.families.family import Family, Processor

MARK = "\ue000{}\ue001"
"""Where the n-th of people's words goes, between two characters of Unicode's private use area."""
MARKED = re.compile("\ue000([0-9]+)\ue001")


class Templated(Family):
    """A family with a chat template, whose pictures take the place of a token that stands for them."""

    template: ClassVar[str]
    """Used where the tokenizer brings none."""
    image_token: ClassVar[str]
    """What the template writes for a picture; in the model's input it stands for one of the picture's features."""
    other_tokens: ClassVar[tuple[str, ...]]
    """The further control tokens that go with a picture."""

    @abstractmethod
    def load_image_processor(self, folder: str, revision: str | None, side: int | None) -> Any:
        """The PIL one, so that torchvision is never needed, made to show no picture larger than `side` pixels."""

    @abstractmethod
    def tokens_per_view(self, config: PreTrainedConfig) -> int:
        """How many features one view of a picture has; 0 where that depends on its size."""

    @abstractmethod
    def shown(self, image: Picture, processor: Processor) -> list[Piece]:
        """The pieces that take the place of the template's image token."""

    def load_processor(self, folder: str | Path, revision: str | None, side: int | None) -> Processor:
        """Loads tokenizer, template and image processor, each by itself."""
        tokenizer = AutoTokenizer.from_pretrained(str(folder), revision=revision)
        tokenizer.chat_template = tokenizer.chat_template or self.template
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        images = self.load_image_processor(str(folder), revision, side)
        config = AutoConfig.from_pretrained(str(folder), revision=revision)
        for token in (self.image_token, *self.other_tokens):
            control(token, tokenizer)
        return Processor(tokenizer, images, self.tokens_per_view(config))

    def pieces(
        self, turns: Sequence[Turn], question: str | None, processor: Processor, image: Picture | None
    ) -> list[Piece]:
        """The template's text with people's words put in and the image token replaced."""
        tokenizer = processor.tokenizer
        token = control(self.image_token, tokenizer)
        said = list(_rendered(turns, question, tokenizer, image is not None))
        if said[0].token != tokenizer.bos_token_id in tokenizer("")["input_ids"]:
            said = [Piece(token=tokenizer.bos_token_id), *said]
        shown = [] if image is None else self.shown(image, processor)
        return [new for piece in said for new in (shown if piece.token == token else [piece])]

    def stops(self, processor: Processor) -> list[int]:
        """The control token that ends an answer in the template, and the end of all text."""
        dialogue = [Turn(question="?", answer="!")]
        said = _rendered(dialogue, None, processor.tokenizer, False)
        ends = {piece.token for piece in said if piece.learnt and piece.token is not None}
        return sorted(ends | {int(processor.tokenizer.eos_token_id)})

    def forbidden(self, processor: Processor) -> list[int]:
        """The image token and those that go with it."""
        return [control(token, processor.tokenizer) for token in (self.image_token, *self.other_tokens)]


def control(token: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """A control token's id.

    Raises:
        ModelError: the tokenizer has no such token.
    """
    number = tokenizer.convert_tokens_to_ids(token)
    if number is None or (number == tokenizer.unk_token_id and token != tokenizer.unk_token):
        raise ModelError(f"the tokenizer lacks {token}; is this a model of another family?")
    return int(number)


def views(images: Sequence[Picture | None], image_processor: Any) -> dict[str, torch.Tensor]:
    """Pixels of a batch in which each picture is one view or several of the same size.

    Returns:
        `pixel_values` `(batch, views, 3, height, width)` and `pixel_attention_mask` `(batch, views, height, width)`, zero
        where a row has fewer views or none: such views are what the models leave out. Nothing, where no row has any.
    """
    present = {index: opened(image) for index, image in enumerate(images) if image is not None}
    if not present:
        return {}
    made = image_processor([[picture] for picture in present.values()], return_tensors="pt")
    whole = {}
    for name in ("pixel_values", "pixel_attention_mask"):
        whole[name] = made[name].new_zeros(len(images), *made[name].shape[1:])
        whole[name][list(present)] = made[name]
    return whole


def _rendered(
    turns: Sequence[Turn], question: str | None, tokenizer: PreTrainedTokenizerBase, has_image: bool
) -> Iterator[Piece]:
    """The pieces of a conversation; of the template's own, what ends an answer is learnt, to the first control token.

    Raises:
        ModelError: no control token follows an answer.
    """
    words = [text for turn in turns for text in (turn.question, turn.answer)] + ([] if question is None else [question])
    text = tokenizer.apply_chat_template(
        [_message(number, has_image) for number in range(len(words))],
        tokenize=False,
        add_generation_prompt=question is not None,
    )
    added = added_tokens(tokenizer)
    parts, ending = MARKED.split(text), False
    for written, number in zip(parts[::2], [*map(int, parts[1::2]), None], strict=True):
        answer = number is not None and number % 2 == 1
        # The space between `Assistant:` and the answer is the answer's: a prompt ends before it.
        before = written.rstrip(" ") if answer else written
        for piece in _split(before, added):
            yield piece._replace(learnt=ending)
            ending = ending and piece.token is None
        if number is not None:
            yield Piece(written[len(before) :] + words[number], learnt=answer)
            ending = answer
    if ending:
        raise ModelError(
            "the tokenizer's chat template ends an answer with no control token; nothing could learn to stop"
        )


def _message(number: int, has_image: bool) -> dict[str, Any]:
    picture = [{"type": "image"}] if number == 0 and has_image else []
    words = {"type": "text", "text": MARK.format(number)}
    return {"role": "user" if number % 2 == 0 else "assistant", "content": [*picture, words]}


def _split(text: str, added: Added) -> Iterator[Piece]:
    """Parts a template's text into control tokens and plain text."""
    for part in added.any.split(text):
        if part:
            yield Piece(token=added.ids[part]) if part in added.ids else Piece(part)
