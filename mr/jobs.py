"""The jobs in a store: which there are, how they stand, and removing them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from mr import layout
from mr.commits import committed_tasks
from mr.errors import FormatError, ObjectMissing
from mr.job import HEARTBEAT_S, Heartbeat, read_end
from mr.spec import JobSpec, read_spec
from mr.store import Store

#: A coordinator that has not been heard of for this long is taken for dead.
DEAD_AFTER_S = 3 * HEARTBEAT_S

UNREADABLE = "unreadable"


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


def list_jobs(store: Store, *, now: float | None = None) -> Iterator[JobStatus]:
    """Every job in the store, oldest first."""
    folders, _ = store.list_level(layout.JOBS)
    for folder in sorted(folders):
        job = folder[len(layout.JOBS) : -1]
        try:
            yield job_status(store, job, now=now)
        except (ObjectMissing, FormatError) as error:
            yield JobStatus(job, None, UNREADABLE, str(error), 0)


def job_status(store: Store, job: str, *, now: float | None = None) -> JobStatus:
    """How one job stands. Raises ObjectMissing, FormatError."""
    spec = read_spec(store, job)
    end = read_end(store, job)
    if end is not None:
        state, reason = end.state.value, end.reason
    else:
        alive = _last_heartbeat(store, job) > (now or time.time()) - DEAD_AFTER_S
        state, reason = ("running" if alive else "interrupted"), ""
    return JobStatus(job, spec, state, reason, len(committed_tasks(store, job)))


def _last_heartbeat(store: Store, job: str) -> float:
    try:
        data = store.read(layout.heartbeat_name(job))
    except ObjectMissing:
        return 0.0
    return msgspec.json.decode(data, type=Heartbeat).time


def remove_job(store: Store, job: str) -> None:
    """Remove everything of a job; a tombstone tells workers that still hold its messages."""
    store.write(layout.tombstone_name(job), b"removed\n")
    names = [entry.name for entry in store.list(layout.job_prefix(job))]
    # Its description last: until then the job can still be seen, and removed again.
    for name in sorted(names, key=lambda name: name == layout.spec_name(job)):
        store.delete(name)
