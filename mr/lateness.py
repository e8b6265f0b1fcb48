"""Which tasks are late, and how long tasks may wait: when a second message may pay (pure)."""

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


def usual_wait(
    since: Mapping[int, float], done_s: Sequence[float], ahead: int, *, now: float
) -> float:
    """Seconds that a task waits for a process that has so many before it; the rest as above.

    While none is done, those that run tell how long one takes at least.
    """
    each_s = median(done_s) if done_s else max((now - began for began in since.values()), default=0)
    return ahead * each_s
