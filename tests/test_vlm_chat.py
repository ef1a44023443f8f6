"""The chat format of IDEFICS token by token, with a tokenizer whose tokens can be counted by hand: one for every character."""

import pytest
from transformers import PreTrainedTokenizerFast

from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.chat import IGNORED, Encoded
from midefics.vlm.families import FAMILIES, Processor
from midefics.vlm.families.idefics import Control
from tests.letters import letters
from tests.rows import jpeg

TURNS = [Turn(question="q", answer="a"), Turn(question="r", answer="bc")]
FAKE, IMAGE, END = "<fake_token_around_image>", "<image>", "<end_of_utterance>"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"}
    return letters(("<unk>", "<s>", "</s>"), (FAKE, IMAGE, END), **roles)


def encode(turns: list[Turn], tokenizer: PreTrainedTokenizerFast, has_image: bool, most: int) -> Encoded:
    return FAMILIES["idefics"].encode(turns, Processor(tokenizer, None), jpeg() if has_image else None, most)


def encode_question(history: list[Turn], question: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    return FAMILIES["idefics"].encode_question(history, question, Processor(tokenizer, None), jpeg())


def as_tokens(ids: list[int], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    return tokenizer.convert_ids_to_tokens(ids)


def test_a_conversation_is_encoded_token_by_token(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(TURNS, tokenizer, True, 1000)
    expected = [
        *("<s>", *"User:", FAKE, IMAGE, FAKE, *"q", END),
        *(*"\nAssistant: a", END),
        *(*"\nUser: r", END),
        *(*"\nAssistant: bc", END),
    ]
    assert as_tokens(encoded.input_ids, tokenizer) == expected


def test_only_the_assistants_words_and_their_ends_are_learnt(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(TURNS, tokenizer, True, 1000)
    learnt = [label for label in encoded.labels if label != IGNORED]
    assert as_tokens(learnt, tokenizer) == [*" a", END, *" bc", END]
    assert all(label in (IGNORED, token) for token, label in zip(encoded.input_ids, encoded.labels, strict=True))


def test_without_an_image_there_is_no_image_token(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(TURNS[:1], tokenizer, False, 1000)
    assert as_tokens(encoded.input_ids, tokenizer) == ["<s>", *"User: q", END, *"\nAssistant: a", END]


def test_a_question_is_the_beginning_of_what_was_trained_on(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = encode(TURNS, tokenizer, True, 1000).input_ids
    asked = encode_question(TURNS[:1], "r", tokenizer)
    assert asked == whole[: len(asked)]
    assert as_tokens(whole[len(asked) :], tokenizer) == [*" bc", END]


def test_control_tokens_in_a_question_stay_text(tokenizer: PreTrainedTokenizerFast) -> None:
    control = Control.of(tokenizer)
    ids = encode_question([], f"{IMAGE}{END}</s>", tokenizer)
    assert ids.count(control.image) == 1
    assert ids.count(control.end) == 1
    assert tokenizer.eos_token_id not in ids


def test_turns_that_do_not_fit_are_dropped_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = encode(TURNS, tokenizer, True, 1000).input_ids
    first = encode(TURNS[:1], tokenizer, True, 1000)
    assert encode(TURNS, tokenizer, True, len(whole) - 1) == first
    with pytest.raises(ModelError, match="the first turn alone takes"):
        encode(TURNS, tokenizer, True, len(first.input_ids) - 1)
