"""Batches for an IDEFICS."""

import torch

from midefics.records import Turn
from midefics.vlm.collate import Sample
from midefics.vlm.families import FAMILIES, Processor
from tests.rows import jpeg

IDEFICS = FAMILIES["idefics"]
TURN = Turn(question="Is it benign?", answer="It is benign.")
OTHER = Turn(question="A much longer question about the lesion, is it?", answer="No.")


def sample(processor: Processor, turn: Turn = TURN) -> Sample:
    return Sample(*IDEFICS.encode([turn], processor, jpeg(), 512), image=jpeg())


def batch(processor: Processor, *turns: Turn) -> dict[str, torch.Tensor]:
    return IDEFICS.collate([sample(processor, turn) for turn in turns or (TURN,)], processor, "right")
