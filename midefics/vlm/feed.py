"""Lengths, a seed and an epoch in, batches of indices out: the same on every machine and for every rank.

A position in an epoch is the number of a batch, so a run that was interrupted goes on by skipping that many. Every epoch
has as many batches as the first: how samples come together depends on their lengths, chance decides on ties and on the order.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from midefics.config import TrainConfig

Batch = list[int]
"""Indices of samples. A negative one, `~index`, is of a sample to compute but not to learn from."""
GROUP = 64
"""Batches that `grouped` sorts at once: fewer pad more, more leave less to chance."""


def batches(lengths: Sequence[int], config: TrainConfig, seed: int, epoch: int, world: int = 1) -> list[Batch]:
    """Puts every sample into one batch.

    Args:
        lengths: of the samples, tokens.
        config: how; see `batching` there.
        seed: of the order.
        epoch: its number from 0.
        world: ranks. Where the batches do not go round, batches of one sample that nothing is learnt from fill the round.

    Returns:
        A multiple of `world`; rank `r` takes every `world`-th from the `r`-th on.
    """
    random = np.random.default_rng((seed & 0xFFFFFFFF, epoch))
    made = WAYS[config.batching](lengths, config, random)
    return made + [[~int(np.argmin(lengths))]] * (-len(made) % world)


def padding(lengths: Sequence[int], made: Sequence[Batch], config: TrainConfig) -> float:
    """Share of the computed positions that are padding; of packed rows, the share of their room that stays empty."""
    kept = [[lengths[index] for index in batch if index >= 0] for batch in made]
    real = sum(map(sum, kept))
    if config.batching == "packed":
        return 1 - real / (config.capacity * sum(1 for batch in kept if batch))
    return 1 - real / sum(len(batch) * max(batch, default=0) for batch in kept)


def ranks() -> int:
    """How many processes train together: torchrun's word, which is there before they have met."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Feed:
    """One rank's batches of one epoch after the other, as a DataLoader's `batch_sampler`."""

    def __init__(self, lengths: Sequence[int], config: TrainConfig, seed: int, rank: int = 0, world: int = 1) -> None:
        self._lengths, self._config, self._seed, self._rank, self._world = lengths, config, seed, rank, world
        self._length = len(self._batches(0))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches(self.epoch))

    def _batches(self, epoch: int) -> list[Batch]:
        return batches(self._lengths, self._config, self._seed, epoch, self._world)[self._rank :: self._world]


def _fixed(lengths: Sequence[int], config: TrainConfig, random: np.random.Generator) -> list[Batch]:
    return _sliced(random.permutation(len(lengths)).tolist(), config.batch_size)


def _grouped(lengths: Sequence[int], config: TrainConfig, random: np.random.Generator) -> list[Batch]:
    order = random.permutation(len(lengths)).tolist()
    groups = _sliced(order, GROUP * config.batch_size)
    alike = [index for group in groups for index in sorted(group, key=lambda index: lengths[index])]
    return _shuffled(_sliced(alike, config.batch_size), random)


def _by_tokens(lengths: Sequence[int], config: TrainConfig, random: np.random.Generator) -> list[Batch]:
    made: list[Batch] = []
    for index in _longest_first(lengths, random):
        # The first of a batch is its longest, so its row's length is every row's.
        if not made or (len(made[-1]) + 1) * lengths[made[-1][0]] > config.capacity:
            made.append([])
        made[-1].append(index)
    return _shuffled(made, random)


def _packed(lengths: Sequence[int], config: TrainConfig, random: np.random.Generator) -> list[Batch]:
    rows = _Rows(len(lengths), config.capacity)
    made: dict[int, Batch] = {}
    for index in _longest_first(lengths, random):
        made.setdefault(rows.first_with_room(lengths[index]), []).append(index)
    return _shuffled(list(made.values()), random)


class _Rows:
    """Room left in rows, for first-fit in logarithmic time: a binary tree whose nodes hold the most room below them."""

    def __init__(self, count: int, capacity: int) -> None:
        self._leaves = 1 << (count - 1).bit_length()
        self._room = [capacity] * (2 * self._leaves)

    def first_with_room(self, length: int) -> int:
        """Takes `length` from the first row that has it."""
        node = 1
        while node < self._leaves:
            node *= 2
            node += self._room[node] < length
        self._room[node] -= length
        row = node - self._leaves
        while node := node // 2:
            self._room[node] = max(self._room[2 * node], self._room[2 * node + 1])
        return row


def _longest_first(lengths: Sequence[int], random: np.random.Generator) -> list[int]:
    return sorted(random.permutation(len(lengths)).tolist(), key=lambda index: -lengths[index])


def _sliced(order: list[int], size: int) -> list[Batch]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _shuffled(made: list[Batch], random: np.random.Generator) -> list[Batch]:
    return [made[number] for number in random.permutation(len(made))]


WAYS: Mapping[str, Callable[[Sequence[int], TrainConfig, np.random.Generator], list[Batch]]] = {
    "fixed": _fixed,
    "grouped": _grouped,
    "tokens": _by_tokens,
    "packed": _packed,
}
