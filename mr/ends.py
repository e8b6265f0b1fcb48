"""How a job ends: decided once, whoever coordinates it; and what is tidied up afterwards."""

import enum
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from mr import layout
from mr.errors import JobError, JobFailed, ObjectExists, ObjectMissing, PlanAgain, TooManyBadRecords
from mr.state import read_state
from mr.store import Store


class EndState(enum.Enum):
    """How a job ends."""

    DONE = "done"
    #: Its result is decided, and being published: how that ends is told apart.
    PUBLISHING = "publishing"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class End:
    """A job's end, created once; `exit_code` is the command's."""

    state: EndState
    reason: str = ""
    exit_code: int = 0
    #: Whether the same job, planned anew, may succeed: others have published meanwhile.
    again: bool = False


def failed(error: JobError) -> End:
    """The end of a job that fails with this error."""
    again = isinstance(error, PlanAgain)
    return End(EndState.FAILED, str(error), type(error).exit_code, again)


def cancelled(reason: str) -> End:
    """The end of a job that is given up."""
    return End(EndState.CANCELLED, reason, JobFailed.exit_code)


def failure_of(end: End) -> JobError:
    """The exception for a job that ended other than done."""
    if end.again:
        return PlanAgain(end.reason)
    if end.exit_code == TooManyBadRecords.exit_code:
        return TooManyBadRecords(end.reason)
    return JobFailed(end.reason)


def read_end(store: Store, job: str) -> End | None:
    """How the job ended, or None while it has not; how publishing did, once that has."""
    end = _read(store, layout.end_name(job))
    if end is not None and end.state is EndState.PUBLISHING:
        return _read(store, layout.published_name(job)) or end
    return end


def _read(store: Store, name: str) -> End | None:
    try:
        return read_state(store, name, End)
    except ObjectMissing:
        return None


def write_end(store: Store, job: str, end: End) -> End:
    """End the job; the first to do so wins, and the winner's end is returned."""
    try:
        store.write(layout.end_name(job), msgspec.json.encode(end), if_absent=True)
    except ObjectExists:
        return read_end(store, job) or end
    return end


def write_published(store: Store, job: str, end: End) -> End:
    """End a job that publishes, as `write_end` does."""
    with suppress(ObjectExists):
        store.write(layout.published_name(job), msgspec.json.encode(end), if_absent=True)
    return read_end(store, job) or end


def tidy(store: Store, job: str) -> None:
    """Delete what nobody needs once a job has ended: the maps' runs, files put in place."""
    for prefix in (layout.runs_prefix(job), layout.files_prefix(job)):
        store.delete_all([entry.name for entry in store.list(prefix)])
