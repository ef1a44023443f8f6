"""An address in, a whole and checked file in its place out; what is cut off is gone on with, in this run or the next."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httpx

from midefics.fetching.checks import Promise, keep, promises
from midefics.fetching.client import Client
from midefics.fetching.outcome import UnavailableError

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
UNKNOWN = "none"
"""The tag of a part whose version the server does not tell: never gone on with."""


class Wanted(NamedTuple):
    """One file to have."""

    url: str
    target: Path
    """Appears by a rename, whole; what was there before is replaced."""
    limit: int
    """Bytes it may have at most."""
    size: int | None = None
    promised: tuple[Promise, ...] = ()
    """Digests that are known beforehand."""
    etag: str = ""
    """Of the version at `target`, which need not come again."""


class Received(NamedTuple):
    """What came of it."""

    bytes: int
    etag: str
    changed: bool
    """False where the archive still has the version at the target."""


class Downloads:
    """Downloads of one archive; parts are kept in a folder on the targets' file system, one for each version of a file."""

    def __init__(self, client: Client, parts: Path) -> None:
        self._client, self._parts = client, parts
        parts.mkdir(parents=True, exist_ok=True)

    def get(self, wanted: Wanted) -> Received:
        """Has the file, going on with a part of the same version.

        Raises:
            UnavailableError: after the last try.
        """
        received = 0

        def once() -> Received:
            nonlocal received
            part = self._part(wanted.target.name)
            try:
                with self._client.answer(wanted.url, _conditions(part, wanted)) as response:
                    if response.status_code == 304:
                        return Received(received, wanted.etag, changed=False)
                    part = self._begun(part, wanted, response)
                    with part.open("ab") as file:
                        for chunk in self._client.chunks(response, wanted.limit - part.stat().st_size):
                            received += len(chunk)
                            file.write(chunk)
            except UnavailableError as error:
                if not error.passing and part:
                    part.unlink(missing_ok=True)
                raise
            self._finish(part, wanted, response.headers)
            return Received(received, response.headers.get("etag", ""), changed=True)

        return self._client.tried(once)

    def _part(self, name: str) -> Path | None:
        """What is there of a file, less its last byte: a part that lacks nothing would leave nothing to ask for."""
        parts = [path for path in self._parts.glob(f"{name}.*.partial") if path.stat().st_size > 1]
        if len(parts) != 1 or parts[0].name == f"{name}.{UNKNOWN}.partial":
            return None
        os.truncate(parts[0], parts[0].stat().st_size - 1)
        return parts[0]

    def _begun(self, part: Path | None, wanted: Wanted, response: httpx.Response) -> Path:
        """The file to append the body to: the part where the answer goes on with it, else a new one."""
        tagged = self._parts / f"{wanted.target.name}.{_tag(response.headers)}.partial"
        if response.status_code == 206:
            found = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if not (part and part == tagged and found and int(found.group(1)) == part.stat().st_size):
                detail = "the file changed while it was being downloaded"
                raise UnavailableError("connection broken", detail, again=True)
            return part
        length = response.headers.get("content-length", "")
        if wanted.size is not None and length.isdigit() and int(length) != wanted.size:
            raise UnavailableError("wrong size", f"{int(length):,} bytes instead of {wanted.size:,}", again=True)
        if length.isdigit() and int(length) > wanted.limit:
            raise UnavailableError("too large", f"{int(length):,} bytes, {wanted.limit:,} are allowed")
        for stale in self._parts.glob(f"{wanted.target.name}.*.partial"):
            stale.unlink()
        tagged.touch()
        return tagged

    def _finish(self, part: Path, wanted: Wanted, headers: Mapping[str, str]) -> None:
        try:
            keep(part, wanted.size, [*wanted.promised, *promises(headers)])
        except UnavailableError:
            part.unlink()
            raise
        part.replace(wanted.target)


def _tag(headers: Mapping[str, str]) -> str:
    validator = headers.get("etag") or headers.get("last-modified")
    return hashlib.sha256(validator.encode()).hexdigest()[:16] if validator else UNKNOWN


def _conditions(part: Path | None, wanted: Wanted) -> dict[str, str]:
    if part:
        return {"Range": f"bytes={part.stat().st_size}-"}
    return {"If-None-Match": wanted.etag} if wanted.etag and wanted.target.is_file() else {}
