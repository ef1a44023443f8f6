"""A shape and switches in, the bytes that autograd keeps from the way forward for the way back out.

Counted operation by operation as transformers' IDEFICS, peft and bitsandbytes save them. A frozen 4-bit product keeps no
input; its adapter does, once for all adapters that read the same tensor, and for each again under dropout.
"""

from typing import NamedTuple

from midefics.planning.demand import Precision, Switches
from midefics.planning.shape import Linear, Part, Shape

CHUNK = 1024
"""Positions whose logits are held at once with `chunked_loss`: 131 MB in float32 at 32,003 words."""
STATISTIC = 4
"""Bytes of a row's statistic in float32: a root mean square, a sum of exponentials."""


class Activations(NamedTuple):
    """Bytes, by what they grow with."""

    text: int
    """Kept by decoder and cross-attention until the way back reaches them; with checkpointing the layers' inputs alone."""
    images: int
    """Kept by vision tower and perceiver, and by the cross-attention of the pictures' latents."""
    casts: int
    """Sixteen-bit copies of the adapter's float32 weights."""
    live: int
    """With checkpointing: of the one layer that is being computed again, and of the gradients on their way through it;
    0 without, as a layer's gradients take the place of the logits' by then."""
    logits: int
    """Of the loss: log probabilities, their gradient and the logits' own, all in float32."""

    @property
    def kept(self) -> int:
        """What autograd holds when the way forward ends, the logits' part apart."""
        return self.text + self.images + self.casts

    @property
    def peak(self) -> int:
        """Logits are gone when the first layer is computed again: the larger of the two counts."""
        return self.kept + max(self.live, self.logits)


def activations(shape: Shape, switched: Switches, precision: Precision) -> Activations:
    """Adds up what is kept."""
    count = _Count(shape, switched, precision)
    tokens, images = switched.batch.positions, 0 if switched.frozen_outputs else switched.batch.images
    decoder, cross = count.decoder_layer(), count.cross_layer()
    latents = switched.batch.images * shape.latents * count.of_a_latent()
    tower = shape.vision.layers * shape.vision_tokens * count.vision_layer()
    live = 0
    if switched.checkpointing:
        inputs = precision.bytes * shape.text.width
        text = tokens * inputs * (shape.text.layers + shape.cross_layers)
        live = max(tokens * decoder, tokens * cross + latents, images * shape.vision_tokens * count.vision_layer())
        live += tokens * count.passing()
        latents, tower = 0, shape.vision.layers * shape.vision_tokens * count.vision_input()
    else:
        # Nothing before the first layer asks for a gradient, so its first norm keeps nothing.
        text = tokens * (shape.text.layers * decoder + shape.cross_layers * cross - count.norm(shape.text.width))
        latents *= shape.cross_layers
    text += tokens * count.end()
    return Activations(
        text=text,
        images=latents + images * (tower + count.perceiver()) + switched.batch.images * count.perceived(),
        casts=0 if not precision.half else 2 * shape.adapter_parameters(switched.r),
        live=live,
        logits=3 * STATISTIC * shape.vocabulary * (min(tokens, CHUNK) if switched.chunked_loss else tokens),
    )


class _Count:
    """Bytes of one position of each kind of layer."""

    def __init__(self, shape: Shape, switched: Switches, precision: Precision) -> None:
        self.shape, self.dropout, self.r = shape, switched.dropout, switched.r
        self.half, self.wide_norms = precision.half, precision.half and precision.float32_norms
        self.a = precision.bytes

    def norm(self, width: int, rows: int = 1) -> int:
        """RMS norm: its input in float32, which is a copy of it in sixteen bits."""
        return STATISTIC * (width * rows + rows) + (2 * width * rows if self.half else 0)

    def passing(self) -> int:
        """Gradients on their way through a layer: a width and an inner width of them in float32.

        Found by comparison with measured peaks, not counted.
        """
        return STATISTIC * (self.shape.text.width + self.shape.text.inner)

    def end(self) -> int:
        """After the last layer: its norm, and what an adapter of the head's added words reads."""
        width = self.shape.text.width
        return self.norm(width) + self._adapters("head", width, "additional_fc")

    def decoder_layer(self) -> int:
        text = self.shape.text
        attention = self.a * (2 * text.head_width + 4 * text.width) + STATISTIC * text.heads
        return (
            self.norm(text.width) * 2
            + self._adapters("text", text.width, "q_proj", "k_proj", "v_proj")
            + attention
            + self._adapters("text", text.width, "o_proj", kept=True)
            + self._perceptron("text")
        )

    def cross_layer(self) -> int:
        """What grows with the text's tokens."""
        text = self.shape.text
        queries = self.norm(text.head_width, text.heads) if self.shape.norms_queries else 0
        gate = 1
        return (
            self.norm(text.width) * 2
            + self._adapters("cross", text.width, "q_proj")
            + queries
            + 2 * self.a * text.width
            + STATISTIC * text.heads
            + gate
            + self._adapters("cross", text.width, "o_proj", kept=True)
            + self._perceptron("cross")
        )

    def of_a_latent(self) -> int:
        """What grows with the pictures' latents, in one cross-attention layer: keys and values."""
        text, names = self.shape.text, ("k_proj", "v_proj")
        keys = self.norm(text.head_width, text.heads) if self.shape.norms_queries else 0
        return keys + 2 * self.a * text.width + self._adapters("cross", self.shape.vision.width, *names, kept=True)

    def perceived(self) -> int:
        """The latents themselves, that every cross-attention layer's adapters read."""
        reads = self.shape.adapts("cross", "k_proj", "v_proj") and not self.dropout
        return self.a * self.shape.latents * self.shape.vision.width if reads else 0

    def vision_layer(self) -> int:
        """0 where no adapter stands in the tower: then it keeps nothing."""
        if not self._adapted("vision"):
            return 0
        vision, attention = self.shape.vision, ("q_proj", "k_proj", "v_proj")
        norms = 2 * (STATISTIC if self.wide_norms else self.a) * (vision.width + 2)
        inner = (STATISTIC if self.wide_norms else self.a) * vision.inner
        return (
            norms
            + self._adapters("vision", vision.width, *attention, apart=self.wide_norms)
            + 4 * self.a * vision.width
            + STATISTIC * vision.heads
            + self._adapters("vision", vision.width, "out_proj", kept=True)
            + self._adapters("vision", vision.width, "fc1")
            + inner
            + self._adapters("vision", vision.inner, "fc2")
        )

    def vision_input(self) -> int:
        """With checkpointing."""
        return (STATISTIC if self.wide_norms else self.a) * self.shape.vision.width if self._adapted("vision") else 0

    def perceiver(self) -> int:
        """Of one picture, all blocks together; it is never checkpointed. 0 where nothing before or in it is adapted."""
        if not (self._adapted("perceiver") or self._adapted("vision")):
            return 0
        per, width = self.shape.perceiver, self.shape.vision.width
        seen, rows = self.shape.vision_tokens + self.shape.latents, self.shape.latents
        inside, norm = per.heads * per.head_width, STATISTIC if self.wide_norms else self.a
        block = (
            norm * rows * width * 2
            + rows * self._adapters("perceiver", width, "q_proj")
            + seen * self._adapters("perceiver", width, "k_proj", "v_proj", apart=True)
            + norm * (rows + seen) * inside
            + self.a * (rows + 2 * seen) * inside
            + 2 * self.a * per.heads * rows * seen
            + rows * self._adapters("perceiver", inside, "output_proj")
            + rows * self._adapters("perceiver", width, "fc")
            + self.a * rows * per.inner
            + rows * self._adapters("perceiver", per.inner, "c_proj", kept=True)
        )
        return block * per.layers + norm * (rows + self.shape.vision_tokens) * width

    def _perceptron(self, part: Part) -> int:
        text = self.shape.text
        return (
            self._adapters(part, text.width, "gate_proj", "up_proj")
            + 3 * self.a * text.inner
            + self._adapters(part, text.inner, "down_proj")
        )

    def _adapters(self, part: Part, width: int, *names: str, kept: bool = False, apart: bool = False) -> int:
        """What the adapters of layers that read one tensor keep.

        Args:
            part: where they stand.
            width: of what they read.
            names: the layers.
            kept: something else keeps that tensor anyway.
            apart: each reads a copy of its own.
        """
        number = self.shape.adapts(part, *names)
        inner = number * self.a * self.r
        if self.dropout:  # a mask and what it leaves, for each
            return inner + number * width * (self.a + (1 if self.wide_norms else self.a))
        copies = number if apart else min(number, 0 if kept else 1)
        return inner + copies * self.a * width

    def _adapted(self, part: Part) -> list[Linear]:
        return [layer for layer in self.shape.adapted if layer.part == part]
