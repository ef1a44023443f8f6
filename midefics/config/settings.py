"""The environment in, what differs between machines out: places, addresses and secrets."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from midefics.config.problems import absolute, problems
from midefics.errors import ConfigError


class Settings(BaseSettings):
    """What differs between machines, from environment variables; the only reader of the environment."""

    model_config = SettingsConfigDict(extra="ignore")

    home: Path = Field(Path("var"), validation_alias="MIDEFICS_HOME")
    """Where everything is kept."""
    config: str = Field("demo", validation_alias="MIDEFICS_CONFIG")
    """The configuration of commands and DAG runs that name none: a shipped one's name, or a YAML file's path."""
    store: str | None = Field(None, validation_alias="MIDEFICS_STORE")
    """Where stage outputs are kept: a folder, or `s3://bucket/prefix`; `data` under `home` where unset. For S3,
    credentials and endpoint come from boto3's usual places (AWS_PROFILE, AWS_ENDPOINT_URL_S3 …)."""
    salt: SecretStr = Field(SecretStr("midefics-demo"), validation_alias="MIDEFICS_SALT")
    """Secret of the hash that hides patient keys; set your own for real patients' data."""
    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server; a SQLite file under `home` where unset."""
    ledger_url: SecretStr | None = Field(None, validation_alias="MIDEFICS_LEDGER_URL")
    """Database of paid answers and budgets, `postgresql://user:password@host:5432/midefics`, for workers on several machines;
    the SQLite file `ledger.db` under `home` where unset."""
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")

    tiktoken_cache_dir: Path | None = Field(None, validation_alias="TIKTOKEN_CACHE_DIR")
    """Where tiktoken, if it is installed, has its tables: then a dry run counts tokens instead of estimating them."""

    @field_validator("store", "mlflow_tracking_uri", "ledger_url", "openai_api_key", "openai_base_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: str | None) -> str | None:
        return value or None

    @property
    def mlflow_address(self) -> str | None:
        """MLflow's, for messages and links: without the name and password that it may hold."""
        return without_password(self.mlflow_tracking_uri) if self.mlflow_tracking_uri else None


def without_password(uri: str) -> str:
    """An address as others may read it."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def load_settings() -> Settings:
    """Reads the environment.

    Raises:
        ConfigError: a variable's value is not of its type.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise ConfigError(f"environment: {problems(error)}") from error
    store = absolute(settings.store) if settings.store else None
    return settings.model_copy(update={"home": settings.home.absolute(), "store": store})
