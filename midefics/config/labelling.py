"""Who writes the conversations, how fast, and for how much: the section `label`."""

from typing import Annotated, Literal

from pydantic import Field

from midefics.config.values import Positive, PositiveFloat, Probability
from midefics.records import Record


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
    approve_above_usd: Annotated[float, Field(ge=0)] | None = None
    """Where labelling the sources of an Airflow run may cost more dollars than this, or nobody knows the price, a person is
    asked before anything is spent; nobody ever where unset."""
    prices: dict[str, PriceConfig] = Field(default_factory=dict)
    """By model, in place of the table in `services/prices.py`: `{gpt-4o-mini: {prompt: 0.15, completion: 0.6}}`."""
    max_bad_share: Probability = 0.25
    """Fail when a larger share of the answers can't be parsed, say what the metadata don't support, or had to be given up."""
    modelcall_share: Probability = 0.0
    """Of the images that a classifier of the catalogue fits, so many get a conversation that calls it. What the classifier
    finds is decided by code; the turns round it are written by the model, or by code where there is none."""
    text_only_share: Probability = 0.0
    """Of the images to train on, so many bring turns about a term of medicine besides, which are learnt without the image."""
    max_same_question_share: Probability = 0.25
    """Of a model's conversations, so many may ask (nearly) the same; later ones lose that turn, but never their first."""
