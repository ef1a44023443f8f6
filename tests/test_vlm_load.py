"""A loaded base model: how its weights lie, what it loses, and what it answers."""

import io
from pathlib import Path

import bitsandbytes as bnb
import pytest
import torch
from PIL import Image

from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.building import built_once
from midefics.vlm.chat import IGNORED
from midefics.vlm.collate import Sample, opened, size_of
from midefics.vlm.families import FAMILIES
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import load_base
from tests.rows import jpeg

IDEFICS = FAMILIES["idefics"]
TURNS = [Turn(question="Is it benign?", answer="It is benign.")]


def batch(processor: object, *turns: Turn) -> dict[str, torch.Tensor]:
    samples = [Sample(*IDEFICS.encode([turn], processor, jpeg(), 512), image=jpeg()) for turn in turns or TURNS]
    return IDEFICS.collate(samples, processor, "right")


def test_base_is_in_nf4_with_double_quantisation_and_frozen(tiny_base: Path) -> None:
    model = load_base(tiny_base).model
    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert layers
    assert {layer.weight.quant_type for layer in layers} == {"nf4"}
    assert all(layer.weight.compress_statistics for layer in layers)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_loss_is_the_cross_entropy_of_the_answers_tokens_alone(tiny_base: Path) -> None:
    loaded = load_base(tiny_base)
    inputs = batch(loaded.processor, TURNS[0], Turn(question="A much longer question about the lesion?", answer="No."))
    with torch.no_grad():
        out = loaded.model(**inputs)
    shifted, labels = out.logits[:, :-1].float(), inputs["labels"][:, 1:]
    kept = labels != IGNORED
    by_hand = torch.nn.functional.cross_entropy(shifted[kept], labels[kept])
    assert torch.isclose(out.loss, by_hand, rtol=1e-5)


def test_gradients_are_the_same_before_and_after_an_evaluation(tiny_base: Path) -> None:
    from midefics.config import LoraConfig
    from midefics.vlm.adapter import add_adapter

    loaded = add_adapter(load_base(tiny_base), LoraConfig(dropout=0.0), seed=0)
    inputs = batch(loaded.processor)

    def gradient() -> float:
        loaded.model.train()
        loaded.model.zero_grad()
        loaded.model(**inputs).loss.backward()
        return sum(float(p.grad.square().sum()) for p in loaded.model.parameters() if p.grad is not None)

    before = gradient()
    with torch.no_grad():
        loaded.model.eval()(**inputs)
    assert gradient() == before > 0


def test_answers_do_not_depend_on_their_neighbours(tiny_base: Path) -> None:
    loaded = load_base(tiny_base)
    prompts = [Prompt("Is it benign?", jpeg()), Prompt("What does the image show, and what else?", jpeg((80, 40)))]
    together = answers(loaded, prompts, 2, 8)
    assert together == [answers(loaded, [prompt], 1, 8)[0] for prompt in prompts]


def test_a_question_without_an_image_is_answered(tiny_base: Path) -> None:
    assert isinstance(answers(load_base(tiny_base), [Prompt("What is a nevus?", None)], 1, 4)[0], str)


def test_a_missing_base_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded"):
        load_base(tmp_path / "nowhere")


def test_a_picture_lying_on_its_side_is_set_upright() -> None:
    lying, file = Image.open(io.BytesIO(jpeg((64, 48)))), io.BytesIO()
    exif = lying.getexif()
    exif[0x0112] = 6  # turned a quarter
    lying.save(file, "JPEG", exif=exif)
    assert size_of(file.getvalue()) == opened(file.getvalue()).size == (48, 64)
    assert size_of(jpeg((64, 48))) == opened(jpeg((64, 48))).size == (64, 48)


def test_pictures_are_decoded_as_the_models_own_processor_does(tiny_base: Path) -> None:
    processor = load_base(tiny_base).processor
    ours = IDEFICS.collate([Sample([1], [1], jpeg())], processor, "right")["pixel_values"]
    theirs = processor.image_processor(Image.open(io.BytesIO(jpeg())).convert("RGB"), return_tensors="pt")
    assert torch.equal(ours.reshape(theirs.shape), theirs)


def test_what_another_process_built_first_stays(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    with built_once(folder) as draft:
        draft.mkdir()
        (draft / "config.json").write_text("late")
        folder.mkdir()
        (folder / "config.json").write_text("first")
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    assert [path.read_text() for path in folder.iterdir()] == ["first"]


def test_what_is_not_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), built_once(tmp_path / "tiny") as draft:
        draft.mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
