"""The models that a run may use, in order of preference, in; the first that the service has and goes on having out."""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from midefics.config import Settings
from midefics.errors import RefusedError
from midefics.services.refusals import explained, said

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
NOTICE = timedelta(days=14)
"""A model with a shutdown date within that time is passed over: a run may take days, and a data set grows for weeks."""


class Service(NamedTuple):
    """Where requests go, and what lets them in."""

    base_url: str
    key: str


def service_of(settings: Settings) -> Service:
    """The one that is configured: OpenAI's where no address is; a server without keys is sent a word that is none."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none-needed"
    return Service(settings.openai_base_url or OPENAI_URL, key)


class Preflight(NamedTuple):
    """What the service said before anything was spent."""

    model: str
    """To ask."""
    offered: tuple[str, ...]
    """All that it lists; none where it lists none."""


async def preflight(client: "openai.AsyncOpenAI", base_url: str, models: Sequence[str]) -> Preflight:
    """Asks the service, once and for free, whether it is there, lets us in and which of the models it has.

    Raises:
        ServiceError: it does not answer.
        RefusedError: it does not let us in, or has none of the models any more.
    """
    import httpx2
    import openai

    try:
        # `client.models` would import all of the client's resources first, which takes longer than the question.
        response = await client.get("/models", cast_to=httpx2.Response)
        ends = {model["id"]: _day(model.get("shutdown_date")) for model in response.json()["data"]}
    except (openai.AuthenticationError, openai.PermissionDeniedError, openai.APIConnectionError) as error:
        raise explained(error, base_url, models[0], "") from error
    except (openai.OpenAIError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("%s lists no models (%s); asking %s unseen", base_url, said(error), models[0])
        return Preflight(models[0], ())
    return Preflight(_chosen(models, ends, base_url), tuple(sorted(ends)))


def offer(models: Sequence[str]) -> str:
    """Some models, for a message."""
    return ", ".join(models[:5]) + (", …" if len(models) > 5 else "")


def _chosen(models: Sequence[str], ends: dict[str, date | None], base_url: str) -> str:
    today = datetime.now(UTC).date()
    reasons = {model: _passed_over(model, ends, today) for model in models}
    lasting = next((model for model in models if not reasons[model]), None)
    # One that ends soon, or that a service of another house forgets to list, is better than none.
    usable = [model for model in models if model in ends and (ends[model] or date.max) > today]
    if lasting is None and not usable and (base_url == OPENAI_URL or models[0] in ends):
        raise RefusedError(
            f"{base_url} {reasons[models[0]]}; set label.model to another"
            + (f", of {offer(sorted(ends))}" if models[0] not in ends else "")
        )
    chosen = lasting or (usable or models)[0]
    for model in models[: models.index(chosen)]:
        log.warning("%s %s; taking the next", base_url, reasons[model])
    if reasons[chosen]:
        log.warning("%s %s; asking it all the same", base_url, reasons[chosen])
    return chosen


def _passed_over(model: str, ends: dict[str, date | None], today: date) -> str:
    if model not in ends:
        return f"does not list {model}, only {offer(sorted(ends))}" if ends else ""
    end = ends[model]
    if end is None or end > today + NOTICE:
        return ""
    return f"shut {model} down on {end}" if end <= today else f"will shut {model} down on {end}"


def _day(told: object) -> date | None:
    """Of a date, a date and a time, or seconds since 1970."""
    try:
        if isinstance(told, int | float):
            return datetime.fromtimestamp(told, UTC).date()
        return date.fromisoformat(str(told)[:10]) if told else None
    except (ValueError, OverflowError, OSError):
        return None
