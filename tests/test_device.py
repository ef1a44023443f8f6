"""What a training needs is looked at before it loads anything."""

from pathlib import Path

import pytest
import torch

from midefics.base_models import BASE_MODELS
from midefics.config import RunConfig
from midefics.errors import BusyError, DataError, MideficsError, ModelError
from midefics.records import Turn
from midefics.stages.train import run
from midefics.stages.training_samples import refuse_shrunk
from midefics.vlm.device import Gpu, check_device, require
from tests.rows import make_row, make_services, picture, stored


@pytest.mark.parametrize(
    ("found", "kind", "says"),
    [
        (None, ModelError, "needs an NVIDIA GPU with at least 6 GB, and torch"),
        (Gpu("a T4", 3.0, 4.0), ModelError, "needs at least 6.5 GB of GPU memory; a T4 has 4.0. Take a larger GPU"),
        (Gpu("a T4", 2.0, 16.0), BusyError, "of the 16.0 of a T4 only 2.0 are free"),
    ],
)
def test_a_gpu_that_is_absent_small_or_busy_is_a_clear_error(
    found: Gpu | None, kind: type[MideficsError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        require("idefics-9b-instruct", 6.5, found)
    require("idefics-9b-instruct", 6.5, Gpu("an H100", 70.0, 80.0))


def test_every_published_model_says_what_it_needs_and_the_tiny_ones_nothing() -> None:
    assert {name for name, spec in BASE_MODELS.items() if spec.gpu_gb == 0} == {
        name for name, spec in BASE_MODELS.items() if spec.hub_id is None
    }
    check_device("tiny-idefics")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU that the test wants to be absent")
def test_training_without_a_gpu_fails_before_it_loads(tmp_path: Path) -> None:
    content = {"name": "x", "base_model": "idefics-9b-instruct", "sources": {"isic": {"path": "none"}}}
    services = make_services(tmp_path)
    turns = (Turn(question="Is it benign?", answer="It is."),)
    dataset = stored(services, "dataset", [make_row(turns=turns, split="train")])
    with pytest.raises(ModelError, match=r"torch .* sees none"):
        run(RunConfig.model_validate(content), dataset, services=services)


def test_pictures_that_ingest_shrank_for_another_model_are_refused() -> None:
    large = {"width": 640, "height": 480}
    with pytest.raises(DataError, match=r"ISIC_0000003 is stored with 160 pixels, idefics-9b-instruct sees 224"):
        refuse_shrunk(make_row(3, image=picture(0, (160, 120)), **large), 224, "idefics-9b-instruct")
    for fine in (picture(0, (224, 160)), picture(0, (300, 10)), b"no picture"):
        refuse_shrunk(make_row(3, image=fine, **large), 224, "idefics-9b-instruct")
    refuse_shrunk(make_row(3, image=picture(0, (160, 120)), width=160, height=120), 224, "idefics-9b-instruct")
