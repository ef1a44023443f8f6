"""What the platform on one machine takes from the environment, beside `config.Settings`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from midefics.errors import ConfigError

Port = Annotated[int, Field(ge=1, le=65535)]


class LocalSettings(BaseSettings):
    """Ports asked for, and the environment that stages run in."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    airflow_port: Port | None = Field(None, validation_alias="MIDEFICS_AIRFLOW_PORT")
    """Airflow's port; where unset 8080, or the next free one."""
    mlflow_port: Port | None = Field(None, validation_alias="MIDEFICS_MLFLOW_PORT")
    """MLflow's port; where unset 5000, or the next free one."""
    python: Path | None = Field(None, validation_alias="MIDEFICS_PYTHON")
    """The Python whose midefics runs the stages of a DAG; Airflow's own where unset."""


def load_local_settings() -> LocalSettings:
    """Reads the environment.

    Raises:
        ConfigError: a port is not a number between 1 and 65535.
    """
    try:
        return LocalSettings()
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"environment: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
