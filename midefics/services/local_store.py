"""Stage outputs in a local folder: drafted in a hidden folder beside, and there by one rename, manifest included."""

import errno
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from midefics.services.drafts import abandoned_drafts, draft_path, new_draft
from midefics.services.object_store import FOLDERS, MANIFEST, Folder, Leftover, Stored


class LocalStore:
    """An `ObjectStore` in a folder; processes on one machine, or on several that mount it, may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def disk(self) -> Path:
        """The folder."""
        return self.root

    def address(self, key: str = "") -> str:
        """The path."""
        return str(self.root / key)

    def new_draft(self, kind: Folder) -> Path:
        """Beside the outputs, where a rename is enough to publish it."""
        return new_draft(self.root / kind)

    def publish(self, draft: Path, uri: str) -> None:
        """One rename; where the same content is there already it stays, with the newest manifest."""
        target = self.root / uri
        if target.is_dir() and not (target / MANIFEST).is_file():
            self._discard(target)
        try:
            draft.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            (draft / MANIFEST).replace(target / MANIFEST)

    def folder(self, uri: str) -> Path | None:
        """The output itself."""
        path = self.root / uri
        return path if (path / MANIFEST).is_file() else None

    def parts(self, uri: str) -> Iterator[BinaryIO]:
        """One file open at a time."""
        for path in sorted((self.root / uri).glob("*.parquet")):
            with path.open("rb") as file:
                yield file

    def read(self, key: str) -> Stored | None:
        """A file's content."""
        try:
            with (self.root / key).open("rb") as file:
                return Stored(file.read(), datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        """A hidden file, then a rename."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = draft_path(self.root)
        part.write_bytes(content)
        part.replace(path)

    def keys(self, prefix: str) -> Iterator[str]:
        """Files in the order of their names, folder by folder."""
        for folder, folders, files in os.walk(self.root / prefix):
            folders.sort()
            for name in sorted(files):
                yield Path(folder, name).relative_to(self.root).as_posix()

    def uris(self, kind: Folder) -> Iterator[str]:
        """Folders that are not hidden."""
        for path in sorted((self.root / kind).glob("[!.]*/")):
            yield f"{kind}/{path.name}"

    def size(self, uri: str) -> int:
        """Of all files in the folder."""
        folder = self.root / uri
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)

    def delete(self, uri: str) -> None:
        """Hides it by one rename first, so that nobody meets half of it."""
        self._discard(self.root / uri)

    def leftovers(self, older_than_s: float) -> Iterator[Leftover]:
        """Drafts of dead processes."""
        for folder in (self.root, *(self.root / kind for kind in FOLDERS)):
            yield from abandoned_drafts(folder, older_than_s)

    def _discard(self, path: Path) -> None:
        hidden = draft_path(path.parent)
        path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
