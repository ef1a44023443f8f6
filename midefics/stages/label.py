"""Validated images in, conversations out: 4 to 6 questions and answers for each, written from its metadata.

The writer is a model behind the OpenAI protocol where the settings name a key or an address, else the offline writer,
which fills templates and is no language model. Rows that bring their own turns pass through.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from midefics.config import LabelConfig, RunConfig
from midefics.definitions import VERSION as DEFINITIONS_VERSION
from midefics.definitions import defining
from midefics.errors import DataError
from midefics.grounding.repetition import Questions
from midefics.model_calls import compose
from midefics.prompts import Prompt
from midefics.records import Manifest, Rejected, Row, Scalar, Turn
from midefics.services import Services
from midefics.services.batches import correspond_in_batches
from midefics.services.conversations import Judge, Written
from midefics.services.correspondence import Line, became, correspond, requests_of
from midefics.services.estimates import estimated
from midefics.services.in_order import InOrder
from midefics.services.merging import rows_by_id
from midefics.services.preflight import service_of
from midefics.services.prompt_registry import register_quietly
from midefics.services.requests import Request
from midefics.services.spending import budget_for
from midefics.sources import source
from midefics.stages.tally import Tally
from midefics.stages.tasks import Task, call_for, objection, task_of, term_for, text_only_task_of

log = logging.getLogger(__name__)

OFFLINE = "offline"
OFFLINE_VERSION = "offline-1"
MODEL_CALLS, MODEL_CALLS_VERSION = "code", "modelcall-1"


Take = Callable[[Row, Written | None, str], None]
"""Takes a row, what came of it (None where it brings its own turns), and who wrote."""


class Labels(NamedTuple):
    """How the rows get their conversations."""

    write: Callable[[Take], dict[str, Scalar]]
    """Hands every row on, in the order of their ids, as soon as what came of it is known; returns the output's facts."""
    version: Callable[[Row], str]
    """Of the prompt that a row was written by."""
    prompts: dict[str, Prompt]
    """Those that have been used, by their version; filled as the rows come."""


def run(config: RunConfig, *validated: Manifest, services: Services, wait: str = "yes") -> Manifest:
    """Adds a conversation to every row, in the order of their ids; rows that get none go to quarantine.

    Args:
        config: of the run.
        validated: the rows.
        services: the outside world.
        wait: "no" leaves while batches are under way (`label.mode: batch`); the next run goes on with them.

    Raises:
        DataError: a source has more rows without a conversation than `label.max_bad_share`, or no row is left.
        ServiceError: the model's service refuses or is gone; BudgetError: the money is out. What was answered is in the
            ledger.
    """
    started = time.monotonic()
    rows = sum(manifest.rows for manifest in validated)
    log.info("label: %s rows of %s", rows, ", ".join(manifest.uri for manifest in validated))
    labels = (
        _asked(config, validated, services, wait != "no")
        if _online(services)
        else _offline(config, validated, services)
    )
    tally, questions, text_only = Tally(), Questions(config.label.max_same_question_share), Counter[bool]()
    with services.storage.draft("conversations", sorted(manifest.digest for manifest in validated)) as draft:

        def take(row: Row, written: Written | None, writer: str) -> None:
            version = labels.version(row)
            if written:
                tally.count(row, written, version)
            outcome = _labelled(row, written, writer, version)
            draft.take(_thinned(outcome, questions) if written and writer != OFFLINE else outcome)
            text_only[isinstance(outcome, Row) and bool(outcome.text_only)] += 1

        facts = labels.write(take)
        tally.require_enough(config.label.max_bad_share)
        if not draft.rows:
            raise DataError(
                "label: no row has a conversation; look at the quarantine of validate, or at label in the log"
            )
        draft.facts |= {"prompt_version": ", ".join(sorted(tally.versions))} | facts
        if questions.thinned:
            draft.facts["turns_thinned"] = questions.thinned
        if text_only[True]:
            draft.facts["text_only_rows"] = text_only[True]
    register_quietly(labels.prompts, services)
    out, seconds = draft.manifest.rows, time.monotonic() - started
    log.info("label: %s rows in, %s out, %s rejected, %.1f s", rows, out, rows - out, seconds)
    return draft.manifest


def estimate(config: RunConfig, *validated: Manifest, services: Services) -> dict[str, Scalar]:
    """What labelling would ask for and cost at most, without asking; see `Estimate` for the keys.

    Repairs of unreadable answers come on top. The offline writer asks nobody.
    """
    pairs = requests_for(config, config.label.model, validated, services) if _online(services) else iter(())
    line = Line(requests_of(pairs), services.ledger)
    found = estimated(line, config.name, config.label, services.settings, services.ledger)
    writer = config.label.model if _online(services) else OFFLINE
    told: dict[str, Scalar] = {"writer": writer, "rows": sum(manifest.rows for manifest in validated)}
    return told | {"in_ledger": line.found} | found.model_dump()


def _online(services: Services) -> bool:
    return bool(services.settings.openai_api_key or services.settings.openai_base_url)


def _offline(config: RunConfig, manifests: Sequence[Manifest], services: Services) -> Labels:
    log.info(
        "label: the offline writer fills templates and is no language model; set OPENAI_API_KEY or OPENAI_BASE_URL for one"
    )

    def write(take: Take) -> dict[str, Scalar]:
        for row in rows_by_id(services.storage, manifests):
            called = _with_calls(row, config.label)
            take(_with_definition(called, config.label), None if called.turns else _composed(called), OFFLINE)
        return {"writer": OFFLINE, "prompt_version": OFFLINE_VERSION}

    return Labels(write, lambda _: OFFLINE_VERSION, {})


def _composed(row: Row) -> Written:
    turns = source(row.source).conversation(row.metadata)
    if not turns:
        return Written((), "no conversation", "its metadata support none")
    against = objection(row.source, row.metadata, turns)
    return Written((), against.reason, against.detail) if against else Written(turns)


def _with_calls(row: Row, config: LabelConfig) -> Row:
    """Code writes the conversation of those rows that are to call a classifier."""
    if row.turns or not call_for(row, config):
        return row
    turns = compose(row.source, row.metadata, row.image_sha256)
    return row.model_copy(update={"turns": turns, "writer": MODEL_CALLS, "prompt_version": MODEL_CALLS_VERSION})


def _with_definition(row: Row, config: LabelConfig) -> Row:
    about = term_for(row, config)
    if not about:
        return row
    turn = defining(about, row.image_sha256)
    return _with_text_only(row, (turn,), {"text_only": f"{OFFLINE}, {DEFINITIONS_VERSION}"})


def _with_text_only(row: Row, turns: tuple[Turn, ...], labelling: dict[str, Scalar]) -> Row:
    return row.model_copy(update={"text_only": turns, "labelling": {**row.labelling, **labelling}})


def _asked(config: RunConfig, manifests: Sequence[Manifest], services: Services, wait: bool) -> Labels:
    prompts: dict[str, Prompt] = {}

    def asked_by(model: str) -> Iterator[tuple[Task, Request | None]]:
        return _tasks_and_requests(config, model, manifests, services)

    def write(take: Take) -> dict[str, Scalar]:
        rows = round(sum(manifest.rows for manifest in manifests) * (1 + config.label.text_only_share))
        budget = budget_for(config.name, config.label, services.ledger)
        surroundings = (services.settings, config.label, services.ledger, services.progress, budget)
        joining = Joining(config.label, prompts, take)
        if config.label.mode == "batch":
            done = correspond_in_batches(lambda model: requests_of(asked_by(model)), rows, *surroundings, wait=wait)
            lookup = partial(became, services.ledger, done.problems, Judge())
            InOrder(asked_by(done.model), lookup, partial(joining, writer=done.model)).end()
        else:
            done = correspond(asked_by, rows, *surroundings, joining)
        return {
            "writer": done.model,
            "requests_made": done.requests_made,
            "answers_from_ledger": done.answers_from_ledger,
            "prompt_tokens": done.prompt_tokens,
            "completion_tokens": done.completion_tokens,
        }

    return Labels(write, lambda row: task_of(row, config.label).prompt.version, prompts)


def requests_for(
    config: RunConfig, model: str, manifests: Sequence[Manifest], services: Services
) -> Iterator[tuple[Row, Request | None]]:
    """Every row, in the order of their ids, with a request where it has no turns; one more for turns about no image."""
    return ((task.row, request) for task, request in _tasks_and_requests(config, model, manifests, services))


def _tasks_and_requests(
    config: RunConfig, model: str, manifests: Sequence[Manifest], services: Services
) -> Iterator[tuple[Task, Request | None]]:
    """What is asked about no image comes before what is asked about the row's own."""
    base_url = service_of(services.settings).base_url
    for row in rows_by_id(services.storage, manifests):
        if task := text_only_task_of(row, config.label):
            yield task, task.request(config.label, model, base_url)
        task = task_of(row, config.label)
        yield task, None if row.turns else task.request(config.label, model, base_url)


class Joining:
    """Hands each row on once, with its turns about no image: the definition itself where the model wrote none that hold."""

    def __init__(self, config: LabelConfig, prompts: dict[str, Prompt], take: Take) -> None:
        self._config, self._prompts, self._take = config, prompts, take
        self._about: Row | None = None

    def __call__(self, task: Task, written: Written | None, writer: str) -> None:
        """Takes what came of a task; those about no image come before those about the row's own."""
        if written:
            self._prompts[task.prompt.version] = task.prompt
        if task.is_text_only:
            self._about = _told_of_term(task, written, writer) or _with_definition(task.row, self._config)
            return
        row, self._about = self._about or task.row, None
        self._take(row, task.finished(written) if written else None, writer)


def _told_of_term(task: Task, written: Written | None, model: str) -> Row | None:
    if not (written and written.turns):
        return None
    told: dict[str, Scalar] = {"text_only": f"{model}, {task.prompt.version}"}
    return _with_text_only(task.row, written.turns, told | {"text_only_cost": written.labelling["cost"]})


def _labelled(row: Row, written: Written | None, writer: str, version: str) -> Row | Rejected:
    if written is None:
        return row.model_copy(update={"writer": row.writer or "archive"})
    if not written.turns:
        detail, reason = written.detail, written.reason
        return Rejected(id=row.id, source=row.source, reason=reason, detail=detail, origin=row.image_sha256)
    labelling = {**row.labelling, **written.labelling}
    by = {"writer": writer, "prompt_version": version, "labelling": labelling}
    return row.model_copy(update={"turns": written.turns} | by)


def _thinned(outcome: Row | Rejected, questions: Questions) -> Row | Rejected:
    """Only what a model wrote: the offline writer has few phrasings, an archive's own questions are its own."""
    if isinstance(outcome, Rejected) or outcome.prompt_version.startswith("modelcall"):
        return outcome
    return outcome.model_copy(update={"turns": questions.thin(outcome.turns)})
