"""The label stage in, at which pace it goes on although the service fails at random out, beside the same without a fault."""

import time
from collections.abc import Iterator

from midefics.bench import Beside, Figure, load
from midefics.bench.faulty_server import FAULTS
from midefics.bench.label_rows import home_at, run_config, validated
from midefics.bench.label_server import label_server
from midefics.services import Services
from midefics.stages import label

ROWS, LATENCY_MS, TIMEOUT_S = 1000, 200, 3.0
GOAL = 0.5
"""Of the pace without faults: one request in eight is made again, and one that is held back takes fifteen times as long."""


def under_faults(services: Services) -> Iterator[Figure]:
    """Rows in a second, and whether every row is accounted for."""
    ours, done, rejected = _pace(services, faults=True)
    without, _, _ = _pace(services, faults=False)
    mix = ", ".join(f"{share:.0%} {name}" for name, share in FAULTS.items())
    told = f"{ROWS:,} rows, {LATENCY_MS} ms, time-out {TIMEOUT_S:g} s, no limits; {mix}{load()}"
    beside = Beside(name="without faults", value=without, goal=GOAL)
    yield Figure(name="faults at random", unit="rows/s", ours=ours, beside=(beside,), conditions=told)
    every = Beside(name="rows given", value=ROWS, goal=1.0)
    conditions = f"{done} labelled, {rejected} in quarantine"
    yield Figure(
        name="faults at random: accounted for", unit="rows", ours=done + rejected, beside=(every,), conditions=conditions,
    )  # fmt: skip


def _pace(services: Services, faults: bool) -> tuple[float, int, int]:
    """Rows in a second, those labelled, those in quarantine."""
    with label_server(latency_ms=LATENCY_MS, faults=faults) as server, home_at(services, server) as home:
        given = validated(home, ROWS)
        home.ledger.get_many(())  # makes it
        started = time.perf_counter()
        made = label.run(run_config(timeout_s=TIMEOUT_S, max_bad_share=1.0), given, services=home)
        return ROWS / (time.perf_counter() - started), made.rows, sum(made.rejected.values())
