"""Held-out questions with their answers and two models in, how far the second is from the first out.

The models are asked one after the other, so that only one of them is in memory; the first leaves its log probabilities.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from midefics.evidence.scores import exact_match, normalised
from midefics.records import Turn
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import Loaded

LONGEST = 2048


class Asked(NamedTuple):
    """One held-out question."""

    turn: Turn
    image: bytes


class Heard(NamedTuple):
    """What a model makes of the questions."""

    log_probabilities: list[torch.Tensor]
    """Of each question: `(tokens of the true answer, vocabulary)`, float32, on the CPU."""
    likelihoods: list[torch.Tensor]
    """Of each question: the log probability of each token of the true answer."""
    answers: list[str]


class Difference(NamedTuple):
    """The second model against the first, which is what was trained."""

    questions: int
    tokens: int
    nll_reference: float
    """Nats per token of the true answers."""
    nll_export: float
    kl: float
    """Kullback-Leibler divergence of the export from the reference, nats per token, at the same true answers."""
    answers_changed: int
    """Answers whose words differ."""
    answers_lost: int
    """Right by the reference and wrong by the export."""
    answers_gained: int
    """Wrong by the reference and right by the export: where both are unsure, as many as are lost."""
    exact_match_reference: float
    exact_match_export: float

    @property
    def nll(self) -> float:
        """What the export loses, nats per token."""
        return self.nll_export - self.nll_reference

    @property
    def exact_match(self) -> float:
        """What the export loses of the share of answers that are right."""
        return self.exact_match_reference - self.exact_match_export


def hear(loaded: Loaded, asked: Sequence[Asked], batch_size: int, max_new_tokens: int) -> Heard:
    """Asks a model every question, and how likely it finds each true answer."""
    model, processor, family = loaded
    model.eval()
    log_probabilities, likelihoods = [], []
    for one in asked:
        sample = Sample(*family.encode([one.turn], processor, one.image, LONGEST), image=one.image)
        batch = {name: tensor.to(model.device) for name, tensor in family.collate([sample], processor, "right").items()}
        labels = batch.pop("labels")[0, 1:]
        with torch.inference_mode():
            logits = model(**batch).logits[0, :-1].float()
        kept = labels != IGNORED
        rows = logits[kept].log_softmax(-1).cpu()
        log_probabilities.append(rows)
        likelihoods.append(rows.gather(-1, labels[kept].cpu().unsqueeze(-1)).squeeze(-1))
    prompts = [Prompt(one.turn.question, one.image) for one in asked]
    return Heard(log_probabilities, likelihoods, answers(loaded, prompts, batch_size, max_new_tokens))


def compare(reference: Heard, export: Heard, asked: Sequence[Asked]) -> Difference:
    """Sets two models side by side."""
    tokens = sum(map(len, reference.log_probabilities))
    truths = [one.turn.answer for one in asked]
    right, exported = (list(map(exact_match, heard.answers, truths)) for heard in (reference, export))
    pairs = list(zip(reference.answers, export.answers, strict=True))
    return Difference(
        questions=len(asked),
        tokens=tokens,
        nll_reference=-float(torch.cat(reference.likelihoods).mean()),
        nll_export=-float(torch.cat(export.likelihoods).mean()),
        kl=sum(map(_divergence, reference.log_probabilities, export.log_probabilities)) / tokens,
        answers_changed=sum(normalised(one) != normalised(other) for one, other in pairs),
        answers_lost=sum(one > other for one, other in zip(right, exported, strict=True)),
        answers_gained=sum(one < other for one, other in zip(right, exported, strict=True)),
        exact_match_reference=sum(right) / len(truths),
        exact_match_export=sum(exported) / len(truths),
    )


def _divergence(p: torch.Tensor, q: torch.Tensor) -> float:
    """Summed over one answer's tokens: of all questions together, a large vocabulary takes gigabytes."""
    return float((p.exp() * (p - q)).sum())
