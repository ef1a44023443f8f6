"""What every archive's file in this folder provides: the `Source` record."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from midefics.pictures import opened
from midefics.records import Case, Rejected, Role, Scalar, Turn

Metadata = dict[str, Scalar]


class Source(NamedTuple):
    """What the rest of the code needs to know of an archive."""

    cases: Callable[[Path], Iterator[Case | Rejected]]
    """Lists an archive's images in the order of their ids without decoding them; a row without a usable image comes as
    `Rejected`. Raises SourceError where the folder is missing, empty or in another format."""
    conversation: Callable[[Metadata], tuple[Turn, ...]]
    """Composes a conversation from the metadata alone, for the offline writer; empty where they support none."""
    glossary: str
    """What the metadata's fields mean, for the label writer's prompt."""
    label: Callable[[Metadata], str] = lambda _: ""
    """What is to be seen, in a word or two: the splits hold equal shares of each. Empty where the metadata don't say."""
    picture: Callable[[bytes], Image.Image] = opened
    """Opens an image file of the archive, as `pictures.opened` does. Raises one of `pictures.BROKEN`."""
    role: Role = "train"
    """`evaluation`: the archive brings its own questions and answers, and is never trained on."""
