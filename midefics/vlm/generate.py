"""Pictures and questions in, answers out, a batch at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from midefics.records import Turn
from midefics.vlm.collate import Sample
from midefics.vlm.load import Loaded


class Prompt(NamedTuple):
    """One question, with or without an image, after none or more earlier turns."""

    question: str
    image: bytes | None
    history: tuple[Turn, ...] = ()


def answers(
    loaded: Loaded,
    prompts: Sequence[Prompt],
    batch_size: int,
    max_new_tokens: int,
    done: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Answers greedily, the longest prompts first so that a batch pads little; returns them in the order asked.

    Args:
        loaded: the model; put into evaluation mode, since generating in training mode gives garbage.
        prompts: the questions.
        batch_size: questions at once.
        max_new_tokens: where an answer is cut.
        done: told the number of questions after each batch.
    """
    encoded = [
        loaded.family.encode_question(prompt.history, prompt.question, loaded.processor, prompt.image)
        for prompt in prompts
    ]
    order = sorted(range(len(prompts)), key=lambda index: -len(encoded[index]))
    result = [""] * len(prompts)
    loaded.model.eval()
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        samples = [Sample(encoded[index], [], prompts[index].image) for index in chosen]
        for index, text in zip(chosen, _batch(loaded, samples, max_new_tokens), strict=True):
            result[index] = text
        done(len(chosen))
    return result


def _batch(loaded: Loaded, samples: list[Sample], max_new_tokens: int) -> list[str]:
    family, tokenizer = loaded.family, loaded.processor.tokenizer
    batch = family.collate(samples, loaded.processor, "left")
    batch.pop("labels")
    with torch.inference_mode():
        ids = loaded.model.generate(
            **{name: tensor.to(loaded.model.device) for name, tensor in batch.items()},
            do_sample=False,
            repetition_penalty=1.0,  # Qwen2.5-VL is published with 1.05, which weighs on the question's words too
            max_new_tokens=max_new_tokens,
            eos_token_id=family.stops(loaded.processor),
            pad_token_id=tokenizer.pad_token_id,
            bad_words_ids=[[token] for token in family.forbidden(loaded.processor)],
        )
    new = ids[:, batch["input_ids"].size(1) :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
