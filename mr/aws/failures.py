"""What goes wrong with a request to AWS, as our errors: may it work later, or never as it is?

Texts hold what AWS says about permissions, and never a credential.
"""

import re

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from mr.errors import MrError, RetryElsewhere, UsageError

#: Everything that a request, or reading its answer, may raise.
FAILURES = (boto.BotoCoreError, boto.ClientError, ResponseParserError, HTTPError, OSError)

#: No answer, or half of one.
_CONNECTION = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    boto.IncompleteReadError,
    boto.CapacityNotAvailableError,
    boto.MetadataRetrievalError,
    ResponseParserError,
    HTTPError,
    OSError,
)
#: Where credentials come over the network: the same request may work later.
_REMOTE_PROVIDERS = {"iam-role", "container-role", "assume-role", "assume-role-with-web-identity"}

_LATER = {
    "BandwidthLimitExceeded",
    "InternalError",
    "InternalFailure",
    "KmsThrottled",
    "OperationAborted",
    "OverLimit",
    "PriorRequestNotComplete",
    "QueueDeletedRecently",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_CREDENTIALS = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotSignedUp",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_CLOCK = {"RequestExpired", "RequestTimeTooSkewed"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "KmsAccessDenied",
    "UnauthorizedOperation",
}

#: The longest text of others that is shown.
_SHOWN = 400


def code_of(error: BaseException | None) -> str:
    """The code of a refused request, "" where there is none.

    For SQS the plain one: QueueDoesNotExist, never AWS.SimpleQueueService.NonExistentQueue.
    """
    if not isinstance(error, boto.ClientError):
        return ""
    code = str(error.response.get("Error", {}).get("Code") or "").rpartition(".")[2]
    return "QueueDoesNotExist" if code == "NonExistentQueue" else code


def status_of(error: BaseException) -> int:
    """The HTTP status of a refused request, 0 where there was no answer."""
    if not isinstance(error, boto.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def is_denied(error: BaseException) -> bool:
    """Whether AWS knows who asks, and does not allow it."""
    code = code_of(error)
    if code in _CREDENTIALS | _EXPIRED | _CLOCK | _LATER:
        return False
    # The answer to a HEAD request has no body, and its status for a code.
    return code in _DENIED or status_of(error) in (401, 403)


def may_work_later(error: BaseException) -> bool:
    """Whether the same request may succeed later: throttled, 5xx, or no answer at all."""
    if isinstance(error, boto.ClientError):
        status = status_of(error)
        return code_of(error) in _LATER or status in (408, 429) or (status >= 500 and status != 501)
    if isinstance(error, boto.CredentialRetrievalError):
        return error.kwargs.get("provider") in _REMOTE_PROVIDERS
    if isinstance(error, boto.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return isinstance(error, _CONNECTION)


def explain(error: Exception, doing: str, later: type[RetryElsewhere]) -> MrError:
    """Return our error for one of FAILURES; its text begins with `doing`.

    It is a `later` where the same request may succeed later, else a UsageError: no credentials,
    wrong ones, no permission, wrong settings. Whoever knows a code that means something else to
    them (a missing object, say) looks at `code_of` first.
    """
    code = code_of(error)
    if may_work_later(error):
        return later(f"{doing}: {_summary(error)}")
    if code in _EXPIRED:
        return UsageError(f"{doing}: the AWS credentials have expired ({code}); get new ones")
    if code in _CREDENTIALS:
        # What AWS says may quote the signed headers, the session token among them.
        return UsageError(
            f"{doing}: the AWS credentials are not accepted ({code}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
        )
    if code in _CLOCK:
        return UsageError(f"{doing}: this machine's clock is wrong ({code}); set it")
    if is_denied(error):
        return UsageError(f"{doing}: it is not allowed ({_summary(error)}); ask for permission")
    if isinstance(error, boto.ClientError):
        return UsageError(f"{doing}: {_summary(error)}")
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return UsageError(
            f"{doing}: there are no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or run where a role is attached"
        )
    if isinstance(error, boto.CredentialRetrievalError):
        return UsageError(f"{doing}: {_summary(error)}; log in anew, or check AWS_PROFILE")
    if isinstance(error, boto.SSLError):
        return UsageError(
            f"{doing}: the server's certificate is not trusted; set AWS_CA_BUNDLE, or check the "
            "endpoint"
        )
    return UsageError(f"{doing}: {_summary(error)}; check the settings of AWS")


def shown(text: str) -> str:
    """A text of others on one line, cut, with nothing in it that looks like a credential."""
    text = " ".join(text.split()).rstrip(".")
    text = re.sub(r"//[^/@\s]*@", "//", text)  # a user and password in a URL
    text = re.sub(r"(?i)(x-amz-(?:security-token|credential|signature)\W+)[^&\s\"']+", r"\1…", text)
    text = re.sub(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}", "…", text)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _summary(error: Exception) -> str:
    if isinstance(error, boto.ClientError):
        message = shown(str(error.response.get("Error", {}).get("Message") or ""))
        code = code_of(error) or f"HTTP {status_of(error)}"
        return f"{code}: {message}" if message and message != code else code
    if isinstance(error, boto.CredentialRetrievalError):
        # No more of it: what a credential process printed may be the credentials.
        provider = error.kwargs.get("provider", "where the profile says")
        return f"no AWS credentials can be had from {provider}"
    if isinstance(error, ResponseParserError):
        return "the answer is none of AWS's"
    return shown(str(error)) or type(error).__name__
