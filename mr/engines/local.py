"""The local engine: the same journey with a directory, a queue in this process, and N processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from mr.ends import End
from mr.engines.coordinating import coordinate
from mr.kernel.building import building
from mr.orders import Progress
from mr.scratch import cache_folder, scratch_folder, sweep_scratch
from mr.spec import JobSpec
from mr.stages import Conduct, Observer
from mr.store import Store
from mr.surroundings import Surroundings, telling
from mr.taskqueue import MemoryQueue
from mr.worker import Worker

#: Messages in the queue for each worker: enough that none waits for the coordinator.
MESSAGES_PER_WORKER = 4


#: A job that takes longer than this builds the compiled code for itself, and for all after it.
BUILD_S = 3.0


class LocalObserver(Observer, Protocol):
    """Also hears how far each worker is."""

    def progress(self, worker: str, progress: Progress | None) -> None:
        """A worker's current attempt is this far, or is over (None)."""


def run_here(
    store: Store,
    spec: JobSpec,
    *,
    workers: int,
    scratch: Path,
    observer: LocalObserver,
    since: float | None = None,
) -> tuple[End, dict[str, Any]]:
    """Run a planned job on this machine to its end; returns the end and the report.

    Spills go below `scratch`. For the rest see `coordinate`.
    """
    tasks, events = MemoryQueue(), MemoryQueue()
    conduct = Conduct(store, tasks, events, observer, window=MESSAGES_PER_WORKER * workers)
    store.sweep()
    sweep_scratch(scratch)
    with scratch_folder(scratch) as folder:
        surroundings = Surroundings(
            store, tasks, telling(events), folder, cache_folder(), processes=workers
        )
        with building(after_seconds=BUILD_S), _workers(tasks, surroundings, workers, observer):
            return coordinate(conduct, spec, since=since)


@contextmanager
def _workers(
    tasks: MemoryQueue, surroundings: Surroundings, number: int, observer: LocalObserver
) -> Iterator[list[Worker]]:
    workers = [Worker(surroundings, f"worker-{n}", observer.progress) for n in range(1, number + 1)]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()
        tasks.close()
        for thread in threads:
            thread.join()
