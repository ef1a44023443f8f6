"""What is registered and exported: the base stored once and checked, adapters merged exactly, every difference measured."""

import json
import shutil
from pathlib import Path

import bitsandbytes as bnb
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from peft import PeftModel
from safetensors.torch import load_file, save_file

from midefics.config import LoraConfig, Settings
from midefics.errors import ModelError
from midefics.planning.demand import CPU, Batch, Switches
from midefics.planning.memory import memory
from midefics.records import Manifest, Turn
from midefics.services import Services
from midefics.services.shared_base import SharedBase
from midefics.services.storage import Storage
from midefics.stages.export_model import Limits, export_model
from midefics.stages.export_readme import readme
from midefics.stages.shared_base import shared_base
from midefics.vlm.adapter import add_adapter
from midefics.vlm.compare import Asked, Heard, compare, hear
from midefics.vlm.exported import load, write
from midefics.vlm.formats import Format
from midefics.vlm.load import load_base, load_tuned
from midefics.vlm.merge import INDEX, merge
from midefics.vlm.shape import architecture, shape_of
from tests.rows import jpeg
from tests.test_command_line import midefics

ASKED = [Asked(Turn(question="Is it benign?", answer="It is benign."), jpeg()),
         Asked(Turn(question="What does it show?", answer="A skin lesion."), jpeg((80, 40)))]  # fmt: skip


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base in nf4, as it is stored."""
    folder, loaded = tmp_path_factory.mktemp("nf4"), load_base(tiny_base)
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that changes every linear layer, as if it had learnt much."""
    model = add_adapter(load_base(base), LoraConfig(targets="all", r=4, alpha=8), 0).model
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def services_at(home: Path, tiny_base: Path, **values: str) -> Services:
    if not (home / "cache").exists():
        shutil.copytree(tiny_base, home / "cache" / "base_models" / tiny_base.name)
    return Services(Settings(MIDEFICS_HOME=home, **values))


def test_a_merge_is_the_unpacked_base_plus_the_adapter(base: Path, adapter: Path, tmp_path: Path) -> None:
    # Two decoder and two cross-attention layers of 7, a vision layer and a perceiver block of 6, the added words' head.
    assert merge(base, adapter, tmp_path) == 2 * 7 + 2 * 7 + 6 + 6 + 1
    tuned = load_tuned(base, adapter).model
    name = "model.layers.1.mlp.down_proj"
    layer = tuned.base_model.model.get_submodule(name)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    packed = layer.base_layer.weight
    by_hand = dequantize_4bit(packed.data, packed.quant_state).float() + 8 / 4 * (up @ down)
    written = load_file(tmp_path / "model-00001-of-00001.safetensors")[f"{name}.weight"]
    assert torch.equal(written, by_hand.to(torch.bfloat16))


def test_a_merge_in_many_shards_is_the_same_model(base: Path, adapter: Path, tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    for folder, size in ((one, 2_000_000_000), (many, 100_000)):
        folder.mkdir()
        merge(base, adapter, folder, shard_bytes=size)
    files = sorted(many.glob("*.safetensors"))
    assert len(files) > 5
    assert all(file.stat().st_size < 120_000 for file in files)
    whole = load_file(one / "model-00001-of-00001.safetensors")
    pieces = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert whole.keys() == pieces.keys() == json.loads((many / INDEX).read_text())["weight_map"].keys()
    assert all(torch.equal(tensor, pieces[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(
    ("change", "told"),
    [({"use_dora": True}, "not one with use_dora"), ({"modules_to_save": ["lm_head"]}, "not one with modules_to_save")],
)
def test_what_is_more_than_a_product_is_not_merged(
    base: Path, adapter: Path, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    other = shutil.copytree(adapter, tmp_path / "other")
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=told):
        merge(base, other, tmp_path)


def test_an_adapter_of_another_model_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    other = shutil.copytree(adapter, tmp_path / "other")
    tensors = load_file(other / "adapter_model.safetensors")
    renamed = {name.replace("layers.1", "layers.9"): tensor for name, tensor in tensors.items()}
    save_file(renamed, other / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"changes \d+ weights that .* does not have"):
        merge(base, other, tmp_path)


@pytest.mark.parametrize("shape", ["merged-bf16", "merged-int8", "bundle"])
def test_an_export_is_near_what_was_trained_and_loads_by_itself(
    base: Path, adapter: Path, tmp_path: Path, shape: Format
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    write(base, adapter, folder, shape, lambda _: None)
    reference, export = (hear(model, ASKED, 2, 8) for model in (load_tuned(base, adapter), load(folder, shape)))
    found = compare(reference, export, ASKED)
    assert abs(found.nll) < 0.03
    assert 0 <= found.kl < 0.02
    assert found.tokens == sum(len(rows) for rows in reference.likelihoods)
    files = [path.name for path in folder.rglob("*") if path.is_file()]
    assert [name for name in files if name.endswith((".bin", ".pt", ".pkl"))] == []
    assert "generation_config.json" in files
    if shape == "bundle":
        assert (found.nll, found.answers_changed) == (0, 0)


def test_the_difference_is_nothing_between_a_model_and_itself_and_much_to_its_base(base: Path, adapter: Path) -> None:
    tuned = load_tuned(base, adapter)
    heard = hear(tuned, ASKED, 2, 8)
    assert compare(heard, heard, ASKED).kl == 0
    with tuned.model.disable_adapter():
        assert compare(heard, hear(tuned, ASKED, 2, 8), ASKED).kl > 0.01


@pytest.mark.parametrize(("name", "warned"), [("tiny-idefics", True), ("tiny-qwen2.5-vl", False)])
def test_the_readme_warns_of_what_its_own_model_does(name: str, warned: bool) -> None:
    digest, rows = "0" * 64, [torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()]
    heard = Heard(rows, [rows[0][:, 0]], ["It is benign."])
    manifest = Manifest(kind="base", uri="base/0", rows=1, bytes=1, digest=digest, facts={"base_model": name})
    told = readme("merged-bf16", compare(heard, heard, ASKED[:1]), manifest, manifest)
    assert ("model.loss_function" in told) is warned
    assert "on 1 held-out questions (2 tokens of true answers)" in told


def test_likelihoods_are_those_of_the_models_own_loss(base: Path, adapter: Path) -> None:
    loaded = load_tuned(base, adapter)
    one = ASKED[0]
    heard = hear(loaded, [one], 1, 4)
    from midefics.vlm.collate import Sample

    sample = Sample(*loaded.family.encode([one.turn], loaded.processor, one.image, 512), image=one.image)
    with torch.no_grad():
        loss = loaded.model(**loaded.family.collate([sample], loaded.processor, "right")).loss
    assert compare(heard, heard, [one]).nll_reference == pytest.approx(float(loss), rel=1e-5)


def test_the_base_is_stored_once_whoever_asks(tiny_base: Path, tmp_path: Path, location: str) -> None:
    services = services_at(tmp_path / "home", tiny_base, MIDEFICS_STORE=location)
    first = shared_base("tiny-idefics", services)
    assert shared_base("tiny-idefics", services) == first
    assert [output.manifest.digest for output in services.storage.outputs("base")] == [first.digest]


def test_the_stored_base_takes_little_more_than_nf4_needs(tiny_base: Path, tmp_path: Path) -> None:
    services = services_at(tmp_path / "home", tiny_base)
    stored = shared_base("tiny-idefics", services)
    config = architecture("tiny-idefics", tmp_path / "home")
    shape = shape_of("tiny-idefics", config, LoraConfig())
    needs = memory(shape, Switches(Batch(1, 1, 1), 16, False, "adamw_torch", False, False, False), CPU)
    weights = services.storage.folder(stored) / "model.safetensors"
    assert weights.stat().st_size <= 1.1 * (needs.weights + needs.quantisation)


def reference_to(services: Services) -> tuple[SharedBase, Manifest]:
    stored = shared_base("tiny-idefics", services)
    return SharedBase.of(stored, services.storage), stored


def test_another_machine_finds_the_base_where_it_was_registered(tiny_base: Path, tmp_path: Path, location: str) -> None:
    reference, stored = reference_to(services_at(tmp_path / "home", tiny_base, MIDEFICS_STORE=location))
    found = reference.folder(Settings(MIDEFICS_HOME=tmp_path / "elsewhere"))
    layers = [module for module in load_base(found).model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert layers
    assert Storage.at(location, tmp_path / "home").holds(stored)


def test_a_base_whose_bytes_changed_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    services = services_at(tmp_path / "home", tiny_base)
    reference, stored = reference_to(services)
    weights = services.storage.folder(stored) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="they were changed; `midefics register` stores it again"):
        reference.folder(services.settings)


def test_a_base_that_is_nowhere_is_one_clear_error(tiny_base: Path, tmp_path: Path) -> None:
    services = services_at(tmp_path / "home", tiny_base)
    reference, stored = reference_to(services)
    services.storage.store.delete(stored.uri)
    with pytest.raises(ModelError, match="set MIDEFICS_STORE to where it is"):
        reference.folder(services.settings)


def test_a_folder_that_is_not_empty_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    done = midefics(tmp_path / "home", "export-model", "models:/midefics@champion", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty; export into a new folder" in done.stderr


def test_a_version_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="models:/midefics@champion: "):
        export_model(
            "models:/midefics@champion",
            tmp_path / "out",
            "bundle",
            Limits(),
            Services(Settings(MIDEFICS_HOME=tmp_path)),
        )


def test_loading_peft_beside_the_bundle_needs_nothing_of_ours(base: Path, adapter: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    write(base, adapter, tmp_path, "bundle", lambda _: None)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "base", device_map={"": "cpu"})
    assert PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    assert AutoTokenizer.from_pretrained(tmp_path / "base").convert_tokens_to_ids("<image>") > 0
