"""torchrun's environment in, this process's place among those that train together out, and word between them.

Word goes through the store that torchrun's agents keep, by asking now and then: that can be interrupted, and waits as long as
it takes. Tensors go through gloo on a CPU and NCCL between GPUs, once all of them know that they train.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, Self

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from midefics.errors import ModelError, StoppedError

ASK_EVERY_S = 0.1
PATIENCE = timedelta(hours=2)
"""For ranks that live and take their time: an upload, a picture's frozen outputs. The dead are noticed by other means."""
GONE = "gone"


class Place(NamedTuple):
    """Which of the processes this one is."""

    rank: int
    world: int
    local: int
    """Among those of its machine; the number of its GPU."""

    @classmethod
    def ours(cls) -> Self:
        """What torchrun says; alone where there is none."""
        return cls(*(int(os.environ.get(name, usual)) for name, usual in NAMES))


NAMES = ("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")


class Ranks:
    """The processes that train together, as one of them sees them.

    Args:
        world: how many there must be.

    Raises:
        ModelError: there are more or fewer.
    """

    def __init__(self, world: int) -> None:
        self.place = Place.ours()
        if self.place.world != world:
            raise ModelError(
                f"train: {self.place.world} processes were started and the configuration says {world}; set train.processes "
                "and train.nodes to what torchrun starts, or leave starting them to `midefics train`"
            )
        self._store, _, _ = next(rendezvous("env://", timeout=PATIENCE))

    @property
    def first(self) -> bool:
        """Whether this is the one that tells the outside world."""
        return self.place.rank == 0

    def tell(self, name: str, word: Any) -> None:
        """Says something to all the others, once."""
        self._store.set(name, json.dumps(word))

    def hear(self, *names: str) -> dict[str, Any]:
        """Waits for the first of some words; by its name.

        Raises:
            StoppedError: who had to tell left without a word.
        """
        while True:
            for name in names:
                if self._store.check([name]):
                    return {name: json.loads(self._store.get(name))}
            if self._store.check([GONE]):
                raise StoppedError("train: the first of the processes has left; the same command goes on")
            time.sleep(ASK_EVERY_S)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """The others leave where the block fails."""
        try:
            yield
        except BaseException:
            self.tell(GONE, True)
            raise

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Told to stop inside, a process stays until the first has saved: torchrun ends all where one leaves."""
        try:
            yield
        except StoppedError:
            self.hear()
            raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """Inside, tensors go between the processes.

        Raises:
            ModelError: there are fewer GPUs on this machine than processes.
        """
        on_gpu = torch.cuda.is_available()
        if on_gpu and self.place.local >= torch.cuda.device_count():
            raise ModelError(
                f"train.processes: process {self.place.local} finds {torch.cuda.device_count()} GPUs here; one process a GPU"
            )
        if on_gpu:
            torch.cuda.set_device(self.place.local)
        backend, store = "nccl" if on_gpu else "gloo", PrefixStore("tensors", self._store)
        dist.init_process_group(
            backend, store=store, rank=self.place.rank, world_size=self.place.world, timeout=PATIENCE
        )
        yield
        # After an error nobody is there to say goodbye to; asking would wait for them.
        dist.destroy_process_group()


@contextmanager
def first_of_each_machine() -> Iterator[None]:
    """One process of each machine runs the block before the others do: what it leaves on the disk, they find."""
    several = dist.is_available() and dist.is_initialized()
    first = Place.ours().local == 0
    if several and not first:
        dist.barrier()
    yield
    if several and first:
        dist.barrier()
