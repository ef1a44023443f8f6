"""A package (`.tar.gz`) that anybody may have made in, the contents of the few files that are wanted out.

Nothing is written, nothing but plain files is opened, and what counts against the limits are the bytes that come out of
the decompressor, whatever the headers claim. A package that holds anything suspicious is refused whole.
"""

import gzip
import tarfile
import zlib
from collections.abc import Collection
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import Self

from midefics.fetching.outcome import UnavailableError

MAX_MEMBERS = 5_000
MAX_HEADER = 2**12
"""Bytes of a long name or other extended header: tarfile's time for one grows with its square, 9 s at 64 KB."""
BROKEN = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RecursionError,
)
"""What tarfile raises on bytes that are no package: not all of it is its own."""
_EXTENDED = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def unpack(package: Path, names: Collection[str], max_bytes: int, max_unpacked: int) -> dict[str, bytes]:
    """The wanted files by name, whichever folder of the package they are in; those that it lacks are left out.

    Args:
        package: the file.
        names: plain file names.
        max_bytes: that one of the wanted files may have.
        max_unpacked: bytes that the whole package may unpack to.

    Raises:
        UnavailableError: broken, too large, or it holds a link, a device or a path that leads outside.
    """
    found: dict[str, bytes] = {}
    try:
        with gzip.open(package) as unzipped:
            capped = _Capped(unzipped, max_unpacked)
            with tarfile.open(fileobj=capped, mode="r|", tarinfo=_WaryInfo) as tar:
                for number, member in enumerate(tar):
                    _refuse(member, number)
                    name = PurePosixPath(member.name).name
                    if member.isreg() and name in names and name not in found:
                        found[name] = _content(tar, member, max_bytes)
            while capped.read(2**20):  # up to the checksum at the end
                pass
    except BROKEN as error:
        raise UnavailableError("broken package", str(error) or type(error).__name__) from error
    return found


class _Capped(RawIOBase):
    """A stream that ends in an error beyond so many bytes."""

    def __init__(self, file: gzip.GzipFile, limit: int) -> None:
        self._file, self._left = file, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise UnavailableError("package too large", "it unpacks to more than fetch.max_unpacked_mb")
        return data


class _WaryInfo(tarfile.TarInfo):
    """Refuses sizes below zero, and extended headers of a size that no name has, before they are read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0:
            raise UnavailableError("broken package", f"a file of {info.size:,} bytes")
        if info.type in _EXTENDED and info.size > MAX_HEADER:
            raise UnavailableError("package too large", f"an extended header of {info.size:,} bytes")
        return info


def _refuse(member: tarfile.TarInfo, number: int) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise UnavailableError("path outside the package", member.name[:200])
    if member.issym() or member.islnk():
        raise UnavailableError("link in the package", f"{member.name[:200]} to {member.linkname[:200]}")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise UnavailableError("device in the package", f"{member.name[:200]} is neither a plain file nor a folder")
    if number >= MAX_MEMBERS:
        raise UnavailableError("package too large", f"more than {MAX_MEMBERS:,} files")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, max_bytes: int) -> bytes:
    file = tar.extractfile(member)
    content = file.read(max_bytes + 1) if file and member.size <= max_bytes else b""
    if member.size > max_bytes:
        raise UnavailableError("too large", f"{member.name[:200]} has {member.size:,} bytes, {max_bytes:,} are allowed")
    return content
