"""The time of day that all machines of a cluster agree on: that of the server they share.

Signs of life of one machine are judged by another, whose clock may be wrong by minutes. So both go
by the dates that S3 puts on its answers; where there is none, by the machine's own clock.
"""

import time
from email.utils import parsedate_to_datetime

#: A date tells the offset for so long; asking it of every answer would cost more than it gives.
KNOWN_FOR_S = 60.0

_offset_s = 0.0
_known_at = float("-inf")


def now() -> float:
    """Seconds since the epoch."""
    return time.time() + _offset_s


def learn(date: str | None) -> None:
    """Take the Date of an answer that has just come; one that is no date says nothing."""
    global _offset_s, _known_at
    if date is None or time.monotonic() - _known_at < KNOWN_FOR_S:
        return
    try:
        told = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    # Dates are whole seconds, and less than that is no difference.
    offset = told - time.time()
    _offset_s = offset if abs(offset) > 2.0 else 0.0
    _known_at = time.monotonic()
