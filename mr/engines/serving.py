"""A worker process of a cluster: some workers over one queue, and what they tell of themselves."""

import os
import re
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mr import layout
from mr.clock import now
from mr.compatibility import this_platform
from mr.engines.cluster import coordinate_here
from mr.errors import MrError
from mr.fleet import SIGN_S, Sign, remove_sign, write_sign
from mr.kernel.building import building
from mr.logs import JobLogs, LogLine
from mr.orders import CODE
from mr.queues import open_queue
from mr.scratch import cache_folder, scratch_folder, sweep_scratch
from mr.store import Store
from mr.surroundings import HEARTBEAT_S, LEASE_S, Surroundings
from mr.taskqueue import TaskQueue
from mr.tasks import Event
from mr.worker import Worker

#: How long a worker waits for a message at a time: one request, whenever it is answered.
POLL_S = 5.0
#: How long leaving may take: EC2 gives a spot machine two minutes.
LEAVE_S = 75.0
#: How often a worker looks whether it is to leave.
TICK_S = 0.5
#: How long it takes that a job has no queue of events before that is asked anew.
UNKNOWN_S = 60.0
#: How long the code of a job is kept that nobody here works on.
CODE_KEPT_S = 6 * 3600.0
#: Jobs whose queues of events are remembered.
QUEUES_KEPT = 256


@dataclass(frozen=True)
class Service:
    """How a worker process serves; times in seconds."""

    processes: int
    #: Leave after so long without work; None: never.
    idle_exit_s: float | None = None
    lease_s: float = LEASE_S
    #: Where scratch folders lie.
    scratch: Path = Path()
    #: What machine this is, once it is known.
    machine: Callable[[], str] = lambda: ""


def serve(
    store: Store,
    queue: TaskQueue,
    service: Service,
    *,
    stop: threading.Event,
    show: Callable[[LogLine], None],
    watch: Callable[[Callable[[str], None], threading.Event], None] | None = None,
) -> bool:
    """Serve the queue until `stop` is set, or for want of work.

    Returns whether everything was handed back in time; what was not comes back when its lease ends.

    `show` gets a line for each attempt. `watch(on_notice, stop)` runs in a thread, and calls
    `on_notice` when this machine is about to be taken away. What is being worked on at the end is
    handed back at once.
    """
    store.check_conditions()
    name = worker_name()
    logs = JobLogs(store, name)

    def log(line: LogLine) -> None:
        show(line)
        if line.job:
            logs.add(line)

    sweep_scratch(service.scratch)
    # The compiled code is built while the first tasks run.
    with building(after_seconds=0), scratch_folder(service.scratch) as folder:
        surroundings = Surroundings(
            store=store,
            tasks=queue,
            tell=EventSender(queue.name),
            folder=folder,
            environments=cache_folder(),
            lease_s=service.lease_s,
            heartbeat_s=min(HEARTBEAT_S, service.lease_s / 4),
            poll_s=POLL_S,
            platform=this_platform(None),
            machine=service.machine,
            processes=service.processes,
            log=log,
            coordinate=lambda job, stop, tell: coordinate_here(store, queue, job, stop, tell),
        )
        workers = [Worker(surroundings, f"{name}-{n}") for n in range(1, service.processes + 1)]
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        if watch is not None:

            def on_notice(text: str) -> None:
                print(f"mr-telemetry: {text}; this worker leaves.", file=sys.stderr, flush=True)
                stop.set()

            threading.Thread(target=watch, args=(on_notice, stop), daemon=True).start()
        pulse = Pulse(store, name, workers, logs, folder / CODE, service.machine)
        pulse.start()
        try:
            while not stop.wait(TICK_S):
                if service.idle_exit_s is not None and pulse.idle_s() > service.idle_exit_s:
                    break
        finally:
            for worker in workers:
                worker.stop()

            def leave() -> None:
                for thread in threads:
                    thread.join()
                pulse.end()

            # A store or queue that does not answer must not keep us longer than a spot machine has.
            leaving = threading.Thread(target=leave, daemon=True)
            leaving.start()
            leaving.join(LEAVE_S)
            left = not leaving.is_alive()
    return left


def worker_name() -> str:
    """A name of this process alone, that tells where it runs."""
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:40]
    return layout.checked_id(f"{host or 'worker'}-{os.getpid()}-{secrets.token_hex(3)}")


class Pulse(threading.Thread):
    """A worker process's signs of life and its logs, in the store; and tidying up on its disk.

    A store that does not answer is told later.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        workers: list[Worker],
        logs: JobLogs,
        code: Path,
        machine: Callable[[], str] = lambda: "",
    ) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._name = name
        self._workers = workers
        self._logs = logs
        self._code = code
        self._machine = machine
        self._since = now()
        self._platform = this_platform(None)
        self._ended = threading.Event()

    def run(self) -> None:
        """Tell that we live, until the end."""
        while True:
            with suppress(MrError):
                write_sign(self._store, self._sign())
            with suppress(MrError):
                self._logs.flush()
            forget_code(self._code)
            if self._ended.wait(SIGN_S):
                return

    def end(self) -> None:
        """Tell the last, and take the sign back."""
        self._ended.set()
        self.join()
        with suppress(MrError):
            self._logs.flush()
        with suppress(MrError):
            remove_sign(self._store, self._name)

    def idle_s(self) -> float:
        """For how long nobody here has had anything to do."""
        if not all(worker.is_idle for worker in self._workers):
            return 0.0
        return time.monotonic() - max(worker.active for worker in self._workers)

    def _sign(self) -> Sign:
        running = [worker.running for worker in self._workers]
        return Sign(
            worker=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self._since,
            time=now(),
            processes=len(self._workers),
            platform=self._platform,
            running=[one for one in running if one is not None],
            committed=sum(worker.committed for worker in self._workers),
            dead_letters=sum(worker.dead_letters for worker in self._workers),
            machine=self._machine(),
        )


def forget_code(folder: Path, clock: Callable[[], float] = time.time) -> None:
    """Remove what was fetched of jobs that nobody here has worked on for long."""
    with suppress(OSError):
        for job in folder.iterdir():
            if job.stat().st_mtime < clock() - CODE_KEPT_S:
                shutil.rmtree(job, ignore_errors=True)


class EventSender:
    """Sends each event to the queue of its job's coordinator, if there is one; never raises."""

    def __init__(self, queue: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._queues: dict[str, TaskQueue] = {}
        self._unknown: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Send an event."""
        with self._lock:
            queue = self._find(event.job)
        if queue is None:
            return
        try:
            queue.send([event.encode()])
        except MrError:
            # Its coordinator looks at the store as well.
            with self._lock:
                self._forget(event.job)

    def _find(self, job: str) -> TaskQueue | None:
        if job in self._queues or self._clock() - self._unknown.get(job, -UNKNOWN_S) < UNKNOWN_S:
            return self._queues.get(job)
        if len(self._queues) + len(self._unknown) >= QUEUES_KEPT:
            self._queues.clear()
            self._unknown.clear()
        try:
            name = layout.events_queue(self._queue, job)
            self._queues[job] = open_queue(name, make=False, dead_letters=False)
        except MrError:
            self._forget(job)
        return self._queues.get(job)

    def _forget(self, job: str) -> None:
        self._queues.pop(job, None)
        self._unknown[job] = self._clock()
