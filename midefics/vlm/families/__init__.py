"""The families of models that can be fine-tuned: a new one is a file here and its line in this table."""

import json
from pathlib import Path

from transformers.utils.hub import cached_file

from midefics.errors import ModelError
from midefics.vlm.families.family import Family, Processor, Supports
from midefics.vlm.families.idefics import Idefics
from midefics.vlm.families.idefics2 import Idefics2
from midefics.vlm.families.idefics3 import Idefics3
from midefics.vlm.families.qwen2_5_vl import Qwen25Vl

__all__ = ["FAMILIES", "Family", "Processor", "Supports", "family_of", "model_type_at"]

FAMILIES: dict[str, Family] = {
    "idefics": Idefics(),
    "idefics2": Idefics2(),
    "idefics3": Idefics3(),
    "qwen2_5_vl": Qwen25Vl(),
}


def family_of(model_type: str) -> Family:
    """The family that a configuration's `model_type` belongs to.

    Raises:
        ModelError: none does.
    """
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family
    known = ", ".join(known for family in FAMILIES.values() for known in family.model_types)
    raise ModelError(
        f"model type {model_type!r} belongs to none of the known ones, {known}; add a file to vlm/families"
    )


def model_type_at(folder: str | Path, revision: str | None = None) -> str:
    """Reads `model_type` from the configuration of a saved model, or of one on the hub.

    Raises:
        OSError: there is no configuration.
        ValueError: it does not say.
    """
    path = cached_file(str(folder), "config.json", revision=revision)
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise ValueError("its config.json names no model_type")
    return str(content["model_type"])
