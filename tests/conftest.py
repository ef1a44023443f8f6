"""What several tests need once."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes is the machine's affair.
settings.register_profile("midefics", deadline=None)
settings.load_profile("midefics")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base model after a few steps: the true shape, but it has learnt next to nothing."""
    from midefics.config import TrainConfig
    from midefics.services.progress import Progress
    from midefics.vlm.tiny import PRETRAINING, RECIPE, build

    recipe = TrainConfig.model_validate(PRETRAINING.model_dump() | {"max_steps": 5})
    return build(tmp_path_factory.mktemp("base") / f"tiny-idefics-{RECIPE}", 0, Progress(), recipe, pictures_drawn=64)
