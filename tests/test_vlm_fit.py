"""A whole run of the Trainer: what does not change its result, and what it makes of bad input."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from midefics.config import LoraConfig, RunConfig, TrainConfig
from midefics.errors import ModelError
from midefics.records import Row, Turn
from midefics.stages.training_samples import TrainingSamples, training_samples
from midefics.vlm.adapter import add_adapter
from midefics.vlm.batch import Batches, Samples
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.fit import Fitted, fit, planned_steps
from midefics.vlm.load import Loaded, load_base
from midefics.vlm.twins import build
from tests.rows import make_row, make_services, picture, stored

ANSWERS = ["Benign.", "A large lesion on the left.", "No.", "An X-ray of the hand, normal, as far as can be seen."]


class Run(NamedTuple):
    fitted: Fitted
    weights: torch.Tensor
    losses: list[float]


def samples(loaded: Loaded, count: int = 24) -> list[Sample]:
    made = []
    for number in range(count):
        turns = [Turn(question="What is it?", answer=ANSWERS[(number + turn) % 4]) for turn in range(1 + number % 3)]
        encoded = loaded.family.encode(turns, loaded.processor, picture(number), 512)
        made.append(Sample(*encoded, image=picture(number), id=f"row {number}"))
    return made


def run(base: Path, folder: Path, spoil: dict[int, Sample] | None = None, **values: object) -> Run:
    defaults = {"max_steps": 3, "optimizer": "adamw_torch", "lora": LoraConfig(targets="text", dropout=0.0)}
    loaded = add_adapter(load_base(base), LoraConfig(targets="text", dropout=0.0), seed=0)
    given = samples(loaded)
    for index, broken in (spoil or {}).items():
        given[index] = given[index]._replace(**broken)
    losses: list[float] = []
    fitted = fit(
        loaded, given, given[:5], TrainConfig.model_validate(defaults | values), seed=0, folder=folder / "trainer",
        tell=lambda _, figures: losses.extend(figures[name] for name in ("loss", "validation_loss") if name in figures),
    )  # fmt: skip
    weights = [weight.detach().flatten() for weight in loaded.model.parameters() if weight.requires_grad]
    return Run(fitted, torch.cat(weights), losses)


def test_accumulating_less_in_larger_batches_gives_the_same_weights(tiny_base: Path, tmp_path: Path) -> None:
    runs = [run(tiny_base, tmp_path, batch_size=8 // size, accumulation=size) for size in (8, 4, 1)]
    for other in runs[1:]:
        assert other.losses == pytest.approx(runs[0].losses, rel=1e-5)
        assert float((other.weights - runs[0].weights).abs().max()) < 1e-5


def test_an_epoch_on_two_ranks_has_half_as_many_steps(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(batch_size=2, accumulation=3)
    given = samples(load_base(tiny_base), 22)
    assert planned_steps(given, config) == 4
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert planned_steps(given, config) == 2
    assert planned_steps(given, config.model_copy(update={"max_steps": 7})) == 7


@pytest.mark.parametrize("batching", ["fixed", "packed"])
def test_loader_processes_change_nothing(batching: str, tiny_base: Path, tmp_path: Path) -> None:
    here = run(tiny_base, tmp_path, batching=batching, batch_size=4, accumulation=1, max_length=256)
    there = run(tiny_base, tmp_path, batching=batching, batch_size=4, accumulation=1, max_length=256, workers=2)
    assert torch.equal(here.weights, there.weights)
    assert here.losses == there.losses
    assert here.fitted.tokens == there.fitted.tokens > 0


def test_the_validation_loss_does_not_depend_on_how_it_is_batched(tiny_base: Path, tmp_path: Path) -> None:
    values = {"max_steps": 1, "learning_rate": 1e-12, "validations": 1, "accumulation": 1}
    losses = [
        run(tiny_base, tmp_path, **values, **way).losses[-1]
        for way in ({"batch_size": 1}, {"batch_size": 4}, {"batching": "packed"})
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_every_speed_option_together_learns_as_well(tiny_base: Path, tmp_path: Path) -> None:
    plain = run(tiny_base, tmp_path, batch_size=24, accumulation=1)
    fast = run(
        tiny_base, tmp_path, batching="packed", tokens_per_batch=4096, accumulation=1, frozen_outputs=True,
        chunked_loss=True, gradient_checkpointing="on", tf32=True, workers=1,
    )  # fmt: skip
    assert fast.fitted.tokens == plain.fitted.tokens
    assert fast.losses == pytest.approx(plain.losses, rel=1e-4)
    assert float((fast.weights - plain.weights).abs().max()) < 1e-5


BROKEN_PICTURE = {"image": picture(3)[:60]}


@pytest.mark.parametrize("switches", [{}, {"frozen_outputs": True}, {"workers": 1}], ids=str)
def test_a_picture_that_can_not_be_decoded_stops_the_run_with_its_row(
    switches: dict[str, object], tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"image of row 7 can't be decoded .*train.bad_images: skip"):
        run(tiny_base, tmp_path, {7: BROKEN_PICTURE}, batch_size=8, accumulation=1, **switches)


@pytest.mark.parametrize("switches", [{}, {"frozen_outputs": True}, {"workers": 1}, {"batching": "packed"}], ids=str)
def test_a_picture_that_can_not_be_decoded_is_skipped_and_counted(
    switches: dict[str, object], tiny_base: Path, tmp_path: Path
) -> None:
    done = run(tiny_base, tmp_path, {7: BROKEN_PICTURE}, batch_size=8, accumulation=1, bad_images="skip", **switches)
    assert done.fitted.unreadable == 1
    assert all(loss > 0 for loss in done.losses)


def test_nothing_is_learnt_from_a_skipped_row(tiny_base: Path) -> None:
    loaded = load_base(tiny_base)
    given = samples(loaded, 3)
    make = Batches(loaded)
    with_bad = Samples([*given, given[0]._replace(**BROKEN_PICTURE)])
    batch = make([with_bad[index] for index in range(4)])
    assert batch["unreadable"].tolist() == [3]
    assert batch["labels"][3].tolist() == [IGNORED] * batch["labels"].size(1)
    good = make([with_bad[index] for index in range(3)])
    for each in (batch, good):
        del each["tokens"], each["unreadable"]
    with torch.no_grad():
        losses = [float(loaded.model(**each, num_items_in_batch=1).loss) for each in (batch, good)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_sample_with_nothing_to_learn_is_left_out_and_counted(tiny_base: Path, tmp_path: Path) -> None:
    spoilt = {2: {"labels": [IGNORED] * 3, "input_ids": [1, 5, 6]}, 9: {"labels": [4, IGNORED], "input_ids": [4, 5]}}
    assert run(tiny_base, tmp_path, spoilt, batch_size=8, accumulation=1).fitted.nothing_to_learn == 2
    everything = {index: {"labels": [IGNORED] * 3, "input_ids": [1, 5, 6]} for index in range(24)}
    with pytest.raises(ModelError, match="nothing can be learnt"):
        run(tiny_base, tmp_path, everything)


def read(tmp_path: Path, loaded: Loaded, rows: list[Row], **values: object) -> TrainingSamples:
    services = make_services(tmp_path)
    content = {"name": "x", "base_model": "tiny-idefics", "sources": {"isic": {"path": "none"}}, "train": values}
    return training_samples(RunConfig.model_validate(content), stored(services, "dataset", rows), services, loaded)


def test_turns_that_do_not_fit_are_counted_and_a_first_one_that_does_not_is_named(
    tiny_base: Path, tmp_path: Path
) -> None:
    loaded = load_base(tiny_base)
    turns = tuple(Turn(question="Is it benign?", answer="It is.") for _ in range(3))
    rows = [make_row(number, turns=turns[: number + 1], split="train") for number in range(3)]
    longest = len(loaded.family.encode(turns, loaded.processor, rows[0].image, 1024).input_ids)
    assert read(tmp_path, loaded, rows).turns_dropped == 0
    assert read(tmp_path, loaded, rows, max_length=longest - 1).turns_dropped == 1
    with pytest.raises(ModelError, match=r"isic/ISIC_0000000: the first turn alone takes \d+ tokens"):
        read(tmp_path, loaded, rows, max_length=5)


def test_a_row_whose_picture_must_be_known_to_be_read_is_named_or_counted(tmp_path: Path) -> None:
    loaded = load_base(build("tiny-qwen2.5-vl", tmp_path / "twin", 0))
    turns = (Turn(question="Is it benign?", answer="It is."),)
    rows = [make_row(0, turns=turns, split="train"), make_row(1, turns=turns, split="train", image=b"no picture")]
    with pytest.raises(ModelError, match=r"the image of isic/ISIC_0000001 can't be decoded"):
        read(tmp_path, loaded, rows)
    skipped = read(tmp_path, loaded, rows, bad_images="skip")
    assert (len(skipped.train), skipped.unreadable) == (1, 1)
