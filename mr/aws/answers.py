"""What S3 answers when it does not do as asked, as our errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from mr.aws import failures
from mr.aws.failures import FAILURES, code_of, is_denied
from mr.errors import BadName, MrError, StoreError, StoreUnavailable, UsageError

_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION to it"
#: What the person has to set right, by the code of the answer.
_SETTINGS = {
    "NoSuchBucket": "there is no such bucket; create it, or check its name and the endpoint",
    "InvalidBucketName": "no bucket can have this name; check it",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
}
_DENIED = (
    "access is denied; check the credentials, and allow them s3:ListBucket, s3:GetObject, "
    "s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload there"
)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what boto3 raises in the with-block into our error, which begins with `doing`."""
    try:
        yield
    except FAILURES as error:
        raise explain(error, doing) from error


def explain(error: Exception, doing: str) -> MrError:
    """Return our error for one of FAILURES: may it work later, or is it a definite answer?"""
    code = code_of(error)
    if code in _SETTINGS:
        return UsageError(f"{doing}: {_SETTINGS[code]}")
    if code == "ConditionalRequestConflict":
        return StoreUnavailable(f"{doing}: others write it at the same time, again and again")
    if code == "NoSuchUpload":
        return StoreUnavailable(f"{doing}: S3 has dropped the parts that were sent")
    if code == "KeyTooLongError":
        return BadName(f"{doing}: the name is too long; choose another name")
    if code == "InvalidObjectState":
        return StoreError(f"{doing}: it is archived; restore it first")
    if is_denied(error):
        return StoreError(f"{doing}: {_DENIED}")
    return failures.explain(error, doing, StoreUnavailable)


def explain_entry(entry: dict[str, str], doing: str) -> MrError:
    """Return our error for one object's error in an answer about many."""
    return explain(ClientError({"Error": entry}, "DeleteObjects"), doing)


def was_retried(error: ClientError) -> bool:
    """Whether the same request went out before, and what became of it is not known."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
