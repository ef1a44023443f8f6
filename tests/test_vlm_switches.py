"""Every way of training faster, against one conversation after the other in float32 and a cross-entropy by hand."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from midefics.config import LoraConfig, TrainConfig
from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.adapter import add_adapter
from midefics.vlm.batch import Batches, Samples
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.feed import batches
from midefics.vlm.frozen import FrozenOutputs, digest, fingerprint, frozen_outputs
from midefics.vlm.load import Loaded, load_base
from midefics.vlm.loss import chunked_loss, without_logits
from midefics.vlm.speed import faster, needs_checkpointing
from midefics.vlm.twins import TWINS, build
from tests.rows import jpeg, picture

TEXT = LoraConfig(targets="text", dropout=0.0)
WORDS = ["Is", "it", "benign", "a", "lesion", "large", "left", "the", "bone", "normal?"]


class Learnt(NamedTuple):
    loss: float
    gradient: torch.Tensor


def adapted(base: Path, lora: LoraConfig = TEXT) -> Loaded:
    """With an adapter that has left zero, so that every one of its weights has a gradient."""
    loaded = add_adapter(load_base(base), lora, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, weight in loaded.model.named_parameters():
        if "lora_B" in name:
            weight.data = 0.02 * torch.randn(weight.shape, generator=generator)
    return loaded


def conversations(loaded: Loaded, count: int = 9) -> list[Sample]:
    chance = random.Random(0)  # noqa: S311 (words, no secret)

    def turn() -> Turn:
        return Turn(question=" ".join(chance.choices(WORDS, k=chance.randint(1, 20))), answer=chance.choice(WORDS))

    made = []
    for number in range(count):
        turns = [turn() for _ in range(1 + number % 4)]
        image = None if number == 4 else picture(number, (40 + 7 * number, 60))
        encoded = loaded.family.encode(turns, loaded.processor, image, 1024)
        made.append(Sample(*encoded, image=image, id=f"row {number}"))
    return made


def by_hand(loaded: Loaded, samples: list[Sample]) -> Learnt:
    loaded.model.train()
    loaded.model.zero_grad()
    total, learnt = torch.zeros(()), 0
    for sample in samples:
        inputs = loaded.family.collate([sample], loaded.processor, "right")
        labels = inputs.pop("labels")[:, 1:]
        logits = loaded.model(**inputs).logits[:, :-1].float()
        kept = labels != IGNORED
        total = total + torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="sum")
        learnt += int(kept.sum())
    (total / learnt).backward()
    return Learnt(float(total) / learnt, gradient(loaded))


def gradient(loaded: Loaded) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in loaded.model.parameters() if weight.grad is not None])


def with_switches(loaded: Loaded, samples: list[Sample], config: TrainConfig, folder: Path) -> Learnt:
    frozen = None
    if config.frozen_outputs:
        pictures = {digest(sample.image): sample.image for sample in samples if sample.image is not None}
        frozen = frozen_outputs(loaded, pictures, folder, 1)
    dataset = Samples(samples)
    make = Batches(loaded, config.batching == "packed", frozen)
    items = sum(label != IGNORED for sample in samples for label in sample.labels)
    loaded.model.train()
    loaded.model.zero_grad()
    if config.gradient_checkpointing == "on":
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    total = 0.0
    with faster(loaded, config):
        for batch in batches(dataset.lengths, config, 0, 0):
            inputs = make([dataset[index] for index in batch])
            del inputs["tokens"], inputs["unreadable"]
            with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
                loss = loaded.model(**inputs, num_items_in_batch=items).loss
            loss.backward()
            total += float(loss)
    if config.gradient_checkpointing == "on":
        loaded.model.gradient_checkpointing_disable()
    return Learnt(total, gradient(loaded))


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> Loaded:
    return adapted(tiny_base)


@pytest.fixture(scope="module")
def reference(loaded: Loaded) -> Learnt:
    return by_hand(loaded, conversations(loaded))


ALL = {"batching": "packed", "frozen_outputs": True, "chunked_loss": True, "gradient_checkpointing": "on"}


@pytest.mark.parametrize(
    "switches",
    [
        {"batch_size": 1},
        {"batch_size": 4},
        {"batching": "grouped", "batch_size": 4},
        {"batching": "tokens"},
        {"batching": "packed"},
        {"attention": "eager", "batch_size": 4},
        {"chunked_loss": True, "batch_size": 4},
        {"gradient_checkpointing": "on", "batch_size": 4},
        {"frozen_outputs": True, "batch_size": 4},
        {"tf32": True, "batch_size": 4},
        ALL,
        pytest.param(ALL | {"compile": "layers"}, marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
    ids=str,
)
def test_a_switch_changes_neither_loss_nor_gradient(
    switches: dict[str, object], loaded: Loaded, reference: Learnt, tmp_path: Path
) -> None:
    config = TrainConfig.model_validate({"lora": TEXT, "max_length": 512} | switches)
    learnt = with_switches(loaded, conversations(loaded), config, tmp_path)
    assert learnt.loss == pytest.approx(reference.loss, rel=1e-4)
    assert float((learnt.gradient - reference.gradient).norm() / reference.gradient.norm()) < 1e-4


def test_bfloat16_moves_the_loss_by_less_than_a_hundredth(loaded: Loaded, reference: Learnt, tmp_path: Path) -> None:
    config = TrainConfig(precision="bfloat16", batch_size=4, lora=TEXT)
    learnt = with_switches(loaded, conversations(loaded), config, tmp_path)
    assert learnt.loss == pytest.approx(reference.loss, rel=1e-2)


def test_position_ids_alone_still_let_packed_conversations_see_each_other(loaded: Loaded) -> None:
    both = Samples(conversations(loaded, 2))
    row = Batches(loaded, packed=True)([both[0], both[1]])
    del row["tokens"], row["unreadable"], row["labels"]
    loaded.model.eval()
    with torch.no_grad():
        exact = loaded.model(**row).logits
        row["attention_mask"] = torch.ones_like(row["input_ids"])
        leaking = loaded.model(**row).logits
    assert float((exact - leaking).abs().max()) > 1e-3


def test_logits_are_never_held_whole(loaded: Loaded) -> None:
    states = torch.randn(2, 300, 96, requires_grad=True)
    labels = torch.randint(0, 300, (2, 300))
    labels[:, ::2] = IGNORED
    head = loaded.model.get_base_model().lm_head

    def held(loss: Callable[[], torch.Tensor]) -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda kept: sizes.append(kept.numel()) or kept, lambda kept: kept
        ):
            loss()
        return max(sizes)

    vocabulary = head(states[:1, :1]).size(-1)
    usual = loaded.model.get_base_model().loss_function
    assert held(lambda: usual(head(states), labels, 0)) >= 2 * 299 * vocabulary
    assert held(lambda: chunked_loss(states, labels, head, chunk=64)) <= states.numel()
    whole, in_chunks = usual(head(states), labels, 0), chunked_loss(states, labels, head, chunk=64)
    assert torch.isclose(whole, in_chunks, rtol=1e-6)


def test_a_batch_with_nothing_to_learn_has_a_loss_of_zero_and_a_gradient(loaded: Loaded) -> None:
    states = torch.randn(1, 5, 96, requires_grad=True)
    loss = chunked_loss(states, torch.full((1, 5), IGNORED), loaded.model.get_base_model().lm_head, items=7)
    loss.backward()
    assert float(loss) == 0
    assert float(states.grad.abs().max()) == 0


def test_without_labels_logits_come_as_ever(loaded: Loaded) -> None:
    inputs = loaded.family.collate(conversations(loaded, 2), loaded.processor, "right")
    labels = inputs.pop("labels")
    inner = loaded.model.get_base_model()
    with torch.no_grad(), without_logits(inner):
        assert inner(**inputs).logits is not None
        assert inner(**inputs, labels=labels).logits is None
    assert "forward" not in inner.__dict__


@pytest.mark.parametrize("name", list(TWINS))
def test_the_loss_in_chunks_is_every_familys_loss(name: str, tmp_path: Path) -> None:
    loaded = adapted(build(name, tmp_path / name, 0))
    inputs = loaded.family.collate(conversations(loaded, 5), loaded.processor, "right")
    whole = loaded.model(**inputs, num_items_in_batch=7).loss
    with faster(loaded, TrainConfig(chunked_loss=True)):
        in_chunks = loaded.model(**inputs, num_items_in_batch=7).loss
    assert torch.isclose(whole, in_chunks, rtol=1e-5)


@pytest.mark.parametrize("name", list(TWINS))
def test_a_picture_of_any_family_can_be_skipped(name: str, tmp_path: Path) -> None:
    loaded = load_base(build(name, tmp_path / name, 0))
    given = conversations(loaded, 3)
    dataset = Samples([*given, given[0]._replace(image=picture(0)[:60])])
    batches = []
    for count in (3, 4):
        batches.append(Batches(loaded)([dataset[index] for index in range(count)]))
        del batches[-1]["tokens"]
    assert batches[1].pop("unreadable").tolist() == [3]
    del batches[0]["unreadable"]
    with torch.no_grad():
        losses = [float(loaded.model(**batch, num_items_in_batch=7).loss) for batch in batches]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_frozen_outputs_are_computed_once_and_go_on_where_they_stopped(loaded: Loaded, tmp_path: Path) -> None:
    samples = [sample for sample in conversations(loaded) if sample.image is not None]
    pictures = {digest(sample.image): sample.image for sample in samples}
    some = dict(list(pictures.items())[:3])
    first = frozen_outputs(loaded, some, tmp_path, 1)
    assert set(first) == set(some)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    (next(iter(files)).parent / "half.1234").write_bytes(b"what a killed process left")
    kept = frozen_outputs(loaded, pictures, tmp_path, 1)
    assert set(kept) == set(pictures)
    assert all(path.stat().st_mtime_ns == files[path] for path in files)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert all(torch.equal(kept[name], first[name]) for name in some)
    assert isinstance(kept, FrozenOutputs)


def test_frozen_outputs_are_another_models_where_a_weight_differs(tiny_base: Path) -> None:
    loaded = load_base(tiny_base)
    before = fingerprint(loaded)
    assert fingerprint(load_base(tiny_base)) == before
    loaded.model.model.perceiver_resampler.latents.data[0, 0] += 1
    assert fingerprint(loaded) != before


def test_frozen_outputs_are_refused_where_they_would_be_wrong_or_too_large(tiny_base: Path, tmp_path: Path) -> None:
    pictures = {digest(jpeg()): jpeg()}
    with pytest.raises(ModelError, match=r"learns; set train.lora.targets: text"):
        frozen_outputs(adapted(tiny_base, LoraConfig(targets="qkv")), pictures, tmp_path, 1)
    with pytest.raises(ModelError, match=r"more than train.frozen_outputs_gb=1e-06"):
        frozen_outputs(load_base(tiny_base), pictures, tmp_path, 1e-6)


def test_checkpointing_is_left_to_the_memory_that_is_free(loaded: Loaded) -> None:
    config = TrainConfig(batching="packed", tokens_per_batch=2048, chunked_loss=True)
    # 2 + 2 blocks of 96 values, 54 bytes each: 20,736 bytes a token.
    needed = 2048 * 20_736
    assert not needs_checkpointing(loaded, config, free=int(needed / 0.9) + 1000)
    assert needs_checkpointing(loaded, config, free=int(needed / 0.9) - 1000)
