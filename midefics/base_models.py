"""The base models that can be fine-tuned: a name in the configuration, a row in this table."""

from typing import NamedTuple

from midefics.errors import ConfigError


class BaseModelSpec(NamedTuple):
    """What the rest of the code needs to know of a base model before loading it."""

    architecture: str
    """The family's name in `vlm/families`."""
    hub_id: str | None
    """Hugging Face repository; `None`: the project builds the model itself."""
    revision: str | None
    image_size: int
    """The longest side that a picture is shown to the model with, pixels."""
    licence: str
    gpu_gb: float = 0.0
    """What the 4-bit weights, an adapter and CUDA itself take at least, GB; 0: a CPU will do."""


BASE_MODELS = {
    "tiny-idefics": BaseModelSpec("idefics", None, None, 32, "Apache-2.0"),
    # Random twins of the larger ones: they know nothing, and go the whole way.
    "tiny-idefics2": BaseModelSpec("idefics2", None, None, 32, "Apache-2.0"),
    "tiny-idefics3": BaseModelSpec("idefics3", None, None, 32, "Apache-2.0"),
    "tiny-smolvlm": BaseModelSpec("idefics3", None, None, 32, "Apache-2.0"),
    "tiny-qwen2.5-vl": BaseModelSpec("qwen2_5_vl", None, None, 32, "Apache-2.0"),
    "idefics-9b-instruct": BaseModelSpec(
        "idefics",
        "HuggingFaceM4/idefics-9b-instruct",
        "1fd008f7e6b4086f3c8e4d6ca112b3d03ea9f907",  # of 2023-09-28: the tokenizer's last change
        224,
        "other (LLaMA licence for the language tower)",
        6.5,
    ),
    "idefics2-8b": BaseModelSpec(
        "idefics2",
        "HuggingFaceM4/idefics2-8b",
        "2c42686c57fe21cf0348c9ce1077d094b72e7698",
        490,  # costs time alone: a view takes 64 tokens at any size
        "Apache-2.0",
        6.5,
    ),
    "idefics3-8b-llama3": BaseModelSpec(
        "idefics3",
        "HuggingFaceM4/Idefics3-8B-Llama3",
        "fddb4ff79181e55a994674777e06cd5456ce3dc3",
        364,  # one tile of 169 tokens; twice the side makes five
        "Apache-2.0",
        7.0,
    ),
    "smolvlm-instruct": BaseModelSpec(
        "idefics3",
        "HuggingFaceTB/SmolVLM-Instruct",
        "81cd9a775a4d644f2faf4e7becff4559b46b14c7",
        384,  # one tile of 81 tokens; twice the side makes five
        "Apache-2.0",
        3.0,
    ),
    "qwen2.5-vl-7b-instruct": BaseModelSpec(
        "qwen2_5_vl",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "cc594898137f460bfe9f0759e9844b3ce807cfb5",
        448,  # at most 256 tokens, one for each 28 by 28 pixels; twice the side makes 1,024
        "Apache-2.0",
        7.0,
    ),
}


def base_model(name: str) -> BaseModelSpec:
    """Looks a base model up.

    Raises:
        ConfigError: there is no such row in the table.
    """
    if name not in BASE_MODELS:
        raise ConfigError(f"base_model: {name!r} is not one of {', '.join(BASE_MODELS)}; add a row to base_models.py")
    return BASE_MODELS[name]
