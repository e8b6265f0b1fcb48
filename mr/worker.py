"""A worker: lease, run, commit, acknowledge, with a heartbeat.

One worker holds one message at a time and has one child process that runs user code. The parent
never loads the analysis: it keeps the lease alive while the child makes progress, and commits.
"""

import shutil
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mr import layout
from mr.clock import now
from mr.commits import (
    Commit,
    Failure,
    is_hopeless,
    is_over,
    read_failures,
    write_commit,
    write_failure,
)
from mr.compatibility import differences
from mr.environments import interpreter_for
from mr.errors import (
    AnalysisError,
    FormatError,
    MrError,
    ObjectMissing,
    StoreUnavailable,
)
from mr.fleet import Running
from mr.logs import OUTPUT_KEPT, OUTPUT_LINES, LogLine
from mr.metering import METER
from mr.orders import Order, Progress, Reply
from mr.processes import Child
from mr.spec import JobSpec, read_spec
from mr.store import Store
from mr.submitted import UNFIT_S, SubmittedJob
from mr.surroundings import POLL_S, Lease, Surroundings
from mr.taskqueue import Message
from mr.tasks import Event, Task, TaskState, decode_task

#: How often it is looked whether packages are installed.
INSTALL_POLL_S = 1.0
#: How long a task waits that this worker cannot run: another worker may.
REFUSED_S = 1.0
#: How long a message waits that is for the workers of another store.
FOREIGN_S = 30.0
#: The longest that a worker takes nothing once it has refused or lost tasks, so that it leaves the
#: queue to those who can: at first as long as a task waits, then twice as long each further time.
MOST_REST_S = 60.0
#: How often the same trouble is told.
TROUBLE_S = 60.0
#: Whoever has not looked at its child for so long was stopped itself, and the child probably too.
STOPPED_S = 2.0
#: Jobs whose description is at hand, and jobs that one worker coordinates at a time.
SPECS_KEPT, MOST_COORDINATED = 64, 20


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
        self._submitted: list[SubmittedJob] = []
        #: Tasks in a row that could not be run here, and when each trouble was last told.
        self._unable = 0
        self._troubles: dict[str, float] = {}
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
        return self.running is None and not any(one.is_alive() for one in self._submitted)

    def stop(self) -> None:
        """Stop soon: the current attempt is given up, its message handed back."""
        self._stop.set()
        for one in self._submitted:
            one.stop()

    def run(self) -> None:
        """Serve the queue until `stop` is called."""
        failed = 0
        try:
            while not self._stop.is_set():
                try:
                    self._look()
                    failed = 0
                except Exception as error:
                    # A queue that does not answer, or will not any more: no worker ends of that.
                    self._trouble(f"cannot serve the queue: {_words(error)}")
                    failed += 1
                    self._stop.wait(min(MOST_REST_S, self._with.backoff_s * failed))
        finally:
            self._end_child()
            for one in self._submitted:
                one.stop()
            for one in self._submitted:
                one.join()

    def _look(self) -> None:
        for message in self._with.tasks.receive(
            wait_s=self._with.poll_s, lease_s=self._with.lease_s
        ):
            self._serve(message)
            if not self._unable:
                self.active = self._with.clock()
            else:
                # Idle, we would be faster at the next message than those who can run it.
                rest_s = self._with.backoff_s * 2 ** min(self._unable - 1, 10)
                self._stop.wait(min(MOST_REST_S, rest_s))

    def _serve(self, message: Message) -> None:
        tasks = self._with.tasks
        if self._stop.is_set():
            tasks.release(message)
            return
        try:
            task = decode_task(message.body)
        except FormatError as error:
            self._bury(message, "", str(error))
            return
        if task.store not in ("", layout.store_digest(self._with.store.url)):
            tasks.release(message, FOREIGN_S)
            self._trouble(
                f"job {task.job} is not in {self._with.store.url}: workers of several stores share "
                "one queue; give each store its own."
            )
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
            self._trouble(f"{task.id} of job {task.job} could not run: {_words(error)}")
            with suppress(MrError):
                self._lose(message, task, _words(error))

    def _bury(self, message: Message, job: str, reason: str) -> None:
        """Put a message aside that no worker can do anything with."""
        self._with.tasks.dead_letter(message, reason)
        self.dead_letters += 1
        self._log(LogLine(now(), self._name, job, "", "", "undecodable", text=reason))

    def _attempt(self, message: Message, task: Task) -> None:
        spec = self._spec(task.job)
        if spec is None or is_needless(self._with.store, task):
            self._with.tasks.acknowledge(message)
            self._tell(task, TaskState.OVER)
            return
        if task.bundle != spec.bundle:
            self._bury(message, task.job, f"{task.id}: the digest is not that of the job's code.")
            return
        if self._refuses(message, task, spec):
            return
        attempt = uuid.uuid4().hex
        began = now()
        self.running = Running(task.job, task.id, attempt, began)
        output: deque[str] = deque(maxlen=OUTPUT_LINES)
        try:
            with Lease(self._with, message) as lease:
                reply = self._run_child(lease, task, attempt, spec, output)
            METER.add(reply.requests)
            if reply.done is not None:
                self._progress(Progress.of(reply.done.tally))
                state, text = self._commit(message, task, reply.done), ""
            elif reply.failed is not None:
                state = self._fail(message, task, reply.failed, spec.max_failures)
                text = reply.failed.error
            elif reply.misled is not None:
                state, text = self._drop(message, task, reply.misled), reply.misled
            else:
                text = reply.unavailable or ""
                state = self._lose(message, task, text)
        except Abandoned:
            state, text = TaskState.LOST, "given up: stopped, without its lease, or needed no more"
            raise
        except Exception as error:
            state, text = TaskState.LOST, _words(error)
            raise
        finally:
            running, self.running = self.running, None
            self._on_progress(self._name, None)
            self._log(
                LogLine(
                    time=now(),
                    worker=self._name,
                    job=task.job,
                    task=task.id,
                    attempt=attempt,
                    state=state.value,
                    seconds=round(now() - began, 3),
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
            self._unable += 1
        return bool(found)

    def _lose(self, message: Message, task: Task, text: str) -> TaskState:
        self._unable += 1
        self._with.tasks.release(message, self._with.backoff_s)
        self._tell(task, TaskState.LOST, text)
        return TaskState.LOST

    def _drop(self, message: Message, task: Task, reason: str) -> TaskState:
        """Put a message aside that does not fit its job: whoever sent it, no attempt can."""
        self._bury(message, task.job, reason)
        self._tell(task, TaskState.OVER, reason)
        return TaskState.OVER

    def _spec(self, job: str) -> JobSpec | None:
        if job not in self._specs:
            if len(self._specs) >= SPECS_KEPT:
                self._specs.clear()
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
        counted = replace(
            commit,
            deliveries=message.receives,
            requests=METER.take(),
            worker=self._name,
            machine=self._with.machine(),
            processes=self._with.processes,
        )
        if over or not write_commit(store, task.job, counted):
            METER.add(counted.requests)
            # Another attempt was first: only now may our output go, for nobody can name it.
            name_of = layout.run_name if task.is_map else layout.result_name
            store.delete(name_of(task.job, task.id, commit.attempt))
            if commit.files:
                store.delete(layout.files_name(task.job, task.id, commit.attempt))
            store.delete(layout.profile_name(task.job, task.id, commit.attempt))
        else:
            self.committed += 1
        self._unable = 0
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
        self._unable = 0
        write_failure(self._with.store, task.job, failure)
        failures = list(read_failures(self._with.store, task.job, task.id))
        if is_hopeless(failures, most):
            text = f"failed {len(failures)} times: {failure.error}"
            self._with.tasks.dead_letter(message, text)
        else:
            # At once the first time: chance. Later ones wait, so that others may take it.
            self._with.tasks.release(message, self._with.backoff_s * (len(failures) - 1))
        self._tell(task, TaskState.FAILED, failure.error)
        return TaskState.FAILED

    def _tell(self, task: Task, state: TaskState, text: str = "") -> None:
        self._with.tell(Event(task.job, task.id, state, text))

    def _log(self, line: LogLine) -> None:
        if self._with.log is not None:
            with suppress(OSError):  # standard error may be gone, or on a full disk
                self._with.log(line)

    def _trouble(self, text: str, job: str = "") -> None:
        """Tell of trouble that is no attempt's, but not all the time."""
        told = self._with.clock()
        if told - self._troubles.get(text, float("-inf")) >= TROUBLE_S:
            if len(self._troubles) >= SPECS_KEPT:
                self._troubles.clear()
            self._troubles[text] = told
            self._log(LogLine(now(), self._name, job, "", "", "trouble", text=text))

    # The child

    def _run_child(
        self, lease: Lease, task: Task, attempt: str, spec: JobSpec, output: deque[str]
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
                child = self._child_for(self._interpreter(lease, task, spec), task.job)
            except AnalysisError as error:
                return Reply(failed=Failure(task.id, attempt, str(error), bundle=task.bundle))
            child.hear(output if self._with.log is not None else None, OUTPUT_KEPT)
            child.send(Order(self._with.store.url, task, attempt, str(folder)))
            moved = beat = looked = clock()
            while True:
                reply = child.reply(POLL_S)
                at = clock()
                if at - looked > STOPPED_S:
                    moved = at
                if reply is not None and reply.progress is None:
                    answered = True
                    return reply
                if reply is not None:
                    moved = at
                    self._progress(reply.progress)
                elif not child.alive():
                    return Reply(failed=_lost_child(task, attempt, child.death()))
                if at - moved > spec.hang_s:
                    text = f"no progress for {spec.hang_s:.0f} s, so its process was ended"
                    return Reply(failed=_lost_child(task, attempt, text))
                self._check(lease)
                if at - beat > self._with.heartbeat_s:
                    beat = at
                    with suppress(StoreUnavailable):
                        if is_needless(self._with.store, task):
                            raise Abandoned
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

    def _check(self, lease: Lease) -> None:
        """Raise Abandoned where we are to stop, or no longer hold the message."""
        if self._stop.is_set() or lease.lost.is_set():
            raise Abandoned

    def _interpreter(self, lease: Lease, task: Task, spec: JobSpec) -> Path:
        """The Python that has the packages that the job needs; they may have to be installed."""
        if not spec.requirements:
            return Path(sys.executable)
        made: Future[Path] = Future()

        def make() -> None:
            try:
                made.set_result(interpreter_for(spec.requirements, self._with.environments))
            except Exception as error:
                made.set_exception(error)

        # A daemon: it may take long, and nobody is to wait for it once we stop.
        threading.Thread(target=make, daemon=True).start()
        while True:
            with suppress(TimeoutError):
                return made.result(INSTALL_POLL_S)
            self._check(lease)

    def _child_for(self, python: Path, job: str) -> Child:
        """The child, or a new one for another job or another Python.

        What one job's code has changed in its process must not reach the next. One that died idle
        is no fault of the next task.
        """
        child = self._child
        if child is None or (child.python, child.job) != (python, job) or not child.alive():
            self._end_child()
            child = self._child = Child(python, job, listens=self._with.log is not None)
        return child

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    # Coordinating

    def _coordinate(self, message: Message, task: Task) -> None:
        """Coordinate a job beside the tasks: it needs little, and must not keep them waiting."""
        self._submitted = [one for one in self._submitted if one.is_alive()]
        if self._with.coordinate is None or len(self._submitted) >= MOST_COORDINATED:
            self._with.tasks.release(message, UNFIT_S)
            return
        if self._with.store.stat(layout.spec_name(task.job)) is None:  # it was removed
            self._with.tasks.acknowledge(message)
            return

        def tell(text: str) -> None:
            self._trouble(f"job {task.job}: {text}", task.job)

        one = SubmittedJob(self._with, message, task.job, tell)
        self._submitted.append(one)
        one.start()


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, MrError) else repr(error)


def _lost_child(task: Task, attempt: str, text: str) -> Failure:
    return Failure(task.id, attempt, error=text, bundle=task.bundle)


def is_needless(store: Store, task: Task) -> bool:
    """Whether nobody needs this task any more: it is committed, or its job ended or is gone."""
    if store.stat(layout.commit_name(task.job, task.id)) is not None:
        return True
    return is_over(store, task.job, publishes=task.publishes)
