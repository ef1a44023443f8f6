"""A YAML file in, the configuration of one run out."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from midefics.base_models import BASE_MODELS
from midefics.config.data import FETCHED, AssembleConfig, IngestConfig, SourceConfig, ValidateConfig
from midefics.config.labelling import LabelConfig
from midefics.config.problems import absolute, problems
from midefics.config.release import EvaluateConfig, PromoteConfig, RegisterConfig
from midefics.config.training import TrainConfig
from midefics.errors import ConfigError
from midefics.records import Record


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

    @field_validator("sources")
    @classmethod
    def _has_a_fetcher(cls, sources: dict[str, SourceConfig]) -> dict[str, SourceConfig]:
        for name, spec in sources.items():
            if spec.fetch and name not in FETCHED:
                raise ValueError(f"{name}.fetch: only {' and '.join(FETCHED)} can be fetched; bring your own copy")
        return sources

    @model_validator(mode="after")
    def _mixes_its_own_sources(self) -> Self:
        for name in self.assemble.mixture:
            if name not in self.sources:
                raise ValueError(f"assemble.mixture.{name}: not one of the sources, {', '.join(self.sources)}")
        return self

    @model_validator(mode="after")
    def _stores_enough_pixels(self) -> Self:
        needed = BASE_MODELS[self.base_model].image_size
        if self.ingest.image_size < needed:
            raise ValueError(f"ingest.image_size must be at least {needed}, the side that {self.base_model} sees")
        return self


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
        # The rest of the source's section stays; but nothing is drawn over somebody's own folder.
        section = content.setdefault("sources", {}).get(source) or {}
        kept = {key: value for key, value in section.items() if key != "synthetic_cases"}
        content["sources"][source] = kept | {"path": absolute(str(location))}
    for key, value in (values or {}).items():
        _put(content, key, value)
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{name}: {problems(error)}") from error


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
