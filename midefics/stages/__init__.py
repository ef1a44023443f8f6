"""The stages in the order of the data: what each needs and makes. One function each, the same for every door."""

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.records import Kind, Manifest
from midefics.services import Services


class Stage(NamedTuple):
    """One row of the table; the code is `stages/<name>.py`, its `run(config, *inputs, services=…)`."""

    summary: str
    consumes: tuple[Kind, ...]
    produces: Kind


STAGES = {
    "ingest": Stage(
        "Read the archives: every image decoded once, shrunk, without EXIF, patients hidden.", (), "images"
    ),
    "validate": Stage(
        "Check every image and its metadata with Great Expectations; bad ones go to quarantine.",
        ("images",),
        "validated",
    ),
    "label": Stage(
        "Write a conversation for every image from its metadata (OpenAI protocol, or the offline writer).",
        ("validated",),
        "conversations",
    ),
    "assemble": Stage(
        "Split by patient, lesion, article and copies into train, validation and test: the data set.",
        ("conversations",),
        "dataset",
    ),
    "train": Stage(
        "Fine-tune the 4-bit base model with QLoRA on the data set; logged to MLflow live.", ("dataset",), "adapter"
    ),
    "evaluate": Stage(
        "Ask base and tuned model the same held-out questions, with right and swapped images.",
        ("dataset", "adapter"),
        "evaluation",
    ),
    "register": Stage(
        "Put base, adapter and evidence into MLflow's registry as a new version.",
        ("dataset", "adapter", "evaluation"),
        "registration",
    ),
    "promote": Stage("Let the registered version out: move the alias @champion to it.", ("registration",), "promotion"),
}
SEVERAL_INPUTS = ("validate", "label", "assemble")
"""Stages that take any number of manifests of their kind, one for each source say."""


def run_stage(
    name: str, config: RunConfig, inputs: Sequence[Manifest], services: Services, **options: str | None
) -> Manifest:
    """Runs one stage on the manifests it consumes, whatever order they are given in.

    The newest output of each kind is remembered under the configuration's name, for those who name no input.

    Raises:
        DataError: a manifest of a needed kind is missing, or one of another kind is given.
    """
    stage = STAGES[name]
    for manifest in inputs:
        if manifest.kind not in stage.consumes:
            raise DataError(
                f"{name} takes {' and '.join(stage.consumes) or 'no manifests'}, not {manifest.kind} {manifest.digest[:16]}"
            )
    ordered = [manifest for kind in stage.consumes for manifest in inputs if manifest.kind == kind]
    for kind in stage.consumes:
        count = sum(manifest.kind == kind for manifest in inputs)
        if count == 0 or (count > 1 and name not in SEVERAL_INPUTS):
            maker = next(other for other, spec in STAGES.items() if spec.produces == kind)
            raise DataError(f"{name} needs one manifest of kind {kind}, got {count}; `midefics {maker}` makes it")
    made: Manifest = import_module(f"midefics.stages.{name}").run(config, *ordered, services=services, **options)
    services.storage.remember(config.name, made)
    return made


def latest_inputs(name: str, config: RunConfig, given: Sequence[Manifest], services: Services) -> list[Manifest]:
    """Completes the manifests given with the newest ones of the kinds that the stage still needs."""
    missing = set(STAGES[name].consumes) - {manifest.kind for manifest in given}
    found = [services.storage.latest(config.name, kind) for kind in sorted(missing)]
    return [*given, *(manifest for manifest in found if manifest)]
