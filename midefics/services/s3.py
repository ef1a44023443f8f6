"""A bucket's address in; objects put, fetched, listed and deleted, and one clear error where that fails.

Credentials, region and endpoint come from boto3's usual chain (environment, profile, instance role;
AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL for another service of the protocol); nothing here reads a secret.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import boto3.session
import botocore.session
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import ClientError
from s3transfer.subscribers import BaseSubscriber
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from midefics.errors import ConfigError, StorageError
from midefics.services.s3_errors import ANSWERS, BROKEN_OFF, explained

MIB = 1024 * 1024
TRANSFER = TransferConfig(
    multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=8, preferred_transfer_client="classic"
)
ATTEMPTS = 8
"""Tries of one request, with growing waits, about half a minute in all; AWS_MAX_ATTEMPTS replaces it."""
DELETED_AT_ONCE = 1000
GONE = ("NoSuchKey", "404")


class Listed(NamedTuple):
    """One object as the bucket's listing tells of it."""

    key: str
    """Relative to the prefix."""
    bytes: int
    etag: str
    changed: datetime


class Bucket:
    """The objects under one prefix of a bucket; every key is relative to it."""

    def __init__(self, location: str) -> None:
        scheme, _, rest = location.partition("://")
        self.name, _, prefix = rest.partition("/")
        if scheme != "s3" or not self.name:
            raise ConfigError(f"{location!r}: expected a folder or s3://bucket/prefix")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @cached_property
    def client(self) -> Any:
        """boto3's client; made when it is first needed, safe in threads."""
        core = botocore.session.get_session()
        attempts = core.get_config_variable("max_attempts") or ATTEMPTS
        retries = {"mode": "standard", "total_max_attempts": int(attempts)}
        config = Config(retries=retries, connect_timeout=10, read_timeout=60, max_pool_connections=32)
        with self._explained():
            return boto3.session.Session(botocore_session=core).client("s3", config=config)

    def address(self, key: str = "") -> str:
        """The s3:// address."""
        return f"s3://{self.name}/{self._prefix}{key}".rstrip("/")

    def get(self, key: str) -> tuple[bytes, datetime] | None:
        """A small object and when it was written; None where there is none."""
        with self._explained():
            try:
                return self._fetched(key)
            except ClientError as error:
                if error.response["Error"]["Code"] in GONE:
                    return None
                raise

    def put(self, key: str, content: bytes) -> None:
        """Writes a small object."""
        with self._explained():
            self.client.put_object(Bucket=self.name, Key=self._prefix + key, Body=content)

    def upload(self, files: Mapping[str, Path]) -> None:
        """Sends files side by side, large ones in parts; a part whose connection breaks is sent again."""
        with self._explained(), create_transfer_manager(self.client, TRANSFER) as transfers:
            sent = [transfers.upload(str(path), self.name, self._prefix + key) for key, path in files.items()]
            for one in sent:
                one.result()

    def download(self, files: Iterable[tuple[Listed, Path]]) -> None:
        """Fetches objects side by side.

        Raises:
            StorageError: one came short, or could not be fetched.
        """
        wanted = list(files)
        with self._explained(), create_transfer_manager(self.client, TRANSFER) as transfers:
            sent = []
            for found, path in wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                key = self._prefix + found.key
                sent.append(transfers.download(self.name, key, str(path), subscribers=[_Known(found)]))
            for one in sent:
                one.result()
        for found, path in wanted:
            if path.stat().st_size != found.bytes:
                raise StorageError(
                    f"{self.address(found.key)}: {path.stat().st_size:,} of {found.bytes:,} bytes came; try again"
                )

    def objects(self, prefix: str = "") -> Iterator[Listed]:
        """Everything under a prefix, a page in memory at a time."""
        for page in self._pages("list_objects_v2", Prefix=self._prefix + prefix):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield Listed(key, found["Size"], found["ETag"], found["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        """The names directly under a prefix that end with a slash, without it; what is in them is not listed."""
        for page in self._pages("list_objects_v2", Prefix=self._prefix + prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"].removeprefix(self._prefix + prefix).rstrip("/")

    def uploads(self) -> Iterator[tuple[str, str, datetime]]:
        """Uploads in parts that were begun and neither completed nor given up: key, number, begin."""
        for page in self._pages("list_multipart_uploads", Prefix=self._prefix):
            for found in page.get("Uploads", ()):
                yield found["Key"].removeprefix(self._prefix), found["UploadId"], found["Initiated"]

    def give_up(self, key: str, upload: str) -> None:
        """Ends an upload in parts, and frees what had come."""
        with self._explained():
            self.client.abort_multipart_upload(Bucket=self.name, Key=self._prefix + key, UploadId=upload)

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects, a thousand a request; one that is gone already is no error."""
        left = iter(keys)
        while batch := [{"Key": self._prefix + key} for key in islice(left, DELETED_AT_ONCE)]:
            with self._explained():
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": batch, "Quiet": True})
            for problem in answer.get("Errors", ())[:1]:
                raise StorageError(f"s3://{self.name}/{problem['Key']} can't be deleted: {problem['Message']}")

    def open(self, found: Listed) -> io.BufferedReader:
        """An object as a file, of which only what is read is fetched."""
        return io.BufferedReader(_Ranges(self, found), buffer_size=MIB)

    def range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`."""
        with self._explained():
            return self._fetched(key, Range=f"bytes={start}-{stop - 1}")[0]

    @retry(
        retry=retry_if_exception_type(BROKEN_OFF), stop=stop_after_attempt(4), wait=wait_exponential(0.2), reraise=True
    )
    def _fetched(self, key: str, **arguments: str) -> tuple[bytes, datetime]:
        """Asks again where the content breaks off: boto3 repeats only what fails before the first byte of it."""
        answer = self.client.get_object(Bucket=self.name, Key=self._prefix + key, **arguments)
        return answer["Body"].read(), answer["LastModified"]

    def _pages(self, operation: str, **arguments: str) -> Iterator[dict[str, Any]]:
        with self._explained():
            yield from self.client.get_paginator(operation).paginate(Bucket=self.name, **arguments)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ANSWERS as error:
            raise explained(error, self.address()) from error


class _Known(BaseSubscriber):  # type: ignore[misc] # boto3 has no types
    """Tells a download what the listing knew, which saves it a question an object."""

    def __init__(self, found: Listed) -> None:
        self._found = found

    def on_queued(self, future: Any, **_kwargs: Any) -> None:
        future.meta.provide_transfer_size(self._found.bytes)
        future.meta.provide_object_etag(self._found.etag)


class _Ranges(io.RawIOBase):
    def __init__(self, bucket: Bucket, found: Listed) -> None:
        self._bucket, self._found, self._position = bucket, found, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._found.bytes}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        stop = min(self._position + len(buffer), self._found.bytes)
        if stop <= self._position:
            return 0
        content = self._bucket.range(self._found.key, self._position, stop)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
