"""An archive's server in, its folder made or brought up to date: what `midefics fetch` does, and ingest before it reads.

Each fetcher is one file here; what it writes is what `midefics.sources` reads. Beside the images it keeps a hidden
folder, `.fetch/`: a journal of what is there, and the files that are not whole yet.
"""

import logging
import time
from importlib import import_module
from pathlib import Path

from midefics.config import FETCHED, SourceConfig
from midefics.errors import ConfigError, ServiceError, SourceError
from midefics.fetching.outcome import Fetched
from midefics.services import Services

log = logging.getLogger(__name__)


def fetch_first(name: str, spec: SourceConfig, folder: Path, services: Services) -> None:
    """Brings the source's folder up to date where `fetch` is configured.

    Raises:
        SourceError, ServiceError: as `fetch` does.
    """
    if spec.fetch:
        fetch(name, spec, folder, services)


def fetch(name: str, spec: SourceConfig, folder: Path, services: Services) -> Fetched:
    """Downloads what is new or changed since the last time; nothing that is whole is downloaded again.

    Raises:
        ConfigError: the source has no fetcher.
        SourceError: the archive sends what can't be used, or more than `fetch.max_failed_share` of the images can't be had.
        ServiceError: the archive does not answer; the next run goes on from there.
    """
    if name not in FETCHED or spec.fetch is None:
        raise ConfigError(f"sources.{name}.fetch: only {' and '.join(FETCHED)} can be fetched, where configured")
    started = time.monotonic()
    log.info("fetch: %s into %s", name, folder)
    fetched: Fetched = import_module(f"midefics.fetching.{name}").fetch(spec.fetch, folder, services.progress)
    log.info(
        "fetch: %s has %s images, %s new, %s changed, failed %s, %.1f s",
        name, fetched.listed, fetched.new, fetched.changed, fetched.failed or 0, time.monotonic() - started,
    )  # fmt: skip
    _refuse_bad_fetch(name, fetched, spec.fetch.max_failed_share)
    return fetched


def _refuse_bad_fetch(name: str, fetched: Fetched, max_failed_share: float) -> None:
    bad = len(fetched.failures)
    if bad <= max_failed_share * fetched.listed:
        return
    share = min(1.0, round(bad / fetched.listed + 0.01, 2))
    passing = any(failure.passing for failure in fetched.failures)
    first = fetched.failures[0]
    raise (ServiceError if passing else SourceError)(
        f"{name}: {bad} of {fetched.listed} images can't be fetched "
        f"({', '.join(f'{count} {reason}' for reason, count in fetched.failed.items())}), first {first.id}: {first.detail}; "
        f"rerun `midefics fetch {name}`, or with --set sources.{name}.fetch.max_failed_share={share} to go on without them"
    )
