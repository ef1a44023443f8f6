"""The pieces of a conversation in, token ids and labels out; which pieces, in which order, each model's family says.

Control tokens are placed by id and text is encoded with special tokens taken apart, so that `<image>` in a question
stays text. No processor of transformers is given any text: some would fetch a question that is a URL from the network.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a position that nothing is learnt from."""


class Piece(NamedTuple):
    """A stretch of a conversation: text, or one control token."""

    text: str = ""
    token: int | None = None
    """A control token's id; `None`: the piece is text."""
    learnt: bool = False
    """The assistant's words and the end of its utterance."""


class Encoded(NamedTuple):
    """One conversation as the model reads it."""

    input_ids: list[int]
    labels: list[int]
    """The assistant's tokens and the end of each of its utterances; IGNORED elsewhere."""


def encode_pieces(pieces: Iterable[Piece], tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Encodes text between two control tokens together, so that an answer's first token is the one that generation meets.

    A token that holds text of both kinds is learnt: `Assistant:` is not, ` benign` after it is, with its space.
    """
    ids: list[int] = []
    labels: list[int] = []
    for is_text, run in groupby(pieces, lambda piece: piece.token is None):
        for tokens, learnt in [_text(list(run), tokenizer)] if is_text else map(_control, run):
            ids += tokens
            labels += [token if learn else IGNORED for token, learn in zip(tokens, learnt, strict=True)]
    return Encoded(ids, labels)


def _control(piece: Piece) -> tuple[list[int], list[bool]]:
    return ([] if piece.token is None else [piece.token]), [piece.learnt]


def _text(run: list[Piece], tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[bool]]:
    text = "".join(piece.text for piece in run)
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    spans, start = [], 0
    for piece in run:
        if piece.learnt:
            spans.append((start, start + len(piece.text)))
        start += len(piece.text)
    offsets = encoded["offset_mapping"]
    return encoded["input_ids"], [any(begin < high and low < end for low, high in spans) for begin, end in offsets]
