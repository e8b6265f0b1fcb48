"""What requests to S3 and SQS cost, at list prices."""

from collections.abc import Mapping

#: US dollars for one request. S3 Standard in us-east-1 ("PUT, COPY, POST, LIST" and "GET and all
#: other"), and standard queues beyond the free million; https://aws.amazon.com/s3/pricing/ and
#: https://aws.amazon.com/sqs/pricing/. Larger regions of the world cost up to twice as much.
S3_WRITE_USD = 0.005 / 1000
S3_READ_USD = 0.0004 / 1000
SQS_USD = 0.40 / 1_000_000

#: Requests that only take away cost nothing.
_FREE = frozenset({"s3.DeleteObject", "s3.DeleteObjects", "s3.AbortMultipartUpload"})
_READS = frozenset({"s3.GetObject", "s3.HeadObject", "s3.HeadBucket"})


def price_usd(requests: Mapping[str, int]) -> float:
    """The price of requests, counted by "service.Operation"."""
    return sum(count * _price_of(request) for request, count in requests.items())


def _price_of(request: str) -> float:
    if request in _FREE:
        return 0.0
    if request.startswith("sqs."):
        return SQS_USD
    return S3_READ_USD if request in _READS else S3_WRITE_USD
