"""Faults of the libraries, one row each: what goes wrong, where it is worked around, and the tests that fail once it is mended.

A fault that is loud, silent or slow upstream is shown by a test here; that ours does not suffer from it, by the same test or
by the others that its row names.
"""

import http.server
import importlib
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bitsandbytes as bnb
import numpy as np
import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model, prepare_model_for_kbit_training
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    IdeficsForVisionText2Text,
    IdeficsProcessor,
    Qwen2_5_VLForConditionalGeneration,
    Trainer,
    TrainingArguments,
)
from transformers.models.idefics import processing_idefics

from midefics.config import LoraConfig, TrainConfig
from midefics.records import Turn
from midefics.vlm.adapter import add_adapter
from midefics.vlm.arguments import arguments
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample, opened
from midefics.vlm.families import FAMILIES, Processor
from midefics.vlm.families.idefics import Control, image_attention
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import Loaded, load_base, quantisation
from midefics.vlm.mends import count_the_added_tokens_in_the_loss, keep_cpu_from_repacking_weights
from tests.rows import encoded, jpeg

IDEFICS = FAMILIES["idefics"]
TURN = Turn(question="Is it benign?", answer="It is benign.")
OTHER = Turn(question="A much longer question about the lesion, is it?", answer="No.")


class Fault(NamedTuple):
    """One row of the table."""

    what: str
    place: str
    """`module:name` of what works around it."""
    tests: tuple[str, ...]
    """`file::test`; empty: it can't be tested here, and `what` says why."""


HERE = "test_upstream_faults.py::test_"
FAULTS = {
    1: Fault(
        "IDEFICS' loss reshapes the logits to a vocabulary without the added tokens, and crashes",
        "midefics.vlm.mends:count_the_added_tokens_in_the_loss",
        (
            HERE + "labels_crash_where_tokens_were_added",
            "test_vlm_load.py::test_loss_is_the_cross_entropy_of_the_answers_tokens_alone",
        ),
    ),
    2: Fault(
        "IdeficsProcessor fails on prompts as its first argument",
        "midefics.vlm.families.family:Processor",
        (HERE + "the_processor_fails_on_prompts",),
    ),
    3: Fault(
        "IdeficsProcessor never knows that the tokenizer has <end_of_utterance>, and leaves it out between turns",
        "midefics.vlm.families.idefics:Idefics.pieces",
        (
            HERE + "the_processor_leaves_out_the_end_of_utterances",
            "test_vlm_chat.py::test_a_conversation_is_encoded_token_by_token",
        ),
    ),
    4: Fault(
        "bitsandbytes repacks 4-bit weights in place at the first forward in evaluation mode on some CPUs",
        "midefics.vlm.mends:keep_cpu_from_repacking_weights",
        (
            HERE + "an_evaluation_repacks_the_weights",
            "test_vlm_load.py::test_gradients_are_the_same_before_and_after_an_evaluation",
        ),
    ),
    5: Fault(
        "reentrant checkpointing drops the gradients of adapters in the vision tower",
        "midefics.vlm.arguments:arguments",
        (HERE + "reentrant_checkpointing_drops_gradients",),
    ),
    6: Fault(
        "generate() in training mode with checkpointing gives other tokens",
        "midefics.vlm.generate:answers",
        (HERE + "generating_in_training_mode_gives_other_tokens",),
    ),
    7: Fault(
        "prepare_model_for_kbit_training turns what is not quantised to float32",
        "midefics.vlm.adapter:add_adapter",
        (HERE + "preparing_for_4_bit_turns_the_rest_to_float32",),
    ),
    8: Fault(
        "labels copied from ids teach the model to write its padding, and the side of the padding changes the loss",
        "midefics.vlm.collate:pad",
        (HERE + "padding_is_learnt_where_labels_are_ids",),
    ),
    9: Fault(
        "IdeficsProcessor fetches a text that is a URL",
        "midefics.vlm.chat:encode_pieces",
        (HERE + "the_processor_fetches_a_question_that_is_a_url",),
    ),
    10: Fault(
        "IdeficsProcessor takes <image> in a question for a control token",
        "midefics.vlm.chat:encode_pieces",
        (
            HERE + "the_processor_takes_peoples_words_for_control_tokens",
            "test_vlm_chat.py::test_control_tokens_in_a_question_stay_text",
            "test_families_chat.py::test_control_tokens_in_peoples_words_stay_text",
        ),
    ),
    11: Fault(
        "truncation can cut the image off without a word",
        "midefics.vlm.families.family:Family.encode",
        (HERE + "truncation_cuts_the_image_off", "test_vlm_chat.py::test_turns_that_do_not_fit_are_dropped_whole"),
    ),
    12: Fault(
        "Pillow turns 16-bit greys white",
        "midefics.pictures:as_rgb",
        (HERE + "pillow_turns_16_bit_greys_white", "test_pictures.py::test_16_bit_greys_are_stretched_not_saturated"),
    ),
    13: Fault(
        "a batch without a label has a loss that is no number",
        "midefics.vlm.families.family:Family.encode",
        (HERE + "a_batch_without_labels_has_no_loss",),
    ),
    14: Fault(
        "packed conversations see each other where only their positions say that they are several",
        "midefics.vlm.families.family:Supports",
        (HERE + "packed_conversations_see_each_other_without_a_mask",),
    ),
    15: Fault(
        "the Trainer counts the label at position 0, which is never predicted",
        "midefics.vlm.families.family:Family.pieces",
        (HERE + "the_trainer_counts_the_label_that_is_never_predicted",),
    ),
    16: Fault(
        "a torchvision of another torch breaks the import of the processor",
        "midefics.vlm.families.idefics:Idefics.load_processor",
        (HERE + "a_broken_torchvision_breaks_the_processor_and_none_is_installed",),
    ),
    17: Fault(
        "IDEFICS has neither flash nor flex attention",
        "midefics.vlm.load:load_base",
        (HERE + "idefics_has_neither_flash_nor_flex_attention",),
    ),
    18: Fault(
        "TrainingArguments has lost eight arguments of version 4",
        "midefics.vlm.arguments:arguments",
        (HERE + "training_arguments_of_version_4_are_gone",),
    ),
    19: Fault(
        "grouping by length needs a datasets.Dataset",
        "midefics.vlm.fit:fit",
        (HERE + "grouping_by_length_refuses_a_plain_data_set",),
    ),
    20: Fault(
        "the Trainer drops columns that forward() does not name",
        "midefics.vlm.arguments:arguments",
        (HERE + "the_trainer_drops_columns_unless_told_not_to",),
    ),
    21: Fault(
        "PiSSA fails on 4-bit weights; the configuration offers no such start",
        "midefics.config.training:LoraConfig",
        (HERE + "pissa_fails_on_4_bit_weights",),
    ),
    22: Fault(
        "`accelerate launch --cpu --num_processes 2` starts one process; processes are started by torchrun",
        "midefics.vlm.arguments:arguments",
        (HERE + "accelerate_launch_on_cpus_starts_one_process",),
    ),
    23: Fault(
        "TrainingArguments(fsdp=True, use_cpu=True) is plain data parallelism: told apart by two processes only, and no use is made of it",
        "midefics.vlm.arguments:arguments",
        (),
    ),
    24: Fault(
        "the processor builds the image mask in two loops of Python",
        "midefics.vlm.families.idefics:image_attention",
        (HERE + "the_processor_builds_its_mask_in_a_loop_and_ours_equals_it",),
    ),
    25: Fault(
        "mlflow.transformers.save_model asks the hub for 46 s offline: how long is no matter for a test, and no use is made of it",
        "midefics.vlm.served_model:MedicalVqa",
        (),
    ),
    26: Fault(
        "Qwen2.5-VL says that its loss takes no count of tokens, and accumulated batches are averaged whatever their lengths",
        "midefics.vlm.mends:weigh_accumulated_batches_by_their_tokens",
        (HERE + "qwen_denies_counting_tokens", "test_families.py::test_accumulated_batches_teach_what_one_batch_does"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=map(str, FAULTS))
def test_every_fault_has_its_place_and_its_tests(fault: Fault) -> None:
    module, _, name = fault.place.partition(":")
    if module != "midefics.vlm.served_model":  # only MLflow can import it
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    for test in fault.tests:
        file, _, function = test.partition("::")
        assert f"def {function}(" in (Path(__file__).parent / file).read_text(), test


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


@pytest.fixture(scope="module")
def upstream(loaded: Loaded) -> IdeficsProcessor:
    return IdeficsProcessor(loaded.processor.image_processor, loaded.processor.tokenizer, image_size=32)


def sample(processor: Processor, turn: Turn = TURN) -> Sample:
    return Sample(*IDEFICS.encode([turn], processor, jpeg(), 512), image=jpeg())


def batch(processor: Processor, *turns: Turn) -> dict[str, torch.Tensor]:
    return IDEFICS.collate([sample(processor, turn) for turn in turns or (TURN,)], processor, "right")


def test_labels_crash_where_tokens_were_added(tiny_base: Path, loaded: Loaded) -> None:
    unmended = IdeficsForVisionText2Text.from_pretrained(tiny_base)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        unmended(**batch(loaded.processor))
    count_the_added_tokens_in_the_loss(unmended)
    assert torch.isfinite(unmended(**batch(loaded.processor)).loss)


def test_the_processor_fails_on_prompts(upstream: IdeficsProcessor) -> None:
    with pytest.raises(UnboundLocalError):
        upstream([["User:", "Hello"]])


def test_the_processor_leaves_out_the_end_of_utterances(upstream: IdeficsProcessor, loaded: Loaded) -> None:
    end = Control.of(loaded.processor.tokenizer).end
    assert not upstream.tokenizer_was_trained_with_end_of_utterance_token
    assert end not in upstream(text=[["User:", "Hello", "\nAssistant: Yes"]])["input_ids"]
    assert IDEFICS.encode([TURN], loaded.processor, None, 512).input_ids.count(end) == 2


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


def gradients(loaded: Loaded, checkpointing: dict[str, Any] | None) -> dict[str, torch.Tensor | None]:
    model = loaded.model.train()
    model.zero_grad()
    if checkpointing is not None:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpointing)
        model.enable_input_require_grads()
    model(**batch(loaded.processor)).loss.backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: None if grad is None else grad.clone() for name, grad in found.items()}


def test_reentrant_checkpointing_drops_gradients(adapted: Loaded, tmp_path: Path) -> None:
    plain = gradients(adapted, None)
    ours = arguments(TrainConfig(gradient_checkpointing=True), 1, False, 0, tmp_path).gradient_checkpointing_kwargs
    saved = gradients(adapted, dict(ours or {}))
    for name, gradient in plain.items():
        assert gradient is not None
        assert torch.equal(saved[name], gradient), name  # type: ignore[arg-type]
    dropped = [name for name, gradient in gradients(adapted, {"use_reentrant": True}).items() if gradient is None]
    assert dropped
    assert all("vision_model" in name for name in dropped)


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


@pytest.fixture
def picture_server() -> Iterator[tuple[str, list[str]]]:
    """The address of a picture, and who has asked for it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(jpeg())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/x.jpg", asked
        server.shutdown()


def test_the_processor_fetches_a_question_that_is_a_url(
    picture_server: tuple[str, list[str]], upstream: IdeficsProcessor, loaded: Loaded
) -> None:
    address, asked = picture_server
    hostile = Turn(question=address, answer=address)
    assert answers(loaded, [Prompt(address, jpeg(), (hostile,))], 1, 2)
    IDEFICS.encode([hostile], loaded.processor, jpeg(), 512)
    assert asked == []
    upstream(text=[["User:", address]])
    assert asked == ["/x.jpg"]


def test_the_processor_takes_peoples_words_for_control_tokens(upstream: IdeficsProcessor, loaded: Loaded) -> None:
    image = Control.of(loaded.processor.tokenizer).image
    assert image in upstream(text=[["User:", "Is <image> a tag?"]])["input_ids"]
    assert image not in IDEFICS.encode_question([], "Is <image> a tag?", loaded.processor, None)


def test_truncation_cuts_the_image_off(upstream: IdeficsProcessor, loaded: Loaded) -> None:
    image = Control.of(loaded.processor.tokenizer).image
    text = [["A long question before the picture", Image.new("RGB", (32, 32), (200, 90, 30)), "Why?"]]
    cut = upstream(text=text, truncation=True, max_length=6)
    assert image not in cut["input_ids"]
    assert not cut["image_attention_mask"].any()
    first = IDEFICS.encode([TURN], loaded.processor, jpeg(), 512)
    assert image in IDEFICS.encode([TURN, OTHER], loaded.processor, jpeg(), len(first.input_ids)).input_ids


def test_pillow_turns_16_bit_greys_white() -> None:
    slope = Image.fromarray(np.linspace(1000, 5000, 64, dtype=np.uint16).reshape(8, 8))
    assert len(np.unique(np.asarray(slope.convert("RGB")))) < 3
    assert len(np.unique(np.asarray(opened(encoded(slope))))) == 64


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


def test_the_trainer_counts_the_label_that_is_never_predicted(whole: Loaded, tmp_path: Path) -> None:
    trainer = Trainer(model=whole.model, args=arguments(TrainConfig(optimizer="adamw_torch"), 1, False, 0, tmp_path))
    assert not trainer._loss_shifts_labels
    assert all(label == IGNORED for label in batch(whole.processor, TURN, OTHER)["labels"][:, 0])


def test_a_broken_torchvision_breaks_the_processor_and_none_is_installed(tmp_path: Path) -> None:
    package, facts = tmp_path / "torchvision", tmp_path / "torchvision-0.28.0.dist-info"
    package.mkdir()
    facts.mkdir()
    package.joinpath("__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    facts.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    command = [sys.executable, "-c", "from transformers import IdeficsProcessor"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "torchvision::nms" in done.stderr
    project = Path(__file__).parents[1]
    for file in ("pyproject.toml", "docker/constraints.txt"):
        assert "torchvision" not in (project / file).read_text()


def test_idefics_has_neither_flash_nor_flex_attention(loaded: Loaded) -> None:
    assert not IdeficsForVisionText2Text._supports_flash_attn
    assert not IdeficsForVisionText2Text._supports_flex_attn
    assert loaded.model.config._attn_implementation == "sdpa"


def test_training_arguments_of_version_4_are_gone(tmp_path: Path) -> None:
    gone = {"evaluation_strategy", "group_by_length", "warmup_ratio", "tokenizer", "save_safetensors", "logging_dir"}
    gone |= {"overwrite_output_dir", "no_cuda"}
    assert not gone & set(inspect.signature(TrainingArguments).parameters)
    made = arguments(TrainConfig(validations=2, warmup_share=0.1), 100, True, 0, tmp_path)
    assert (made.eval_strategy, made.eval_steps, made.warmup_steps) == ("steps", 50, 10)


def test_grouping_by_length_refuses_a_plain_data_set(whole: Loaded, tmp_path: Path) -> None:
    grouped = TrainingArguments(
        output_dir=str(tmp_path), train_sampling_strategy="group_by_length", report_to="none", use_cpu=True
    )
    trainer = Trainer(model=whole.model, args=grouped, train_dataset=[sample(whole.processor)] * 4)
    with pytest.raises(ValueError, match="infer lengths"):
        trainer.get_train_dataloader()


def test_the_trainer_drops_columns_unless_told_not_to(tmp_path: Path) -> None:
    assert TrainingArguments(output_dir=str(tmp_path)).remove_unused_columns
    assert not arguments(TrainConfig(), 1, False, 0, tmp_path).remove_unused_columns


def test_pissa_fails_on_4_bit_weights(tiny_base: Path) -> None:
    spec = PeftLoraConfig(target_modules=IDEFICS.lora_targets["text"], init_lora_weights="pissa")
    with pytest.raises(TypeError):
        get_peft_model(load_base(tiny_base).model, spec)
    assert not {"init", "init_lora_weights"} & set(LoraConfig.model_fields)


@pytest.mark.slow
def test_accelerate_launch_on_cpus_starts_one_process(tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text("from accelerate import PartialState\nprint('processes', PartialState().num_processes)\n")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["processes 1"], done.stderr[-2000:]


def test_the_processor_builds_its_mask_in_a_loop_and_ours_equals_it(loaded: Loaded) -> None:
    tokenizer = loaded.processor.tokenizer
    theirs = processing_idefics.image_attention_mask_for_packed_input_ids_pt
    assert "for idx, token_id in enumerate(input_ids[batch_idx])" in inspect.getsource(theirs)
    ids = batch(loaded.processor, TURN, OTHER)["input_ids"]
    of_each_image, _ = theirs(ids, tokenizer)
    expected = processing_idefics.incremental_to_binary_attention_mask(of_each_image, "pt", num_classes=1)
    assert torch.equal(image_attention(ids, Control.of(tokenizer)), expected)


def test_qwen_denies_counting_tokens() -> None:
    assert Qwen2_5_VLForConditionalGeneration.accepts_loss_kwargs is False
    takes = inspect.signature(Qwen2_5_VLForConditionalGeneration.forward).parameters.values()
    assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes)
