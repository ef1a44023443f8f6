"""Hidden states and labels in, the cross-entropy of the learnt tokens out, without ever holding all logits.

transformers computes logits for every position, questions and padding too, and turns them to float32: ten bytes for every
token and word of the vocabulary, 0.32 MB a token at 32,003 words. Here the head sees only positions with a label, `CHUNK` at
a time, and each chunk's logits are computed again on the way back rather than kept.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import CausalLMOutput

from midefics.planning.activations import CHUNK
from midefics.vlm.chat import IGNORED

Head = Callable[[torch.Tensor], torch.Tensor]


def chunked_loss(
    states: torch.Tensor, labels: torch.Tensor, head: Head, items: torch.Tensor | int | None = None, chunk: int = CHUNK
) -> torch.Tensor:
    """The cross-entropy of the next token over the positions that carry a label.

    Args:
        states: `(batch, seq, hidden)`, what the head takes.
        labels: `(batch, seq)`, IGNORED where nothing is to be learnt.
        head: `(tokens, hidden)` to `(tokens, vocabulary)`.
        items: what the sum is divided by: learnt tokens of the whole optimizer step; this batch's where not given.
        chunk: positions at once.

    Returns:
        A float32 scalar; 0 with a gradient of 0 where no position carries a label.
    """
    kept = labels[:, 1:] != IGNORED
    states, targets = states[:, :-1][kept], labels[:, 1:][kept]
    # An empty sum has a gradient too, which a rank with nothing to learn owes the others.
    total = states[:0].float().sum()
    for start in range(0, targets.numel(), chunk):
        part = slice(start, start + chunk)
        total = total + checkpoint(_summed, states[part], targets[part], head, use_reentrant=False)
    return total / (max(1, targets.numel()) if items is None else items)


def _summed(states: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
    return cross_entropy(head(states).float(), targets, reduction="sum")


@contextmanager
def without_logits(model: Any) -> Iterator[None]:
    """While it lasts, `forward` with labels gives a loss and no logits; without labels it is what it was.

    Args:
        model: a model of transformers whose `model` gives the states that its `lm_head` takes; changed, and changed back.
    """
    usual, own = model.forward, model.__dict__.get("forward")

    @functools.wraps(usual)
    def forward(*inputs: Any, labels: torch.Tensor | None = None, **named: Any) -> Any:
        if labels is None:
            return usual(*inputs, **named)
        items = named.pop("num_items_in_batch", None)
        states = model.model(*inputs, **named).last_hidden_state
        return CausalLMOutput(loss=chunked_loss(states, labels, model.lm_head, items))

    model.forward = forward
    try:
        yield
    finally:
        del model.forward
        if own is not None:
            model.forward = own
