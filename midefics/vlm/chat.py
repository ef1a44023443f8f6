"""The pieces of a conversation in, token ids and labels out; which pieces, in which order, each model's family says.

Control tokens are placed by id, and added tokens in text are taken apart, so that `<image>` in a question stays text. No processor of transformers is given any text: some would fetch a question that is a URL from the network.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby, pairwise
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
    spans, start = [], 0
    for piece in run:
        if piece.learnt:
            spans.append((start, start + len(piece.text)))
        start += len(piece.text)
    ids: list[int] = []
    learnt: list[bool] = []
    for place, text in _parted("".join(piece.text for piece in run), tokenizer):
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        ids += encoded["input_ids"]
        offsets = [(place + begin, place + end) for begin, end in encoded["offset_mapping"]]
        learnt += [any(begin < high and low < end for low, high in spans) for begin, end in offsets]
    return ids, learnt


class Added(NamedTuple):
    """The tokens that a tokenizer has beyond its vocabulary."""

    ids: dict[str, int]
    any: re.Pattern[str]
    """One of them, the longest first; in a group, so that splitting keeps it."""
    not_special: re.Pattern[str] | None
    """The beginning of one that the tokenizer does not call special: asked to take special tokens apart, it leaves those
    whole."""


@lru_cache(maxsize=8)
def added_tokens(tokenizer: PreTrainedTokenizerBase) -> Added:
    """Looks them up, once for a tokenizer."""
    known = sorted(tokenizer.added_tokens_decoder.items(), key=lambda item: -len(item[1].content))
    left_whole = [token.content for _, token in known if not token.special and len(token.content.strip()) > 1]
    return Added(
        {token.content: number for number, token in known},
        re.compile(f"({'|'.join(re.escape(token.content) for _, token in known)})"),
        re.compile(f"(?={'|'.join(map(re.escape, left_whole))})") if left_whole else None,
    )


def _parted(text: str, tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[int, str]]:
    """The text in parts, each with its place: whole, but cut after the first character of what would become an added token."""
    pattern = added_tokens(tokenizer).not_special
    cuts = [] if pattern is None else [match.start() + 1 for match in pattern.finditer(text)]
    for begin, end in pairwise([0, *cuts, len(text)]):
        yield begin, text[begin:end]
