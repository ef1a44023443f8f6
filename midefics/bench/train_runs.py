"""A recipe in, how its run went out: steps, tokens, seconds, validation losses; a fresh model and adapter every time."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import TrainerCallback

from midefics.bench import NOTEBOOK, Beside, Figure
from midefics.bench.train_data import conversations, samples
from midefics.bench.train_gpu import base_of_shape, matmul_weights, peak_flops
from midefics.bench.train_notebook import NotebookData, notebook_model, notebook_trainer
from midefics.config import TrainConfig
from midefics.services import Services
from midefics.vlm.adapter import add_adapter
from midefics.vlm.batch import Batches, Samples
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.feed import batches, padding
from midefics.vlm.fit import fit
from midefics.vlm.load import Loaded, load_base

WATCHED = 48
"""Conversations to validate on."""
RATES = {"tiny": 5e-3, "9b": 2e-4}
"""Learning rates, by shape: both recipes take the same."""

now = time.perf_counter if torch.cuda.is_available() else time.process_time
"""Seconds; on a CPU those that this process had it for, on one thread: what others do beside it is nobody's figure."""


class At(NamedTuple):
    """A validation."""

    step: int
    seconds: float
    """Since the run began; validations not counted."""
    loss: float


class Course(NamedTuple):
    """How a run went."""

    conversations: float
    tokens: float
    seconds: float
    """From the end of the first step to the end of the last: setting up is nobody's speed."""
    validations: tuple[At, ...] = ()
    peak_gb: float = 0.0
    """Of the GPU's memory."""

    @property
    def rate(self) -> float:
        """Conversations per second."""
        return self.conversations / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Real ones."""
        return self.tokens / self.seconds


class Bench:
    """The data, the base model and both recipes."""

    def __init__(self, services: Services, scratch: Path, shape: str, trained: int, padded: int) -> None:
        self._scratch, self._shape, self._trained, self._padded = scratch, shape, trained, padded
        self._folder = base_of_shape(shape, services)
        self._given = list(conversations(trained + WATCHED, 0))
        if not torch.cuda.is_available():
            torch.set_num_threads(1)
        card = torch.cuda.get_device_name() if torch.cuda.is_available() else "one thread of a CPU, in its own seconds"
        self.where = f"{shape} IDEFICS in nf4 on {card}"

    def notebook(self, steps: int, validated: bool = False) -> Course:
        """The notebook's recipe."""
        loaded = load_base(self._folder)
        loaded = loaded._replace(model=notebook_model(loaded))
        data = NotebookData(self._given[: self._trained], loaded)
        rate, optimizer = RATES[self._shape], self._optimizer()
        _forget_peak()
        clock = _Clock()
        notebook_trainer(loaded.model, data, steps, rate, optimizer, self._scratch / "notebook", clock).train()
        # In an epoch of its order every conversation comes once: its tokens are those of the whole.
        tokens = round(sum(Samples(self._samples(loaded)[0]).lengths) * steps * 16 / self._trained)
        seconds, later = clock.seconds(), (steps - 1) / steps
        seen = (At(steps, seconds, self._validation_loss(loaded)),) if validated else ()
        return Course(steps * 16 * later, tokens * later, clock.after_the_first(), seen, _peak_gb())

    def ours(
        self, values: dict[str, Any], steps: int | None = None, validations: int = 0, again: bool = False
    ) -> Course:
        """Our recipe.

        Args:
            values: of the section `train`.
            steps: optimizer steps; once through the data where not given.
            validations: how many.
            again: compute frozen outputs as if for the first time, and count that.
        """
        fixed = {"learning_rate": RATES[self._shape], "optimizer": self._optimizer(), "max_steps": steps}
        config = TrainConfig.model_validate(values | fixed | {"validations": validations})
        if again:
            shutil.rmtree(self._scratch / "frozen", ignore_errors=True)
        loaded = add_adapter(load_base(self._folder), config.lora, 0)
        train, watched = self._samples(loaded)
        _forget_peak()
        clock = _Clock()
        done = fit(
            loaded, train, watched if validations else (), config,
            seed=0, folder=self._scratch / "ours", tell=clock.tell,
        )  # fmt: skip
        share, later = done.tokens / sum(Samples(train).lengths), (done.steps - 1) / done.steps
        seconds, seen = clock.after_the_first(), tuple(clock.validations)
        return Course(share * len(train) * later, done.tokens * later, seconds, seen, _peak_gb())

    def padding(self, values: dict[str, Any]) -> float:
        """Percent of what one epoch computes that is padding."""
        config = TrainConfig.model_validate(values)
        lengths = Samples(self._samples(load_base(self._folder))[0]).lengths
        drawn = random.Random(0).choices(lengths, k=self._padded)  # noqa: S311 (a benchmark, no secret)
        return 100 * padding(drawn, batches(drawn, config, 0, 0), config)

    def gpu_figures(self, theirs: Course, ours: Course) -> Iterator[Figure]:
        """MFU and memory, where there is a GPU: tokens at 4 operations a weight, over what a bare product reaches."""
        if not torch.cuda.is_available():
            return
        weights, peak = matmul_weights(load_base(self._folder).model), peak_flops()
        told = f"{self.where}; 4 x {weights / 1e9:.3f} G weights a real token over {peak / 1e12:.0f} TFLOP/s measured"
        used = [100 * course.tokens_per_second * 4 * weights / peak for course in (ours, theirs)]
        beside = (
            Beside(name="goal", value=45, goal=1),
            Beside(name=NOTEBOOK, value=used[1], goal=5),
        )
        yield Figure(name="model FLOPs utilisation", unit="%", ours=used[0], beside=beside, conditions=told)
        most = torch.cuda.get_device_properties(0).total_memory / 1e9
        yield Figure(
            name="peak memory", unit="GB", ours=ours.peak_gb, conditions=f"{told}; the notebook's {theirs.peak_gb:.1f} GB",
            beside=(Beside(name="the GPU's", value=most, goal=1, bound="at most"),),
        )  # fmt: skip

    def _samples(self, loaded: Loaded) -> tuple[list[Sample], list[Sample]]:
        made = samples(loaded, self._given)
        return made[: self._trained], made[self._trained :]

    def _optimizer(self) -> str:
        return "paged_adamw_8bit" if torch.cuda.is_available() else "adamw_torch"

    @torch.no_grad()
    def _validation_loss(self, loaded: Loaded) -> float:
        """As our Trainer takes it: over all learnt tokens, those of the answers."""
        watched = Samples(self._samples(loaded)[1])
        loaded.model.eval()
        total = learnt = 0.0
        for start in range(0, len(watched), 16):
            batch = Batches(loaded)([watched[index] for index in range(start, min(start + 16, len(watched)))])
            del batch["tokens"], batch["unreadable"]
            inputs = {name: tensor.to(loaded.model.device) for name, tensor in batch.items()}
            total += float(loaded.model(**inputs, num_items_in_batch=1).loss)
            learnt += int((inputs["labels"][:, 1:] != IGNORED).sum())
        return total / learnt


class _Clock(TrainerCallback):  # type: ignore[misc] # transformers is untyped here
    """Told of a run's steps and figures, knows when each came if validations took no time."""

    def __init__(self) -> None:
        self.validations: list[At] = []
        self._started = self._before = now()
        self._first = self._last = self._validating = 0.0

    def seconds(self) -> float:
        """Since the run began; validations not counted."""
        return now() - self._started - self._validating

    def after_the_first(self) -> float:
        """From the end of the first step to the end of the last."""
        return self._last - self._first

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the notebook's Trainer."""
        self._last = self.seconds()
        self._first = self._first or self._last

    def tell(self, step: int, figures: dict[str, float]) -> None:
        """A step's loss comes before its validation."""
        if "validation_loss" in figures:
            self._validating += now() - self._before
            self.validations.append(At(step, self.seconds(), figures["validation_loss"]))
        else:
            self.on_step_end()
        self._before = now()


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_gb() -> float:
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
