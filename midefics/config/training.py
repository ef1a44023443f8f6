"""How the adapter learns: the section `train`."""

from typing import Annotated, Literal

from pydantic import Field

from midefics.config.values import Positive, PositiveFloat, Probability
from midefics.records import Record


class LoraConfig(Record):
    """The low-rank adapter."""

    r: Positive = 16
    alpha: Positive = 32
    dropout: Probability = 0.05
    targets: Literal["qkv", "text", "all"] = "qkv"
    """`qkv`: every query, key and value projection, vision tower and perceiver too (the original's choice).
    `text`: all linear layers of the decoder and its gated cross-attention. `all`: every linear layer."""


class TrainConfig(Record):
    """QLoRA: a 4-bit base (nf4, double quantisation) that stays frozen, and an adapter that learns."""

    epochs: PositiveFloat = 1.0
    max_steps: Positive | None = None
    """Stop after this many optimizer steps; overrides `epochs`."""
    batch_size: Positive = 1
    accumulation: Positive = 16
    """Batches per optimizer step."""
    learning_rate: PositiveFloat = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_share: Probability = 0.0
    """Share of the steps over which the learning rate rises."""
    optimizer: Literal["paged_adamw_8bit", "adamw_torch"] = "paged_adamw_8bit"
    sample: Literal["conversation", "turn"] = "conversation"
    """What one training sample is: a whole conversation, or each of its turns alone. Evaluation asks every question
    alone; where later questions make sense without the earlier ones, `turn` teaches just that."""
    max_length: Positive = 1024
    """Tokens; a longer conversation loses whole turns from its end."""
    gradient_checkpointing: bool = False
    lora: LoraConfig = LoraConfig()
    validations: Annotated[int, Field(ge=0)] = 4
    """How often the loss on the validation split is taken during a run; the last time after its last step."""
    keep: Literal["best", "last"] = "best"
    """Which adapter a run ends with: that of the lowest validation loss, or that of the last step. Without a validation
    split, or with `validations` 0, the last."""
    early_stopping: Positive | None = None
    """The run ends after this many validations in a row without a lower loss; unset, it goes to its last step."""
    sample_answers: Annotated[int, Field(ge=0)] = 3
    """Questions of the validation split, always the same, that are asked at every validation: the MLflow run shows
    their pictures and answers in `samples.html`."""
    divergence: Annotated[float, Field(gt=1)] | None = 3.0
    """The run stops when the mean loss of its last steps (a twentieth of all, at least 10) is this many times that of
    its first, and above 1; unset, only where the loss is no number."""
    checkpoint_every: Annotated[str, Field(pattern=r"^[1-9][0-9]* (steps|minutes)$")] | None = "10 minutes"
    """How often everything is saved that a killed run needs to go on: `50 steps`, `10 minutes`. Unset: only when the
    process is told to stop."""
    keep_checkpoints: Positive = 2
    """The newest ones; if one turns out damaged, the run goes on from the one before. All go when the run is done."""
