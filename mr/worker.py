"""A worker: lease, run, commit, acknowledge, with a heartbeat.

One worker holds one message at a time and has one child process that runs user code. The parent
never loads the analysis: it keeps the lease alive while the child makes progress, and commits.
"""

import shutil
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mr import layout
from mr.child import Order, Progress, Reply
from mr.commits import (
    Commit,
    Failure,
    is_hopeless,
    is_over,
    read_failures,
    write_commit,
    write_failure,
)
from mr.compatibility import Platform, differences
from mr.environments import interpreter_for
from mr.errors import (
    AnalysisError,
    FormatError,
    LeaseLost,
    MrError,
    ObjectMissing,
    QueueUnavailable,
    StoreUnavailable,
)
from mr.fleet import Running
from mr.logs import OUTPUT_KEPT, OUTPUT_LINES, LogLine
from mr.metering import METER
from mr.processes import Child
from mr.spec import JobSpec, read_spec
from mr.store import Store
from mr.taskqueue import Message, TaskQueue
from mr.tasks import Event, Task, TaskState, decode_task

#: How long a message is leased; a machine that vanishes costs this much waiting.
LEASE_S = 300.0
#: How often the lease is extended and the job's end looked for.
HEARTBEAT_S = 20.0
#: How long one look into the queue, or at the child, takes at most.
POLL_S = 0.25
#: How long a task waits after a failure that is not the analysis's.
BACKOFF_S = 2.0
#: How often it is looked whether packages are installed.
INSTALL_POLL_S = 5.0
#: How long a task waits that this worker cannot run: another worker may.
REFUSED_S = 1.0
#: How long a worker takes nothing once it has refused a task, so that it leaves the queue to those
#: who can; twice as long each further time in a row, up to a limit.
REFUSER_RESTS_S, REFUSER_RESTS_MOST_S = 2.0, 120.0
#: Whoever has not looked at its child for so long was stopped itself, and the child probably too.
STOPPED_S = 2.0


@dataclass(frozen=True)
class Surroundings:
    """What a worker works with."""

    store: Store
    tasks: TaskQueue
    #: Hears what becomes of attempts; nothing depends on it.
    tell: Callable[[Event], None]
    #: Folders on local disk: for spills, and for environments of analyses that need packages.
    folder: Path
    environments: Path
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    backoff_s: float = BACKOFF_S
    #: How long one look into the queue takes at most.
    poll_s: float = POLL_S
    clock: Callable[[], float] = time.monotonic
    #: What this machine has, where jobs come from others; else None.
    platform: Platform | None = None
    #: Takes a line for each attempt; without it user code's output goes to standard error.
    log: Callable[[LogLine], None] | None = None
    #: Coordinates a job until it has ended, or is told to stop; None where workers do not.
    coordinate: Callable[[str, threading.Event], None] | None = None


def telling(events: TaskQueue) -> Callable[[Event], None]:
    """What sends events to one queue."""
    return lambda event: events.send([event.encode()])


class Abandoned(Exception):
    """Raised when an attempt is given up: the job has ended, the lease is lost, or we stop."""


class Worker:
    """Takes tasks until told to stop; `on_progress` hears how far the current attempt is."""

    def __init__(
        self,
        surroundings: Surroundings,
        name: str,
        on_progress: Callable[[str, Progress | None], None] = lambda name, progress: None,
    ) -> None:
        self._with = surroundings
        self._name = name
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._child: Child | None = None
        self._specs: dict[str, JobSpec] = {}
        self._coordinating: list[Coordinating] = []
        self._refused = 0
        #: The attempt being run, if there is one.
        self.running: Running | None = None
        #: Tasks committed, and messages put aside, so far; and when it last had a message.
        self.committed = self.dead_letters = 0
        self.active = surroundings.clock()

    @property
    def child_pid(self) -> int | None:
        """The process that runs user code, if there is one."""
        return None if self._child is None else self._child.pid

    @property
    def is_idle(self) -> bool:
        """Whether it neither runs an attempt nor coordinates a job."""
        return self.running is None and not any(one.is_alive() for one in self._coordinating)

    def stop(self) -> None:
        """Stop soon: the current attempt is given up, its message handed back."""
        self._stop.set()
        for one in self._coordinating:
            one.stop()

    def run(self) -> None:
        """Serve the queue until `stop` is called."""
        try:
            while not self._stop.is_set():
                try:
                    for message in self._with.tasks.receive(
                        wait_s=self._with.poll_s, lease_s=self._with.lease_s
                    ):
                        self._serve(message)
                        if not self._refused:
                            self.active = self._with.clock()
                except MrError:
                    # A queue that does not answer, or will not any more: no worker ends of that.
                    self._stop.wait(self._with.backoff_s)
        finally:
            self._end_child()
            for one in self._coordinating:
                one.stop()
            for one in self._coordinating:
                one.join()

    def _serve(self, message: Message) -> None:
        tasks = self._with.tasks
        if self._stop.is_set():
            tasks.release(message)
            return
        try:
            task = decode_task(message.body)
        except FormatError as error:
            tasks.dead_letter(message, str(error))
            self.dead_letters += 1
            self._log(LogLine(time.time(), self._name, "", "", "", "undecodable", text=str(error)))
            return
        try:
            if task.kind == "coordinate":
                self._coordinate(message, task)
            else:
                self._attempt(message, task)
        except Abandoned:
            tasks.release(message)
        except Exception as error:
            # Whatever it is, it is not the analysis's fault, and this worker must go on.
            text = str(error) if isinstance(error, MrError) else repr(error)
            with suppress(MrError):
                self._lose(message, task, text)

    def _attempt(self, message: Message, task: Task) -> None:
        spec = self._spec(task.job)
        if spec is None or is_needless(self._with.store, task):
            self._with.tasks.acknowledge(message)
            self._tell(task, TaskState.OVER)
            return
        if self._refuses(message, task, spec):
            self._rest()
            return
        attempt = uuid.uuid4().hex
        began = time.time()
        self.running = Running(task.job, task.id, attempt, began)
        output: deque[str] = deque(maxlen=OUTPUT_LINES)
        try:
            reply = self._run_child(message, task, attempt, spec, output)
            METER.add(reply.requests)
            if reply.done is not None:
                self._progress(Progress.of(reply.done.tally))
                state, text = self._commit(message, task, reply.done), ""
            elif reply.failed is not None:
                state = self._fail(message, task, reply.failed, spec.max_failures)
                text = reply.failed.error
            else:
                text = reply.unavailable or ""
                state = self._lose(message, task, text)
        except Abandoned:
            state, text = TaskState.LOST, "given up: stopped, without its lease, or needed no more"
            raise
        except Exception as error:
            state, text = TaskState.LOST, f"{error}"
            raise
        finally:
            running, self.running = self.running, None
            self._on_progress(self._name, None)
            self._log(
                LogLine(
                    time=time.time(),
                    worker=self._name,
                    job=task.job,
                    task=task.id,
                    attempt=attempt,
                    state=state.value,
                    seconds=round(time.time() - began, 3),
                    records=running.records,
                    compressed_bytes=running.compressed_bytes,
                    raw_bytes=running.raw_bytes,
                    text=text,
                    output=list(output),
                )
            )

    def _refuses(self, message: Message, task: Task, spec: JobSpec) -> bool:
        """Whether this worker is so unlike the sender that it must leave the task to others."""
        if self._with.platform is None:
            return False
        found = differences(spec.platform, self._with.platform, spec.requirements)
        if found:
            self._with.tasks.release(message, REFUSED_S)
            text = f"worker {self._name} cannot run the job: {'; '.join(found)}"
            self._tell(task, TaskState.REFUSED, text)
        self._refused = self._refused + 1 if found else 0
        return bool(found)

    def _rest(self) -> None:
        """Leave the queue to others for a while: idle, we would be faster than they are."""
        longest = REFUSER_RESTS_MOST_S / REFUSER_RESTS_S
        self._stop.wait(REFUSER_RESTS_S * min(2 ** (self._refused - 1), longest))

    def _lose(self, message: Message, task: Task, text: str) -> TaskState:
        self._with.tasks.release(message, self._with.backoff_s)
        self._tell(task, TaskState.LOST, text)
        return TaskState.LOST

    def _spec(self, job: str) -> JobSpec | None:
        if job not in self._specs:
            try:
                self._specs[job] = read_spec(self._with.store, job)
            except ObjectMissing:
                return None
        return self._specs[job]

    def _commit(self, message: Message, task: Task, commit: Commit) -> TaskState:
        store = self._with.store
        over = False
        with suppress(StoreUnavailable):  # not worth the loss of what was done
            over = is_over(store, task.job, publishes=task.publishes)
        counted = replace(commit, deliveries=message.receives, requests=METER.take())
        if over or not write_commit(store, task.job, counted):
            METER.add(counted.requests)
            # Another attempt was first: only now may our output go, for nobody can name it.
            name_of = layout.run_name if task.is_map else layout.result_name
            store.delete(name_of(task.job, task.id, commit.attempt))
            if commit.files:
                store.delete(layout.files_name(task.job, task.id, commit.attempt))
        else:
            self.committed += 1
        self._with.tasks.acknowledge(message)
        state = TaskState.OVER if over else TaskState.COMMITTED
        self._tell(task, state)
        return state

    def _fail(self, message: Message, task: Task, failure: Failure, most: int) -> TaskState:
        with suppress(StoreUnavailable):
            if is_needless(self._with.store, task):
                # What it reads may be gone already: that is no fault of the analysis.
                self._with.tasks.acknowledge(message)
                self._tell(task, TaskState.OVER)
                return TaskState.OVER
        write_failure(self._with.store, task.job, failure)
        failures = list(read_failures(self._with.store, task.job, task.id))
        if is_hopeless(failures, most):
            text = f"failed {len(failures)} times: {failure.error}"
            self._with.tasks.dead_letter(message, text)
        else:
            self._with.tasks.release(message)
        self._tell(task, TaskState.FAILED, failure.error)
        return TaskState.FAILED

    def _tell(self, task: Task, state: TaskState, text: str = "") -> None:
        self._with.tell(Event(task.job, task.id, state, text))

    def _log(self, line: LogLine) -> None:
        if self._with.log is not None:
            self._with.log(line)

    # The child

    def _run_child(
        self, message: Message, task: Task, attempt: str, spec: JobSpec, output: deque[str]
    ) -> Reply:
        """Watch one attempt to its end; raises Abandoned when it is to be given up.

        A child whose attempt did not come to its end here does not outlive it: its answer would
        be taken for the next attempt's.
        """
        clock = self._with.clock
        folder = self._with.folder / f"{self._name}-{attempt}"
        folder.mkdir(parents=True)
        answered = False
        try:
            try:
                child = self._child_for(self._interpreter(message, task, spec))
            except AnalysisError as error:
                return Reply(failed=Failure(task.id, attempt, str(error), bundle=task.bundle))
            child.hear(output if self._with.log is not None else None, OUTPUT_KEPT)
            child.send(Order(self._with.store.url, task, attempt, str(folder)))
            moved = beat = looked = clock()
            while True:
                reply = child.reply(POLL_S)
                now = clock()
                if now - looked > STOPPED_S:
                    moved = now
                if reply is not None and reply.progress is None:
                    answered = True
                    return reply
                if reply is not None:
                    moved = now
                    self._progress(reply.progress)
                elif not child.alive():
                    return Reply(failed=_lost_child(task, attempt, child.death()))
                if now - moved > spec.hang_s:
                    text = f"no progress for {spec.hang_s:.0f} s, so its process was ended"
                    return Reply(failed=_lost_child(task, attempt, text))
                if self._stop.is_set():
                    raise Abandoned
                if now - beat > self._with.heartbeat_s:
                    beat = now
                    self._beat(message, task)
                looked = clock()
        finally:
            if not answered:
                self._end_child()
            shutil.rmtree(folder, ignore_errors=True)

    def _progress(self, progress: Progress) -> None:
        self.running = replace(
            self.running,
            records=progress.records,
            compressed_bytes=progress.compressed_bytes,
            raw_bytes=progress.raw_bytes,
        )
        self._on_progress(self._name, progress)

    def _interpreter(self, message: Message, task: Task, spec: JobSpec) -> Path:
        """The Python that has the packages that the job needs; they may have to be installed."""
        if not spec.requirements:
            return Path(sys.executable)
        pool = ThreadPoolExecutor(1)
        made = pool.submit(interpreter_for, spec.requirements, self._with.environments)
        try:
            while not self._stop.is_set():
                with suppress(TimeoutError):
                    return made.result(min(self._with.heartbeat_s, INSTALL_POLL_S))
                self._beat(message, task)
            raise Abandoned
        finally:
            pool.shutdown(wait=False)

    def _child_for(self, python: Path) -> Child:
        """The child, or a new one where it has another Python.

        One that died idle is no fault of the next task.
        """
        child = self._child
        if child is None or child.python != python or not child.alive():
            self._end_child()
            child = self._child = Child(python, listens=self._with.log is not None)
        return child

    def _beat(self, message: Message, task: Task) -> None:
        self._extend(message)
        with suppress(StoreUnavailable):
            if is_needless(self._with.store, task):
                raise Abandoned

    def _extend(self, message: Message) -> None:
        try:
            self._with.tasks.extend(message, self._with.lease_s)
        except LeaseLost:
            raise Abandoned from None
        except QueueUnavailable:
            pass  # The lease still holds; the next beat may reach the queue.

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    # Coordinating

    def _coordinate(self, message: Message, task: Task) -> None:
        """Coordinate a job beside the tasks: it needs little, and must not keep them waiting."""
        if self._with.coordinate is None:
            self._with.tasks.release(message, self._with.backoff_s)
            return
        try:
            read_spec(self._with.store, task.job)
        except ObjectMissing:  # it was removed
            self._with.tasks.acknowledge(message)
            return
        one = Coordinating(self._with, message, task.job, self._extend)
        self._coordinating = [*(old for old in self._coordinating if old.is_alive()), one]
        one.start()


class Coordinating(threading.Thread):
    """A job being coordinated by a worker: keeps the lease until the job has ended."""

    def __init__(
        self,
        surroundings: Surroundings,
        message: Message,
        job: str,
        extend: Callable[[Message], None],
    ) -> None:
        super().__init__(daemon=True)
        self._with = surroundings
        self._message = message
        self._job = job
        self._extend = extend
        self._stop_it = threading.Event()
        self._ended = threading.Event()

    def stop(self) -> None:
        """Hand the job back; another worker goes on."""
        self._stop_it.set()

    def run(self) -> None:
        """Coordinate to the job's end, or until stopped."""
        beating = threading.Thread(target=self._beat, daemon=True)
        beating.start()
        tasks = self._with.tasks
        try:
            self._with.coordinate(self._job, self._stop_it)
            done = not self._stop_it.is_set()
        except Exception:
            # As with a task: whatever it is, this worker goes on, and another one may know better.
            done = False
        finally:
            self._ended.set()
            beating.join()
        with suppress(MrError):
            if done:
                tasks.acknowledge(self._message)
            else:
                tasks.release(self._message, 0 if self._stop_it.is_set() else self._with.backoff_s)

    def _beat(self) -> None:
        while not self._ended.wait(self._with.heartbeat_s):
            try:
                self._extend(self._message)
            except Abandoned:
                self._stop_it.set()
                return


def _lost_child(task: Task, attempt: str, text: str) -> Failure:
    return Failure(task.id, attempt, error=text, bundle=task.bundle)


def is_needless(store: Store, task: Task) -> bool:
    """Whether nobody needs this task any more: it is committed, or its job ended or is gone."""
    if store.stat(layout.commit_name(task.job, task.id)) is not None:
        return True
    return is_over(store, task.job, publishes=task.publishes)
