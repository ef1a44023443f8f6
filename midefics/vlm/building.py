"""A folder for a model that is built here in, a draft of it out, which becomes the folder whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def built_once(folder: Path) -> Iterator[Path]:
    """A folder to be made and filled; where another process was faster, what it built stays, for it is the same.

    Its parent is scratch space, gone when the block ends.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as scratch:
        draft = Path(scratch) / "finished"
        yield draft
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
