"""A submitted job, coordinated by a worker beside its tasks: it needs little."""

import threading
from collections.abc import Callable
from contextlib import suppress

from mr.errors import MrError, RetryElsewhere
from mr.surroundings import Lease, Surroundings
from mr.taskqueue import Message

#: How long a job waits for another coordinator where this one cannot do it at all.
UNFIT_S = 30.0


class SubmittedJob(threading.Thread):
    """Coordinates a job, and keeps its message until the job has ended.

    Whatever goes wrong is told (`tell`), and the job handed back: another worker may know better.
    """

    def __init__(
        self, surroundings: Surroundings, message: Message, job: str, tell: Callable[[str], None]
    ) -> None:
        super().__init__(daemon=True)
        self._with = surroundings
        self._message = message
        self._job = job
        self._tell = tell
        self._stop_it = threading.Event()

    def stop(self) -> None:
        """Hand the job back; another worker goes on."""
        self._stop_it.set()

    def run(self) -> None:
        """Coordinate to the job's end, or until stopped."""
        tasks = self._with.tasks
        with Lease(self._with, self._message) as lease:
            watching = threading.Thread(target=self._watch, args=(lease,), daemon=True)
            watching.start()
            delay_s: float | None = None
            try:
                self._with.coordinate(self._job, self._stop_it, self._tell)
            except Exception as error:
                delay_s = self._with.backoff_s if isinstance(error, RetryElsewhere) else UNFIT_S
                if not self._stop_it.is_set():
                    text = str(error) if isinstance(error, MrError) else repr(error)
                    self._tell(f"cannot coordinate the job: {text}")
            stopped = self._stop_it.is_set()
            self._stop_it.set()
            watching.join()
        with suppress(MrError):
            if stopped:
                tasks.release(self._message)
            elif delay_s is not None:
                tasks.release(self._message, delay_s)
            else:
                tasks.acknowledge(self._message)

    def _watch(self, lease: Lease) -> None:
        while not self._stop_it.wait(self._with.heartbeat_s / 4):
            if lease.lost.is_set():
                self._stop_it.set()
