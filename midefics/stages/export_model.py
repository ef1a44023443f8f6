"""A registered version or an adapter in, a folder to carry away out, with its measured distance from what was trained."""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from midefics.errors import DataError, ModelError
from midefics.evidence.held_out import evenly, held_out, questions
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.drafts import draft_path
from midefics.stages.export_readme import readme
from midefics.stages.shared_base import shared_base
from midefics.vlm.formats import Format

if TYPE_CHECKING:
    from midefics.vlm.compare import Asked, Difference

log = logging.getLogger(__name__)

DIFFERENCE = "difference.json"


class Limits(NamedTuple):
    """How far an export may be from what was trained; one that is further is not written."""

    exact_match: float = 0.02
    """Share of held-out answers that may go from right to wrong, on balance."""
    nll: float = 0.02
    """Nats per token that the true answers may become less likely by."""
    questions: int = 100
    """Held-out questions that it is measured on, spread evenly."""
    batch_size: int = 16
    max_new_tokens: int = 64


class Source(NamedTuple):
    """What is exported."""

    adapter: Manifest
    base: Manifest
    dataset: Manifest
    run_id: str


def export_model(reference: str, folder: Path, shape: Format, limits: Limits, services: Services) -> "Difference":
    """Writes the export, measures it against base and adapter on held-out questions, and logs that to the version's run.

    The folder appears when all is there and near enough.

    Args:
        reference: `models:/midefics@champion`, `models:/midefics/3`, or an adapter's manifest.
        folder: is made; must not exist, or be empty.
        shape: the export's format.
        limits: how far it may be.
        services: storage and MLflow.

    Raises:
        DataError: the folder is not empty, or nothing is held out to measure on.
        ModelError: there is no such version, it can't be merged, or the export is too far from what was trained.
    """
    from midefics.vlm.compare import compare, hear
    from midefics.vlm.exported import load, write
    from midefics.vlm.load import load_tuned

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; export into a new folder")
    started = time.monotonic()
    source = _source(reference, services)
    asked = _asked(source.dataset, limits.questions, services)
    base = services.storage.checked_folder(source.base)
    adapter = services.storage.folder(source.adapter) / "adapter"
    draft = draft_path(folder.absolute().parent)
    draft.mkdir(parents=True)
    try:
        with services.progress.track("export", 0) as counter:
            write(base, adapter, draft, shape, counter.advance)
        given = limits.batch_size, limits.max_new_tokens
        reference_heard = hear(load_tuned(base, adapter), asked, *given)
        found = compare(reference_heard, hear(load(draft, shape), asked, *given), asked)
        _near_enough(found, shape, limits)
        (draft / DIFFERENCE).write_text(json.dumps(_told(found, source, shape), indent=2), encoding="utf-8")
        (draft / "README.md").write_text(readme(shape, found, source.adapter, source.base), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    figures = {f"export/{shape}/{name}": float(value) for name, value in _figures(found).items()}
    services.tracking.log(source.run_id, figures)
    services.tracking.log_text(
        source.run_id, (folder / DIFFERENCE).read_text(encoding="utf-8"), f"export/{shape}/{DIFFERENCE}"
    )
    log.info("export: %s in %s, %.1f s", shape, folder, time.monotonic() - started)
    return found


def _source(reference: str, services: Services) -> Source:
    storage = services.storage
    base = None
    if reference.startswith("models:/"):
        version = services.tracking.version(reference)
        digest = version.tags.get("adapter_digest", "-")
        adapter = storage.of_digest(digest)
        base = storage.of_digest(version.tags.get("base_digest", "-"))
        if adapter is None:
            raise ModelError(
                f"{reference}: its adapter {digest[:16]} is not in {storage.store.address()}; set MIDEFICS_STORE to "
                "where it was trained"
            )
        manifest = adapter.manifest
    else:
        manifest = storage.find(reference)
    if manifest.kind != "adapter":
        raise ModelError(f"{reference} is of kind {manifest.kind}; a model version or an adapter can be exported")
    dataset = storage.of_digest(manifest.parents[0])
    if dataset is None:
        raise DataError(
            f"the data set {manifest.parents[0][:16]} is not in {storage.store.address()}; without its held-out questions "
            "nothing can be measured"
        )
    stored = base.manifest if base else shared_base(str(manifest.facts["base_model"]), services)
    return Source(manifest, stored, dataset.manifest, str(manifest.facts["run_id"]))


def _asked(dataset: Manifest, most: int, services: Services) -> "list[Asked]":
    from midefics.vlm.compare import Asked

    rows = held_out(services.storage.rows(dataset))
    every = [Asked(turn, row.image) for row in rows for turn in questions(row)]
    if not every:
        raise DataError(f"dataset {dataset.digest[:16]} holds out no questions; nothing can be measured")
    return evenly(every, most)


def _near_enough(found: "Difference", shape: Format, limits: Limits) -> None:
    if found.exact_match > limits.exact_match or found.nll > limits.nll:
        raise ModelError(
            f"{shape} is not what was trained: exact match {found.exact_match_reference:.3f} to {found.exact_match_export:.3f} "
            f"(at most {limits.exact_match} less), {found.nll:+.4f} nats per token (at most {limits.nll}); "
            "take merged-bf16 or bundle, or allow more with --max-exact-match-loss and --max-nll-difference"
        )


def _figures(found: "Difference") -> dict[str, float]:
    return found._asdict() | {"nll": found.nll, "exact_match": found.exact_match}


def _told(found: "Difference", source: Source, shape: Format) -> dict[str, object]:
    digests = {
        "adapter_digest": source.adapter.digest,
        "base_digest": source.base.digest,
        "dataset_digest": source.dataset.digest,
    }
    return {"format": shape, **digests, **_figures(found)}
