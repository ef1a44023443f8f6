"""What boto3 raises in, one `StorageError` that says what is wrong and the way out."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from s3transfer.exceptions import RetriesExceededError

from midefics.errors import StorageError, UnreachableError

ANSWERS = (BotoCoreError, ClientError, RetriesExceededError)
"""Everything that a request may raise, beside trouble with our own disk."""
BROKEN_OFF = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
"""The connection broke in the middle of an answer."""

_WAYS_OUT = {
    "NoSuchBucket": "there is no such bucket; create it, or name another",
    "AccessDenied": "access denied; these credentials need to list the bucket, and to get, put and delete objects in it",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY or the profile",
    "ExpiredToken": "the credentials have expired; sign in again",
    "NoSuchKey": "an object vanished while it was read; try again",
    "PreconditionFailed": "an object changed while it was read; try again",
}
_SAME = {"403": "AccessDenied", "Forbidden": "AccessDenied", "404": "NoSuchKey", "AllAccessDisabled": "AccessDenied"}


def explained(error: Exception, place: str) -> StorageError:
    """The error for a person; one that another try may mend is an `UnreachableError`."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StorageError(
            f"{place}: no credentials ({error}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or run where a role gives them"
        )
    if isinstance(error, ClientError):
        return _refusal(error, place)
    if isinstance(error, (NoConnectionError, HTTPClientError, RetriesExceededError, *BROKEN_OFF)):
        return UnreachableError(f"{place} does not answer ({error}); is AWS_ENDPOINT_URL_S3 right, and the network up?")
    return StorageError(f"{place}: {error}")


def _refusal(error: ClientError, place: str) -> StorageError:
    problem, status = error.response["Error"], error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(problem.get("Code", status))
    if status >= 500 or code in ("SlowDown", "RequestTimeout"):
        return UnreachableError(f"{place}: the service fails ({code}: {problem.get('Message')}); try again later")
    way_out = _WAYS_OUT.get(_SAME.get(code, code), f"{code}: {problem.get('Message')}")
    return StorageError(f"{place}: {way_out} ({error.operation_name})")
