"""The queues that there are, by their names."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mr.aws.sqs import SqsQueue


def open_queue(name_or_url: str, *, make: bool = True, dead_letters: bool = True) -> "SqsQueue":
    """Return the SQS queue of this name or URL; `make` one that is missing.

    A name is looked up, and made, in the account and region of the settings. A URL is of a queue
    that is there already: it is never made. An existing queue is used as it is; a new one gets a
    dead-letter queue, `<name>-dead`, unless `dead_letters` is off.

    Raises UsageError for what is no name, for a queue that is missing and may not be made, and
    where the settings or permissions do not suffice; QueueUnavailable when SQS does not answer.
    """
    from mr.aws.sqs import SqsQueue  # boto3 takes a while to load

    return SqsQueue.open(name_or_url, make=make, dead_letters=dead_letters)
