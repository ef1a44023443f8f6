"""Rows to label in, how near labelling comes to what a service allows out: limits, throughput, what is asked again, memory.

The service is `llmock`, an independent server of the OpenAI protocol, in a process of its own on this machine. What is timed
is the whole stage, from validated rows in storage to the manifest of their conversations: the model is looked for, every
request has its money set aside in the ledger (SQLite), every answer and its cost are committed there, read, checked against its
row and written to Parquet. Only the import of Python's modules and the making of an empty ledger come before the clock.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from midefics.bench import BOUND, NOTEBOOK, Beside, Figure, best_rates, load
from midefics.bench.label_faults import under_faults
from midefics.bench.label_rows import (
    MODEL,
    TOGETHER,
    answer_to,
    asked_rows,
    home_at,
    requests_for_rows,
    run_config,
    validated,
)
from midefics.bench.label_server import LabelServer, label_server
from midefics.prompts import OF_SOURCE, Prompt, load_prompt
from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.correspondence import correspond
from midefics.services.databases import together
from midefics.services.requests import Request
from midefics.services.spending import budget_for
from midefics.sources import source
from midefics.stages import label

ROWS, RPM, LATENCY_MS = 900, 600, 200
SPREAD_S = 91.0
"""For as many rows where no burst is allowed."""
TOKEN_ROWS, TPM, ANSWER_TOKENS = 85, 60_000, 300
ONE_BY_ONE = 25
"""Requests that the notebook's loop is timed with."""
FREELY = 1000
MANY, MANY_NEW = 100_000, 5_000


class _Done(NamedTuple):
    seconds: float
    manifest: Manifest

    @property
    def asked(self) -> int:
        return int(str(self.manifest.facts["requests_made"]))


def measure(services: Services) -> Iterator[Figure]:
    """Limits told, untold, misjudged, in tokens, without a burst; no limits; faults; what is asked again; 100,000 rows."""
    import openai  # noqa: F401 (its seconds are nobody's figure)

    yield from _limited(services)
    yield from _token_bound(services)
    yield from _free(services)
    yield from under_faults(services)
    yield from _again(services)
    yield _memory(services)


def _limited(services: Services) -> Iterator[Figure]:
    loop = _one_by_one(services)
    bound = (ROWS - RPM) / (RPM / 60)
    told = f"{ROWS} rows, {RPM} requests a minute and {LATENCY_MS} ms"
    cases: tuple[tuple[str, bool, float, dict[str, object]], ...] = (
        ("limit told", True, 1.03 * bound, {}),
        ("limit untold", False, 1.1 * bound, {}),
        ("limit misjudged", False, 1.1 * bound, {"requests_per_minute": 2 * RPM}),
        ("no burst", True, SPREAD_S, {"burst": False}),
    )
    for name, headers, most, values in cases:
        with label_server(rpm=RPM, latency_ms=LATENCY_MS, told=headers) as server, home_at(services, server) as home:
            done = _labelled(home, ROWS, **values)
            conditions = (
                f"{told}, {'its headers say so' if headers else 'no headers'}, {values or 'nothing configured'}{load()}"
            )
            ideal = ROWS * 60 / RPM if name == "no burst" else bound
            beside = (_beside(BOUND, ideal, most / ideal), _notebook(loop, ROWS))
            yield Figure(name=name, unit="s", ours=done.seconds, beside=beside, conditions=conditions)
            wire = f"{name}: from first to last on the wire"
            yield Figure(name=wire, unit="s", ours=server.seconds(), beside=beside, conditions=conditions)
            yield from _complete(name, done, ROWS, server, conditions, none_refused=headers)


def _token_bound(services: Services) -> Iterator[Figure]:
    with label_server(tpm=TPM, latency_ms=LATENCY_MS) as server, home_at(services, server) as home:
        done = _labelled(home, TOKEN_ROWS, max_tokens=ANSWER_TOKENS)
        charged, seconds = server.tokens_charged(), server.seconds()
    bound = (charged - TPM) / (TPM / 60)
    told = f"{TOKEN_ROWS} rows, {charged:,} counted tokens in all, {TPM:,} a minute and {LATENCY_MS} ms, on the wire"
    yield Figure(name="token-bound", unit="s", ours=seconds, beside=(_beside(BOUND, bound, 1.05),), conditions=told)
    every = (Beside(name="rows given", value=TOKEN_ROWS, goal=1.0),)
    yield Figure(name="token-bound: rows answered", unit="rows", ours=done.manifest.rows, beside=every, conditions=told)


def _complete(
    name: str, done: _Done, rows: int, server: LabelServer, told: str, none_refused: bool
) -> Iterator[Figure]:
    every = (Beside(name="rows given", value=rows, goal=1.0),)
    none = (_beside("none", 0, 1.0),)
    yield Figure(name=f"{name}: rows answered", unit="rows", ours=done.manifest.rows, beside=every, conditions=told)
    if none_refused:
        refused = server.statuses().count(429)
        yield Figure(name=f"{name}: turned away", unit="429s", ours=refused, beside=none, conditions=told)
    findings = server.findings()
    yield Figure(name=f"{name}: bad manners", unit="findings", ours=findings, beside=none, conditions=told)


def _free(services: Services) -> Iterator[Figure]:
    with label_server() as server, home_at(services, server) as home:
        requests = requests_for_rows(home, FREELY)
        used: list[float] = []
        ways = {
            "ours": lambda: used.append(_ask(home, server, requests)),
            "bare": lambda: asyncio.run(_bare(server, requests)),
        }
        rates = best_rates(ways, FREELY)
        loop = 1 / _seconds_one_by_one(server, requests)
    told = f"{FREELY:,} requests, {TOGETHER} at once, no limits; ours with budget, ledger and checks{load()}"
    bare = Beside(name="the bare openai client", value=rates["bare"], goal=0.9)
    notebook = Beside(name=f"{NOTEBOOK} (from {ONE_BY_ONE} requests)", value=loop, goal=1.0)
    yield Figure(
        name="no limits", unit="requests/s", ours=rates["ours"], conditions=told, beside=(bare, notebook),
    )  # fmt: skip
    yield Figure(
        name="no limits, on a core", unit="requests in a second of our process", ours=FREELY / min(used), conditions=told,
        beside=(Beside(name="limit", value=250, goal=1.0),),
    )  # fmt: skip


def _ask(home: Services, server: LabelServer, requests: Sequence[Request]) -> float:
    """Asks with an empty ledger; returns the processor's seconds."""
    before = time.process_time()
    with home_at(home, server) as fresh:
        budget = budget_for("bench", run_config().label, fresh.ledger)
        surroundings = (fresh.settings, run_config().label, fresh.ledger, fresh.progress, budget)
        correspond(lambda _: ((None, request) for request in requests), len(requests), *surroundings, lambda *_: None)
    return time.process_time() - before


def _again(services: Services) -> Iterator[Figure]:
    with label_server() as server, home_at(services, server) as home:
        steps: tuple[tuple[str, int, int, dict[str, object]], ...] = (
            ("100 rows", 100, 100, {}),
            ("a finished run again", 100, 0, {}),
            ("one row more", 101, 1, {}),
            ("another model", 101, 101, {"model": "gpt-4o"}),
            ("another limit on the answer", 101, 101, {"max_tokens": 650}),
        )
        for name, rows, due, values in steps:
            asked = _labelled(home, rows, **values).asked
            yield _due(name, asked, due, rows)
        for name, after in (("another system prompt", "=== system\n"), ("another few-shot example", "=== assistant\n")):
            yield _due(name, _asked_with(home, 101, after), 101, 101)


def _due(name: str, asked: int, due: int, rows: int) -> Figure:
    beside = (
        _beside("due, at most", due, 1.0),
        Beside(name="due, at least", value=due, goal=1.0),
        _beside(f"{NOTEBOOK}, which asks for all", rows, 1.0),
    )
    return Figure(name=name, unit="requests", ours=asked, beside=beside, conditions="after the steps before")


def _asked_with(home: Services, rows: int, after: str) -> int:
    """How many requests go out when a prompt says one word more after a mark in its file."""
    prompt = load_prompt(OF_SOURCE["isic"], source("isic").glossary)
    changed = prompt._replace(text=prompt.text.replace(after, f"{after}Well: ", 1))
    pairs = [(row, _as_written_by(changed, row, request)) for row, request in asked_rows(home, rows)]
    budget = budget_for("bench", run_config().label, home.ledger)
    surroundings = (home.settings, run_config().label, home.ledger, home.progress, budget)
    return correspond(lambda _: pairs, rows, *surroundings, lambda *_: None).requests_made


def _as_written_by(prompt: Prompt, row: Row, request: Request | None) -> Request | None:
    changes = {"messages": prompt.messages(row.metadata), "prompt_version": prompt.version}
    return request.model_copy(update=changes) if request else None


def _memory(services: Services) -> Figure:
    with label_server() as server, home_at(services, server) as home:
        given = validated(home, MANY)
        with together(home.ledger.engine):
            for _, request in label.requests_for(run_config(), MODEL, [validated(home, MANY - MANY_NEW)], home):
                if request:
                    home.ledger.put(answer_to(request))
        command = [sys.executable, "-m", "midefics", "label", given.uri, "--set", "label.budget_usd=500"]
        environment = {"MIDEFICS_HOME": str(home.settings.home), "OPENAI_BASE_URL": server.base_url}
        process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Figure(
        name="memory of label", unit="MB at most", ours=used.ru_maxrss / 1024, beside=(_beside("limit", 600, 1.0),),
        conditions=f"{MANY:,} rows, {MANY_NEW:,} of them asked for within a budget, the rest in the ledger, the whole command{load()}",
    )  # fmt: skip


def _one_by_one(services: Services) -> float:
    """Seconds for a request of the notebook's loop: the next is sent when the one before is answered."""
    with label_server(latency_ms=LATENCY_MS) as server, home_at(services, server) as home:
        return _seconds_one_by_one(server, requests_for_rows(home, ONE_BY_ONE))


def _seconds_one_by_one(server: LabelServer, requests: Sequence[Request]) -> float:
    import openai

    with openai.OpenAI(base_url=server.base_url, api_key="none-needed") as client:
        started = time.perf_counter()
        for request in requests[:ONE_BY_ONE]:
            client.chat.completions.create(**_body(request))
        return (time.perf_counter() - started) / ONE_BY_ONE


async def _bare(server: LabelServer, requests: Sequence[Request]) -> None:
    import openai

    waiting = iter(requests)

    async def work() -> None:
        for request in waiting:
            await client.chat.completions.create(**_body(request))

    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none-needed", max_retries=0) as client:
        await asyncio.gather(*(work() for _ in range(TOGETHER)))


def _body(request: Request) -> dict[str, Any]:
    body = request.model_dump(include={"model", "messages", "temperature", "max_tokens"})
    return body | {"response_format": {"type": "json_object"}}


def _beside(name: str, value: float, goal: float) -> Beside:
    return Beside(name=name, value=value, goal=goal, bound="at most")


def _notebook(seconds: float, rows: int) -> Beside:
    return _beside(f"{NOTEBOOK} (from {ONE_BY_ONE} requests)", seconds * rows, 1.0)


def _labelled(home: Services, rows: int, **values: object) -> _Done:
    given = validated(home, rows)
    home.ledger.get_many(())  # makes it
    started = time.perf_counter()
    manifest = label.run(run_config(**values), given, services=home)
    return _Done(time.perf_counter() - started, manifest)
