"""Where a base model lies in, the frozen model and its processor out, with the faults of its libraries mended."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from midefics.errors import ModelError
from midefics.vlm.families import Family, Processor, family_of, model_type_at

log = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A model, ready to train or to answer, what turns text and pictures into its inputs, and how."""

    model: Any
    """A transformers model, or the PeftModel around it."""
    processor: Processor
    family: Family

    @property
    def plain(self) -> Any:
        """The transformers model, out of the PeftModel around it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model


def compute_type() -> torch.dtype:
    """What the 4-bit weights are multiplied in: bfloat16 where the GPU can, float16 on older ones, float32 on a CPU."""
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def quantisation(dtype: torch.dtype, family: Family) -> BitsAndBytesConfig:
    """nf4 with double quantisation, as QLoRA defines it (Dettmers et al. 2023)."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(family.left_in_16_bit),
    )


def load_base(
    folder: str | Path, revision: str | None = None, side: int | None = None, *, quantised: bool = True
) -> Loaded:
    """Loads a base model, frozen, in evaluation mode.

    Args:
        folder: a local folder (full precision, or quantised already) or a repository on the Hugging Face hub.
        revision: the repository's commit, branch or tag.
        side: the longest side in pixels that a picture is shown with; `None`: as saved.
        quantised: in 4 bit; else as it was saved: in eight bits where its configuration says so, or `compute_type()`.

    Raises:
        ModelError: it is not there, or is of no known family.
    """
    dtype = compute_type()
    try:
        family = family_of(model_type_at(folder, revision))
        processor = family.load_processor(folder, revision, side)
        # Left out rather than None: told of no quantisation, transformers would take eight bits for plain weights.
        bits = {"quantization_config": quantisation(dtype, family)} if quantised else {}
        model = AutoModelForImageTextToText.from_pretrained(
            str(folder), revision=revision, dtype=dtype, device_map=on_the_device(), **bits
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"base model {folder} can't be loaded: {error}") from error
    family.mend(model)
    model.requires_grad_(False)
    return Loaded(model.eval(), processor, family)


def load_tuned(base: str | Path, adapter: Path, revision: str | None = None, side: int | None = None) -> Loaded:
    """Loads a base model in 4 bit with an adapter beside its weights, never merged into them."""
    loaded = load_base(base, revision, side)
    return loaded._replace(model=PeftModel.from_pretrained(loaded.model, str(adapter)).eval())


def on_the_device() -> dict[str, str]:
    """A `device_map`: the whole model on this process's GPU where there is one."""
    return {"": f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"}
