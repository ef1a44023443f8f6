"""A loaded model in, the same with the faults of its libraries mended.

Each workaround stands in one named function that says what goes wrong without it; `tests/test_upstream_faults.py` holds
a test for each that fails the day upstream mends it.
"""

from typing import Any

import bitsandbytes as bnb
import torch
from transformers import PreTrainedModel
from transformers.loss.loss_utils import ForCausalLMLoss


def causal_lm_loss(logits: torch.Tensor, labels: torch.Tensor, vocab_size: int = 0, **rest: Any) -> torch.Tensor:
    """Cross-entropy of the next token over every logit there is; at module level so that it can be pickled.

    Args:
        logits: `(batch, seq, vocabulary with the added tokens)`.
        labels: `(batch, seq)`, -100 where nothing is to be learnt.
        vocab_size: what the model believes, without the added tokens; ignored.
        rest: passed on.
    """
    del vocab_size
    return ForCausalLMLoss(logits, labels, vocab_size=logits.size(-1), **rest)


def count_the_added_tokens_in_the_loss(model: PreTrainedModel) -> None:
    """`forward(labels=…)` of IDEFICS reshapes the logits to the vocabulary without the added tokens, and crashes (transformers 5.23)."""
    model.loss_function = causal_lm_loss


def keep_cpu_from_repacking_weights(model: torch.nn.Module) -> None:
    """On CPUs with avx512_bf16 the first forward in evaluation mode repacks 4-bit weights in place (bitsandbytes 0.50).

    Training afterwards gets wrong gradients and a merge gets garbage, both without a word.
    """
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def weigh_accumulated_batches_by_their_tokens(model: PreTrainedModel) -> None:
    """Qwen2.5-VL tells the Trainer that its loss takes no count of tokens, though it does (transformers 5.23).

    The Trainer then averages the means of the accumulated batches: a token in a short batch weighs more than one in a
    long batch, and 8 batches of 1 learn another thing than 1 of 8.
    """
    model.accepts_loss_kwargs = True
