"""A base model's name in, the 4-bit frozen model and its processor out, with the faults of its libraries mended.

Each workaround stands in one named function that says what goes wrong without it; `tests/test_vlm_load.py` holds
a test for each that fails the day upstream mends it.
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import bitsandbytes as bnb
import torch
from peft import PeftModel
from transformers import BitsAndBytesConfig, IdeficsForVisionText2Text, IdeficsProcessor
from transformers.loss.loss_utils import ForCausalLMLoss

from midefics.errors import ModelError

log = logging.getLogger(__name__)

LEFT_IN_16_BIT = ["lm_head", "embed_tokens"]
"""Never quantised; as in the original. Leaving them out of this list quantises a part of the head that then crashes."""


class Loaded(NamedTuple):
    """A model, ready to train or to answer, and what turns text and pictures into its inputs."""

    model: Any
    """IdeficsForVisionText2Text, or the PeftModel around it."""
    processor: IdeficsProcessor

    @property
    def image_size(self) -> int:
        """Side of the square that the vision tower sees, pixels."""
        return int(self.model.config.vision_config.image_size)


def compute_type() -> torch.dtype:
    """What the 4-bit weights are multiplied in: bfloat16 where the GPU can, float16 on older ones, float32 on a CPU."""
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def quantisation(dtype: torch.dtype) -> BitsAndBytesConfig:
    """nf4 with double quantisation, as QLoRA defines it (Dettmers et al. 2023)."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=LEFT_IN_16_BIT,
    )


def load_base(folder: str | Path, revision: str | None = None) -> Loaded:
    """Loads a base model in 4 bit, frozen, in evaluation mode.

    Args:
        folder: a local folder (full precision, or quantised already) or a repository on the Hugging Face hub.
        revision: the repository's commit, branch or tag.

    Raises:
        ModelError: it is not there, or is no IDEFICS.
    """
    dtype = compute_type()
    try:
        processor = IdeficsProcessor.from_pretrained(str(folder), revision=revision)
        model = IdeficsForVisionText2Text.from_pretrained(
            str(folder),
            revision=revision,
            dtype=dtype,
            quantization_config=quantisation(dtype),
            device_map={"": _device()},
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"base model {folder} can't be loaded: {error}") from error
    mend(model)
    model.requires_grad_(False)
    return Loaded(model.eval(), processor)


def load_tuned(base: str | Path, adapter: Path, revision: str | None = None) -> Loaded:
    """Loads a base model in 4 bit with an adapter beside its weights, never merged into them."""
    loaded = load_base(base, revision)
    return loaded._replace(model=PeftModel.from_pretrained(loaded.model, str(adapter)).eval())


def mend(model: IdeficsForVisionText2Text) -> None:
    """Applies every workaround that a loaded model needs."""
    count_the_added_tokens_in_the_loss(model)
    keep_cpu_from_repacking_weights(model)


def causal_lm_loss(logits: torch.Tensor, labels: torch.Tensor, vocab_size: int = 0, **rest: Any) -> torch.Tensor:
    """Cross-entropy of the next token over every logit there is; at module level so that it can be pickled.

    Args:
        logits: `(batch, seq, vocabulary with the added tokens)`.
        labels: `(batch, seq)`, -100 where nothing is to be learnt.
        vocab_size: what the model believes, without the added tokens; ignored.
        rest: passed on.
    """
    del vocab_size
    return ForCausalLMLoss(logits, labels, vocab_size=logits.size(-1), **rest)


def count_the_added_tokens_in_the_loss(model: IdeficsForVisionText2Text) -> None:
    """`forward(labels=…)` reshapes the logits to the vocabulary without the added tokens, and crashes (transformers 5.23)."""
    model.loss_function = causal_lm_loss


def keep_cpu_from_repacking_weights(model: torch.nn.Module) -> None:
    """On CPUs with avx512_bf16 the first forward in evaluation mode repacks 4-bit weights in place (bitsandbytes 0.50).

    Training afterwards gets wrong gradients and a merge gets garbage, both without a word.
    """
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _device() -> str:
    return "cuda:0" if torch.cuda.is_available() else "cpu"
