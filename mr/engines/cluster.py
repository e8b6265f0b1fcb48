"""The cluster engine: a store and a queue that workers on any machine share.

Here is the coordinator's side; `mr/engines/serving.py` has the worker's. Either may vanish at
any moment: what is done stands in the store.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mr import layout
from mr.commits import Commit
from mr.ends import End
from mr.engines.coordinating import concluded, coordinate
from mr.errors import LimitReached, MrError
from mr.fleet import Running, capacity, read_fleet
from mr.heartbeat import alive
from mr.queues import open_queue
from mr.spec import JobSpec, read_spec
from mr.stages import Conduct, Observer, check_fleet
from mr.store import Store
from mr.taskqueue import MemoryQueue, TaskQueue
from mr.tasks import coordinate_task

#: Messages of one job in the queue at a time while no worker is alive: so that a fleet that scales
#: with the queue's length grows from nothing.
WINDOW = 100
#: How long one look for news takes (an answer comes as soon as there is any).
POLL_S = 2.0
#: How often the coordinator looks at the commits and at the workers' signs; and how often where it
#: hears no events.
RESCAN_S, RESCAN_DEAF_S = 20.0, 5.0
#: How long a store or a queue may fail before the coordinator gives up.
PATIENCE_S = 900.0


def run_on_cluster(
    store: Store,
    queue: TaskQueue,
    spec: JobSpec,
    observer: Observer,
    *,
    stop: threading.Event | None = None,
) -> tuple[End, dict[str, Any]]:
    """Coordinate a planned job from here, while workers anywhere run its tasks.

    Returns and raises as `mr.engines.coordinating.coordinate` does.
    """
    told = concluded(store, spec)
    if told is not None:
        return told
    with _events(queue, spec.job) as (events, hears):
        conduct = Conduct(
            store,
            queue,
            events,
            observer,
            window=WINDOW,
            fleet=lambda: read_fleet(store),
            poll_s=POLL_S,
            rescan_s=RESCAN_S if hears else RESCAN_DEAF_S,
            stop=stop or threading.Event(),
        )
        return coordinate(conduct, spec, patience_s=PATIENCE_S)


@contextmanager
def _events(queue: TaskQueue, job: str) -> Iterator[tuple[TaskQueue, bool]]:
    """The job's queue of events, and whether any can come.

    Who cannot create it looks at the store more often instead (for a minute after one of its name
    was removed, SQS makes none). Once the job has ended it goes.
    """
    try:
        events = open_queue(layout.events_queue(queue.name, job), dead_letters=False)
    except MrError:
        yield MemoryQueue(), False
        return
    yield events, True
    with suppress(MrError):
        events.remove()


def remove_events(queue: str, job: str) -> None:
    """Remove what a coordinator that died has left: its job's queue of events."""
    with suppress(MrError):
        name = layout.events_queue(queue.rpartition("/")[2], job)
        open_queue(name, make=False, dead_letters=False).remove()


def submit_job(store: Store, queue: TaskQueue, spec: JobSpec) -> None:
    """Let a worker coordinate a planned job.

    Raises JobFailed when there are workers, and none of them could run it.
    """
    check_fleet(spec, read_fleet(store))
    queue.send([coordinate_task(spec.job, spec.bundle, layout.store_digest(store.url)).encode()])


def coordinate_here(
    store: Store, queue: TaskQueue, job: str, stop: threading.Event, tell: Callable[[str], None]
) -> None:
    """Coordinate a submitted job in a worker, until it has ended; trouble is told in words.

    A job that stops at a limit is left to whoever resumes it. Raises Stopped when `stop` is set,
    and what `read_spec` and `run_on_cluster` raise.
    """
    spec = read_spec(store, job)
    with alive(store, job):
        try:
            run_on_cluster(store, queue, spec, Unheard(tell), stop=stop)
        except LimitReached as error:
            tell(str(error))


def fleet_size(store: Store) -> int:
    """How many attempts the workers that are there can run at once; at least 1."""
    return max(1, capacity(read_fleet(store)))


class Unheard:
    """An observer for a job that nobody watches: only trouble is told."""

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self._tell = tell

    def stage(self, name: str, tasks: int, done: int) -> None:
        """A stage begins."""

    def committed(self, commit: Commit) -> None:
        """A task is done."""

    def trouble(self, text: str) -> None:
        """Something went wrong that does not end the job."""
        self._tell(text)

    def running(self, attempts: Mapping[str, Running]) -> None:
        """These attempts are running."""
