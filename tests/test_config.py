from pathlib import Path

import pytest

from midefics.config import Settings, load_config, load_settings, shipped_configs
from midefics.errors import ConfigError, ServiceError
from midefics.services.tracking import Tracking

MINIMAL = "name: x\nbase_model: tiny-idefics\nsources: {isic: {path: here}}\n"


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_config_loads(name: str) -> None:
    assert load_config(f"{name}.yaml").sources


def test_9b_config_holds_the_original_hyperparameters() -> None:
    train = load_config("idefics_9b").train
    assert (train.lora.r, train.lora.alpha, train.lora.dropout, train.lora.targets) == (16, 32, 0.05, "qkv")
    assert (train.learning_rate, train.batch_size, train.accumulation, train.epochs) == (2e-4, 1, 16, 1)
    assert train.optimizer == "paged_adamw_8bit"


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("train: {lora: {rank: 3}}", "train.lora.rank: no such key"),
        ("train: {learning_rate: -1}", "train.learning_rate: Input should be greater than 0"),
        (
            "assemble: {test_share: 0.9, validation_share: 0.2}",
            "assemble: test_share + validation_share must stay below 1",
        ),
        ("ingest: {image_size: 8}", "ingest.image_size must be at least 32"),
        ("promote: {approval: nobody}", "promote.approval: Input should be 'human' or 'auto'"),
        ("colour: red", "colour: no such key"),
    ],
)
def test_wrong_key_or_value_is_refused_with_its_path(tmp_path: Path, added: str, told: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(MINIMAL + added)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path))
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "expected keys and values, found list"),
        ("", "expected keys and values, found NoneType"),
    ],
)
def test_broken_yaml_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=told):
        load_config(str(path))


def test_missing_config_names_those_that_ship() -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: No such file.*demo"):
        load_config("nowhere.yaml")


def test_source_and_value_replace_those_of_the_file(tmp_path: Path) -> None:
    config = load_config(
        "demo", {"isic": tmp_path}, {"train.max_steps": "7", "sources.mura.limit": "5", "promote.approval": "human"}
    )
    assert config.sources["isic"].path == str(tmp_path)
    assert config.sources["isic"].synthetic_cases == 0
    assert config.sources["mura"].limit == 5
    assert (config.train.max_steps, config.promote.approval) == (7, "human")


def test_only_refuses_a_source_that_is_not_configured() -> None:
    with pytest.raises(ConfigError, match=r"sources\.hospital: not in this configuration"):
        load_config("demo").only(["hospital"])


def test_settings_read_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIDEFICS_HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("MIDEFICS_SALT", "pepper")
    settings = load_settings()
    assert settings.home == tmp_path
    assert settings.openai_api_key is None
    assert "pepper" not in repr(settings)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("http://ann:secret@mlflow:5000/x", "http://mlflow:5000/x"),
        ("postgresql://ann:secret@db/mlflow", "postgresql://db/mlflow"),
        ("sqlite:////var/a@b/mlflow.db", "sqlite:////var/a@b/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_the_address_of_mlflow_is_told_without_its_password(uri: str, told: str) -> None:
    assert Settings(MLFLOW_TRACKING_URI=uri).mlflow_address == told


def test_an_mlflow_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    settings = Settings(MIDEFICS_HOME=tmp_path, MLFLOW_TRACKING_URI="http://ann:secret@127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer") as raised:
        Tracking.connect(settings)
    assert "secret" not in str(raised.value)
