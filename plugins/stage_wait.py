"""What a stage's process said in, until when its task waits out: in the triggerer, where waiting takes no worker's slot."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

from airflow.triggers.base import BaseTrigger, TriggerEvent

TIMEOUT_S = 5
AT_LEAST_S = 10.0
"""Resumed within a second or two, Airflow 3.3.2 takes a waiting task for one that has died, and ends it."""
AT_MOST_ASLEEP_S = 60.0
"""Then the clock is looked at again: somebody may have set it."""


class MomentTrigger(BaseTrigger):
    """Fires at a moment, and is quiet until then: Airflow's own puts a line into the task's log every second.

    Args:
        moment: ISO 8601, with its offset from UTC.
    """

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it in its database."""
        return f"{__name__}.{type(self).__name__}", {"moment": self.moment}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits."""
        moment = datetime.fromisoformat(self.moment)
        while (left_s := (moment - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left_s, AT_MOST_ASLEEP_S))
        yield TriggerEvent(self.moment)


def moment_to_run_again(code: int, last_output: str) -> datetime | None:
    """When a command wants to be run again that left work under way; None where it ended in any other way."""
    if code != os.EX_TEMPFAIL:
        return None
    try:
        asked_for_s = float(json.loads(last_output)["run_again_in_s"])
    except (ValueError, TypeError, LookupError):
        return None
    return datetime.now(UTC) + timedelta(seconds=max(asked_for_s, AT_LEAST_S))


def no_triggerer_runs() -> bool:
    """Whether Airflow says that it has none, or a dead one: what is deferred then would wait for ever.

    Where nobody answers (`airflow dags test` runs triggers itself, and needs no server) there is nothing to object.
    """
    from airflow.sdk.configuration import conf

    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    # Workers reach this address in any case; Airflow's pages may be elsewhere.
    address = conf.get("core", "execution_api_server_url", fallback=f"{base_url}/execution/")
    health = f"{address.rstrip('/').removesuffix('/execution')}/api/v2/monitor/health"
    try:
        with urlopen(health, timeout=TIMEOUT_S) as told:  # noqa: S310 (http only)
            return bool(json.load(told)["triggerer"]["status"] != "healthy")
    except (OSError, ValueError, LookupError, TypeError):
        return False
