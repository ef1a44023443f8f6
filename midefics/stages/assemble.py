"""Conversations in, one data set with splits out; nothing related is in two splits, nothing tested on is trained on later.

With the rows travel `ATTRIBUTION.csv`, `LICENCES.json`, a card, and what earlier data sets decided (`remembered.csv`).
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import midefics
from midefics.config import RunConfig
from midefics.errors import DataError, StorageError
from midefics.evidence.dataset_card import dataset_card
from midefics.evidence.papers import Papers
from midefics.licences import licence
from midefics.records import Manifest, Rejected, Row, Scalar
from midefics.services import Services
from midefics.services.copies import copies_among
from midefics.services.draft import Draft
from midefics.services.merging import rows_by_id
from midefics.services.progress import Counter as Steps
from midefics.services.split_memory import keep, recalled
from midefics.services.verdicts import NOT_REVIEWED, REJECTED, Verdicts
from midefics.sources import SOURCES
from midefics.splits import RELATED, SPLITS, Member, Plan, Wanted, planned

log = logging.getLogger(__name__)

NOTHING = "nothing"
"""Given as what to extend: start anew."""


class _Job(NamedTuple):
    """What one run of the stage works with throughout."""

    config: RunConfig
    verdicts: Verdicts
    services: Services
    steps: Steps


class _UnchangedError(Exception):
    """What was drafted is, byte for byte, the data set before."""

    def __init__(self, before: Manifest) -> None:
        super().__init__(f"the rows are those of {before.uri}")
        self.before = before


def run(config: RunConfig, *conversations: Manifest, services: Services, extends: str | None = None) -> Manifest:
    """Joins the sources' conversations in the order of their ids and gives every row its split.

    Where nothing has changed since the data set before, that one is returned and nothing is published.

    Args:
        config: the run's.
        conversations: the rows, from one input or several.
        services: the outside world.
        extends: the data set whose splits are kept to: the newest of this configuration where unset, none where `nothing`.

    Raises:
        DataError: two rows share an id, a split came out empty, or the data set to extend is gone.
    """
    started = time.monotonic()
    previous = _previous(config, extends, services)
    expected = sum(manifest.rows for manifest in conversations)
    log.info("assemble: %s rows, extends %s", expected, previous.uri if previous else NOTHING)
    verdicts = Verdicts.of(config.assemble.reviews, conversations, services)
    if previous and _made_of(previous, conversations, config, verdicts):
        log.info("assemble: made of the same before, nothing new is published")
        return previous
    with services.progress.track("assemble", 2 * expected) as steps:
        job = _Job(config, verdicts, services, steps)
        plan = _plan(job, conversations, previous)
        _refuse_empty_splits(plan, config)
        try:
            made = _published(job, plan, (*conversations, *([previous] if previous else [])))
        except _UnchangedError as unchanged:
            log.info("assemble: %s; nothing new is published", unchanged)
            made = unchanged.before
    seconds = time.monotonic() - started
    log.info("assemble: %s rows, %s, rejected %s, %.1f s", made.rows, made.facts, made.rejected or 0, seconds)
    return made


def _previous(config: RunConfig, extends: str | None, services: Services) -> Manifest | None:
    if extends == NOTHING:
        return None
    found = services.storage.find(extends) if extends else services.storage.latest(config.name, "dataset")
    if found and found.kind != "dataset":
        raise DataError(f"{extends} is of kind {found.kind}; only a data set can be extended")
    try:
        if found:
            services.storage.folder(found)
    except StorageError as error:
        raise DataError(
            f"{error}. Without it test images may come into training: name another with --extends, or say --fresh"
        ) from error
    return found


def _made_of(dataset: Manifest, conversations: Sequence[Manifest], config: RunConfig, verdicts: Verdicts) -> bool:
    """Whether a data set was made of just these inputs in this way."""
    return dataset.facts.get("made_with") == _made_with(config, conversations, verdicts)


def _made_with(config: RunConfig, conversations: Sequence[Manifest], verdicts: Verdicts) -> str:
    inputs = sorted(manifest.digest for manifest in conversations)
    way = f"{inputs} {config.assemble.model_dump_json()} {config.seed} {config.name} {midefics.__version__} {verdicts.digest()}"
    return hashlib.sha256(way.encode()).hexdigest()[:16]


def _plan(job: _Job, conversations: Sequence[Manifest], previous: Manifest | None) -> Plan:
    """Where every row goes; no picture is kept in memory."""
    config, verdicts, services, steps = job
    members: list[Member] = []
    hashes: list[str] = []
    for row in rows_by_id(services.storage, conversations):
        if members and row.id == members[-1].id:
            raise DataError(f"{row.id} comes twice; were two snapshots of {row.source} given to assemble?")
        members.append(_member(row, config.assemble.use, verdicts))
        hashes.append(row.phash)
        steps.advance(note="reading")
    pairs = copies_among(services.storage, conversations, hashes, config.assemble.near_duplicate_bits)
    copies = [(members[one].id, members[other].id) for one, other in pairs]
    past = recalled(services.storage, previous) if previous else ()
    return planned(members, past, copies, _wanted(config))


def _wanted(config: RunConfig) -> Wanted:
    test, validation = config.assemble.test_share, config.assemble.validation_share
    shares = zip(SPLITS, (1 - validation - test, validation, test), strict=True)
    return Wanted(dict(shares), config.assemble.mixture, config.seed)


def _member(row: Row, use: str, verdicts: Verdicts) -> Member:
    allowed = licence(row.licence)
    unlicensed = "" if allowed.allows(use) else f"licence {allowed.name if allowed.known else 'not known'}"
    refused = unlicensed or verdicts.refusal(row)
    label = SOURCES[row.source].label(row.metadata) if row.source in SOURCES else ""
    return Member(row.id, row.source, row.role, label, _keys(row), refused)


def _keys(row: Row) -> tuple[str, ...]:
    return tuple(sorted({row.group, *row.links}))


def _refuse_empty_splits(plan: Plan, config: RunConfig) -> None:
    held = {place.split for place in plan.places.values()}
    empty = [split for split, share in _wanted(config).shares.items() if share > 0 and split not in held]
    if empty:
        raise DataError(
            f"no row fell into {' and '.join(empty)} ({len(plan.places)} rows in all); take more images, change "
            "assemble.test_share and assemble.validation_share, or deal all anew with --fresh"
        )


def _published(job: _Job, plan: Plan, parents: Sequence[Manifest]) -> Manifest:
    """Writes the data set; the parents are the conversations and the data set before, if any."""
    conversations = [manifest for manifest in parents if manifest.kind == "conversations"]
    before = [manifest for manifest in parents if manifest.kind == "dataset"]
    digests = [*sorted(manifest.digest for manifest in conversations), *(manifest.digest for manifest in before)]
    storage = job.services.storage
    with storage.draft("dataset", digests) as draft:
        papers = _write(draft, plan, rows_by_id(storage, conversations), job)
        draft.facts |= _facts(plan, papers) | {"made_with": _made_with(job.config, conversations, job.verdicts)}
        if before and draft.digest() == before[0].digest:
            raise _UnchangedError(before[0])
    return draft.manifest


def _facts(plan: Plan, papers: Papers) -> dict[str, Scalar]:
    sizes = Counter(place.split for place in plan.places.values())
    return {f"{split}_rows": sizes[split] for split in SPLITS} | {
        "turns": papers.turns.total(),
        "components": len({place.component for place in plan.places.values()}),
        "copies": plan.copies,
        "beyond_mixture": plan.beyond_mixture,
        "licence": papers.licence().name,
    }


def _write(draft: Draft, plan: Plan, rows: Iterable[Row], job: _Job) -> Papers:
    with Papers(draft.path) as papers:
        for row in rows:
            if place := plan.places.get(row.id):
                words = job.verdicts.wording(row)
                placed = row.model_copy(
                    update=words | {"split": place.split, "group": place.component, "links": _keys(row)}
                )
                draft.add(placed)
                papers.add(placed)
            elif reason := plan.refused.get(row.id):
                draft.reject(_rejected(row, reason, job.verdicts))
            job.steps.advance(note="writing")
    keep(plan.remembered, draft.path)
    (draft.path / "README.md").write_text(dataset_card(job.config.name, papers), encoding="utf-8")
    return papers


def _rejected(row: Row, reason: str, verdicts: Verdicts) -> Rejected:
    if reason == RELATED:
        detail = "shares a patient, lesion or article with an image to evaluate on, or shows the same shot"
    elif reason in (REJECTED, NOT_REVIEWED):
        detail = verdicts.detail(row)
    else:
        detail = f"the archive says {row.licence!r}, and assemble.use asks for more"
    return Rejected(id=row.id, source=row.source, reason=reason, detail=detail, origin=row.image_sha256)
