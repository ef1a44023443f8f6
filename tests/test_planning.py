"""The plan against the original's figures, against peft's counts, and against torch's own account of memory."""

import io
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import bitsandbytes as bnb
import pytest
import torch
from rich.console import Console
from transformers import IdeficsConfig, IdeficsForVisionText2Text

from midefics.bench.sizing import PAGE, page
from midefics.commands.plan import _data, tables
from midefics.config import LoraConfig, RunConfig, TrainConfig, load_config
from midefics.errors import ConfigError, ModelError
from midefics.planning.activations import activations
from midefics.planning.demand import CPU, GPU, Batch, Precision, Switches, switches
from midefics.planning.gpus import GPUS, gpu
from midefics.planning.memory import fits, memory
from midefics.planning.plan import make_plan, rates_of
from midefics.planning.shape import Linear, Shape
from midefics.planning.work import assumed_data, work
from midefics.records import Turn
from midefics.vlm.adapter import add_adapter
from midefics.vlm.families.idefics import Idefics
from midefics.vlm.load import Loaded, load_base
from midefics.vlm.room import check_room
from midefics.vlm.shape import architecture, shape_of
from tests.rows import make_row, make_services
from tests.test_command_line import midefics

NOWHERE = Path("/nowhere")
AUTOCAST = Precision(2, False)
"""As a GPU computes, but for LayerNorm, which the CPU's autocast leaves in bfloat16."""


def nine_billion(targets: str = "qkv") -> Shape:
    config = architecture("idefics-9b-instruct", NOWHERE)
    return shape_of("idefics-9b-instruct", config, LoraConfig.model_validate({"targets": targets}))


def small(**sizes: int) -> IdeficsConfig:
    given = {"vocab_size": 499, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4} | sizes
    return IdeficsConfig(
        **given, additional_vocab_size=3, num_attention_heads=8, cross_layer_interval=2, qk_layer_norms=True,
        alpha_type="float", use_resampler=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        vision_config={"embed_dim": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
                       "image_size": 32, "patch_size": 8},
        perceiver_config={"use_resampler": True, "resampler_n_latents": 8, "resampler_depth": 2, "resampler_n_heads": 4,
                          "resampler_head_dim": 32, "qk_layer_norms_perceiver": True},
    )  # fmt: skip


class Case(NamedTuple):
    """One way to train."""

    precision: Precision = AUTOCAST
    targets: str = "text"
    dropout: float = 0.0
    checkpointing: bool = False


def quantised(config: IdeficsConfig, case: Case) -> Loaded:
    """A random IDEFICS in nf4 with an adapter, as load_base and add_adapter make one of a folder."""
    torch.manual_seed(0)
    model = IdeficsForVisionText2Text(config).to(torch.float32 if case.precision == CPU else torch.bfloat16)
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Linear and not name.startswith("lm_head"):
            layer = bnb.nn.Linear4bit(
                module.in_features, module.out_features, module.bias is not None, module.weight.dtype, True, "nf4"
            )
            layer.weight = bnb.nn.Params4bit(module.weight.data, False, quant_type="nf4", module=layer)
            layer.bias = module.bias
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, layer.to("cpu"))
    model.is_loaded_in_4bit = True
    Idefics().mend(model)
    model.requires_grad_(False)
    lora = LoraConfig.model_validate({"targets": case.targets, "dropout": case.dropout})
    loaded = add_adapter(Loaded(model, None, Idefics()), lora, 0)
    loaded.model.train()
    if case.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    return loaded


def forward(model: torch.nn.Module, config: IdeficsConfig, batch: Batch, half: bool) -> torch.Tensor:
    """The loss of random input; peft asks for CUDA's autocast flag and is told that it is on."""
    rows, side = (batch.samples, batch.longest), config.vision_config.image_size
    ids = torch.randint(3, config.vocab_size, rows)
    pixels = torch.randn(batch.samples, 1, 3, side, side, dtype=torch.bfloat16 if half else torch.float32)
    mask = torch.ones(rows, dtype=torch.long)
    torch.set_autocast_enabled("cuda", half)
    try:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            return model(
                input_ids=ids, attention_mask=mask, labels=ids, pixel_values=pixels,
                image_attention_mask=mask.unsqueeze(-1), use_cache=False,
            ).loss  # fmt: skip
    finally:
        torch.set_autocast_enabled("cuda", False)


def saved_bytes(model: torch.nn.Module, run: Callable[[], object]) -> int:
    """Storages that autograd keeps, each once; the model's own are no activations."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in own)


def peak_bytes(run: Callable[[], object]) -> int:
    """The highest sum of what torch allocated and freed."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        highest = max(highest, now)
    return highest


def switched(case: Case, batch: Batch) -> Switches:
    return Switches(batch, 16, case.dropout > 0, "adamw_torch", case.checkpointing, False, False)


def shape_for(config: IdeficsConfig, case: Case) -> Shape:
    return shape_of("random", config, LoraConfig.model_validate({"targets": case.targets}))


def test_the_original_has_the_parameters_its_notebook_printed() -> None:
    shape = nine_billion()
    assert shape.parameters == 8_929_687_824
    assert shape.adapter_parameters(16) == 19_750_912
    assert shape.parameters + shape.adapter_parameters(16) == 8_949_438_736


def test_the_original_in_nf4_takes_what_its_uploaded_file_did() -> None:
    needs = memory(nine_billion(), switches(TrainConfig()))
    uploaded = 4_999_838_998  # bytes of model.safetensors, by the notebook's log
    assert abs(needs.weights + needs.quantisation - uploaded) / uploaded < 2e-4


def test_the_state_of_a_quantised_layer_is_what_bitsandbytes_keeps() -> None:
    layer = bnb.nn.Linear4bit(192, 320, False, compress_statistics=True, quant_type="nf4").to("cpu")
    layer.weight = bnb.nn.Params4bit(torch.randn(320, 192), False, quant_type="nf4", module=layer).to("cpu")
    state = layer.weight.quant_state
    kept = [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
    ours = Linear("q_proj", "text", 192, 320, False, True, False)
    assert ours.state_bytes == sum(tensor.nbytes for tensor in kept)
    assert layer.weight.nbytes == ours.weights / 2


@pytest.mark.parametrize("targets", Idefics.lora_targets)
def test_adapters_are_counted_as_peft_makes_them(tiny_base: Path, targets: str) -> None:
    lora = LoraConfig.model_validate({"targets": targets, "r": 8})
    model = add_adapter(load_base(tiny_base), lora, 0).model
    learnt, total = model.get_nb_trainable_parameters()
    shape = shape_of("tiny", IdeficsConfig.from_pretrained(tiny_base), lora)
    assert (shape.adapter_parameters(8), shape.parameters + shape.adapter_parameters(8)) == (learnt, total)
    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert len(shape.quantised) == len(layers)


@pytest.mark.parametrize("targets", Idefics.lora_targets)
@pytest.mark.parametrize("dropout", [0.0, 0.05])
@pytest.mark.parametrize("precision", [CPU, AUTOCAST], ids=["float32", "autocast"])
def test_activations_are_what_autograd_keeps(targets: str, dropout: float, precision: Precision) -> None:
    config, batch, case = small(), Batch(3, 3 * 128, 3), Case(precision, targets, dropout)
    model = quantised(config, case).model
    kept = saved_bytes(model, lambda: forward(model, config, batch, precision.half))
    shape = shape_for(config, case)
    planned = activations(shape, switched(case, batch), precision).kept
    planned += 4 * shape.vocabulary * batch.positions  # of the logits autograd keeps the log probabilities
    assert abs(planned - kept) / kept < 0.015


@pytest.mark.parametrize(
    ("case", "sizes", "within"),
    [
        (Case(CPU), {}, 0.01),
        (Case(), {}, 0.01),
        (Case(targets="qkv"), {}, 0.01),
        (Case(), {"vocab_size": 7997}, 0.01),
        (Case(checkpointing=True), {"vocab_size": 7997}, 0.03),
        (Case(CPU, checkpointing=True), {}, 0.04),
        (Case(checkpointing=True), {}, 0.04),
    ],
)
def test_a_whole_step_peaks_where_the_plan_says(case: Case, sizes: dict[str, int], within: float) -> None:
    config, batch = small(**sizes), Batch(3, 3 * 256, 3)
    model = quantised(config, case).model
    peak = peak_bytes(lambda: forward(model, config, batch, case.precision.half).backward())
    needs = memory(shape_for(config, case), switched(case, batch), case.precision)
    assert abs(needs.activations + needs.logits + needs.dequantisation - peak) / peak < within


@pytest.mark.slow
def test_the_same_holds_for_a_model_of_two_hundred_million() -> None:
    config = small(hidden_size=1024, intermediate_size=2816, num_hidden_layers=12, vocab_size=8000)
    batch, case = Batch(2, 2 * 128, 2), Case()
    shape = shape_for(config, case)
    assert 200e6 < shape.parameters < 300e6
    model = quantised(config, case).model
    peak = peak_bytes(lambda: forward(model, config, batch, True).backward())
    needs = memory(shape, switched(case, batch), AUTOCAST)
    assert abs(needs.activations + needs.logits + needs.dequantisation - peak) / peak < 0.04


def test_operations_are_those_of_torchs_counter() -> None:
    """FlopCounterMode on the meta device counted 8.33 TFLOP for 256 tokens, 0.364 for a frozen image, 0.753 for an adapted one."""
    done = {
        targets: work(nine_billion(targets), switches(TrainConfig(max_length=256)), TrainConfig(), assumed_data(1, 256))
        for targets in ("text", "qkv")
    }
    assert abs(done["text"].flops_per_token * 256 / 8.33e12 - 1) < 0.02
    assert (
        abs(done["text"].flops_per_image / 0.364e12 - 1) < 0.08
    )  # with the latents' keys and values, the text's share there
    assert abs(done["qkv"].flops_per_image / 0.753e12 - 1) < 0.04


def test_sixteen_conversations_of_random_length_waste_half_a_batch_on_padding() -> None:
    config = TrainConfig(batch_size=16, accumulation=1, max_length=2048)
    done = work(nine_billion(), switches(config), config, assumed_data(1600, 2048))
    assert done.steps == 100
    assert 0.48 < 1 - done.tokens / done.positions < 0.56  # a simulation of lognormal lengths wasted 51 %


def test_the_notebooks_run_on_a_t4_takes_about_as_long_as_its_log_said() -> None:
    config = load_config("idefics_9b").train
    plan = make_plan(config, nine_billion(), assumed_data(3800, config.max_length), [GPUS["T4"]], {"": 0.5})
    assert plan.work.steps == 238
    assert 1.4 < plan.cards[0].hours < 2.1  # 18 of 237 steps in 7:46
    assert plan.cards[0].dollars == pytest.approx(plan.cards[0].hours * 0.5)


def test_what_does_not_fit_is_told_the_way_out() -> None:
    config = TrainConfig(batch_size=8, lora=LoraConfig(targets="text"))
    refused = fits(config, nine_billion("text"), GPUS["L4"].memory_bytes)
    assert not refused.fits
    assert refused.memory.total > GPUS["L4"].memory_bytes
    knobs = [text.split(":")[0] for text in refused.ways_out]
    assert "train.gradient_checkpointing" in knobs
    mended = config.model_copy(update={"gradient_checkpointing": "on"})
    assert fits(mended, nine_billion("text"), GPUS["L4"].memory_bytes).fits


def test_every_way_out_that_names_a_batch_size_fits() -> None:
    config = TrainConfig(batch_size=16, lora=LoraConfig(targets="text", dropout=0.0))
    shape, available = nine_billion("text"), GPUS["A100-80"].memory_bytes
    told = next(text for text in fits(config, shape, available).ways_out if text.startswith("train.batch_size"))
    samples = int(told.split()[1])
    assert fits(config.model_copy(update={"batch_size": samples}), shape, available).fits
    assert not fits(config.model_copy(update={"batch_size": samples + 1}), shape, available).fits


def test_a_packed_run_is_told_to_pack_less() -> None:
    config = load_config("idefics_9b_fast", values={"train.gradient_checkpointing": "off"}).train
    told = fits(config, nine_billion("text"), GPUS["L4"].memory_bytes).ways_out
    assert "train.gradient_checkpointing: on" in told[0]
    assert not any(text.startswith("train.batch_size") for text in told)
    left_to_it = config.model_copy(update={"gradient_checkpointing": "auto"})
    assert fits(left_to_it, nine_billion("text"), GPUS["L4"].memory_bytes).checkpointing


def test_a_chunked_loss_never_holds_all_logits() -> None:
    config = TrainConfig(max_length=4096, lora=LoraConfig(targets="text", dropout=0.0))
    whole, chunked = (
        activations(nine_billion("text"), switches(one), GPU).logits
        for one in (config, config.model_copy(update={"chunked_loss": True}))
    )
    assert whole == 4 * chunked == 12 * 32_003 * 4096


def test_what_fits_nowhere_is_told_to_take_a_larger_gpu() -> None:
    assert "a larger GPU" in fits(TrainConfig(), nine_billion(), 4_000_000_000).ways_out[0]


def test_checkpointing_left_to_the_plan_is_on_only_where_it_must_be() -> None:
    config = TrainConfig(batch_size=4, lora=LoraConfig(targets="text"), gradient_checkpointing="auto")
    shape = nine_billion("text")
    assert fits(config, shape, GPUS["H100"].memory_bytes).checkpointing is False
    small_card = fits(config, shape, GPUS["A10G"].memory_bytes)
    assert (small_card.fits, small_card.checkpointing) == (True, True)


def test_training_on_a_gpu_that_is_too_small_is_refused_before_anything_is_loaded() -> None:
    config: RunConfig = load_config("idefics_9b", values={"train.batch_size": "4"})
    with pytest.raises(ModelError, match=r"needs \d+\.\d GB and the GPU has 15\.7 GB free; what would fit: train\."):
        check_room(config, NOWHERE, None, GPUS["T4"].memory_bytes)
    assert check_room(config, NOWHERE, None, None) is None


def test_a_gpu_is_found_whatever_the_spelling() -> None:
    assert gpu("rtx4090").name == "RTX 4090"
    with pytest.raises(ConfigError, match="not one of T4"):
        gpu("abacus")


def test_rates_are_read() -> None:
    assert rates_of(["1.5", "h100=2"]) == {"": 1.5, "H100": 2.0}
    with pytest.raises(ConfigError, match="expected dollars an hour"):
        rates_of(["cheap"])


def test_layer_norms_on_a_gpu_are_counted_wider_than_on_a_cpu() -> None:
    shape, one = nine_billion("qkv"), switches(TrainConfig())
    assert activations(shape, one, GPU).images > activations(shape, one, AUTOCAST).images


def test_the_command_line_plans_without_weights_a_data_set_or_the_hub(tmp_path: Path) -> None:
    done = midefics(
        tmp_path, "train", "--plan", "--config", "idefics_9b", "--gpu", "t4", "--usd-per-hour", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["parameters"] == 8_949_438_736
    assert [row["gpu"] for row in told["gpus"]] == ["T4"]
    assert told["gpus"][0]["usd"] == pytest.approx(told["gpus"][0]["hours"])


@pytest.mark.parametrize(
    ("sample", "samples", "tokens"),
    # 3.5 characters a token and 12 tokens a turn: of 30, 14 and 21 characters alone, or the first two together.
    [("turn", 3, 21 + 16 + 18), ("conversation", 2, 37 + 18)],
)
def test_a_plan_counts_what_training_learns_from(tmp_path: Path, sample: str, samples: int, tokens: int) -> None:
    services = make_services(tmp_path)
    seen = (Turn(question="q" * 10, answer="a" * 20), Turn(question="q" * 7, answer="a" * 7))
    text_only = (Turn(question="q" * 7, answer="a" * 14),)
    with services.storage.draft("dataset") as draft:
        draft.add(make_row(0, turns=seen, split="train").model_copy(update={"text_only": text_only}))
        draft.add(make_row(1, turns=seen, split="test"))
    config = load_config("demo", values={"train.sample": sample})
    data = _data(config, draft.manifest, services)
    assert (data.samples, data.tokens) == (samples, tokens)


def test_people_are_told_what_is_too_small_and_what_to_do() -> None:
    plan = make_plan(TrainConfig(batch_size=4), nine_billion(), assumed_data(3800, 1024), [GPUS["T4"], GPUS["H200"]])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(*tables(plan), sep="\n")
    told = console.export_text()
    assert "8,949,438,736 parameters, 19,750,912 of them learn (0.22%)" in told
    assert told.count("too small") == 1
    assert "T4: does not fit. What would: train.gradient_checkpointing: on" in told


def test_the_page_on_gpus_is_what_the_plan_says_now() -> None:
    told = (Path(__file__).parents[1] / PAGE).read_text(encoding="utf-8")
    assert told == page(), "python -m midefics.bench.sizing writes it again"
