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
    """Side of the square that the vision tower sees, pixels."""
    licence: str


BASE_MODELS = {
    "tiny-idefics": BaseModelSpec("idefics", None, None, 32, "Apache-2.0"),
    "idefics-9b-instruct": BaseModelSpec(
        "idefics",
        "HuggingFaceM4/idefics-9b-instruct",
        "1fd008f7e6b4086f3c8e4d6ca112b3d03ea9f907",  # of 2023-09-28: the tokenizer's last change
        224,
        "other (LLaMA licence for the language tower)",
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
