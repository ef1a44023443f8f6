"""transformers' Trainer with our batches, and losses that are means over tokens wherever they are taken."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput

from midefics.config import TrainConfig
from midefics.errors import ModelError
from midefics.pictures import BROKEN
from midefics.vlm.batch import Samples
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample, opened
from midefics.vlm.feed import Feed
from midefics.vlm.watch import Batch, Watcher


class _Loader(DataLoader):
    """Tells its batch sampler which epoch begins."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr] # always a Feed


class QloraTrainer(Trainer):
    """Feeds every rank its own batches, and counts what they hold.

    The loaders are not accelerate's: its sharding would deal batches out that are dealt already, and repeat some to
    make them even. Skipping the first batches of an interrupted epoch works as ever.
    """

    def __init__(self, config: TrainConfig, watcher: Watcher, **rest: Any) -> None:
        """Takes the configuration, who watches, and what the Trainer takes."""
        self.config, self.watcher = config, watcher
        self.unreadable: set[int] = set()
        """Indices of the samples skipped for their pictures."""
        super().__init__(callbacks=[watcher], **rest)
        # The Trainer's word for a model whose weights are spread already: it only leaves them alone.
        self.is_distributed_loading_by_transformers = config.parallel == "fsdp"
        # The loss predicts the next token, so a label at the first position would count and never be learnt.
        self._loss_shifts_labels = True

    def get_train_dataloader(self) -> DataLoader:
        """This rank's batches."""
        return self._loader(self.train_dataset)

    def get_eval_dataloader(self, eval_dataset: Samples | None = None) -> DataLoader:
        """This rank's share of the batches to validate on."""
        return self._loader(eval_dataset or self.eval_dataset)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the Trainer's estimate walks every module and parameter before each batch, and knows no images."""
        del inputs
        return 0

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The sum of the batch's losses over the learnt tokens of the whole optimizer step.

        Raises:
            ModelError: a picture of the batch can't be decoded, and none may be skipped.
        """
        rows = tuple(self.train_dataset.samples[number].id for number in inputs["numbers"])
        self._take_out(inputs, self.train_dataset)
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self.watcher.batches.append(Batch(rows, loss.detach()))
        return loss

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The loss over all learnt tokens; the Trainer's own is the mean of the batches' means, however full they are."""
        del description, prediction_loss_only, ignore_keys
        model = self._wrap_model(self.model, training=False).eval()
        samples = cast("Samples", dataloader.dataset)
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in dataloader:
            inputs = self._prepare_inputs(batch)
            self._take_out(inputs, samples)
            learnt = (inputs["labels"][:, 1:] != IGNORED).sum()
            with torch.no_grad(), self.compute_loss_context_manager():
                summed = model(**inputs, num_items_in_batch=1).loss
            total += torch.stack([summed.double(), learnt.double()])
            self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        summed, learnt = self.accelerator.reduce(total, "sum").tolist()
        metrics = {f"{metric_key_prefix}_loss": summed / max(1, learnt)}
        return EvalLoopOutput(None, None, metrics, len(samples))

    def _loader(self, samples: Samples) -> DataLoader:
        world, rank = self.args.world_size, self.args.process_index
        return _Loader(
            samples,
            batch_sampler=Feed(samples.lengths, self.config, self.args.seed, rank, world),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory and torch.cuda.is_available(),
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Any]:
        """The batches of one optimizer step, and the learnt tokens of all ranks' ones; counts all their tokens."""
        samples, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        tokens = torch.tensor(sum(int(batch.pop("tokens")) for batch in samples), device=device)
        self.watcher.tokens += int(self.accelerator.reduce(tokens, "sum"))
        return samples, items

    def _defer_fsdp_gradient_reduction(self) -> AbstractContextManager[None]:
        """Gradients are spread after every batch: whole ones until the step's end would take what spreading saves."""
        return nullcontext()

    def _take_out(self, inputs: dict[str, Any], samples: Samples) -> None:
        """Takes what is not the model's out of a batch."""
        del inputs["numbers"]
        inputs.pop("tokens", None)
        bad: list[int] = inputs.pop("unreadable").tolist()
        if bad and self.config.bad_images == "fail":
            raise ModelError(_told(samples.samples[bad[0]], bad[0]))
        if samples is self.train_dataset:
            self.unreadable.update(bad)


def _told(sample: Sample, index: int) -> str:
    reason = "no outputs of it were kept"
    try:
        if sample.image is not None:
            opened(sample.image)
    except BROKEN as error:
        reason = str(error)
    return (
        f"the image of {sample.id or f'sample {index}'} can't be decoded ({reason}); mend or remove the row, "
        "or set train.bad_images: skip to learn nothing from such rows and count them"
    )
