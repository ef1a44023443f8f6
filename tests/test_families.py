"""Every family on a tiny random twin of its own: what it reads and learns, alone and in batches, and the whole way round."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import Idefics2Processor, Idefics3Processor, Qwen2_5_VLProcessor
from transformers.modeling_layers import GradientCheckpointingLayer

from midefics.base_models import BASE_MODELS
from midefics.config import LoraConfig, TrainConfig
from midefics.errors import ModelError
from midefics.records import Turn
from midefics.sources.synthetic import captioned_pictures
from midefics.vlm.adapter import add_adapter
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample
from midefics.vlm.compare import Asked, compare, hear
from midefics.vlm.exported import load, write
from midefics.vlm.families import FAMILIES
from midefics.vlm.fit import fit
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import Loaded, load_base, load_tuned
from midefics.vlm.twins import TWINS, build
from tests.rows import encoded, jpeg

ASKED = [
    (Turn(question="What does the image show?", answer="A dermoscopic image of a nevus."), (48, 48)),
    (Turn(question="Why?", answer="It is benign, without any doubt."), (40, 16)),
    (Turn(question="What is a nevus?", answer="A mole."), None),
]


class WithoutVideo(Qwen2_5_VLProcessor):
    """Transformers' own, which can't be made without torchvision but for its insistence on a video processor."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> None:
        """Passes `None`."""


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where a twin lies, built once."""
    home = tmp_path_factory.mktemp("twins")
    return lambda name: build(name, home / name, 0)


@pytest.fixture(params=list(TWINS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(name: str, twin_folder: Callable[[str], Path]) -> Path:
    return twin_folder(name)


@pytest.fixture
def loaded(folder: Path) -> Loaded:
    return load_base(folder)


def picture(size: tuple[int, int] | None) -> bytes | None:
    return None if size is None else jpeg(size)


def samples(loaded: Loaded) -> list[Sample]:
    pairs = [(turn, picture(size)) for turn, size in ASKED]
    return [Sample(*loaded.family.encode([turn], loaded.processor, image, 512), image=image) for turn, image in pairs]


def test_every_base_model_has_its_family() -> None:
    assert {spec.architecture for spec in BASE_MODELS.values()} == set(FAMILIES)
    assert {name: twin.architecture for name, twin in TWINS.items()}.items() <= {
        name: spec.architecture for name, spec in BASE_MODELS.items()
    }.items()


def test_the_same_seed_gives_the_same_twin(name: str, folder: Path, tmp_path: Path) -> None:
    again = build(name, tmp_path / name, 0)
    for file in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()


def test_text_and_pictures_become_what_the_models_own_processor_makes_of_them(name: str, loaded: Loaded) -> None:
    processor, family = loaded.processor, loaded.family
    theirs: Any = {
        "idefics2": lambda: Idefics2Processor(
            processor.image_processor, processor.tokenizer, processor.tokens_per_view
        ),
        "idefics3": lambda: Idefics3Processor(
            processor.image_processor, processor.tokenizer, processor.tokens_per_view
        ),
        "qwen2_5_vl": lambda: WithoutVideo(processor.image_processor, processor.tokenizer),
    }[TWINS[name].architecture]()
    image = Image.open(io.BytesIO(jpeg((50, 30))))
    turns = [
        Turn(question="What does it show?", answer="A nevus."),
        Turn(question="Is it benign?", answer="Yes, it is."),
    ]
    messages = [
        {"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": turns[0].question}]},
        {"role": "assistant", "content": [{"type": "text", "text": turns[0].answer}]},
        {"role": "user", "content": [{"type": "text", "text": turns[1].question}]},
    ]
    made = theirs.apply_chat_template(
        messages,
        chat_template=family.template,  # type: ignore[attr-defined]
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = family.encode_question(turns[:1], turns[1].question, processor, jpeg((50, 30)))
    ours = family.collate([Sample(ids, ids, jpeg((50, 30)))], processor, "right")
    assert ids == made["input_ids"][0].tolist()
    for key in set(made) - {"input_ids", "attention_mask"}:
        assert torch.equal(ours[key], torch.as_tensor(made[key])), key


@pytest.mark.parametrize(
    "size", [(16, 16), (17, 16), (31, 33), (64, 48), (48, 64), (300, 40), (5, 9), (400, 7), (1, 1)]
)
def test_a_picture_of_any_shape_has_as_many_tokens_as_features(loaded: Loaded, size: tuple[int, int]) -> None:
    image = encoded(Image.new("RGB", size, (20, 80, 140)))
    ids = loaded.family.encode_question([], "Why?", loaded.processor, image)
    batch = loaded.family.collate([Sample(ids, ids, image)], loaded.processor, "right")
    batch.pop("labels")
    with torch.no_grad():  # the models refuse another number of features
        assert torch.isfinite(loaded.model(**batch).logits).all()


def test_the_answer_depends_on_the_picture(loaded: Loaded) -> None:
    ids = loaded.family.encode_question([], "Why?", loaded.processor, jpeg((48, 48)))

    def logits(image: bytes) -> torch.Tensor:
        batch = loaded.family.collate([Sample(ids, ids, image)], loaded.processor, "right")
        batch.pop("labels")
        with torch.no_grad():
            result: torch.Tensor = loaded.model(**batch).logits[0, -1]
        return result

    assert not torch.allclose(logits(jpeg((48, 48))), logits(encoded(Image.new("RGB", (48, 48), (250, 250, 90)))))


def test_a_batch_loses_what_its_samples_lose_weighed_by_their_tokens(folder: Path) -> None:
    loaded = load_base(folder, quantised=False)
    alone = samples(loaded)

    def loss(chosen: list[Sample]) -> float:
        with torch.no_grad():
            return float(loaded.model(**loaded.family.collate(chosen, loaded.processor, "right")).loss)

    counts = [sum(label != IGNORED for label in sample.labels) for sample in alone]
    weighed = sum(count * loss([sample]) for count, sample in zip(counts, alone, strict=True)) / sum(counts)
    assert loss(alone) == pytest.approx(weighed, rel=1e-5)


def test_pictures_and_padding_are_never_learnt(loaded: Loaded) -> None:
    batch = loaded.family.collate(samples(loaded), loaded.processor, "right")
    forbidden = torch.tensor(loaded.family.forbidden(loaded.processor))
    learnt = batch["labels"][batch["labels"] != IGNORED]
    assert not torch.isin(learnt, forbidden).any()
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()


def test_answers_do_not_depend_on_their_neighbours(loaded: Loaded) -> None:
    prompts = [Prompt(turn.question, picture(size)) for turn, size in ASKED]
    assert answers(loaded, prompts, 3, 12) == [answers(loaded, [prompt], 1, 12)[0] for prompt in prompts]


def test_answers_are_greedy_whatever_the_model_is_published_with(folder: Path) -> None:
    loaded = load_base(folder)
    prompts = [Prompt(turn.question, picture(size)) for turn, size in ASKED]
    plain = answers(loaded, prompts, 3, 12)
    loaded.model.generation_config.update(repetition_penalty=5.0, temperature=0.1, do_sample=True, top_k=3)
    assert answers(loaded, prompts, 3, 12) == plain


def test_every_checkpointed_layer_is_a_block_of_the_family(loaded: Loaded) -> None:
    layers = {
        type(module).__name__ for module in loaded.model.modules() if isinstance(module, GradientCheckpointingLayer)
    }
    assert layers
    assert layers <= set(loaded.family.blocks)


@pytest.mark.parametrize("targets", ["qkv", "text", "all"])
def test_adapters_are_put_where_the_configuration_says(loaded: Loaded, targets: Any) -> None:
    model = add_adapter(loaded, LoraConfig(targets=targets), seed=0).model
    adapted = {name.partition(".lora_A.")[0] for name, _ in model.named_parameters() if ".lora_A." in name}
    decoder = {name for name in adapted if ".layers." in name and ("text_model" in name or "language_model" in name)}
    tower = {name for name in adapted if "vision_model" in name or "visual" in name}
    assert len(decoder) == {"qkv": 2 * 3, "text": 2 * 7, "all": 2 * 7}[targets]
    assert bool(tower) == (targets != "text")
    assert targets != "text" or decoder == adapted
    assert not any("lm_head" in name for name in adapted)


def test_accumulated_batches_teach_what_one_batch_does(folder: Path, tmp_path: Path) -> None:
    def learnt(batch_size: int, accumulation: int) -> torch.Tensor:
        loaded = add_adapter(load_base(folder), LoraConfig(targets="text", dropout=0.0), seed=0)
        recipe = TrainConfig(
            max_steps=2, batch_size=batch_size, accumulation=accumulation, optimizer="adamw_torch", validations=0
        )
        fit(loaded, samples(loaded)[:2], (), recipe, seed=0, folder=tmp_path, tell=lambda *_: None)
        return torch.cat([p.detach().flatten() for p in loaded.model.parameters() if p.requires_grad])

    assert torch.allclose(learnt(2, 1), learnt(1, 2), atol=1e-5)


def test_the_loss_falls_in_4_bit(loaded: Loaded, tmp_path: Path) -> None:
    family, processor = loaded.family, loaded.processor
    described = [
        (Turn(question="Describe the image.", answer=caption), image) for image, caption in captioned_pictures(8, 1, 32)
    ]
    learnt = [Sample(*family.encode([turn], processor, image, 512), image=image) for turn, image in described]
    recipe = TrainConfig(
        max_steps=15, batch_size=4, accumulation=1, learning_rate=1e-2, optimizer="adamw_torch", validations=1
    )
    tuned = add_adapter(loaded, LoraConfig(targets="text", dropout=0.0), seed=0)
    fitted = fit(tuned, learnt, learnt[:2], recipe, seed=0, folder=tmp_path, tell=lambda *_: None)
    assert fitted.loss_last < fitted.loss_first / 4


def test_a_model_of_no_known_family_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="'bert' belongs to none of the known ones, idefics, idefics2"):
        load_base(tmp_path)


def test_an_adapter_of_every_family_is_merged_into_its_base(loaded: Loaded, tmp_path: Path) -> None:
    base, adapter, merged = (tmp_path / name for name in ("base", "adapter", "merged"))
    loaded.model.save_pretrained(base)
    loaded.processor.save_pretrained(base)
    tuned = add_adapter(load_base(base), LoraConfig(targets="all", r=4, alpha=8), 0).model
    torch.manual_seed(1)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    tuned.save_pretrained(adapter, save_embedding_layers=False)
    merged.mkdir()
    write(base, adapter, merged, "merged-bf16", lambda _: None)
    asked = [Asked(turn, jpeg(size)) for turn, size in ASKED[:2] if size]
    trained, export = (hear(model, asked, 2, 4) for model in (load_tuned(base, adapter), load(merged, "merged-bf16")))
    near, far = (compare(trained, other, asked).kl for other in (export, hear(load_base(base), asked, 2, 4)))
    assert near < 0.002
    assert far > 10 * near
