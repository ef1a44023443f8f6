"""transformers' Trainer with our batches, and losses that are means over tokens wherever they are taken."""

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
        self.watcher.tokens += self._counted(inputs, self.train_dataset)
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
            self._counted(inputs, samples)
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

    def _counted(self, inputs: dict[str, Any], samples: Samples) -> int:
        """Takes what is not the model's out of a batch; returns its real tokens."""
        del inputs["numbers"]
        bad: list[int] = inputs.pop("unreadable").tolist()
        if bad and self.config.bad_images == "fail":
            raise ModelError(_told(samples.samples[bad[0]], bad[0]))
        if samples is self.train_dataset:
            self.unreadable.update(bad)
        return int(inputs.pop("tokens"))


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
