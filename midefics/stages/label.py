"""Validated images in, conversations out: 4 to 6 questions and answers for each, written from its metadata.

The writer is a model behind the OpenAI protocol where the settings name a key or an address, else the offline writer,
which fills templates and is no language model. Rows that bring their own turns pass through.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.grounding import kinds, problems, told
from midefics.grounding.repetition import Questions
from midefics.model_calls import compose
from midefics.prompts import OF_SOURCE, VQA, Prompt, load_prompt
from midefics.records import Manifest, Rejected, Row, Scalar, Turn
from midefics.services import Services
from midefics.services.batches import correspond_in_batches
from midefics.services.conversations import UNGROUNDED, Judge, Written
from midefics.services.correspondence import Line, became, correspond, requests_of
from midefics.services.estimates import estimated
from midefics.services.in_order import InOrder
from midefics.services.merging import rows_by_id
from midefics.services.preflight import OPENAI_URL
from midefics.services.requests import Objection, Request
from midefics.services.spending import budget_for
from midefics.sources import source

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


class Tally:
    """Of each source's rows, how many got a conversation."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.bad: dict[str, int] = {}
        self.first: dict[str, tuple[str, Written]] = {}
        self.versions: set[str] = set()

    def count(self, row: Row, written: Written, version: str) -> None:
        """Takes in what came of one row."""
        self.asked[row.source] = self.asked.get(row.source, 0) + 1
        self.versions.add(version)
        if not written.turns:
            self.bad[row.source] = self.bad.get(row.source, 0) + 1
            self.first.setdefault(row.source, (row.id, written))

    def require_enough(self, max_bad_share: float) -> None:
        """Refuses a stage's output that lacks too much.

        Raises:
            DataError: a source has too large a share of rows without a conversation.
        """
        for name, bad in self.bad.items():
            rows, (identifier, first) = self.asked[name], self.first[name]
            if bad > max_bad_share * rows:
                raise DataError(
                    f"{name}: {bad} of {rows} rows got no conversation, first {identifier} ({first.reason}: "
                    f"{' '.join(first.detail.split())[:120]}); rerun with label.max_bad_share above {max_bad_share:g} "
                    "to quarantine them"
                )


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
    tally, questions = Tally(), Questions(config.label.max_same_question_share)
    with services.storage.draft("conversations", sorted(manifest.digest for manifest in validated)) as draft:

        def take(row: Row, written: Written | None, writer: str) -> None:
            if written:
                tally.count(row, written, labels.version(row))
            outcome = _labelled(row, written, writer, labels.version(row))
            draft.take(_thinned(outcome, questions) if written and writer != OFFLINE else outcome)

        facts = labels.write(take)
        tally.require_enough(config.label.max_bad_share)
        if not draft.rows:
            raise DataError(
                "label: no row has a conversation; look at the quarantine of validate, or at label in the log"
            )
        draft.facts |= {"prompt_version": ", ".join(sorted(tally.versions))} | facts
        if questions.thinned:
            draft.facts["turns_thinned"] = questions.thinned
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
        for row in _rows(config, manifests, services):
            take(row, None if row.turns else _composed(row), OFFLINE)
        return {"writer": OFFLINE, "prompt_version": OFFLINE_VERSION}

    return Labels(write, lambda _: OFFLINE_VERSION)


def _composed(row: Row) -> Written:
    turns = source(row.source).conversation(row.metadata)
    if not turns:
        return Written((), "no conversation", "its metadata support none")
    objection = _objection(row.source, row.metadata, turns)
    return Written((), UNGROUNDED, objection.detail) if objection else Written(turns)


def _objection(source_name: str, metadata: dict[str, Scalar], turns: tuple[Turn, ...]) -> Objection | None:
    found = problems(source_name, metadata, turns)
    return Objection(kinds(found), f"The data do not support {told(found)}.") if found else None


def _rows(config: RunConfig, manifests: Sequence[Manifest], services: Services) -> Iterator[Row]:
    """Every row in the order of the ids; `label.modelcall_share` of them have a conversation that calls a classifier."""
    for row in rows_by_id(services.storage, manifests):
        chosen = int(row.image_sha256[:8], 16) < config.label.modelcall_share * 2**32
        turns = compose(row.source, row.metadata, row.image_sha256) if chosen and not row.turns else ()
        update = {"turns": turns, "writer": MODEL_CALLS, "prompt_version": MODEL_CALLS_VERSION}
        yield row.model_copy(update=update) if turns else row


def _asked(config: RunConfig, manifests: Sequence[Manifest], services: Services, wait: bool) -> Labels:
    def asked_by(model: str) -> Iterator[tuple[Row, Request | None]]:
        return requests_for(config, model, manifests, services)

    def write(take: Take) -> dict[str, Scalar]:
        rows = sum(manifest.rows for manifest in manifests)
        budget = budget_for(config.name, config.label, services.ledger)
        surroundings = (services.settings, config.label, services.ledger, services.progress, budget)
        if config.label.mode == "batch":
            done = correspond_in_batches(lambda model: requests_of(asked_by(model)), rows, *surroundings, wait=wait)
            lookup = partial(became, services.ledger, done.problems, Judge())
            InOrder(asked_by(done.model), lookup, lambda row, written: take(row, written, done.model)).end()
        else:
            done = correspond(asked_by, rows, *surroundings, take)
        return {
            "writer": done.model,
            "requests_made": done.requests_made,
            "answers_from_ledger": done.answers_from_ledger,
            "prompt_tokens": done.prompt_tokens,
            "completion_tokens": done.completion_tokens,
        }

    return Labels(write, lambda row: _prompt(row.source).version)


def requests_for(
    config: RunConfig, model: str, manifests: Sequence[Manifest], services: Services
) -> Iterator[tuple[Row, Request | None]]:
    """Every row, in the order of their ids, with a request where it has no turns."""
    base_url = services.settings.openai_base_url or OPENAI_URL
    for row in _rows(config, manifests, services):
        prompt = _prompt(row.source)
        yield (
            row,
            None
            if row.turns
            else Request(
                base_url=base_url,
                model=model,
                messages=prompt.messages(row.metadata),
                temperature=config.label.temperature,
                max_tokens=config.label.max_tokens,
                prompt_version=prompt.version,
                input_digest=_input_digest(row),
                check=partial(_objection, row.source, row.metadata),
            ),
        )


@cache
def _prompt(source_name: str) -> Prompt:
    return load_prompt(OF_SOURCE.get(source_name, VQA), source(source_name).glossary)


def _input_digest(row: Row) -> str:
    content = [row.image_sha256, row.metadata]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _labelled(row: Row, written: Written | None, writer: str, version: str) -> Row | Rejected:
    if written is None:
        return row.model_copy(update={"writer": row.writer or "archive"})
    if not written.turns:
        detail, reason = written.detail, written.reason
        return Rejected(id=row.id, source=row.source, reason=reason, detail=detail, origin=row.image_sha256)
    by = {"writer": writer, "prompt_version": version, "labelling": dict(written.labelling)}
    return row.model_copy(update={"turns": written.turns} | by)


def _thinned(outcome: Row | Rejected, questions: Questions) -> Row | Rejected:
    """Only what a model wrote: the offline writer has few phrasings, an archive's own questions are its own."""
    if isinstance(outcome, Rejected):
        return outcome
    return outcome.model_copy(update={"turns": questions.thin(outcome.turns)})
