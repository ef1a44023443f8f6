"""What a trained version must show and where it goes: the sections `evaluate`, `register` and `promote`."""

from typing import Literal

from midefics.config.values import Positive
from midefics.records import Record


class EvaluateConfig(Record):
    """Base and tuned model answer the same held-out questions."""

    batch_size: Positive = 16
    max_new_tokens: Positive = 64
    max_questions: Positive | None = None
    """Ask at most this many, spread evenly over the images; all where unset."""
    examples: Positive = 12
    """Images shown side by side in the report."""


class RegisterConfig(Record):
    """The model registry."""

    model_name: str = "midefics"
    experiment: str = "midefics"


class PromoteConfig(Record):
    """Who lets a version out, and what it must show first."""

    approval: Literal["human", "auto"] = "human"
    """`human`: somebody approves in Airflow's UI (on the command line: `midefics promote`). `auto`: the rules alone decide."""
    min_difference: float = 0.0
    """The lower end of the 95 % interval of after - before (exact match) must lie above this."""
    min_visual_gain: float = 0.0
    """The same for right image - swapped image: a model that does not look is not let out."""
