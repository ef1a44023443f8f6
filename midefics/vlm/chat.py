"""A picture and a conversation in, token ids and labels out, in the chat format IDEFICS-instruct was trained on.

    <s>User:<fake_token_around_image><image><fake_token_around_image>QUESTION<end_of_utterance>
    Assistant: ANSWER<end_of_utterance>
    User: QUESTION<end_of_utterance>
    Assistant: ANSWER<end_of_utterance>

Control tokens are placed by id and text is encoded with special tokens taken apart, so that `<image>` in a question
stays text. IdeficsProcessor is not given any text: it would fetch a question that is a URL from the network.
"""

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from midefics.errors import ModelError
from midefics.records import Turn

IGNORED = -100
"""Label of a position that nothing is learnt from."""
USER, ASSISTANT = "User:", "\nAssistant:"


class Encoded(NamedTuple):
    """One conversation as the model reads it."""

    input_ids: list[int]
    labels: list[int]
    """The assistant's tokens and the end of each of its utterances; IGNORED elsewhere."""


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


def encode(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, has_image: bool, max_length: int) -> Encoded:
    """Encodes a conversation to learn from; turns that do not fit are dropped whole, from the end.

    Raises:
        ModelError: not even the first turn fits into `max_length` tokens.
    """
    control = Control.of(tokenizer)
    ids: list[int] = []
    labels: list[int] = []
    for number, turn in enumerate(turns):
        asked = _question(turn.question, tokenizer, control, number == 0, has_image)
        said, learnt = _answer(turn.answer, tokenizer)
        if len(ids) + len(asked) + len(said) + 1 > max_length:
            if number == 0:
                raise ModelError(
                    f"the first turn alone takes {len(ids) + len(asked) + len(said) + 1} tokens, more than train.max_length={max_length}"
                )
            break
        ids += [*asked, *said, control.end]
        labels += (
            [IGNORED] * len(asked)
            + [token if learn else IGNORED for token, learn in zip(said, learnt, strict=True)]
            + [control.end]
        )
    return Encoded(ids, labels)


def encode_question(
    history: Sequence[Turn], question: str, tokenizer: PreTrainedTokenizerBase, has_image: bool
) -> list[int]:
    """Encodes a conversation so far and the next question, ready for the assistant's answer."""
    control = Control.of(tokenizer)
    ids: list[int] = []
    for number, turn in enumerate(history):
        ids += _question(turn.question, tokenizer, control, number == 0, has_image)
        ids += [*_answer(turn.answer, tokenizer)[0], control.end]
    return [*ids, *_question(question, tokenizer, control, not history, has_image), *_ids(ASSISTANT, tokenizer)]


def _question(
    question: str, tokenizer: PreTrainedTokenizerBase, control: Control, first: bool, has_image: bool
) -> list[int]:
    if not first:
        return [*_ids(f"\n{USER} {question}", tokenizer), control.end]
    if not has_image:
        return [control.start, *_ids(f"{USER} {question}", tokenizer), control.end]
    # The picture parts the two texts; LLaMA's tokenizer begins each piece with a space of its own.
    picture = [control.fake, control.image, control.fake]
    return [control.start, *_ids(USER, tokenizer), *picture, *_ids(question, tokenizer), control.end]


def _answer(answer: str, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[bool]]:
    # Encoded together, so that the answer's first token is the one that generation meets after the prompt.
    encoded = tokenizer(
        f"{ASSISTANT} {answer}", add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    return encoded["input_ids"], [end > len(ASSISTANT) for _, end in encoded["offset_mapping"]]


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids
