"""A worker: lease, run, commit, acknowledge, with a heartbeat.

One worker holds one message at a time and has one child process that runs user code. The parent
never loads the analysis: it keeps the lease alive while the child makes progress, and commits.
"""

import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

import mr
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
from mr.errors import (
    FormatError,
    LeaseLost,
    MrError,
    ObjectMissing,
    QueueUnavailable,
    StoreUnavailable,
)
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


@dataclass(frozen=True)
class Surroundings:
    """What a worker works with."""

    store: Store
    tasks: TaskQueue
    events: TaskQueue
    #: A folder on local disk for spills.
    folder: Path
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    backoff_s: float = BACKOFF_S
    clock: Callable[[], float] = time.monotonic


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

    @property
    def child_pid(self) -> int | None:
        """The process that runs user code, if there is one."""
        return None if self._child is None else self._child.pid

    def stop(self) -> None:
        """Stop soon: the current attempt is given up, its message handed back."""
        self._stop.set()

    def run(self) -> None:
        """Serve the queue until `stop` is called."""
        try:
            while not self._stop.is_set():
                try:
                    for message in self._with.tasks.receive(
                        wait_s=POLL_S, lease_s=self._with.lease_s
                    ):
                        self._serve(message)
                except QueueUnavailable:
                    self._stop.wait(self._with.backoff_s)
        finally:
            self._end_child()

    def _serve(self, message: Message) -> None:
        tasks = self._with.tasks
        try:
            task = decode_task(message.body)
        except FormatError as error:
            tasks.dead_letter(message, str(error))
            return
        try:
            self._attempt(message, task)
        except Abandoned:
            tasks.release(message)
        except Exception as error:
            # Whatever it is, it is not the analysis's fault, and this worker must go on.
            text = str(error) if isinstance(error, MrError) else repr(error)
            with suppress(QueueUnavailable):
                self._lose(message, task, text)

    def _attempt(self, message: Message, task: Task) -> None:
        spec = self._spec(task.job)
        if spec is None or is_needless(self._with.store, task):
            self._with.tasks.acknowledge(message)
            self._tell(task, TaskState.OVER)
            return
        attempt = uuid.uuid4().hex
        reply = self._run_child(message, task, attempt, spec)
        if reply.done is not None:
            self._commit(message, task, reply.done)
        elif reply.failed is not None:
            self._fail(message, task, reply.failed, spec.max_failures)
        else:
            self._lose(message, task, reply.unavailable or "")

    def _lose(self, message: Message, task: Task, text: str) -> None:
        self._with.tasks.release(message, self._with.backoff_s)
        self._tell(task, TaskState.LOST, text)

    def _spec(self, job: str) -> JobSpec | None:
        if job not in self._specs:
            try:
                self._specs[job] = read_spec(self._with.store, job)
            except ObjectMissing:
                return None
        return self._specs[job]

    def _commit(self, message: Message, task: Task, commit: Commit) -> None:
        store = self._with.store
        if not write_commit(store, task.job, commit):
            # Another attempt was first: only now may our output go, for nobody can name it.
            name_of = layout.run_name if task.is_map else layout.result_name
            store.delete(name_of(task.job, task.id, commit.attempt))
            if commit.files:
                store.delete(layout.files_name(task.job, task.id, commit.attempt))
        self._with.tasks.acknowledge(message)
        self._tell(task, TaskState.COMMITTED)

    def _fail(self, message: Message, task: Task, failure: Failure, most: int) -> None:
        write_failure(self._with.store, task.job, failure)
        failures = list(read_failures(self._with.store, task.job, task.id))
        if is_hopeless(failures, most):
            text = f"failed {len(failures)} times: {failure.error}"
            self._with.tasks.dead_letter(message, text)
        else:
            self._with.tasks.release(message)
        self._tell(task, TaskState.FAILED, failure.error)

    def _tell(self, task: Task, state: TaskState, text: str = "") -> None:
        self._with.events.send([Event(task.job, task.id, state, text).encode()])

    # The child

    def _run_child(self, message: Message, task: Task, attempt: str, spec: JobSpec) -> Reply:
        """Watch one attempt to its end; raises Abandoned when it is to be given up.

        A child whose attempt did not come to its end here does not outlive it: its answer would
        be taken for the next attempt's.
        """
        clock = self._with.clock
        folder = self._with.folder / f"{self._name}-{attempt}"
        folder.mkdir(parents=True)
        answered = False
        try:
            child = self._fresh_child()
            child.send(Order(self._with.store.url, task, attempt, str(folder)))
            moved = beat = clock()
            while True:
                reply = child.reply(POLL_S)
                now = clock()
                if reply is not None and reply.progress is None:
                    answered = True
                    return reply
                if reply is not None:
                    moved = now
                    self._on_progress(self._name, reply.progress)
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
        finally:
            if not answered:
                self._end_child()
            self._on_progress(self._name, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _fresh_child(self) -> "Child":
        """The child, or a new one: one that died idle is no fault of the next task."""
        if self._child is None or not self._child.alive():
            self._end_child()
            self._child = Child()
        return self._child

    def _beat(self, message: Message, task: Task) -> None:
        try:
            self._with.tasks.extend(message, self._with.lease_s)
        except LeaseLost:
            raise Abandoned from None
        except QueueUnavailable:
            pass  # The lease still holds; the next beat may reach the queue.
        with suppress(StoreUnavailable):
            if is_needless(self._with.store, task):
                raise Abandoned

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


def _lost_child(task: Task, attempt: str, text: str) -> Failure:
    return Failure(task.id, attempt, error=text, bundle=task.bundle)


def is_needless(store: Store, task: Task) -> bool:
    """Whether nobody needs this task any more: it is committed, or its job ended or is gone."""
    if store.stat(layout.commit_name(task.job, task.id)) is not None:
        return True
    return is_over(store, task.job, publishes=task.publishes)


class Child:
    """The process that runs user code, seen from its parent."""

    def __init__(self) -> None:
        # What the analysis imports beside itself is the bundle's to name.
        path = [str(Path(mr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mr.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                self._replies.put(msgspec.json.decode(line, type=Reply))
            except msgspec.DecodeError:
                break  # The process died in the middle of a line.
        self._replies.put(None)

    def send(self, order: Order) -> None:
        """Ask for an attempt; a process that has just died shows at the next `reply`."""
        try:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def reply(self, wait_s: float) -> Reply | None:
        """The next reply, or None when none came in time or the process has ended."""
        try:
            return self._replies.get(timeout=wait_s)
        except queue.Empty:
            return None

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def death(self) -> str:
        """How the process died, in words."""
        code = self._process.wait()
        if code >= 0:
            return f"its process ended by itself with exit code {code}"
        hint = " (often: out of memory)" if code == -9 else ""
        return f"its process was killed by signal {-code}{hint}"

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # an order that it did not live to read
            self._process.stdin.close()
