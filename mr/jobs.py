"""The jobs in a store: which there are, how they stand, and removing them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mr import layout
from mr.commits import committed_tasks
from mr.ends import EndState, read_end
from mr.errors import FormatError, ObjectMissing, UsageError
from mr.heartbeat import is_alive
from mr.spec import JobSpec, read_spec
from mr.store import Store

#: The states of a job that has not ended; else its end's state counts.
RUNNING, INTERRUPTED, UNREADABLE = "running", "interrupted", "unreadable"


@dataclass(frozen=True)
class JobStatus:
    """A job and how it stands: running, interrupted, unreadable, or its end's state."""

    job: str
    #: None for a job that is unreadable: never quite planned, damaged, or of another version.
    spec: JobSpec | None
    state: str
    reason: str
    #: Tasks committed so far, of all stages.
    tasks_done: int
    #: Whether somebody runs it, or writes its result.
    busy: bool


def find_job(store: Store, text: str) -> JobSpec:
    """The job of this id, or the only one whose id begins or ends so. Raises UsageError."""
    try:
        return read_spec(store, text)
    except ObjectMissing:
        pass
    except FormatError as error:
        if _is_there(store, text):
            raise UsageError(f"job {text} cannot be read: {error}") from None
    folders, _ = store.list_level(layout.JOBS)
    found = match_job((folder[len(layout.JOBS) : -1] for folder in folders), text, store.url)
    try:
        return read_spec(store, found)
    except ObjectMissing:
        raise UsageError(f"there is no job {text} in {store.url}.") from None
    except FormatError as error:
        raise UsageError(f"job {found} cannot be read: {error}") from None


def match_job(ids: Iterable[str], text: str, where: str) -> str:
    """The id that is the text, or the only one that begins or ends so. Raises UsageError."""
    found = sorted(job for job in ids if text and (job.startswith(text) or job.endswith(text)))
    if text in found:
        return text
    if len(found) > 1:
        raise UsageError(f"{text} could be {' or '.join(found[:5])}: give more of its id.")
    if not found:
        raise UsageError(f"there is no job {text} in {where}; `mr-telemetry jobs` lists them.")
    return found[0]


def _is_there(store: Store, job: str) -> bool:
    try:
        return store.stat(layout.spec_name(job)) is not None
    except FormatError:  # not even an id
        return False


def list_jobs(store: Store, *, now: float | None = None) -> list[JobStatus]:
    """Every job in the store, oldest first, after those that are unreadable."""
    # Their ids tell the time in seconds only.
    return sorted(
        _read_jobs(store, now),
        key=lambda one: ("" if one.spec is None else one.spec.created, one.job),
    )


def _read_jobs(store: Store, now: float | None) -> Iterator[JobStatus]:
    folders, _ = store.list_level(layout.JOBS)
    for folder in folders:
        job = folder[len(layout.JOBS) : -1]
        try:
            yield job_status(store, job, now=now)
        except (ObjectMissing, FormatError) as error:
            yield JobStatus(job, None, UNREADABLE, str(error), 0, is_alive(store, job, now=now))


def job_status(store: Store, job: str, *, now: float | None = None) -> JobStatus:
    """How one job stands. Raises ObjectMissing, FormatError."""
    spec = read_spec(store, job)
    busy = is_alive(store, job, now=now)
    end = read_end(store, job)
    if end is not None and end.state is not EndState.PUBLISHING:
        state, reason = end.state.value, end.reason
    else:
        state, reason = (RUNNING, "") if busy else (INTERRUPTED, why_stopped(store, job))
    return JobStatus(job, spec, state, reason, len(committed_tasks(store, job)), busy)


def why_stopped(store: Store, job: str) -> str:
    """At which limit a job has stopped, in words; "" for one that has not."""
    try:
        return store.read(layout.stopped_name(job)).decode("utf-8", "replace")
    except ObjectMissing:
        return ""


def remove_job(store: Store, job: str) -> None:
    """Remove everything of a job; a tombstone tells workers that still hold its messages."""
    store.write(layout.tombstone_name(job), b"removed\n")
    names = [entry.name for entry in store.list(layout.job_prefix(job))]
    # Its description last: until then the job can still be seen, and removed again.
    last = layout.spec_name(job)
    store.delete_all(name for name in names if name != last)
    store.delete(last)
