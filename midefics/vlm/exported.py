"""A quantised base and an adapter in, a folder that others can load out, and the model that is in it."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from midefics.vlm.families import family_of, model_type_at
from midefics.vlm.formats import Format
from midefics.vlm.load import Loaded, compute_type, load_base, load_tuned, on_the_device, quantisation
from midefics.vlm.merge import merge

log = logging.getLogger(__name__)

BASE, ADAPTER = "base", "adapter"
BESIDE_THE_WEIGHTS = ("*token*", "*processor*", "chat_template*", "special*", "generation_config*")
"""Files of a base that turn text and pictures into inputs, and say where an answer ends."""


def write(base: Path, adapter: Path, folder: Path, shape: Format, done: Callable[[int], None]) -> None:
    """Writes the weights and what turns text and pictures into inputs.

    Args:
        base: a folder with the base model in nf4.
        adapter: a folder that peft saved.
        folder: where to; must be there.
        shape: as what.
        done: told the tensors after each that was merged.

    Raises:
        ModelError: the adapter can't be merged.
    """
    if shape == "bundle":
        shutil.copytree(base, folder / BASE, ignore=shutil.ignore_patterns("manifest.json"))
        shutil.copytree(adapter, folder / ADAPTER)
        return
    if shape == "merged-bf16":
        merge(base, adapter, folder, done)
    else:
        with TemporaryDirectory(dir=folder.parent, prefix=".merged-") as scratch:
            merge(base, adapter, Path(scratch), done)
            _quantised(Path(scratch), shape).save_pretrained(folder)
    for pattern in BESIDE_THE_WEIGHTS:
        for file in base.glob(pattern):
            shutil.copyfile(file, folder / file.name)


def load(folder: Path, shape: Format) -> Loaded:
    """Loads what `write` wrote, as its README tells others to."""
    if shape == "bundle":
        return load_tuned(folder / BASE, folder / ADAPTER)
    return load_base(folder, quantised=shape == "merged-nf4")


def _quantised(merged: Path, shape: Format) -> AutoModelForImageTextToText:
    family = family_of(model_type_at(merged))
    dtype = compute_type()
    eight = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(family.left_in_16_bit))
    return AutoModelForImageTextToText.from_pretrained(
        str(merged),
        dtype=dtype,
        quantization_config=quantisation(dtype, family) if shape == "merged-nf4" else eight,
        device_map=on_the_device(),
    )
