"""A base model's name in, where it lies out: built here, or on the hub."""

from pathlib import Path
from typing import NamedTuple

from midefics.base_models import base_model
from midefics.services.progress import Progress


class Location(NamedTuple):
    """What `load_base` takes."""

    folder: str
    """A folder, or a repository on the Hugging Face hub."""
    revision: str | None
    side: int | None
    """The longest side in pixels that a picture is shown with; `None`: as saved beside the model."""


def locate(name: str, home: Path, progress: Progress) -> Location:
    """Finds a base model; the tiny ones are built at first use and kept under `home/cache`."""
    spec = base_model(name)
    if spec.hub_id:
        return Location(spec.hub_id, spec.revision, spec.image_size)
    from midefics.vlm import tiny, twins

    kept = home / "cache" / "base_models"
    if name in twins.TWINS:
        folder = twins.build(name, kept / f"{name}-{twins.RECIPE}", seed=0)
    else:
        folder = tiny.build(kept / f"{name}-{tiny.RECIPE}", seed=0, progress=progress)
    return Location(str(folder), None, None)
