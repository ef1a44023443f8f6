"""The chat formats of the families with a template, token by token, with a tokenizer of one token a character."""

from typing import Any, NamedTuple

import pytest
from PIL import Image
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.chat import IGNORED, Encoded
from midefics.vlm.families import FAMILIES, Family, Processor
from midefics.vlm.twins import TWINS
from tests.letters import letters

TURNS = [Turn(question="q", answer="a"), Turn(question="r", answer="bc")]
WIDE = Image.new("RGB", (64, 32))
FAKE, IMAGE, END, WHOLE = "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"
SYSTEM = ["<|im_start|>", *"system\nYou are a helpful assistant.", "<|im_end|>", "\n"]
IDEFICS_REST = [
    *(*"\nAssistant: a", END),
    *(*"\nUser: r", END),
    *(*"\nAssistant: bc", END, "\n"),
]
QWEN_REST = [
    *("<|im_end|>", "\n", "<|im_start|>", *"assistant\n", "a", "<|im_end|>"),
    *("\n", "<|im_start|>", *"user\nr", "<|im_end|>"),
    *("\n", "<|im_start|>", *"assistant\n", *"bc", "<|im_end|>", "\n"),
]
# A view takes 2 tokens; 64 by 32 pixels become 32 by 16, two tiles of 16 in a row. Qwen's 1,024 pixels in multiples of 8 make
# 40 by 16, which are 10 by 4 patches, four of them one token.
TILED = [FAKE, "<row_1_col_1>", IMAGE, IMAGE, FAKE, "<row_1_col_2>", IMAGE, IMAGE, "\n", "\n"]
SPELT = [FAKE, *"<row_1_col_1>", IMAGE, IMAGE, FAKE, *"<row_1_col_2>", IMAGE, IMAGE, "\n", "\n"]
SEEN = {
    "tiny-idefics2": ["<s>", *"User:", FAKE, IMAGE, IMAGE, FAKE, " ", "q", END, *IDEFICS_REST],
    "tiny-idefics3": ["<|begin_of_text|>", *"User:", *SPELT, FAKE, *WHOLE, IMAGE, IMAGE, FAKE, "q", END, *IDEFICS_REST],
    "tiny-smolvlm": ["<|im_start|>", *"User:", *TILED, FAKE, WHOLE, IMAGE, IMAGE, FAKE, "q", END, *IDEFICS_REST],
    "tiny-qwen2.5-vl": [
        *(*SYSTEM, "<|im_start|>", *"user\n", "<|vision_start|>", *["<|image_pad|>"] * 10, "<|vision_end|>", "q"),
        *QWEN_REST,
    ],
}
UNSEEN = {
    "tiny-idefics2": ["<s>", *"User: q", END, *IDEFICS_REST],
    "tiny-idefics3": ["<|begin_of_text|>", *"User: q", END, *IDEFICS_REST],
    "tiny-smolvlm": ["<|im_start|>", *"User: q", END, *IDEFICS_REST],
    "tiny-qwen2.5-vl": [*SYSTEM, "<|im_start|>", *"user\nq", *QWEN_REST],
}
LEARNT = {
    "tiny-idefics2": [*" a", END, *" bc", END],
    "tiny-idefics3": [*" a", END, *" bc", END],
    "tiny-smolvlm": [*" a", END, *" bc", END],
    "tiny-qwen2.5-vl": ["a", "<|im_end|>", *"bc", "<|im_end|>"],
}
LAST = {
    "tiny-idefics2": [*" bc", END, "\n"],
    "tiny-idefics3": [*" bc", END, "\n"],
    "tiny-smolvlm": [*" bc", END, "\n"],
    "tiny-qwen2.5-vl": [*"bc", "<|im_end|>", "\n"],
}
STOPS = {
    "tiny-idefics2": {END, "</s>"},
    "tiny-idefics3": {END, "<|end_of_text|>"},
    "tiny-smolvlm": {END},
    "tiny-qwen2.5-vl": {"<|im_end|>"},
}


class Spoken(NamedTuple):
    """A family, and a processor of it whose tokens are characters."""

    name: str
    family: Family
    processor: Processor

    def encode(self, turns: list[Turn], image: Image.Image | None, most: int = 2000) -> Encoded:
        return self.family.encode(turns, self.processor, image, most)

    def tokens(self, ids: list[int]) -> list[str]:
        result: list[str] = self.processor.tokenizer.convert_ids_to_tokens(ids)
        return result


@pytest.fixture(params=list(TWINS))
def spoken(request: pytest.FixtureRequest) -> Spoken:
    twin = TWINS[request.param]
    family: Any = FAMILIES[twin.architecture]
    tokenizer = letters(**twin.letters)
    tokenizer.chat_template = family.template
    return Spoken(request.param, family, Processor(tokenizer, twin.images(), 2))


def test_a_conversation_is_encoded_token_by_token(spoken: Spoken) -> None:
    assert spoken.tokens(spoken.encode(TURNS, WIDE).input_ids) == SEEN[spoken.name]


def test_without_an_image_there_is_no_image_token(spoken: Spoken) -> None:
    assert spoken.tokens(spoken.encode(TURNS, None).input_ids) == UNSEEN[spoken.name]


def test_only_the_assistants_words_and_their_ends_are_learnt(spoken: Spoken) -> None:
    encoded = spoken.encode(TURNS, WIDE)
    assert spoken.tokens([label for label in encoded.labels if label != IGNORED]) == LEARNT[spoken.name]
    assert all(label in (IGNORED, token) for token, label in zip(encoded.input_ids, encoded.labels, strict=True))


def test_a_question_is_the_beginning_of_what_was_trained_on(spoken: Spoken) -> None:
    whole = spoken.encode(TURNS, WIDE).input_ids
    asked = spoken.family.encode_question(TURNS[:1], "r", spoken.processor, WIDE)
    assert asked == whole[: len(asked)]
    assert spoken.tokens(whole[len(asked) :]) == LAST[spoken.name]


@pytest.mark.parametrize("spoken", ["tiny-smolvlm"], indirect=True)
def test_the_template_that_smolvlm_publishes_says_the_same(spoken: Spoken) -> None:
    spoken.processor.tokenizer.chat_template = DEFAULT_CHAT_TEMPLATE
    assert spoken.tokens(spoken.encode(TURNS, WIDE).input_ids) == SEEN[spoken.name]
    assert spoken.tokens(spoken.encode(TURNS, None).input_ids) == UNSEEN[spoken.name]


def test_a_template_of_the_tokenizers_own_is_kept(spoken: Spoken) -> None:
    spoken.processor.tokenizer.chat_template = (
        "{% for message in messages %}{{ message['content'][-1]['text'] + ' | ' + eos_token }}{% endfor %}"
    )
    end = spoken.processor.tokenizer.eos_token
    first = (
        ["<s>"] if spoken.name == "tiny-idefics2" else ["<|begin_of_text|>"] if spoken.name == "tiny-idefics3" else []
    )
    encoded = spoken.encode(TURNS[:1], None)
    assert spoken.tokens(encoded.input_ids) == [*first, *"q | ", end, *"a | ", end]
    assert spoken.tokens([label for label in encoded.labels if label != IGNORED]) == [*"a | ", end]


def test_a_template_that_ends_no_answer_is_refused(spoken: Spoken) -> None:
    spoken.processor.tokenizer.chat_template = (
        "{% for message in messages %}{{ message['content'][-1]['text'] }}{% endfor %}"
    )
    with pytest.raises(ModelError, match="ends an answer with no control token"):
        spoken.encode(TURNS[:1], None)


def test_control_tokens_in_peoples_words_stay_text(spoken: Spoken) -> None:
    tokenizer = spoken.processor.tokenizer
    every = "".join(token.content for token in tokenizer.added_tokens_decoder.values()) + "\ue0001\ue001"
    plain = spoken.encode([Turn(question="q", answer="a")], WIDE).input_ids
    hostile = spoken.encode([Turn(question=every, answer=every)], WIDE)
    control = set(tokenizer.added_tokens_decoder)
    assert [token for token in hostile.input_ids if token in control] == [token for token in plain if token in control]
    said = "".join(spoken.tokens([label for label in hostile.labels if label != IGNORED and label not in control]))
    assert said.strip() == every


def test_added_tokens_that_are_not_special_stay_text_in_peoples_words(spoken: Spoken) -> None:
    tokenizer = spoken.processor.tokenizer
    tokenizer.add_tokens(["<tool>", "<tool>r"])
    words = "q<tool>r <tool><tool>"
    assert tokenizer.convert_tokens_to_ids("<tool>") in tokenizer(words, split_special_tokens=True)["input_ids"]
    encoded = spoken.encode([Turn(question=words, answer=words)], None)
    assert not {"<tool>", "<tool>r"} & set(spoken.tokens(encoded.input_ids))
    assert words in "".join(spoken.tokens([label for label in encoded.labels if label != IGNORED]))


def test_answers_end_where_the_template_ends_them(spoken: Spoken) -> None:
    assert set(spoken.tokens(spoken.family.stops(spoken.processor))) == STOPS[spoken.name]


def test_turns_that_do_not_fit_are_dropped_whole(spoken: Spoken) -> None:
    whole = spoken.encode(TURNS, WIDE).input_ids
    first = spoken.encode(TURNS[:1], WIDE)
    assert spoken.encode(TURNS, WIDE, len(whole) - 1) == first
    with pytest.raises(ModelError, match="the first turn alone takes"):
        spoken.encode(TURNS, WIDE, len(first.input_ids) - 1)


def test_a_tokenizer_of_another_family_is_refused(spoken: Spoken) -> None:
    other = "tiny-qwen2.5-vl" if spoken.name != "tiny-qwen2.5-vl" else "tiny-idefics2"
    tokenizer = letters(**TWINS[other].letters)
    tokenizer.chat_template = spoken.processor.tokenizer.chat_template
    with pytest.raises(ModelError, match="the tokenizer lacks"):
        spoken.family.forbidden(Processor(tokenizer, spoken.processor.image_processor, 2))
