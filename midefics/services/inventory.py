"""Storage in, what is in it and how it hangs together out: names, parents down to the archives, licences."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from midefics.errors import StorageError
from midefics.records import Kind, Manifest
from midefics.services.storage import Output, Storage


class Item(NamedTuple):
    """One output and what names it."""

    output: Output
    named_by: tuple[str, ...]
    """Configurations whose newest it is, and model versions that were made of it: `latest of demo`, `midefics 3`."""


class Ancestry(NamedTuple):
    """One output and all that it was made of."""

    digest: str
    manifest: Manifest | None
    """None where the output is gone."""
    parents: tuple["Ancestry", ...]
    sources: Mapping[tuple[str, str], int]
    """Rows by source and licence, of outputs that come straight from archives."""


def inventory(storage: Storage, kind: Kind | None = None) -> Iterator[Item]:
    """Every whole output, kind by kind."""
    names = _names(storage)
    for output in storage.outputs(*([kind] if kind else [])):
        yield Item(output, tuple(names.get(output.manifest.digest, ())))


def _names(storage: Storage) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for run, manifest in storage.pointers():
        names[manifest.digest].append(f"latest of {run}")
    for output in storage.outputs("registration"):
        facts = output.manifest.facts
        for digest in (output.manifest.digest, *output.manifest.parents):
            names[digest].append(f"{facts.get('model_name')} {facts.get('version')}")
    return names


def ancestry(storage: Storage, manifest: Manifest) -> Ancestry:
    """Follows the parents; rows are counted where there are none further."""
    parents = tuple(_of_digest(storage, digest) for digest in manifest.parents)
    sources: Mapping[tuple[str, str], int] = {}
    if not parents:
        rows = storage.columns(manifest, "source", "licence")
        sources = dict(sorted(Counter((row["source"], row["licence"]) for row in rows).items()))
    return Ancestry(manifest.digest, manifest, parents, sources)


def _of_digest(storage: Storage, digest: str) -> Ancestry:
    try:
        return ancestry(storage, storage.find(digest))
    except StorageError as error:
        if error.exit_code != StorageError.exit_code:  # not gone: out of reach
            raise
        return Ancestry(digest, None, (), {})
