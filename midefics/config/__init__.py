"""A run's configuration: one YAML file per run (`RunConfig`), and secrets and places from the environment (`Settings`).

Defaults live here and nowhere else. An unknown key or a value out of range is refused at load with its full path.
"""

from midefics.config.data import (
    FETCHED,
    AssembleConfig,
    CheckConfig,
    FetchConfig,
    IngestConfig,
    SourceConfig,
    ValidateConfig,
)
from midefics.config.labelling import LabelConfig, PriceConfig
from midefics.config.release import EvaluateConfig, PromoteConfig, RegisterConfig
from midefics.config.run import RunConfig, load_config, shipped_configs
from midefics.config.settings import Settings, load_settings
from midefics.config.training import LoraConfig, TrainConfig
from midefics.config.values import Positive, PositiveFloat, Probability

__all__ = [
    "FETCHED",
    "AssembleConfig",
    "CheckConfig",
    "EvaluateConfig",
    "FetchConfig",
    "IngestConfig",
    "LabelConfig",
    "LoraConfig",
    "Positive",
    "PositiveFloat",
    "PriceConfig",
    "Probability",
    "PromoteConfig",
    "RegisterConfig",
    "RunConfig",
    "Settings",
    "SourceConfig",
    "TrainConfig",
    "ValidateConfig",
    "load_config",
    "load_settings",
    "shipped_configs",
]
