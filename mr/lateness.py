"""Which tasks are late, so that a second attempt beside the first may pay (pure)."""

from collections.abc import Mapping, Sequence
from statistics import median

#: A task is late once it takes this many times as long as half of the others did.
LATE_FACTOR = 3.0
#: But not before so many seconds: starting anew costs something too.
LATE_LEAST_S = 30.0
#: The share of a stage that must be done before it can be told what is usual.
TELLING_SHARE = 0.5


def late_tasks(
    since: Mapping[int, float], done_s: Sequence[float], tasks: int, *, now: float
) -> list[int]:
    """The numbers of running tasks that take far longer than the rest.

    `since` is when each running task began, `done_s` how long each committed one took, `tasks` the
    number of all; seconds.
    """
    if not done_s or len(done_s) < TELLING_SHARE * tasks:
        return []
    limit = max(LATE_LEAST_S, LATE_FACTOR * median(done_s))
    return sorted(number for number, began in since.items() if now - began > limit)
