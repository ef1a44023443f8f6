"""A tiny twin of each family through every stage that touches a model: train, evaluate, register, load from MLflow, ask."""

import hashlib
from pathlib import Path

import pytest

from midefics.config import RunConfig, load_config
from midefics.records import Manifest, Row, Turn
from midefics.services import Services
from midefics.sources.synthetic import captioned_pictures
from midefics.stages import run_stage
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import load_tuned
from midefics.vlm.twins import TWINS
from tests.rows import encoded, make_row, make_services, stored

QUESTION = "What does the image show?"
VALUES = {
    "train.max_steps": "10",
    "train.batch_size": "4",
    "train.learning_rate": "0.01",
    "train.validations": "1",
    "evaluate.max_questions": "4",
    "evaluate.max_new_tokens": "8",
}


def described(count: int) -> list[Row]:
    """Rows of as many patients, each with a drawn picture and one question."""
    return [
        make_row(
            number,
            image=encoded(picture),
            phash=hashlib.sha256(str(number).encode()).hexdigest()[:16],
            turns=(Turn(question=QUESTION, answer=caption),),
            writer="offline",
            prompt_version="offline",
        )
        for number, (picture, caption) in enumerate(captioned_pictures(count, 5, 40))
    ]


# Their nearest relations go that way every time.
SLOW = {"tiny-idefics2", "tiny-smolvlm"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TWINS])
def test_a_twin_goes_the_whole_way(name: str, tmp_path: Path) -> None:
    services = make_services(tmp_path)
    config = load_config("demo", None, VALUES | {"base_model": name})
    dataset = run_stage("assemble", config, [stored(services, "conversations", described(24))], services)
    adapter = run_stage("train", config, [dataset], services)
    assert float(adapter.facts["loss_last"]) < float(adapter.facts["loss_first"])
    evaluation = run_stage("evaluate", config, [dataset, adapter], services)
    assert evaluation.rows == 4
    registration = run_stage("register", config, [dataset, adapter, evaluation], services)
    model_uri = f"models:/{registration.facts['model_name']}/{registration.facts['version']}"
    image = tmp_path / "asked.png"
    image.write_bytes(next(row.image for row in services.storage.rows(dataset)))
    assert services.tracking.ask(model_uri, image, QUESTION) == trained_answer(config, adapter, image, services)


def trained_answer(config: RunConfig, adapter: Manifest, image: Path, services: Services) -> str:
    """Of the base where it was built and the adapter where it was trained, nothing registered."""
    from midefics.vlm.base import locate

    base = locate(config.base_model, services.settings.home, services.progress)
    tuned = load_tuned(base.folder, services.storage.folder(adapter) / "adapter")
    return answers(tuned, [Prompt(QUESTION, image.read_bytes())], 1, config.evaluate.max_new_tokens)[0]
