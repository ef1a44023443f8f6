"""What the arithmetic knows of a model: its linear layers, which of them are quantised and adapted, and its widths."""

from typing import Literal, NamedTuple

Part = Literal["text", "cross", "vision", "perceiver", "head"]
"""Where a layer stands: decoder, gated cross-attention, vision tower, perceiver resampler, language head."""

BLOCK, SUPERBLOCK = 64, 256
"""Weights that share one scale in nf4, and scales that share one of the second quantisation (bitsandbytes)."""
TABLE_BYTES = 4 * 16 + 4 * 256 + 4
"""The two tables of levels and the mean of the scales, kept with every quantised weight."""


class Linear(NamedTuple):
    """One linear layer."""

    name: str
    part: Part
    inputs: int
    outputs: int
    bias: bool
    quantised: bool
    adapted: bool
    """Whether the adapter changes it."""

    @property
    def weights(self) -> int:
        """Weights, the bias not counted."""
        return self.inputs * self.outputs

    @property
    def state_bytes(self) -> int:
        """What nf4 with double quantisation keeps beside the 4-bit weights: a byte for every block, and its own scales."""
        blocks = -(-self.weights // BLOCK)
        return blocks + 4 * -(-blocks // SUPERBLOCK) + TABLE_BYTES


class Tower(NamedTuple):
    """A stack of like layers."""

    layers: int
    width: int
    inner: int
    """Width inside the perceptrons."""
    heads: int
    head_width: int


class Shape(NamedTuple):
    """An IDEFICS, by its numbers."""

    name: str
    linears: tuple[Linear, ...]
    parameters: int
    """All of the base model's, the adapter not counted."""
    text: Tower
    cross_layers: int
    norms_queries: bool
    """Whether cross-attention normalises its queries and keys."""
    vision: Tower
    vision_tokens: int
    """Of one picture, the class token among them."""
    image_size: int
    perceiver: Tower
    latents: int
    """Of one picture, as the decoder sees it."""
    vocabulary: int
    """Logits of a position, the added tokens among them."""

    @property
    def quantised(self) -> list[Linear]:
        """Layers whose weights are kept in nf4."""
        return [layer for layer in self.linears if layer.quantised]

    @property
    def adapted(self) -> list[Linear]:
        """Layers that the adapter changes."""
        return [layer for layer in self.linears if layer.adapted]

    def adapter_parameters(self, r: int) -> int:
        """Of two thin matrices for every adapted layer."""
        return sum(r * (layer.inputs + layer.outputs) for layer in self.adapted)

    def adapts(self, part: Part, *names: str) -> int:
        """How many of these layers of a part's blocks are adapted: of `q_proj`, `k_proj`, `v_proj`, say, three."""
        found = {layer.name.rpartition(".")[2] for layer in self.adapted if layer.part == part}
        return len(found.intersection(names))
