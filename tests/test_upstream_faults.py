"""Faults of the libraries, one row each: what goes wrong, where it is worked around, and the tests that fail once it is mended.

What goes wrong upstream is shown by a test of `test_upstream_*.py`; that ours does not suffer from it, by the same test or
by the others that its row names.
"""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Fault(NamedTuple):
    """One row of the table."""

    what: str
    place: str
    """`module:name` of what works around it."""
    tests: tuple[str, ...]
    """`file::test`; empty: it can't be tested here, and `what` says why."""


READING, MODELS, TRAINING = (f"test_upstream_{about}.py::test_" for about in ("reading", "models", "training"))
FAULTS = {
    1: Fault(
        "IDEFICS' loss reshapes the logits to a vocabulary without the added tokens, and crashes",
        "midefics.vlm.mends:count_the_added_tokens_in_the_loss",
        (
            MODELS + "labels_crash_where_tokens_were_added",
            "test_vlm_load.py::test_loss_is_the_cross_entropy_of_the_answers_tokens_alone",
        ),
    ),
    2: Fault(
        "IdeficsProcessor fails on prompts as its first argument",
        "midefics.vlm.families.family:Processor",
        (READING + "the_processor_fails_on_prompts",),
    ),
    3: Fault(
        "IdeficsProcessor never knows that the tokenizer has <end_of_utterance>, and leaves it out between turns",
        "midefics.vlm.families.idefics:Idefics.pieces",
        (
            READING + "the_processor_leaves_out_the_end_of_utterances",
            "test_vlm_chat.py::test_a_conversation_is_encoded_token_by_token",
        ),
    ),
    4: Fault(
        "bitsandbytes repacks 4-bit weights in place at the first forward in evaluation mode on some CPUs",
        "midefics.vlm.mends:keep_cpu_from_repacking_weights",
        (
            MODELS + "an_evaluation_repacks_the_weights",
            "test_vlm_load.py::test_gradients_are_the_same_before_and_after_an_evaluation",
        ),
    ),
    5: Fault(
        "reentrant checkpointing drops the gradients of adapters in the vision tower",
        "midefics.vlm.arguments:arguments",
        (TRAINING + "reentrant_checkpointing_drops_gradients",),
    ),
    6: Fault(
        "generate() in training mode with checkpointing gives other tokens",
        "midefics.vlm.generate:answers",
        (MODELS + "generating_in_training_mode_gives_other_tokens",),
    ),
    7: Fault(
        "prepare_model_for_kbit_training turns what is not quantised to float32",
        "midefics.vlm.adapter:add_adapter",
        (MODELS + "preparing_for_4_bit_turns_the_rest_to_float32",),
    ),
    8: Fault(
        "labels copied from ids teach the model to write its padding, and the side of the padding changes the loss",
        "midefics.vlm.collate:pad",
        (MODELS + "padding_is_learnt_where_labels_are_ids",),
    ),
    9: Fault(
        "IdeficsProcessor fetches a text that is a URL",
        "midefics.vlm.chat:encode_pieces",
        (READING + "the_processor_fetches_a_question_that_is_a_url",),
    ),
    10: Fault(
        "IdeficsProcessor takes <image> in a question for a control token",
        "midefics.vlm.chat:encode_pieces",
        (
            READING + "the_processor_takes_peoples_words_for_control_tokens",
            "test_vlm_chat.py::test_control_tokens_in_a_question_stay_text",
            "test_families_chat.py::test_control_tokens_in_peoples_words_stay_text",
        ),
    ),
    11: Fault(
        "truncation can cut the image off without a word",
        "midefics.vlm.families.family:Family.encode",
        (READING + "truncation_cuts_the_image_off", "test_vlm_chat.py::test_turns_that_do_not_fit_are_dropped_whole"),
    ),
    12: Fault(
        "Pillow turns 16-bit greys white",
        "midefics.pictures:as_rgb",
        (
            READING + "pillow_turns_16_bit_greys_white",
            "test_pictures.py::test_16_bit_greys_are_stretched_not_saturated",
        ),
    ),
    13: Fault(
        "a batch without a label has a loss that is no number",
        "midefics.vlm.families.family:Family.encode",
        (MODELS + "a_batch_without_labels_has_no_loss",),
    ),
    14: Fault(
        "packed conversations see each other where only their positions say that they are several",
        "midefics.vlm.families.family:Supports",
        (MODELS + "packed_conversations_see_each_other_without_a_mask",),
    ),
    15: Fault(
        "the Trainer counts the label at position 0, which is never predicted",
        "midefics.vlm.families.family:Family.pieces",
        (TRAINING + "the_trainer_counts_the_label_that_is_never_predicted",),
    ),
    16: Fault(
        "a torchvision of another torch breaks the import of the processor",
        "midefics.vlm.families.idefics:Idefics.load_processor",
        (READING + "a_broken_torchvision_breaks_the_processor_and_none_is_installed",),
    ),
    17: Fault(
        "IDEFICS has neither flash nor flex attention",
        "midefics.vlm.load:load_base",
        (MODELS + "idefics_has_neither_flash_nor_flex_attention",),
    ),
    18: Fault(
        "TrainingArguments has lost eight arguments of version 4",
        "midefics.vlm.arguments:arguments",
        (TRAINING + "training_arguments_of_version_4_are_gone",),
    ),
    19: Fault(
        "grouping by length needs a datasets.Dataset",
        "midefics.vlm.fit:fit",
        (TRAINING + "grouping_by_length_refuses_a_plain_data_set",),
    ),
    20: Fault(
        "the Trainer drops columns that forward() does not name",
        "midefics.vlm.arguments:arguments",
        (TRAINING + "the_trainer_drops_columns_unless_told_not_to",),
    ),
    21: Fault(
        "PiSSA fails on 4-bit weights; the configuration offers no such start",
        "midefics.config.training:LoraConfig",
        (MODELS + "pissa_fails_on_4_bit_weights",),
    ),
    22: Fault(
        "`accelerate launch --cpu --num_processes 2` starts one process; processes are started by torchrun",
        "midefics.vlm.arguments:arguments",
        (TRAINING + "accelerate_launch_on_cpus_starts_one_process",),
    ),
    23: Fault(
        "TrainingArguments(fsdp=True, use_cpu=True) is plain data parallelism",
        "midefics.vlm.arguments:arguments",
        (TRAINING + "fsdp_on_cpus_is_plain_data_parallelism",),
    ),
    24: Fault(
        "the processor builds the image mask in two loops of Python",
        "midefics.vlm.families.idefics:image_attention",
        (READING + "the_processor_builds_its_mask_in_a_loop_and_ours_equals_it",),
    ),
    25: Fault(
        "mlflow.transformers.save_model asks the hub for 46 s offline: how long is no matter for a test, and no use is made of it",
        "midefics.vlm.served_model:MedicalVqa",
        (),
    ),
    26: Fault(
        "Qwen2.5-VL says that its loss takes no count of tokens, and accumulated batches are averaged whatever their lengths",
        "midefics.vlm.mends:weigh_accumulated_batches_by_their_tokens",
        (
            TRAINING + "qwen_denies_counting_tokens",
            "test_families.py::test_accumulated_batches_teach_what_one_batch_does",
        ),
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
