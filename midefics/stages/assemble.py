"""Conversations in, one data set with splits out; no patient, lesion or article is ever in two splits."""

import hashlib
import heapq
import logging
import time
from collections import Counter

from midefics.config import AssembleConfig, RunConfig
from midefics.errors import DataError
from midefics.records import Manifest, Row, Split
from midefics.services import Services

log = logging.getLogger(__name__)


def run(config: RunConfig, *conversations: Manifest, services: Services) -> Manifest:
    """Joins the sources' conversations in the order of their ids and gives every row its split.

    Raises:
        DataError: two rows share an id, or a split came out empty.
    """
    started = time.monotonic()
    parents = sorted(manifest.digest for manifest in conversations)
    expected = sum(manifest.rows for manifest in conversations)
    log.info("assemble: %s rows of %s inputs", expected, len(conversations))
    sizes: Counter[str] = Counter()
    with services.storage.draft("dataset", parents) as draft, services.progress.track("assemble", expected) as counter:
        last, turns = "", 0
        for row in heapq.merge(*(services.storage.rows(one) for one in conversations), key=lambda row: row.id):
            if row.id <= last:
                raise DataError(f"{row.id} comes twice; were two snapshots of {row.source} given to assemble?")
            split = split_of(row, config.assemble, config.seed)
            draft.add(row.model_copy(update={"split": split}))
            sizes[split] += 1
            last, turns = row.id, turns + len(row.turns)
            counter.advance()
        _refuse_empty_splits(sizes, config.assemble)
        draft.facts.update({f"{split}_rows": sizes[split] for split in ("train", "validation", "test")})
        draft.facts["turns"] = turns
    log.info("assemble: %s rows, %s, %.1f s", draft.rows, dict(sizes), time.monotonic() - started)
    return draft.manifest


def split_of(row: Row, config: AssembleConfig, seed: int) -> Split:
    """Decides by the row's group alone, so that a new row never moves an old one.

    The group's hash, a number in [0, 1), falls into the test share, the validation share or the rest.
    """
    if row.role == "evaluation":
        return "test"
    position = int.from_bytes(hashlib.sha256(f"{seed}:{row.group}".encode()).digest()[:8]) / 2**64
    if position < config.test_share:
        return "test"
    return "validation" if position < config.test_share + config.validation_share else "train"


def _refuse_empty_splits(sizes: Counter[str], config: AssembleConfig) -> None:
    wanted = {"train": True, "validation": config.validation_share > 0, "test": config.test_share > 0}
    empty = [split for split, needed in wanted.items() if needed and not sizes[split]]
    if empty:
        raise DataError(
            f"no row fell into {' and '.join(empty)} ({sum(sizes.values())} rows in all); "
            "take more images, or change assemble.test_share and assemble.validation_share"
        )
