"""The process that runs user code: one task after the other, told by its parent.

The parent writes one JSON line for each attempt to standard input; this process answers on its
standard output: lines of progress, then one of `done`, `failed` or `unavailable`. What user code
prints goes to standard error. When standard input ends, the parent is gone and so are we.
"""

import contextlib
import errno
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mr import layout
from mr.analysis import Analysis
from mr.bundle import Bundle, load_bundle
from mr.commits import Commit, Failure
from mr.errors import MrError, RetryElsewhere, StoreUnavailable
from mr.mapping import ItemSink, Position, Sink, map_blocks, map_pairs, partition_function
from mr.plans import read_line
from mr.reducing import reduce_runs
from mr.shuffle import Entry, MapBuffer, RunWriter, Span, combiner, read_run
from mr.spec import JobSpec, RunRef, line_blocks, line_runs, read_spec
from mr.store import Store, open_store
from mr.tasks import Task

#: How often progress is told.
PROGRESS_S = 0.25
#: Jobs whose description and code a process keeps at hand.
JOBS_KEPT = 8

_PACKAGE = str(Path(__file__).parent)
_ANALYSES = str(Path(__file__).parent / "analyses")


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent asks for: one attempt at a task; `folder` is empty and its own."""

    store: str
    task: Task
    attempt: str
    folder: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is: compressed and raw bytes, records, and moves of any kind."""

    moves: int = 0
    records: int = 0
    compressed_bytes: int = 0
    raw_bytes: int = 0


@dataclass(frozen=True)
class Reply:
    """One line to the parent: exactly one of its fields is set."""

    progress: Progress | None = None
    done: Commit | None = None
    failed: Failure | None = None
    #: Why the attempt could not run here and now, through no fault of the analysis.
    unavailable: str | None = None


@dataclass(frozen=True)
class Job:
    """A job's description and code, as read from the store."""

    spec: JobSpec
    bundle: Bundle


def read_job(store: Store, task: Task) -> Job:
    """The job of a task; its bundle is loaded only when its digest is the message's."""
    spec = read_spec(store, task.job)
    data = store.read(layout.bundle_name(task.job))
    return Job(spec, load_bundle(data, task.bundle))


def run_task(
    store: Store, job: Job, task: Task, attempt: str, folder: Path, position: Position
) -> Commit:
    """Run one attempt: read the task's line of the plan, do the work, write its output."""
    start = time.monotonic()
    line = read_line(store, layout.plan_name(task.job, task.stage), task.start, task.end)
    analysis = job.bundle.analysis(task.step)
    run = _run_map if task.is_map else _run_reduce
    analysis.setup()
    spans, pairs, spills = run(store, job.spec, task, attempt, folder, position, analysis, line)
    seconds = time.monotonic() - start
    return Commit(task.id, attempt, spans, position.tally, pairs, spills, seconds)


def _run_map(
    store: Store,
    spec: JobSpec,
    task: Task,
    attempt: str,
    folder: Path,
    position: Position,
    analysis: Analysis,
    line: dict[str, Any],
) -> tuple[list[Span], int, int]:
    step = spec.steps[task.step - 1]

    def feed(sink: Sink, set_origin: Callable[[bytes], None]) -> None:
        if task.step == 1:
            map_blocks(analysis, line_blocks(line, spec), sink, position, sample=spec.sample)
        else:
            _, runs = line_runs(line)
            parts = [_source(store, task.job, run, layout.result_name) for run in runs]
            map_pairs(analysis, parts, sink, position, set_origin)

    if not step.has_reduce:
        with store.create(layout.result_name(task.job, task.id, attempt)) as out:
            writer = RunWriter(out)
            feed(ItemSink(writer), lambda origin: None)
            writer.flush()
        return [Span(0, writer.written)], 0, 0
    buffer = MapBuffer(
        partitions=spec.reducers,
        partition_of=partition_function(analysis, spec.reducers),
        folder=folder,
        combine=_combine(analysis),
        ordered=step.ordered,
        limit_bytes=spec.buffer_bytes,
    )

    def set_origin(origin: bytes) -> None:
        buffer.origin = origin

    feed(buffer, set_origin)
    with store.create(layout.run_name(task.job, task.id, attempt)) as out:
        spans = buffer.write(out)
    return spans, buffer.pairs, buffer.spills


def _combine(analysis: Analysis) -> Callable[..., Any] | None:
    if analysis.combine is None:
        return None
    return combiner(analysis.combine, type(analysis).__name__)


def _run_reduce(
    store: Store,
    spec: JobSpec,
    task: Task,
    attempt: str,
    folder: Path,
    position: Position,
    analysis: Analysis,
    line: dict[str, Any],
) -> tuple[list[Span], int, int]:
    partition, runs = line_runs(line)
    sources = [_source(store, task.job, run, layout.run_name) for run in runs]
    ordered = spec.steps[task.step - 1].ordered
    with store.create(layout.result_name(task.job, task.id, attempt)) as out:
        writer = RunWriter(out)
        reduce_runs(analysis, partition, sources, writer, folder, position, ordered=ordered)
    return [Span(0, writer.written)], 0, 0


def _source(
    store: Store, job: str, run: RunRef, name_of: Callable[[str, str, str], str]
) -> Callable[[], Iterator[Entry]]:
    name = name_of(job, run.task, run.attempt)

    def read() -> Iterator[Entry]:
        with store.open(name, start=run.offset, end=run.offset + run.length) as stream:
            yield from read_run(stream, run.length, name)

    return read


# Failures


def describe_failure(error: BaseException, task: Task, attempt: str, position: Position) -> Failure:
    """A failure with the user's own traceback: our frames are left out of it.

    Where there are only ours, a sentence of ours needs none, and anything else needs them all.
    """
    trace = traceback.TracebackException.from_exception(error)
    own = [frame for frame in trace.stack if not _is_ours(frame.filename)]
    if own:
        trace.stack = traceback.StackSummary.from_list(own)
    shown = own or not isinstance(error, MrError)
    return Failure(
        task=task.id,
        attempt=attempt,
        error=str(error) if isinstance(error, MrError) else f"{type(error).__name__}: {error}",
        traceback="".join(trace.format()) if shown else "",
        block=position.block,
        line=position.line,
        key="" if task.is_map else repr(position.key)[:1000],
        bundle=task.bundle,
    )


def _is_ours(filename: str) -> bool:
    return filename.startswith(_PACKAGE) and not filename.startswith(_ANALYSES)


def attempt_task(store: Store, job: Job, order: Order, position: Position) -> Reply:
    """Run an attempt and say how it ended."""
    task, attempt = order.task, order.attempt
    try:
        return Reply(done=run_task(store, job, task, attempt, Path(order.folder), position))
    except RetryElsewhere as error:
        return Reply(unavailable=str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Reply(unavailable=f"no room on this machine's disk: {error}")
        return Reply(failed=describe_failure(error, task, attempt, position))
    except Exception as error:
        return Reply(failed=describe_failure(error, task, attempt, position))


# The process


def _progress_of(position: Position) -> Progress:
    tally, account = position.tally, position.account
    progress = Progress(position.moves, tally.records, tally.compressed_bytes, tally.raw_bytes)
    if account is None:
        return progress
    return Progress(
        progress.moves + account.lines,
        progress.records + account.records,
        progress.compressed_bytes + account.compressed_bytes,
        progress.raw_bytes + account.raw_bytes,
    )


class _Replies:
    """Writes replies, one at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def send(self, reply: Reply) -> None:
        with self._lock:
            self._out.write(msgspec.json.encode(reply) + b"\n")
            self._out.flush()


@contextlib.contextmanager
def _telling(replies: _Replies, position: Position) -> Iterator[None]:
    """Tell progress while it moves, from a thread, so that the work need not look at a clock."""
    ended = threading.Event()

    def tell() -> None:
        last = Progress()
        while not ended.wait(PROGRESS_S):
            now = _progress_of(position)
            if now != last:
                last = now
                replies.send(Reply(progress=now))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read_orders(orders: "queue.SimpleQueue[bytes]") -> None:
    for line in sys.stdin.buffer:
        orders.put(line)
    # The parent is gone, however busy user code keeps the main thread.
    os._exit(1)


def main() -> None:
    """Serve the parent until it closes our standard input."""
    # Ctrl-C reaches the whole terminal; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = _Replies(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    jobs: dict[str, Job] = {}
    while True:
        order = msgspec.json.decode(orders.get(), type=Order)
        position = Position()
        with _telling(replies, position):
            try:
                store = open_store(order.store)
                if order.task.job not in jobs:
                    if len(jobs) >= JOBS_KEPT:
                        jobs.clear()
                    jobs[order.task.job] = read_job(store, order.task)
                reply = attempt_task(store, jobs[order.task.job], order, position)
            except StoreUnavailable as error:
                reply = Reply(unavailable=str(error))
            except Exception as error:
                reply = Reply(failed=describe_failure(error, order.task, order.attempt, position))
        replies.send(reply)


if __name__ == "__main__":
    main()
