"""One map or reduce of an mrjob job: the attempt of every engine, in a small store of its own.

What mrjob brings, blocks or rows, is put into a store in the task's folder as the stage before
would have left it; what the attempt leaves there goes on as rows.
"""

import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mr import layout
from mr.attempts import Attempt, Job, run_attempt
from mr.blocks import Block
from mr.child import describe_failure
from mr.commits import Commit, Failure
from mr.directory import DirectoryStore
from mr.engines.mrjob.rows import FILES, PART, RUN, TOLD, Row
from mr.errors import MrError, RetryElsewhere
from mr.mapping import Position, open_planned
from mr.orders import Order
from mr.plans import Planned, open_plan, write_plan
from mr.runs import read_frames, write_frame
from mr.spec import RunRef, blocks_line, runs_line
from mr.tally import Tally
from mr.tasks import Task

#: The attempt's name in all that an mrjob job leaves in a store.
ATTEMPT = "mrjob"
#: Bytes of files in a row.
PIECE_BYTES = 256 * 1024
#: How often a task shows that it moves. Hadoop ends one that shows nothing for ten minutes.
STATUS_S = 30.0


@dataclass(frozen=True)
class Told:
    """What a task tells of itself, once it is through."""

    stage: str
    source: str
    commit: Commit
    #: Bytes of what tasks before it have left for it; of blocks none.
    taken: int = 0


class TaskFailed(Exception):
    """Raised when user code fails in a task; its text has the person's own traceback."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.where}: {failure.error}\n\n{failure.traceback}".rstrip())
        self.failure = failure

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskFailed, (self.failure,)


@dataclass(frozen=True)
class Tasks:
    """The tasks of a job in this process; `folder` is on local disk, and theirs."""

    job: Job
    folder: Path
    #: Counts: mrjob's group, name and number.
    count: Callable[[str, str, int], None] = lambda group, name, number: None
    #: Shows that a task moves.
    status: Callable[[str], None] = lambda text: None

    def map_blocks(
        self,
        blocks: list[Block],
        source: str,
        open_block: Callable[[Block], BinaryIO] = open_planned,
    ) -> Iterator[Row]:
        """Map some blocks, the first of which is called `source`."""
        store = self._store()
        line = blocks_line(blocks, self.job.spec.stores)
        return self._run(store, 1, "map", line, source, open_block)

    def map_parts(self, step: int, rows: Iterable[Row]) -> Iterator[Row]:
        """Map stretches of the step before's result; what tasks told of themselves passes.

        Rows of several of its tasks may come together. Each is mapped for itself: only within one
        are they in order.
        """
        for is_told, those in groupby(rows, lambda row: row.kind == TOLD):
            if is_told:
                yield from those
                continue
            for _, stretch in groupby(those, attrgetter("source")):
                folder = Path(tempfile.mkdtemp(dir=self.folder))
                yield from replace(self, folder=folder)._map_stretch(step, stretch)

    def _map_stretch(self, step: int, rows: Iterable[Row]) -> Iterator[Row]:
        store, source = self._store(), ""
        task, length = layout.task_id(layout.stage_id(step - 1, "reduce"), 0), 0
        with store.create(layout.result_name(self.job.spec.job, task, ATTEMPT)) as out:
            for row in rows:
                source = source or row.place
                length += write_frame(out, row.data)
        line = runs_line(0, [RunRef(task, ATTEMPT, 0, length)])
        yield from self._run(store, step, "map", line, source, taken=length)

    def reduce(self, step: int, partition: int, rows: Iterable[Row]) -> Iterator[Row]:
        """Reduce a partition's rows, which are sorted; what tasks told of themselves passes."""
        store = self._store()
        task = layout.task_id(layout.stage_id(step, "map"), 0)
        runs: list[RunRef] = []
        source, start, end = "", 0, 0
        with store.create(layout.run_name(self.job.spec.job, task, ATTEMPT)) as out:
            for row in rows:
                if row.kind == TOLD:
                    yield row
                    continue
                if row.source != source and end > start:
                    runs.append(RunRef(task, ATTEMPT, start, end - start))
                    start = end
                source = row.source
                end += write_frame(out, row.data)
        if end > start:
            runs.append(RunRef(task, ATTEMPT, start, end - start))
        line, source = runs_line(partition, runs), f"{partition:010d}"
        yield from self._run(store, step, "reduce", line, source, partition=partition, taken=end)

    def _store(self) -> DirectoryStore:
        return DirectoryStore(self.folder / "store", durable=False)

    def _run(
        self,
        store: DirectoryStore,
        step: int,
        kind: str,
        line: Planned,
        source: str,
        open_block: Callable[[Block], BinaryIO] = open_planned,
        *,
        partition: int = 0,
        taken: int = 0,
    ) -> Iterator[Row]:
        """Run the one task of a stage, and yield what it leaves."""
        spec, stage = self.job.spec, layout.stage_id(step, kind)
        plan = layout.plan_name(spec.job, stage)
        write_plan(store, plan, [line])
        start, end = open_plan(store, plan).span(0)
        task = Task(spec.job, stage, 0, start, end, spec.bundle)
        work = self.folder / "work"
        work.mkdir()
        attempt = Attempt(store, self.job, task, ATTEMPT, work, open_block=open_block)
        # Standard output is mrjob's, and the inline runner's standard error takes no text.
        with _showing(attempt.position, self.status), redirect_stdout(sys.__stderr__):
            commit = _attempted(attempt)
        self._count(step, commit)
        if kind == "map" and attempt.step.has_reduce:
            yield from _frames(store, layout.run_name, attempt, commit, RUN, source)
        else:
            yield from _frames(store, layout.result_name, attempt, commit, PART, source, partition)
        if commit.files:
            yield from _files(store, attempt.files, partition, source)
        told = msgspec.json.encode(Told(stage, source, commit, taken))
        yield Row(0, source, 0, TOLD, told)

    def _count(self, step: int, commit: Commit) -> None:
        tally = commit.tally
        for name, number in _read_of(tally):
            if number:
                self.count("mr-telemetry", name, number)
        for name, number in tally.counters.items():
            self.count(self.job.spec.steps[step - 1].name, name, number)


def _read_of(tally: Tally) -> list[tuple[str, int]]:
    return [
        ("blocks", tally.blocks),
        ("blocks missing", len(tally.missing)),
        ("bad blocks", len(tally.bad_blocks)),
        ("records", tally.records),
        ("bad records", tally.bad),
        ("compressed bytes", tally.compressed_bytes),
        ("raw bytes", tally.raw_bytes),
    ]


def _attempted(attempt: Attempt) -> Commit:
    try:
        return run_attempt(attempt)
    except RetryElsewhere:
        raise  # the next attempt of mrjob's may fare better
    except (Exception, SystemExit) as error:
        task = attempt.task
        order = Order(attempt.store.url, task, attempt.name, str(attempt.folder))
        failure = describe_failure(error, order, attempt.position)
        if isinstance(error, MrError):
            raise TaskFailed(failure) from error
        raise TaskFailed(failure) from None


def _frames(
    store: DirectoryStore,
    name_of: Callable[[str, str, str], str],
    attempt: Attempt,
    commit: Commit,
    kind: str,
    source: str,
    partition: int = 0,
) -> Iterator[Row]:
    """The frames of what a commit has: its runs by partition, or its one part."""
    name = name_of(attempt.task.job, attempt.task.id, attempt.name)
    with store.open(name) as stream:
        for run, span in enumerate(commit.spans, partition):
            for number, frame in enumerate(read_frames(stream, span.length, name)):
                yield Row(run, source, number, kind, frame)


def _files(store: DirectoryStore, name: str, partition: int, source: str) -> Iterator[Row]:
    with store.open(name) as stream:
        number = 0
        while piece := stream.read(PIECE_BYTES):
            yield Row(partition, source, number, FILES, piece)
            number += 1


@contextmanager
def _showing(position: Position, status: Callable[[str], None]) -> Iterator[None]:
    """Show now and then that a task moves, from a thread."""
    ended = threading.Event()

    def show() -> None:
        last = 0
        while not ended.wait(STATUS_S):
            moves = position.moves + (position.account.lines if position.account else 0)
            if moves != last:
                last = moves
                status(f"{moves:,} records, values and keys")

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
