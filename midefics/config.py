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


FETCHED = ("isic", "roco")
"""The sources that have a fetcher."""


class FetchConfig(Record):
    """How an archive's folder is made and kept up to date over the network."""

    query: str = ""
    """ISIC: which images, in `isic-cli`'s search syntax (`age_approx:[20 TO 40] AND sex:male`); all where empty."""
    collections: tuple[Positive, ...] = ()
    """ISIC: only images of these collections, by number (`isic collection list` names them)."""
    layout: Literal["files", "packages"] = "files"
    """ROCO: `files` takes each figure from PubMed Central's cloud service, `packages` unpacks it from the package that
    `dlinks.txt` names. NCBI removed the packages in August 2026, so `packages` needs a mirror as `base_url`."""
    base_url: str | None = Field(None, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    """Where the archive is asked, for a mirror; the archive's own address where unset. Plain http holds for it alone."""
    allowed_hosts: tuple[str, ...] | None = None
    """Hosts that links and redirects may lead to, besides that of `base_url`; the archive's own where unset."""
    max_images: Positive | None = None
    """Fetch at most this many images, in the archive's order (ISIC lists the newest first); all where unset."""
    requests_per_second: PositiveFloat = 10.0
    """All requests together; less where the archive asks for a pause."""
    concurrency: Positive = 8
    """Downloads under way at once."""
    timeout_s: PositiveFloat = 30.0
    """Without a byte for so long a connection counts as stalled; likewise below 1 KB per second over that time."""
    attempts: Positive = 5
    """How often a request is tried before its image or page is given up; a pause that the archive asks for is no try."""
    retry_wait_s: PositiveFloat = 1.0
    """The first retry waits for at most so long, each further one for twice as long, 30 s at most; drawn at random."""
    max_image_mb: Positive = 100
    """A larger image is refused."""
    max_package_mb: Positive = 200
    """A larger package is refused, as sent."""
    max_unpacked_mb: Positive = 500
    """A package that unpacks to more is refused, whatever its headers claim."""
    max_failed_share: Probability = 0.25
    """Fail when a larger share of the images can't be fetched; up to it they are rows without an image."""


class SourceConfig(Record):
    """One archive."""

    path: str
    """Its folder (relative paths start at MIDEFICS_HOME), or `s3://bucket/prefix`: mirrored, then read."""
    limit: Positive | None = None
    """Take at most this many images, in the order of their ids; all where unset."""
    synthetic_cases: Annotated[int, Field(ge=0)] = 0
    """Draw an archive of this many cases at `path` first, in the source's true layout: for the demo and tests."""
    fetch: FetchConfig | None = None
    """Bring the folder up to date from the archive's own server first; `{}` where the defaults will do."""

    @model_validator(mode="after")
    def _draws_or_fetches(self) -> Self:
        if self.fetch and self.synthetic_cases:
            raise ValueError("synthetic_cases draws the archive and fetch downloads it; leave one out")
        return self

    @field_validator("path", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _draws_on_disk(self) -> Self:
        if self.synthetic_cases and "://" in self.path:
            raise ValueError("synthetic_cases draws in a local folder; give path one")
        if self.fetch and "://" in self.path:
            raise ValueError("fetch downloads into a local folder; give path one")
        return self


class IngestConfig(Record):
    """Archive to rows."""

    image_size: Positive = 336
    """Longer side of the stored picture, pixels; at least what the base model sees."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of a source's cases can't be read; up to it they go to quarantine."""
    threads: Positive | None = None
    """Pictures made at once; as many as there are cores where unset."""


class CheckConfig(Record):
    """What becomes of the rows that fail one check."""

    action: Literal["warn", "quarantine", "fail"] | None = None
    """`warn` lets them through and counts them, `quarantine` does not let them through, `fail` stops the run as well.
    As the table of checks says where unset."""
    max_share: Probability | None = None
    """Stop the run when a larger share of a source's rows fails, whatever the action. Unset: none is too large; with
    `fail`, any is."""


class ValidateConfig(Record):
    """What is let through to labelling."""

    min_side: Positive = 32
    """Shorter side of the archive's picture, pixels."""
    max_aspect: PositiveFloat = 4.0
    min_contrast: Annotated[float, Field(ge=0)] = 4.0
    """Standard deviation of the grey values (0 to 255) under which a picture counts as blank."""
    min_entropy: Annotated[float, Field(ge=0, le=8)] = 2.0
    """Bits of the grey values' distribution under which a picture counts as nearly blank; real ones have 3.7 and more."""
    max_letters: Positive = 4
    """Letter-like strokes in one row from beyond which a picture is suspected of writing."""
    near_bits: Annotated[int, Field(ge=0, le=7)] = 6
    """Bits in which the perceptual hashes of two pictures may differ for them to be compared as near-duplicates."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of a source's rows is put in quarantine."""
    checks: dict[str, CheckConfig] = Field(default_factory=dict)
    """By a check's reason, as the quarantine and the Data Docs name it: `blank image: {action: fail, max_share: 0.01}`."""
    personal_data: Literal["mask", "quarantine", "off"] = "mask"
    """What becomes of names, dates, record numbers and addresses of people in captions, metadata and turns. `mask`: they are
    replaced by `[name]`, `[date]` and the like, and counted. `quarantine`: the row is rejected. `off`: they stay, and reach
    whoever writes the labels."""
    mask_years: bool = False
    """Years that stand alone ("in 2009") are personal data too; HIPAA lets them stay."""


class PriceConfig(Record):
    """What a model costs, in dollars for a million tokens."""

    prompt: Annotated[float, Field(ge=0)]
    completion: Annotated[float, Field(ge=0)]


class LabelConfig(Record):
    """How conversations are written."""

    model: str = "gpt-3.5-turbo"
    """Asked through the OpenAI protocol where OPENAI_API_KEY or OPENAI_BASE_URL is set; else the offline writer composes."""
    successors: tuple[str, ...] = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-5.6-terra")
    """Asked in its place, the first that the service has, where the model is gone or will be within two weeks. Whoever
    writes a run's conversations writes all of them; a change of writer is paid for anew."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Positive = 700
    concurrency: Positive = 64
    """Requests under way at once, at most: fewer at first, and whenever the service fails or hardly answers in time."""
    requests_per_minute: PositiveFloat | None = None
    """A ceiling of your own; what the service's answers tell holds where it is lower, and alone where this is unset."""
    tokens_per_minute: PositiveFloat | None = None
    """Likewise, of prompts and of the most that may be answered together."""
    burst: bool = True
    """Whether a minute's worth of requests may leave at once, as most services allow; else they are spread evenly."""
    timeout_s: PositiveFloat = 60.0
    """Without a whole answer for so long a request counts as failed."""
    mode: Literal["online", "batch"] = "online"
    """`batch` hands the requests in together, for half the price; answers come within a day, mostly within the hour."""
    batch_lines: Annotated[int, Field(gt=0, le=50_000)] = 5_000
    """Requests of one batch, at most; the next ones are smaller where the service finds it too large."""
    batch_poll_s: PositiveFloat = 60.0
    """How long to wait before a batch is looked at again."""
    budget_usd: PositiveFloat | None = None
    """Dollars that all runs on one ledger may spend under `budget_name` together, until this is raised; no limit where unset.
    What a killed worker had reserved counts as spent: its requests may have been paid."""
    budget_name: str | None = Field(None, min_length=1, max_length=200)
    """What is spent counts under this name; the configuration's own where unset."""
    budget_expiry_h: Annotated[float, Field(ge=1)] | None = None
    """After so many hours what a killed worker had reserved may be spent again. Unset: never, so that no bill can pass the
    budget; set, it can by what those workers had on the wire."""
    prices: dict[str, PriceConfig] = Field(default_factory=dict)
    """By model, in place of the table in `services/prices.py`: `{gpt-4o-mini: {prompt: 0.15, completion: 0.6}}`."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of the answers can't be parsed, say what the metadata don't support, or had to be given up."""
    modelcall_share: Probability = 0.0
    """Of the images that a classifier of the catalogue fits, so many get a conversation that calls it; composed, not asked for."""
    max_same_question_share: Probability = 0.25
    """Of a model's conversations, so many may ask (nearly) the same; later ones lose that turn, but never their first."""


class AssembleConfig(Record):
    """Conversations to a data set with splits."""

    test_share: Probability = 0.25
    """Share of the images held out for evaluation, of every source and label as near as patients and articles allow."""
    validation_share: Probability = 0.1
    """Share of the images whose loss is watched while training."""
    near_duplicate_bits: Annotated[int, Field(ge=0, le=7)] = 4
    """Perceptual hashes that differ in at most this many of 64 bits are looked at again: the same shot goes into one split."""
    mixture: dict[str, Positive] = Field({})
    """The most images of a source: `{isic: 1200, roco: 2100}`; all of those not named here, and of evaluation sets."""
    use: Literal["any", "research", "commercial"] = "any"
    """What the data set is for. Images whose licence does not allow it go to quarantine; a licence that is not stated, or not
    understood, allows neither research nor commercial use."""
    reviews: Literal["honour", "require", "ignore"] = "honour"
    """What people's decisions on conversations do. `honour`: rejected ones go to quarantine, edited ones come as they were
    edited. `require`: besides, only what somebody has accepted or edited gets in, of every source. `ignore`: nothing."""

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
        content["sources"][source] = kept | {"path": _absolute(str(location))}
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
