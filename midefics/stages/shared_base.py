"""A base model's name in, its quantised weights in storage out: once, under their digest, for all that is built on them."""

import logging

from midefics.records import Manifest
from midefics.services import Services

log = logging.getLogger(__name__)


def shared_base(base_model: str, services: Services) -> Manifest:
    """Quantises the base model and stores it with its processor; where the same bytes are there already, nothing is added.

    It is always quantised anew: only its bytes tell whether it is the one that was stored.

    Raises:
        ModelError: the base model can't be loaded.
    """
    from midefics.vlm.base import locate
    from midefics.vlm.load import load_base

    loaded = load_base(*locate(base_model, services.settings.home, services.progress))
    with services.storage.draft("base") as draft:
        loaded.model.save_pretrained(draft.path)
        loaded.processor.save_pretrained(draft.path)
        draft.rows = 1
        draft.facts.update(base_model=base_model, quantisation="nf4, double")
    log.info("base: %s in nf4, %s bytes, %s", base_model, draft.manifest.bytes, draft.manifest.uri)
    return draft.manifest
