"""The local engine: the same journey with a directory, a queue in this process, and N processes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mr.child import Progress
from mr.directory import DirectoryStore
from mr.errors import JobFailed, JobInterrupted, RetryElsewhere
from mr.job import Conduct, End, EndState, Observer, conduct_job, read_end, tidy
from mr.report import job_report, read_report, write_report
from mr.scratch import scratch_folder, sweep_scratch
from mr.spec import JobSpec
from mr.taskqueue import MemoryQueue
from mr.worker import Surroundings, Worker

#: Messages in the queue for each worker: enough that none waits for the coordinator.
MESSAGES_PER_WORKER = 4


class LocalObserver(Observer, Protocol):
    """Also hears how far each worker is."""

    def progress(self, worker: str, progress: Progress | None) -> None:
        """A worker's current attempt is this far, or is over (None)."""


def run_here(
    store: DirectoryStore, spec: JobSpec, *, workers: int, observer: LocalObserver
) -> tuple[End, dict[str, Any]]:
    """Run a planned job on this machine to its end; returns the end and the report.

    The caller shows that the job lives (`mr.heartbeat.alive`). Raises JobInterrupted at Ctrl-C:
    the job is left as it is, to be resumed.
    """
    ended = read_end(store, spec.job)
    if ended is not None and ended.state is not EndState.PUBLISHING:
        report = read_report(store, spec.job)
        if report is not None:
            return ended, report
    start = time.monotonic()
    tasks, events = MemoryQueue(), MemoryQueue()
    conduct = Conduct(store, tasks, events, observer, window=MESSAGES_PER_WORKER * workers)
    try:
        store.sweep()
        sweep_scratch(store)
        with (
            scratch_folder(store) as folder,
            _workers(Surroundings(store, tasks, events, folder), workers, observer),
        ):
            end = conduct_job(conduct, spec)
    except KeyboardInterrupt:
        raise JobInterrupted(
            f"stopped; what is done is kept: `mr-telemetry resume {spec.job}` goes on."
        ) from None
    except RetryElsewhere as error:
        raise JobFailed(
            f"{str(error).rstrip('.')}. What is done is kept: `mr-telemetry resume {spec.job}` "
            "goes on once that is put right."
        ) from error
    report = job_report(conduct, spec, end, time.monotonic() - start)
    write_report(store, spec.job, report)
    if end.state is EndState.DONE or end.again:
        tidy(store, spec.job)
    return end, report


@contextmanager
def _workers(
    surroundings: Surroundings, number: int, observer: LocalObserver
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
        for thread in threads:
            thread.join()
