"""Faults of the models and their weights; the table is in test_upstream_faults.py."""

from pathlib import Path

import bitsandbytes as bnb
import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model, prepare_model_for_kbit_training
from transformers import (
    AutoModelForImageTextToText,
    IdeficsForVisionText2Text,
)

from midefics.config import LoraConfig
from midefics.records import Turn
from midefics.vlm.adapter import add_adapter
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.families import Processor
from midefics.vlm.families.idefics import Control
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import Loaded, load_base, quantisation
from midefics.vlm.mends import count_the_added_tokens_in_the_loss, keep_cpu_from_repacking_weights
from tests.idefics import IDEFICS, OTHER, TURN, batch, sample
from tests.rows import jpeg


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> Loaded:
    return load_base(tiny_base)


@pytest.fixture(scope="module")
def whole(tiny_base: Path) -> Loaded:
    """Not quantised."""
    return load_base(tiny_base, quantised=False)


@pytest.fixture
def adapted(tiny_base: Path) -> Loaded:
    return add_adapter(load_base(tiny_base), LoraConfig(dropout=0.0, targets="qkv"), seed=0)


def test_labels_crash_where_tokens_were_added(tiny_base: Path, loaded: Loaded) -> None:
    unmended = IdeficsForVisionText2Text.from_pretrained(tiny_base)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        unmended(**batch(loaded.processor))
    count_the_added_tokens_in_the_loss(unmended)
    assert torch.isfinite(unmended(**batch(loaded.processor)).loss)


@pytest.mark.skipif(not has_avx512bf16(), reason="the CPU lacks avx512_bf16; on one that has it, weights are repacked")
def test_an_evaluation_repacks_the_weights() -> None:
    def layer() -> bnb.nn.Linear4bit:
        torch.manual_seed(0)
        return bnb.nn.Linear4bit(128, 128, quant_type="nf4", compute_dtype=torch.float32).to("cpu").eval()

    def same_after_a_forward(layer: bnb.nn.Linear4bit) -> bool:
        before = layer.weight.data.flatten().clone()
        with torch.no_grad():
            layer(torch.ones(1, 128))
        return torch.equal(before, layer.weight.data.flatten())

    mended = layer()
    keep_cpu_from_repacking_weights(mended)
    assert same_after_a_forward(mended)
    assert not same_after_a_forward(layer())


def test_generating_in_training_mode_gives_other_tokens(adapted: Loaded) -> None:
    ids = IDEFICS.encode_question([], TURN.question, adapted.processor, jpeg())
    inputs = IDEFICS.collate([Sample(ids, ids, jpeg())], adapted.processor, "left")
    inputs.pop("labels")
    settings = {"do_sample": False, "max_new_tokens": 12, "min_new_tokens": 12, "pad_token_id": 0}
    right = adapted.model.eval().generate(**inputs, **settings).tolist()
    asked = answers(adapted, [Prompt(TURN.question, jpeg())], 1, 12)
    adapted.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    adapted.model.train()
    assert adapted.model.generate(**inputs, **settings).tolist() != right
    assert answers(adapted, [Prompt(TURN.question, jpeg())], 1, 12) == asked


def test_preparing_for_4_bit_turns_the_rest_to_float32(tiny_base: Path) -> None:
    def types(model: torch.nn.Module) -> set[torch.dtype]:
        return {weight.dtype for name, weight in model.named_parameters() if "norm" in name and "lora" not in name}

    def base() -> torch.nn.Module:
        model: torch.nn.Module = AutoModelForImageTextToText.from_pretrained(
            tiny_base, quantization_config=quantisation(torch.bfloat16, IDEFICS), dtype=torch.bfloat16
        )
        return model

    assert types(prepare_model_for_kbit_training(base(), use_gradient_checkpointing=False)) == {torch.float32}
    processor = Processor(None, None)  # type: ignore[arg-type]
    assert types(add_adapter(Loaded(base(), processor, IDEFICS), LoraConfig(), 0).model) == {torch.bfloat16}


def test_padding_is_learnt_where_labels_are_ids(whole: Loaded) -> None:
    def losses(labelled: bool) -> list[float]:
        pair = [sample(whole.processor, turn) for turn in (TURN, OTHER)]
        sides = [IDEFICS.collate(pair, whole.processor, side) for side in ("left", "right")]
        with torch.no_grad():
            return [
                float(whole.model(**inputs | ({} if labelled else {"labels": inputs["input_ids"]})).loss)
                for inputs in sides
            ]

    left, right = losses(labelled=False)
    assert left != pytest.approx(right, rel=1e-3)
    left, right = losses(labelled=True)
    assert left == pytest.approx(right, rel=1e-5)


def test_a_batch_without_labels_has_no_loss(whole: Loaded) -> None:
    inputs = batch(whole.processor)
    with torch.no_grad():
        assert torch.isnan(whole.model(**inputs | {"labels": torch.full_like(inputs["labels"], IGNORED)}).loss)
    silent = IDEFICS.encode([Turn(question="", answer="")], whole.processor, None, 512)
    assert [label for label in silent.labels if label != IGNORED][-1] == Control.of(whole.processor.tokenizer).end


def test_packed_conversations_see_each_other_without_a_mask(whole: Loaded) -> None:
    alone = [batch(whole.processor, turn) for turn in (TURN, OTHER)]
    lengths = [inputs["input_ids"].size(1) for inputs in alone]
    shown = torch.zeros(1, sum(lengths), 2, dtype=torch.long)
    shown[:, : lengths[0], 0] = alone[0]["image_attention_mask"][..., 0]
    shown[:, lengths[0] :, 1] = alone[1]["image_attention_mask"][..., 0]
    packed = {
        "input_ids": torch.cat([inputs["input_ids"] for inputs in alone], dim=1),
        "pixel_values": torch.cat([inputs["pixel_values"] for inputs in alone], dim=1),
        "image_attention_mask": shown,
        "position_ids": torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0),
    }
    segment = torch.cat([torch.full((length,), number) for number, length in enumerate(lengths)])
    mask = ((segment[:, None] == segment[None, :]) & torch.ones(sum(lengths), sum(lengths)).tril().bool())[None, None]
    with torch.no_grad():
        second = whole.model(**{key: value for key, value in alone[1].items() if key != "labels"}).logits
        leaking = whole.model(**packed).logits[:, lengths[0] :]
        masked = whole.model(**packed, attention_mask=mask).logits[:, lengths[0] :]
    assert not torch.allclose(leaking, second, atol=1e-2)
    assert torch.allclose(masked, second, atol=1e-4)


def test_idefics_has_neither_flash_nor_flex_attention(loaded: Loaded) -> None:
    assert not IdeficsForVisionText2Text._supports_flash_attn
    assert not IdeficsForVisionText2Text._supports_flex_attn
    assert loaded.model.config._attn_implementation == "sdpa"


def test_pissa_fails_on_4_bit_weights(tiny_base: Path) -> None:
    spec = PeftLoraConfig(target_modules=IDEFICS.lora_targets["text"], init_lora_weights="pissa")
    with pytest.raises(TypeError):
        get_peft_model(load_base(tiny_base).model, spec)
    assert not {"init", "init_lora_weights"} & set(LoraConfig.model_fields)
