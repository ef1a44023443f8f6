"""What several tests need once."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Postgres

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


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Postgres]":
    """A PostgreSQL server of our own."""
    from tests.postgres import running_postgres

    with running_postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_address(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStr:
    """Of an empty ledger, once in a file and once in PostgreSQL."""
    if request.param == "sqlite":
        return SecretStr(f"sqlite:///{tmp_path}/ledger.db")
    address: SecretStr = request.getfixturevalue("postgres").database()
    return address
