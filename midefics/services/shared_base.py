"""A reference in a model version in, the folder of the quantised base that it was trained on out, every byte checked."""

import logging
from pathlib import Path

from midefics.config import Settings
from midefics.errors import ModelError, StorageError
from midefics.records import Digest, Manifest, Record
from midefics.services.storage import Storage

log = logging.getLogger(__name__)


class SharedBase(Record):
    """Where a version's base lies and what it must be; a few hundred bytes in place of gigabytes."""

    base_model: str
    uri: str
    """In storage: `base/3f9c…`."""
    sha256: Digest
    """Of the names and contents of all its files."""
    store: str
    """The storage that it was registered in: a folder, or `s3://bucket/prefix`."""

    @classmethod
    def of(cls, base: Manifest, storage: Storage) -> "SharedBase":
        """Of a stored base."""
        name = str(base.facts["base_model"])
        return cls(base_model=name, uri=base.uri, sha256=base.digest, store=storage.store.address())

    def folder(self, settings: Settings) -> Path:
        """Finds it in this machine's storage, else in the one it was registered in; from S3 it is fetched once.

        Raises:
            ModelError: it is in neither, or its bytes are others.
        """
        asked = [Storage.at(settings.store, settings.home)]
        if asked[0].store.address() != self.store:
            asked.append(Storage.at(self.store.rstrip("/"), settings.home))
        for storage in asked:
            found = storage.output(self.uri)
            if found is None:
                continue
            if found.manifest.digest != self.sha256:
                raise ModelError(
                    f"{storage.address(found.manifest)} has digest {found.manifest.digest[:16]}, not {self.sha256[:16]}"
                )
            try:
                return storage.checked_folder(found.manifest)
            except StorageError as error:
                raise ModelError(f"base {self.base_model}: {error}; `midefics register` stores it again") from error
        places = " or ".join(storage.store.address() for storage in asked)
        raise ModelError(f"base {self.base_model} ({self.uri}) is not in {places}; set MIDEFICS_STORE to where it is")
