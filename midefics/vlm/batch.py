"""Indices of samples in, one batch of tensors out, padded or packed; runs in the loader's processes.

A batch says beside the model's inputs how many `tokens` of it are real, which samples' pictures were `unreadable`, and of
which samples (`numbers`) it was made: a worker can't count for the process that trains.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from midefics.pictures import BROKEN
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.frozen import digest
from midefics.vlm.load import Loaded
from midefics.vlm.packing import Tensors, pack


class Taken(NamedTuple):
    """A sample as a batch takes it."""

    number: int
    sample: Sample


class Samples(torch.utils.data.Dataset):
    """Samples by index; at `~index` the sample at `index`, with nothing to be learnt from it."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.lengths = [len(sample.input_ids) for sample in samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Taken:
        if index >= 0:
            return Taken(index, self.samples[index])
        return Taken(~index, _muted(self.samples[~index]))


class Batches:
    """Makes a batch of taken samples."""

    def __init__(self, loaded: Loaded, packed: bool = False, frozen: Mapping[str, torch.Tensor] | None = None) -> None:
        """Remembers how.

        Args:
            loaded: whose family and processor make the tensors.
            packed: end to end in one row, instead of one below the other.
            frozen: the towers' outputs by the picture's digest, in place of pixels.
        """
        self._family, self._processor = loaded.family, loaded.processor
        self._packed, self._frozen = packed, frozen

    def __call__(self, taken: Sequence[Taken]) -> dict[str, Any]:
        """Of a sample whose picture is unreadable its first token stays, without a label."""
        try:
            return self._batch([one.sample for one in taken], []) | {"numbers": [one.number for one in taken]}
        except (*BROKEN, KeyError):
            bad = [one.number for one in taken if not self._readable(one.sample)]
            if not bad:
                raise
        stubbed = [_stub(one.sample) if one.number in bad else one.sample for one in taken]
        return self._batch(stubbed, bad) | {"numbers": [one.number for one in taken]}

    def _batch(self, samples: Sequence[Sample], bad: list[int]) -> Tensors:
        batch = pack([self._tensors([sample]) for sample in samples]) if self._packed else self._tensors(samples)
        tokens = sum(len(sample.input_ids) for sample in samples)
        return batch | {"tokens": torch.tensor(tokens), "unreadable": torch.tensor(bad, dtype=torch.long)}

    def _tensors(self, samples: Sequence[Sample]) -> Tensors:
        if self._frozen is None:
            return self._family.collate(samples, self._processor, "right")
        unseen = [sample._replace(image=None) for sample in samples]
        batch = self._family.collate(unseen, self._processor, "right")
        del batch["pixel_values"]
        shape = next(iter(self._frozen.values()))
        outputs = [torch.zeros_like(shape) if one.image is None else self._frozen[digest(one.image)] for one in samples]
        return batch | {"perceiver_embeddings": torch.stack(outputs).unsqueeze(1)}

    def _readable(self, sample: Sample) -> bool:
        try:
            self._tensors([sample])
        except (*BROKEN, KeyError):
            return False
        return True


def _stub(sample: Sample) -> Sample:
    # No token that stands for a picture may stay where none is shown.
    return sample._replace(input_ids=sample.input_ids[:1], labels=[IGNORED], image=None)


def _muted(sample: Sample) -> Sample:
    return sample._replace(labels=[IGNORED] * len(sample.labels))
