"""What a training tells while it goes on, and when it ends by itself: on the tiny base, in this process."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from midefics.config import LoraConfig, TrainConfig
from midefics.errors import ModelError
from midefics.records import Turn
from midefics.vlm.adapter import add_adapter
from midefics.vlm.collate import Sample
from midefics.vlm.fit import Fitted, fit
from midefics.vlm.load import Loaded, load_base
from midefics.vlm.samples import SampleAnswers
from midefics.vlm.watch import Batch, Tell, Watcher
from tests.rows import make_row, picture

CONFIG = {
    "batch_size": 1,
    "accumulation": 1,
    "optimizer": "adamw_torch",
    "lora": {"dropout": 0.0},
    "schedule": "constant",
}


@pytest.fixture
def loaded(tiny_base: Path) -> Loaded:
    torch.set_num_threads(1)
    return add_adapter(load_base(tiny_base), LoraConfig(dropout=0.0), seed=0)


def sample(loaded: Loaded, number: int, answer: str = "It is benign.") -> Sample:
    turn = Turn(question="Is it benign?", answer=answer)
    image = picture(number)
    return Sample(*loaded.family.encode([turn], loaded.processor, image, 64), image=image, id=f"isic/{number}")


def fitted(
    loaded: Loaded, train: list[Sample], validation: Sequence[Sample], folder: Path,
    tell: Tell = lambda *_: None, **values: object,
) -> Fitted:  # fmt: skip
    config = TrainConfig.model_validate(CONFIG | values)
    return fit(loaded, train, validation, config, seed=0, folder=folder / "trainer", tell=tell)


def learnt(loaded: Loaded) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in loaded.model.named_parameters() if tensor.requires_grad}


def test_a_loss_that_is_no_number_names_the_row_that_caused_it(loaded: Loaded, tmp_path: Path) -> None:
    good = [sample(loaded, number) for number in range(5)]
    bad = sample(loaded, 5, "It is ~.")
    [token] = set(bad.input_ids) - {token for one in good for token in one.input_ids}
    loaded.model.get_input_embeddings().weight.data[token] = float("nan")  # a damaged weight, met by one row alone
    with pytest.raises(ModelError, match=r"the loss became nan at step \d, in rows isic/5; look at them"):
        fitted(loaded, [*good, bad], (), tmp_path, max_steps=3, accumulation=2)


def test_the_best_adapter_is_kept_and_the_run_ends_early(loaded: Loaded, tmp_path: Path) -> None:
    # What it learns first, it unlearns: the answers of the second half contradict the validation's.
    seen: dict[int, dict[str, torch.Tensor]] = {}
    result = fitted(
        loaded, [sample(loaded, number, "No no no no no.") for number in range(8)], [sample(loaded, 99)], tmp_path,
        lambda step, figures: seen.setdefault(step, learnt(loaded)) if "validation_loss" in figures else None,
        max_steps=40, validations=20, early_stopping=2, learning_rate=0.01,
    )  # fmt: skip
    losses = {int(one["step"]): one["validation_loss"] for one in result.history if "validation_loss" in one}
    best = min(losses, key=lambda step: losses[step])
    assert result.kept_step == best
    assert list(losses) == list(range(2, best + 5, 2))
    assert result.steps == best + 4 < 40
    assert all(torch.equal(tensor, seen[best][name]) for name, tensor in learnt(loaded).items())
    assert any(not torch.equal(tensor, seen[best + 4][name]) for name, tensor in learnt(loaded).items())


def test_the_last_step_is_validated_and_kept_where_so_configured(loaded: Loaded, tmp_path: Path) -> None:
    train = [sample(loaded, number, "No no no no no.") for number in range(4)]
    result = fitted(
        loaded, train, [sample(loaded, 99)], tmp_path, max_steps=7, validations=2, keep="last", learning_rate=0.01
    )
    assert [int(one["step"]) for one in result.history if "validation_loss" in one] == [4, 7]
    assert result.kept_step == 7


def test_validations_change_nothing_of_what_is_learnt(tiny_base: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)

    def outcome(validations: int) -> dict[str, torch.Tensor]:
        loaded = add_adapter(load_base(tiny_base), LoraConfig(dropout=0.2), seed=0)
        train, held_out = [sample(loaded, number) for number in range(6)], [sample(loaded, 99)]
        fitted(loaded, train, held_out, tmp_path, max_steps=8, validations=validations, keep="last")
        return learnt(loaded)

    never, often = outcome(0), outcome(8)
    assert all(torch.equal(tensor, often[name]) for name, tensor in never.items())


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([2.0] * 10 + [1.0] * 30, None),
        ([2.0] * 10 + [5.9] * 30, None),
        ([2.0] * 10 + [6.1] * 30, "the loss runs away: 6.100 over the last 10 steps, 2.000 over the first"),
        ([2.0] * 10 + [1.0] * 20 + [50.0] + [1.0] * 30, None),  # one bad batch: (50 + 9) / 10 is 5.9
        ([0.01] * 10 + [0.9] * 30, None),
        ([0.01] * 10 + [1.1] * 30, "1.100 over the last"),
    ],
)
def test_divergence_is_a_loss_that_stays_far_above_its_start(losses: list[float], stops: str | None) -> None:
    watcher = Watcher(lambda *_: None, divergence=3.0)
    told = SimpleNamespace(global_step=0, max_steps=100, log_history=[])

    def run() -> None:
        watcher.on_train_begin(None, told, None)
        for step, loss in enumerate(losses, 1):
            told.global_step = step
            watcher.batches.append(Batch((f"isic/{step}",), torch.tensor(loss)))
            watcher.on_log(SimpleNamespace(fp16=False), told, None, {"loss": loss, "learning_rate": 0.1})

    if stops is None:
        run()
        return
    with pytest.raises(ModelError, match=stops) as raised:
        run()
    assert "in rows isic/" in str(raised.value)


def test_samples_are_asked_the_same_and_their_page_shows_it(loaded: Loaded) -> None:
    turns = (Turn(question="Is <it> benign?", answer="Yes & no."), Turn(question="Sure?", answer="Yes."))
    rows = [make_row(number, turns=turns, split="validation") for number in range(10)]
    asked = SampleAnswers(rows, 3)
    asked.ask(loaded, 10)
    asked.ask(loaded, 20)
    again = SampleAnswers(rows, 3, asked.given)
    page = again.page()
    assert [one.row for one in again.asked] == ["isic/ISIC_0000000", "isic/ISIC_0000003", "isic/ISIC_0000007"]
    assert page.count("data:image/png;base64,") == 3
    assert page.count("Is &lt;it&gt; benign?") == page.count("<th>Yes &amp; no.</th>") == 3
    assert page.count("<td>step 10</td>") == page.count("<td>step 20</td>") == 3
    assert "Sure?" not in page


def test_another_number_of_samples_goes_on_with_what_was_heard_of_the_same_rows(loaded: Loaded) -> None:
    turns = (Turn(question="Is it benign?", answer="Yes."),)
    rows = [make_row(number, turns=turns, split="validation") for number in range(10)]
    few = SampleAnswers(rows, 2)
    few.ask(loaded, 10)
    more = SampleAnswers(rows, 3, few.given)
    assert [one.row for one in few.asked] == ["isic/ISIC_0000000", "isic/ISIC_0000005"]
    assert more.page().count("<td>step 10</td>") == 1
    more.ask(loaded, 20)
    assert more.page().count("<td>step 20</td>") == 3


def test_a_picture_that_cannot_be_decoded_is_not_asked_about(loaded: Loaded) -> None:
    turns = (Turn(question="Is it benign?", answer="Yes."),)
    rows = [make_row(number, turns=turns, split="validation") for number in range(3)]
    rows[1] = rows[1].model_copy(update={"image": rows[1].image[: len(rows[1].image) // 2]})
    asked = SampleAnswers(rows, 3)
    asked.ask(loaded, 10)
    assert [one.row for one in asked.asked] == ["isic/ISIC_0000000", "isic/ISIC_0000002"]
    assert len(asked.given["10"]) == 2
