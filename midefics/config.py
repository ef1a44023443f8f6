"""A run's configuration: one YAML file per run (`RunConfig`), and secrets and places from the environment (`Settings`).

Defaults live here and nowhere else. An unknown key or a value out of range is refused at load with its full path.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from midefics.base_models import BASE_MODELS
from midefics.errors import ConfigError
from midefics.records import Record

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class SourceConfig(Record):
    """One archive."""

    path: str
    """Its folder (relative paths start at MIDEFICS_HOME), or `s3://bucket/prefix`: mirrored, then read."""
    limit: Positive | None = None
    """Take at most this many images, in the order of their ids; all where unset."""
    synthetic_cases: Annotated[int, Field(ge=0)] = 0
    """Draw an archive of this many cases at `path` first, in the source's true layout: for the demo and tests."""

    @field_validator("path", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _draws_on_disk(self) -> Self:
        if self.synthetic_cases and "://" in self.path:
            raise ValueError("synthetic_cases draws in a local folder; give path one")
        return self


class IngestConfig(Record):
    """Archive to rows."""

    image_size: Positive = 336
    """Longer side of the stored picture, pixels; at least what the base model sees."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of a source's cases can't be read; up to it they go to quarantine."""


class ValidateConfig(Record):
    """What is let through to labelling."""

    min_side: Positive = 32
    """Shorter side of the archive's picture, pixels."""
    max_aspect: PositiveFloat = 4.0
    min_contrast: Annotated[float, Field(ge=0)] = 4.0
    """Standard deviation of the grey values (0 to 255) under which a picture counts as blank."""
    max_bad_share: Probability = 0.25


class LabelConfig(Record):
    """How conversations are written."""

    model: str = "gpt-3.5-turbo"
    """Asked through the OpenAI protocol where OPENAI_API_KEY or OPENAI_BASE_URL is set; else the offline writer composes."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Positive = 700
    concurrency: Positive = 16
    """Requests under way at once."""
    timeout_s: PositiveFloat = 60.0
    max_bad_share: Probability = 0.25
    """Fail when a larger share of the answers can't be parsed or had to be given up."""


class AssembleConfig(Record):
    """Conversations to a data set with splits."""

    test_share: Probability = 0.25
    """Share of the groups (patients, lesions, articles) held out for evaluation."""
    validation_share: Probability = 0.1
    """Share of the groups whose loss is watched while training."""

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share + validation_share must stay below 1, or nothing is left to train on")
        return self


class LoraConfig(Record):
    """The low-rank adapter."""

    r: Positive = 16
    alpha: Positive = 32
    dropout: Probability = 0.05
    targets: Literal["qkv", "text", "all"] = "qkv"
    """`qkv`: every query, key and value projection, vision tower and perceiver too (the original's choice).
    `text`: all linear layers of the decoder and its gated cross-attention. `all`: every linear layer."""


class TrainConfig(Record):
    """QLoRA: a 4-bit base (nf4, double quantisation) that stays frozen, and an adapter that learns."""

    epochs: PositiveFloat = 1.0
    max_steps: Positive | None = None
    """Stop after this many optimizer steps; overrides `epochs`."""
    batch_size: Positive = 1
    accumulation: Positive = 16
    """Batches per optimizer step."""
    learning_rate: PositiveFloat = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_share: Probability = 0.0
    """Share of the steps over which the learning rate rises."""
    optimizer: Literal["paged_adamw_8bit", "adamw_torch"] = "paged_adamw_8bit"
    sample: Literal["conversation", "turn"] = "conversation"
    """What one training sample is: a whole conversation, or each of its turns alone. Evaluation asks every question
    alone; where later questions make sense without the earlier ones, `turn` teaches just that."""
    max_length: Positive = 1024
    """Tokens; a longer conversation loses whole turns from its end."""
    gradient_checkpointing: bool = False
    lora: LoraConfig = LoraConfig()
    validations: Annotated[int, Field(ge=0)] = 4
    """How often the loss on the validation split is taken during a run."""


class EvaluateConfig(Record):
    """Base and tuned model answer the same held-out questions."""

    batch_size: Positive = 16
    max_new_tokens: Positive = 64
    max_questions: Positive | None = None
    """Ask at most this many, spread evenly over the images; all where unset."""
    examples: Positive = 12
    """Images shown side by side in the report."""
    resamples: Positive = 2000
    """Bootstrap resamples for the intervals."""


class RegisterConfig(Record):
    """The model registry."""

    model_name: str = "midefics"
    experiment: str = "midefics"


class PromoteConfig(Record):
    """Who lets a version out, and what it must show first."""

    approval: Literal["human", "auto"] = "human"
    """`human`: somebody approves in Airflow's UI (on the command line: `midefics promote`). `auto`: the rules alone decide."""
    min_difference: float = 0.0
    """The lower end of the 95 % interval of after - before (exact match) must lie above this."""
    min_visual_gain: float = 0.0
    """The same for right image - swapped image: a model that does not look is not let out."""


class RunConfig(Record):
    """Everything one run does, in one file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    seed: int = 0
    base_model: str
    sources: dict[str, SourceConfig] = Field(min_length=1)
    ingest: IngestConfig = IngestConfig()
    validate_: ValidateConfig = Field(ValidateConfig(), alias="validate")
    label: LabelConfig = LabelConfig()
    assemble: AssembleConfig = AssembleConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    register_: RegisterConfig = Field(RegisterConfig(), alias="register")
    promote: PromoteConfig = PromoteConfig()

    def only(self, names: list[str]) -> "RunConfig":
        """The same run with these of its sources alone.

        Raises:
            ConfigError: one of them is not configured.
        """
        for name in names:
            if name not in self.sources:
                raise ConfigError(f"sources.{name}: not in this configuration, which has {', '.join(self.sources)}")
        return self.model_copy(update={"sources": {name: self.sources[name] for name in names}})

    @field_validator("base_model")
    @classmethod
    def _known_base_model(cls, name: str) -> str:
        if name not in BASE_MODELS:
            raise ValueError(f"{name!r} is not one of {', '.join(BASE_MODELS)}")
        return name

    @model_validator(mode="after")
    def _stores_enough_pixels(self) -> Self:
        needed = BASE_MODELS[self.base_model].image_size
        if self.ingest.image_size < needed:
            raise ValueError(f"ingest.image_size must be at least {needed}, the side that {self.base_model} sees")
        return self


class Settings(BaseSettings):
    """What differs between machines, from environment variables; the only reader of the environment."""

    model_config = SettingsConfigDict(extra="ignore")

    home: Path = Field(Path("var"), validation_alias="MIDEFICS_HOME")
    """Where everything is kept."""
    store: str | None = Field(None, validation_alias="MIDEFICS_STORE")
    """Where stage outputs are kept: a folder, or `s3://bucket/prefix`; `data` under `home` where unset. For S3,
    credentials and endpoint come from boto3's usual places (AWS_PROFILE, AWS_ENDPOINT_URL_S3 …)."""
    salt: SecretStr = Field(SecretStr("midefics-demo"), validation_alias="MIDEFICS_SALT")
    """Secret of the hash that hides patient keys; set your own for real patients' data."""
    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server; a SQLite file under `home` where unset."""
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")

    @field_validator("store", "mlflow_tracking_uri", "openai_api_key", "openai_base_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: str | None) -> str | None:
        return value or None


def shipped_configs() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    folder = Path(str(resources.files("midefics") / "configs"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_config(
    name: str, sources: Mapping[str, str | Path] | None = None, values: dict[str, str] | None = None
) -> RunConfig:
    """Reads a run's configuration.

    Args:
        name: a YAML file's path, or the name of a shipped one (`demo`, `demo.yaml`).
        sources: locations that replace (or add) those of the file.
        values: single values that replace those of the file, by dotted key: `{"train.max_steps": "20"}`.

    Raises:
        ConfigError: no such file, no YAML, or a wrong key or value (all of them are named).
    """
    path = Path(name)
    if not path.is_file():
        path = shipped_configs().get(name.removesuffix(".yaml"), path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{name}: {error.strerror}; give a YAML file or one of {', '.join(shipped_configs())}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected keys and values, found {type(content).__name__}")
    for source, location in (sources or {}).items():
        content.setdefault("sources", {})[source] = {"path": _absolute(str(location))}
    for key, value in (values or {}).items():
        _put(content, key, value)
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_problems(error)}") from error


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).absolute())


def _put(content: dict[str, Any], key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{key}: {section} is a value, not a section")
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}: {value!r} is not a YAML value") from error


def load_settings() -> Settings:
    """Reads the environment.

    Raises:
        ConfigError: a variable's value is not of its type.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise ConfigError(f"environment: {_problems(error)}") from error
    store = _absolute(settings.store) if settings.store else None
    return settings.model_copy(update={"home": settings.home.absolute(), "store": store})


def _problems(error: ValidationError) -> str:
    def one(problem: dict[str, object]) -> str:
        where = ".".join(str(part) for part in problem["loc"])  # type: ignore[attr-defined]
        message = str(problem["msg"]).removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            return f"{where}: no such key"
        return f"{where}: {message}" if where else message

    return "; ".join(one(dict(problem)) for problem in error.errors())
