"""Stored rows in, pairs of images that show one and the same shot out: saved again, resized, brightened, slightly trimmed."""

import io
import logging
from collections.abc import Sequence

import numpy as np
from PIL import Image

from midefics.nearness import alike_pairs, near_pairs, parsed, thumbnail
from midefics.records import Manifest
from midefics.services.merging import rows_by_id
from midefics.services.storage import Storage

log = logging.getLogger(__name__)


def copies_among(
    storage: Storage, manifests: Sequence[Manifest], hashes: Sequence[str], bits: int
) -> list[tuple[int, int]]:
    """Finds the pairs by their perceptual hashes, then opens the pictures of those alone to make sure.

    Args:
        storage: where the rows are.
        manifests: the inputs.
        hashes: of all rows in the order of their ids.
        bits: how many of its 64 a hash may differ in, at most 7.

    Returns:
        Places in `hashes`, the earlier first.
    """
    values = parsed(hashes)
    near = np.unique(near_pairs(values, bits))
    looked_at = set(near.tolist())
    rows = enumerate(rows_by_id(storage, manifests)) if looked_at else ()
    thumbnails = [thumbnail(Image.open(io.BytesIO(row.image))) for place, row in rows if place in looked_at]
    if not thumbnails:
        return []
    found = alike_pairs(values[near], np.stack(thumbnails).__getitem__, bits)
    pairs = [(one, other) for portion in found for one, other in near[portion].tolist()]
    log.info("%s of %s images have near hashes; %s pairs show one shot", len(near), len(hashes), len(pairs))
    return pairs
