"""One attempt at a task: read its line of the plan, do the work, write its output.

Nothing here decides that the output counts: that is the commit's part.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mr import items, layout
from mr.analysis import Analysis
from mr.bundle import Bundle, load_bundle
from mr.commits import Commit
from mr.items import Item
from mr.mapping import Position, Sink, map_blocks, map_pairs, partition_function
from mr.plans import read_line
from mr.reducing import reduce_runs
from mr.runs import Entry, RunWriter, Span, read_run
from mr.shuffle import ItemSink, MapBuffer, combiner
from mr.spec import JobSpec, RunRef, Step, line_blocks, line_runs, read_spec
from mr.store import Store
from mr.tasks import Task


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


@dataclass(frozen=True)
class Attempt:
    """What one attempt works with; `folder` is local, empty and its own."""

    store: Store
    job: Job
    task: Task
    name: str
    folder: Path
    position: Position = field(default_factory=Position)

    @property
    def step(self) -> Step:
        """The step of the job that the task belongs to."""
        return self.job.spec.steps[self.task.step - 1]

    @property
    def result(self) -> str:
        """Where its part of the result goes."""
        return layout.result_name(self.task.job, self.task.id, self.name)

    def moved(self) -> None:
        """Show that the attempt goes on."""
        self.position.moves += 1


def run_attempt(attempt: Attempt) -> Commit:
    """Run it and return what would be committed.

    Raises what the analysis raises, and RetryElsewhere when a store fails.
    """
    start = time.monotonic()
    task = attempt.task
    plan = layout.plan_name(task.job, task.stage)
    line = read_line(attempt.store, plan, task.start, task.end)
    analysis = attempt.job.bundle.analysis(task.step)
    analysis.setup()
    pairs = spills = 0
    if not task.is_map:
        spans = [_reduce(attempt, analysis, line)]
    elif not attempt.step.has_reduce:
        spans, pairs = _map_only(attempt, analysis, line)
    else:
        buffer = _map_buffer(attempt, analysis)
        _feed(attempt, analysis, line, buffer)
        with attempt.store.create(layout.run_name(task.job, task.id, attempt.name)) as out:
            spans = buffer.write(out)
        pairs, spills = buffer.pairs, buffer.spills
    seconds = time.monotonic() - start
    return Commit(task.id, attempt.name, spans, attempt.position.tally, pairs, spills, seconds)


def _feed(
    attempt: Attempt,
    analysis: Analysis,
    line: dict,
    sink: Sink,
) -> None:
    """Run the analysis's map over what the task's line names."""
    spec = attempt.job.spec
    if attempt.task.step == 1:
        blocks = line_blocks(line, spec)
        map_blocks(analysis, blocks, sink, attempt.position, sample=spec.sample)
    else:
        _, runs = line_runs(line)
        map_pairs(analysis, _results(attempt, runs), sink, attempt.position)


def _map_only(attempt: Attempt, analysis: Analysis, line: dict) -> tuple[list[Span], int]:
    with attempt.store.create(attempt.result) as out:
        writer = RunWriter(out, attempt.moved)
        sink = ItemSink(writer)
        _feed(attempt, analysis, line, sink)
        writer.flush()
    return [Span(0, writer.written)], sink.pairs


def _map_buffer(attempt: Attempt, analysis: Analysis) -> MapBuffer:
    spec, combine = attempt.job.spec, analysis.combine
    return MapBuffer(
        partitions=spec.reducers,
        partition_of=partition_function(analysis, spec.reducers),
        folder=attempt.folder,
        combine=combiner(combine, type(analysis).__name__) if combine else None,
        ordered=attempt.step.ordered,
        limit_bytes=spec.buffer_bytes,
        on_frame=attempt.moved,
    )


def _reduce(attempt: Attempt, analysis: Analysis, line: dict) -> Span:
    partition, runs = line_runs(line)
    with attempt.store.create(attempt.result) as out:
        writer = RunWriter(out, attempt.moved)
        reduce_runs(
            analysis,
            partition,
            [_source(attempt, run, layout.run_name) for run in runs],
            writer,
            attempt.folder,
            attempt.position,
            ordered=attempt.step.ordered,
            on_frame=attempt.moved,
        )
    return Span(0, writer.written)


def _results(attempt: Attempt, runs: list[RunRef]) -> Iterator[tuple[bytes, Item]]:
    """Each item of some result parts, with the key that its reduce was given.

    What `setup_reduce` wrote, which has none, is for people, not for the next step.
    """
    has_header = attempt.job.spec.steps[attempt.task.step - 2].has_reduce
    for run in runs:
        for key, found, _ in _source(attempt, run, layout.result_name)():
            if has_header and not key:
                continue
            for data in found:
                yield key, items.decode(data)


def _source(
    attempt: Attempt, run: RunRef, name_of: Callable[[str, str, str], str]
) -> Callable[[], Iterator[Entry]]:
    name = name_of(attempt.task.job, run.task, run.attempt)

    def read() -> Iterator[Entry]:
        end = run.offset + run.length
        with attempt.store.open(name, start=run.offset, end=end) as stream:
            yield from read_run(stream, run.length, name)

    return read
