"""What an answer's headers promise of a file in; whether the file keeps it out."""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from midefics.fetching.outcome import UnavailableError

CHUNK = 2**20
_MD5 = re.compile(r'"([0-9a-f]{32})"')


class Crc32:
    """CRC-32 with hashlib's manners."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        """Takes in some more."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, the highest first."""
        return self._value.to_bytes(4, "big")


class Promise(NamedTuple):
    """One digest that the file should have."""

    header: str
    algorithm: str
    digest: bytes


def promises(headers: Mapping[str, str]) -> list[Promise]:
    """The digests of the whole file that an answer's headers give.

    Read are `Content-MD5` (but of a part, where the answer is one), S3's `x-amz-checksum-*` as far as Python has the
    algorithm, and an ETag of S3, which is the MD5 unless the file was uploaded in parts or encrypted with a managed key.
    """
    found = [
        Promise(name, algorithm, digest)
        for name, algorithm in (("x-amz-checksum-sha256", "sha256"), ("x-amz-checksum-sha1", "sha1"), ("x-amz-checksum-crc32", "crc32"))
        if (digest := _base64(headers.get(name)))
    ]  # fmt: skip
    if "content-range" not in headers and (digest := _base64(headers.get("content-md5"))):
        found.append(Promise("content-md5", "md5", digest))
    if digest := etag_md5(headers):
        found.append(Promise("etag", "md5", digest))
    return found


def etag_md5(headers: Mapping[str, str]) -> bytes | None:
    """The MD5 that S3's ETag is; None where it is another server's, of an upload in parts, or of an encrypted object."""
    from_s3 = any(name.lower().startswith("x-amz-") for name in headers) or headers.get("server") == "AmazonS3"
    if not from_s3 or headers.get("x-amz-server-side-encryption", "AES256") != "AES256":
        return None
    found = _MD5.fullmatch(headers.get("etag", ""))
    return bytes.fromhex(found.group(1)) if found else None


def keep(path: Path, size: int | None, promised: list[Promise]) -> None:
    """Lets a file pass that is what was promised.

    Raises:
        UnavailableError: another size, or a digest that differs.
    """
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise UnavailableError("wrong size", f"{actual:,} bytes instead of {size:,}", again=True)
    hashes = {promise.algorithm: _hash(promise.algorithm) for promise in promised}
    with path.open("rb") as file:
        while hashes and (chunk := file.read(CHUNK)):
            for one in hashes.values():
                one.update(chunk)
    for promise in promised:
        if hashes[promise.algorithm].digest() != promise.digest:
            raise UnavailableError("wrong checksum", f"the file is not what its {promise.header} says", again=True)


def _hash(algorithm: str) -> Any:
    return Crc32() if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)


def _base64(text: str | None) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if text else None
    except binascii.Error:  # of an upload in parts: a digest of digests, with a number behind it
        return None
