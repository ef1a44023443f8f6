"""What several tests need once."""

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from pydantic import SecretStr

from midefics.services.storage import Storage

if TYPE_CHECKING:
    from tests.postgres import Postgres

# How long one example takes is the machine's affair; and the same examples every time, so that a run tells of the change in hand.
settings.register_profile("midefics", deadline=None, derandomize=True)
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
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server of this test run, over HTTP on a free port."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://bucket/prefix` in a new bucket, with the environment that boto3 finds it by, for child processes too."""
    import boto3

    nowhere = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**dict.fromkeys(nowhere, os.devnull), **keys, "AWS_ENDPOINT_URL_S3": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/team/midefics"


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where storage is kept: what holds in a folder holds in S3."""
    return str(request.getfixturevalue("s3")) if request.param == "s3" else str(tmp_path / "store")


@pytest.fixture
def storage(location: str, tmp_path: Path) -> Storage:
    """Empty storage, in a folder and in S3."""
    return Storage.at(location, tmp_path / "home")


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
