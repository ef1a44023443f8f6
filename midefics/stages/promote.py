"""A registered version in, the champion out: the alias moves, and the one before stays within reach."""

import json
import logging

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.tracking import CHALLENGER, CHAMPION, PREVIOUS

log = logging.getLogger(__name__)


def run(config: RunConfig, registration: Manifest, *, services: Services, approved_by: str | None = None) -> Manifest:
    """Points `@champion` to the version and `@previous` to the champion before it.

    Raises:
        DataError: a promotion rule does not hold, or a person has to approve and nobody is named.
    """
    name, version = str(registration.facts["model_name"]), str(registration.facts["version"])
    if not registration.facts["proposable"]:
        raise DataError(
            f"{name} version {version} is not promoted, a rule does not hold: {registration.facts['rules']}"
        )
    if config.promote.approval == "human" and not approved_by:
        raise DataError(
            f"{name} version {version} waits for a person: midefics promote --config {config.name} --approved-by NAME"
        )
    by = approved_by or "promotion rules"
    tracking = services.tracking
    with services.storage.draft("promotion", [registration.digest]) as draft:
        before = tracking.alias(name, CHAMPION)
        tracking.tag_version(name, version, {"approved_by": by})
        if before and before != version:
            tracking.set_alias(name, PREVIOUS, before)
        tracking.set_alias(name, CHAMPION, version)
        if tracking.alias(name, CHALLENGER) == version:
            tracking.client.delete_registered_model_alias(name, CHALLENGER)
        draft.rows = 1
        draft.facts.update(model_name=name, version=version, alias=CHAMPION, previous=before, approved_by=by)
        (draft.path / "promotion.json").write_text(json.dumps(draft.facts, indent=2), encoding="utf-8")
    log.info(
        "promote: %s version %s is @%s, approved by %s; before it: %s", name, version, CHAMPION, by, before or "none"
    )
    return draft.manifest
