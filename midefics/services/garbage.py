"""Storage and MLflow's registry in, what nothing needs any more out, and its removal."""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from midefics.records import Manifest
from midefics.services import Services
from midefics.services.checkpoints import given_up
from midefics.services.object_store import Leftover
from midefics.services.storage import Output, Storage

log = logging.getLogger(__name__)


class Garbage(NamedTuple):
    """What may go."""

    outputs: list[Output]
    leftovers: list[Leftover]
    kept: int
    """Outputs that stay."""
    unknown_models: tuple[str, ...]
    """Models that registrations speak of and this MLflow has never heard of; what they name is kept."""

    @property
    def bytes(self) -> int:
        """What removing all of it frees."""
        return sum(output.manifest.bytes for output in self.outputs) + sum(left.bytes for left in self.leftovers)


def find_garbage(services: Services, older_than_s: float) -> Garbage:
    """Finds outputs that cannot be reached from anything that is named or young, and what killed processes left.

    Named are the newest output of every configuration, and all that a version in MLflow's registry was made of (its
    tags ending in `_digest`) with its registration and promotion. What is reached keeps its parents. Checkpoints of
    trainings that nobody has gone on with count among what killed processes left.

    Raises:
        ServiceError: MLflow does not answer: then nobody knows what is named.
    """
    versions = services.tracking.versions()
    alive = {(name, str(version.version)) for name, several in versions.items() for version in several}
    tags = [version.tags for several in versions.values() for version in several]
    roots = {digest for tag in tags for name, digest in tag.items() if name.endswith("_digest")}
    roots |= {manifest.digest for _, manifest in services.storage.pointers()}
    outputs = {output.manifest.digest: output for output in services.storage.outputs()}
    unknown = set()
    for digest, output in outputs.items():
        model = str(output.manifest.facts.get("model_name"))
        if output.manifest.kind in ("registration", "promotion"):
            if model not in versions:
                unknown.add(model)
            if model not in versions or (model, str(output.manifest.facts.get("version"))) in alive:
                roots.add(digest)
        if time.time() - output.changed.timestamp() < older_than_s:
            roots.add(digest)
    kept = _reached(roots, {digest: output.manifest for digest, output in outputs.items()})
    return Garbage(
        outputs=[output for digest, output in outputs.items() if digest not in kept],
        leftovers=[*services.storage.store.leftovers(older_than_s), *given_up(services.storage.store, older_than_s)],
        kept=len(kept),
        unknown_models=tuple(sorted(unknown)),
    )


def remove_garbage(garbage: Garbage, storage: Storage) -> None:
    """Removes it; an output that was made again in the meantime stays."""
    for output in _unchanged(garbage.outputs, storage):
        storage.store.delete(output.manifest.uri)
        log.info("gc: removed %s, %s bytes", output.manifest.uri, output.manifest.bytes)
    for left in garbage.leftovers:
        left.remove()
        log.info("gc: removed %s, %s bytes", left.address, left.bytes)


def _reached(roots: set[str], manifests: dict[str, Manifest]) -> set[str]:
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest in manifests and digest not in reached:
            reached.add(digest)
            waiting.extend(manifests[digest].parents)
    return reached


def _unchanged(outputs: Sequence[Output], storage: Storage) -> Iterator[Output]:
    for output in outputs:
        if storage.output(output.manifest.uri) == output:
            yield output
