"""Validated images in, conversations out: 4 to 6 questions and answers for each, written from its metadata.

The writer is a model behind the OpenAI protocol where the settings name a key or an address, else the offline writer,
which fills templates and is no language model. Rows that bring their own turns pass through.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.grounding import kinds, problems, told
from midefics.grounding.repetition import Questions
from midefics.model_calls import compose
from midefics.prompts import OF_SOURCE, VQA, Prompt, load_prompt
from midefics.records import Manifest, Rejected, Row, Scalar, Turn
from midefics.services import Services
from midefics.services.conversations import UNGROUNDED, Objection, Written, correspond
from midefics.services.llm import OPENAI_URL, Request, estimated_tokens
from midefics.services.merging import rows_by_id
from midefics.sources import source

log = logging.getLogger(__name__)

OFFLINE = "offline"
OFFLINE_VERSION = "offline-1"
MODEL_CALLS, MODEL_CALLS_VERSION = "code", "modelcall-1"


class Labels(NamedTuple):
    """What a writer made of the rows that had no turns."""

    writer: str
    versions: dict[str, str]
    """Prompt version by row id."""
    written: dict[str, Written]
    """By row id."""
    facts: dict[str, Scalar]


def run(config: RunConfig, *validated: Manifest, services: Services) -> Manifest:
    """Adds a conversation to every row, in the order of their ids; rows that get none go to quarantine.

    Raises:
        DataError: a source has more rows without a conversation than `label.max_bad_share`, or no row is left.
        ServiceError: the model's service refuses or is gone; what was answered is in the ledger.
    """
    started = time.monotonic()
    rows = sum(manifest.rows for manifest in validated)
    log.info("label: %s rows of %s", rows, ", ".join(manifest.uri for manifest in validated))
    labels = _asked(config, validated, services) if _online(services) else _offline(config, validated, services)
    _require_enough(labels, config.label.max_bad_share)
    questions = Questions(config.label.max_same_question_share)
    with services.storage.draft("conversations", sorted(manifest.digest for manifest in validated)) as draft:
        for row in _rows(config, validated, services):
            draft.take(_thinned(_labelled(row, labels), labels, questions))
        if not draft.rows:
            raise DataError(
                "label: no row has a conversation; look at the quarantine of validate, or at label in the log"
            )
        draft.facts |= labels.facts
        if questions.thinned:
            draft.facts["turns_thinned"] = questions.thinned
    out, seconds = draft.manifest.rows, time.monotonic() - started
    log.info("label: %s rows in, %s out, %s rejected, %.1f s", rows, out, rows - out, seconds)
    return draft.manifest


def estimate(config: RunConfig, *validated: Manifest, services: Services) -> dict[str, Scalar]:
    """What labelling would ask for, without asking; tokens are estimated at four characters each.

    Repairs of unreadable answers come on top. The offline writer asks nobody.
    """
    rows = sum(manifest.rows for manifest in validated)
    requests = list(_requests(config, validated, services).values()) if _online(services) else []
    known = services.ledger.get_many(request.key for request in requests)
    asked = [request for request in requests if request.key not in known]
    return {
        "writer": config.label.model if _online(services) else OFFLINE,
        "rows": rows,
        "in_ledger": len(requests) - len(asked),
        "to_ask": len(asked),
        "prompt_tokens_estimated": sum(estimated_tokens(request.messages) for request in asked),
        "answer_tokens_at_most": sum(request.max_tokens for request in asked),
    }


def _rows(config: RunConfig, manifests: Sequence[Manifest], services: Services) -> Iterator[Row]:
    """Every row in the order of the ids; `label.modelcall_share` of them have a conversation that calls a classifier."""
    for row in rows_by_id(services.storage, manifests):
        chosen = int(row.image_sha256[:8], 16) < config.label.modelcall_share * 2**32
        turns = compose(row.source, row.metadata, row.image_sha256) if chosen and not row.turns else ()
        update = {"turns": turns, "writer": MODEL_CALLS, "prompt_version": MODEL_CALLS_VERSION}
        yield row.model_copy(update=update) if turns else row


def _online(services: Services) -> bool:
    return bool(services.settings.openai_api_key or services.settings.openai_base_url)


def _offline(config: RunConfig, manifests: Sequence[Manifest], services: Services) -> Labels:
    log.info(
        "label: the offline writer fills templates and is no language model; set OPENAI_API_KEY or OPENAI_BASE_URL for one"
    )
    labels = Labels(OFFLINE, {}, {}, {"writer": OFFLINE, "prompt_version": OFFLINE_VERSION})
    for row in _rows(config, manifests, services):
        if not row.turns:
            labels.versions[row.id] = OFFLINE_VERSION
            labels.written[row.id] = _composed(row)
    return labels


def _composed(row: Row) -> Written:
    turns = source(row.source).conversation(row.metadata)
    if not turns:
        return Written((), "no conversation", "its metadata support none")
    found = problems(row.source, row.metadata, turns)
    return Written((), UNGROUNDED, kinds(found)) if found else Written(turns)


def _asked(config: RunConfig, manifests: Sequence[Manifest], services: Services) -> Labels:
    log.info("label: %s at %s writes", config.label.model, services.settings.openai_base_url or OPENAI_URL)
    requests = _requests(config, manifests, services)
    rows = {row.id: (row.source, row.metadata) for row in _rows(config, manifests, services) if not row.turns}

    def check(identifier: str, turns: tuple[Turn, ...]) -> Objection | None:
        found = problems(*rows[identifier], turns)
        return Objection(kinds(found), f"The data do not support {told(found)}.") if found else None

    done = correspond(requests, services.settings, config.label, services.ledger, services.progress, check)
    versions = {identifier: request.prompt_version for identifier, request in requests.items()}
    facts: dict[str, Scalar] = {
        "writer": config.label.model,
        "prompt_version": ", ".join(sorted(set(versions.values()))),
        "requests_made": done.requests_made,
        "answers_from_ledger": done.answers_from_ledger,
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
    }
    return Labels(config.label.model, versions, done.written, facts)


def _requests(config: RunConfig, manifests: Sequence[Manifest], services: Services) -> dict[str, Request]:
    """A request by id for every row that has no turns."""

    @cache
    def prompt(name: str) -> Prompt:
        return load_prompt(OF_SOURCE.get(name, VQA), source(name).glossary)

    base_url = services.settings.openai_base_url or OPENAI_URL
    return {
        row.id: Request(
            base_url=base_url,
            model=config.label.model,
            messages=prompt(row.source).messages(row.metadata),
            temperature=config.label.temperature,
            max_tokens=config.label.max_tokens,
            prompt_version=prompt(row.source).version,
            input_digest=_input_digest(row),
        )
        for row in _rows(config, manifests, services)
        if not row.turns
    }


def _input_digest(row: Row) -> str:
    content = [row.image_sha256, row.metadata]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _labelled(row: Row, labels: Labels) -> Row | Rejected:
    if row.turns:
        return row.model_copy(update={"writer": row.writer or "archive"})
    written = labels.written[row.id]
    if written.turns:
        version = labels.versions[row.id]
        return row.model_copy(update={"turns": written.turns, "writer": labels.writer, "prompt_version": version})
    detail, reason = written.detail, written.reason
    return Rejected(id=row.id, source=row.source, reason=reason, detail=detail, origin=row.image_sha256)


def _thinned(row: Row | Rejected, labels: Labels, questions: Questions) -> Row | Rejected:
    """Only what a model wrote: the offline writer has few phrasings, an archive's own questions are its own."""
    if isinstance(row, Rejected) or labels.writer == OFFLINE or row.id not in labels.written:
        return row
    return row.model_copy(update={"turns": questions.thin(row.turns)})


def _require_enough(labels: Labels, max_bad_share: float) -> None:
    sources: dict[str, dict[str, Written]] = {}
    for identifier, written in labels.written.items():
        sources.setdefault(identifier.split("/")[0], {})[identifier] = written
    for name, rows in sources.items():
        bad = sorted(identifier for identifier, written in rows.items() if not written.turns)
        if len(bad) > max_bad_share * len(rows):
            first = rows[bad[0]]
            raise DataError(
                f"{name}: {len(bad)} of {len(rows)} rows got no conversation, first {bad[0]} ({first.reason}: "
                f"{' '.join(first.detail.split())[:120]}); rerun with label.max_bad_share above {max_bad_share:g} "
                "to quarantine them"
            )
