"""How the adapter learns: the section `train`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from midefics.config.values import Positive, PositiveFloat, Probability
from midefics.records import Record

Switch = BeforeValidator(
    lambda value: {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
)
"""YAML reads a bare `on` or `off` as a truth value."""


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
    batching: Literal["fixed", "grouped", "tokens", "packed"] = "fixed"
    """How samples come together. `fixed`: `batch_size` of them in random order, padded to the longest; half of what is
    computed may be padding. `grouped`: `batch_size` of like length. `tokens`: of like length, as many as fit into
    `tokens_per_batch`. `packed`: end to end in one row of at most `tokens_per_batch`, none seeing another: no padding."""
    tokens_per_batch: Positive | None = None
    """Tokens of a batch with `tokens` or `packed`, padding included; `max_length` where not given. From some 4,000 on
    a GPU's time goes into arithmetic rather than into unpacking 4-bit weights; memory grows with it."""
    chunked_loss: bool = False
    """The head and the cross-entropy for the learnt tokens alone, a thousand at a time: the logits, ten bytes for every
    token and word of the vocabulary, are never held whole. The loss is the same."""
    frozen_outputs: bool = False
    """What vision tower and perceiver make of a picture is computed once and kept under `cache/frozen`. Needs an adapter
    that leaves both alone: `lora.targets: text`. A base model that can't be shown them goes without."""
    frozen_outputs_gb: PositiveFloat = 50
    """What `cache/frozen` may take for one base model; IDEFICS-9b takes 164 kB a picture."""
    gradient_checkpointing: Annotated[Literal["off", "on", "auto"], Switch] = "off"
    """`on`: activations are computed again on the way back, half as many steps again for a tenth of the memory.
    `auto`: on where a GPU's free memory would not hold them."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """`sdpa` never holds the attention matrix; `eager` does. IDEFICS refuses FlashAttention and flex attention by name;
    sdpa calls FlashAttention's kernels by itself where no mask stands against it."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of what is computed around the 4-bit weights. `auto`: bfloat16 where the GPU can, float16 with loss scaling on
    older ones, float32 on a CPU. In bfloat16 the loss differs in its third digit."""
    tf32: bool = False
    """Lets NVIDIA GPUs round float32 factors to ten bits: the few float32 products left run up to eight times faster."""
    compile: Annotated[Literal["off", "layers"], Switch] = "off"
    """`layers`: torch.compile for every decoder and cross-attention layer; a minute or more before the first step."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that decode pictures and make batches ahead of the GPU; 0: between the steps. The batches are the same."""
    bad_images: Literal["fail", "skip"] = "fail"
    """A picture that can't be decoded: `fail` stops with its row's id, `skip` learns nothing from the row and counts it."""
    processes: Positive = 1
    """Processes on each machine that train together, one a GPU, on gloo where there is none. Each takes its own batches of
    every optimizer step, so a step learns from `batch_size` × `accumulation` × all processes."""
    nodes: Positive = 1
    """Machines that train together. Each runs the same command with the same inputs, and all share storage."""
    rendezvous: Annotated[str, Field(pattern=r"^[^:/\s]+:[0-9]+$")] | None = None
    """`host:port` on one of the `nodes`, which all of them reach: there they meet."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes. `ddp`: each holds the whole 4-bit base, only the adapter's gradients travel. `fsdp`: each holds
    its share of every block and fetches the rest when it is needed: room for longer batches on small cards. While it is
    loaded the whole base is on each card, a moment long."""
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

    @property
    def capacity(self) -> int:
        """Tokens that a batch made by tokens may hold."""
        return self.tokens_per_batch or self.max_length

    @property
    def world(self) -> int:
        """All processes that train together."""
        return self.processes * self.nodes

    @model_validator(mode="after")
    def _works_on_several(self) -> Self:
        if self.nodes > 1 and not self.rendezvous:
            raise ValueError("nodes needs rendezvous: host:port, where they meet")
        if self.parallel == "fsdp" and self.world == 1:
            raise ValueError("parallel: fsdp needs processes or nodes above 1; one process has nobody to share with")
        if self.parallel == "fsdp" and self.optimizer != "adamw_torch":
            raise ValueError(
                "parallel: fsdp needs optimizer: adamw_torch; the 8-bit one can't hold its state in shares"
            )
        if self.parallel == "fsdp" and self.compile != "off":
            raise ValueError("parallel: fsdp needs compile: off")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.capacity < self.max_length:
            raise ValueError("tokens_per_batch must be at least max_length, or the longest conversation fits no batch")
        if self.batching == "packed" and self.attention != "sdpa":
            raise ValueError("packed needs attention: sdpa; eager adds the mask of truth values to the scores")
        if self.frozen_outputs and self.lora.targets != "text":
            raise ValueError(
                "frozen_outputs needs lora.targets: text; any other adapter changes what the vision tower puts out"
            )
        return self
