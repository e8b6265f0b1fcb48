"""One attempt at a task: read its line of the plan, do the work, write its output.

Nothing here decides that the output counts: that is the commit's part.
"""

import cProfile
import marshal
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from mr import items, keys, layout, values
from mr.analysis import Analysis
from mr.blocks import Block
from mr.bundle import Bundle, load_bundle
from mr.commits import Commit, read_commit
from mr.coverage import unread_blocks
from mr.errors import (
    AnalysisError,
    FormatError,
    ObjectMissing,
    PlanAgain,
    RetryElsewhere,
    WrongMessage,
)
from mr.items import Item
from mr.keeping import Keeper, place_part, save_state
from mr.kernel.ready import READY
from mr.mapping import (
    Position,
    Sink,
    map_blocks,
    map_pairs,
    open_planned,
    partition_function,
    takes_function,
)
from mr.parts import read_result
from mr.plans import read_line
from mr.prefetch import read_ahead
from mr.publishing import Commits
from mr.reducing import reduce_runs
from mr.runs import Mark, RunWriter, Span, pieces
from mr.shuffle import Combiner, ItemSink, MapBuffer
from mr.sources import Run, Sources
from mr.spec import (
    JobSpec,
    RunRef,
    Step,
    line_blocks,
    line_parts,
    line_read,
    line_runs,
    read_spec,
)
from mr.staging import StagedFiles, place_files
from mr.stopwatch import OTHER, WATCH, WRITE
from mr.store import Store
from mr.stores import open_store
from mr.tasks import Task


@dataclass(frozen=True)
class Job:
    """A job's description and code, and what its analysis prepared, as read from the store."""

    spec: JobSpec
    bundle: Bundle
    prepared: Any


def read_job(store: Store, task: Task, folder: Path) -> Job:
    """The job of a task; its bundle is loaded only when its digest is the message's.

    What it reads, and the source files that come with it, are kept in `folder`, which is the job's:
    all processes that share it fetch a job once.
    """
    try:
        spec = read_spec(store, task.job)
    except (
        FormatError
    ) as error:  # this package was replaced while its worker, which has read it, ran
        raise RetryElsewhere(str(error)) from error
    data = _fetched(store, layout.bundle_name(task.job), folder / "bundle")
    prepared = _fetched(store, layout.prepared_name(task.job), folder / "prepared")
    bundle = load_bundle(data, task.bundle, folder)
    if spec.states:
        bundle = for_merge(bundle, spec.given)
    return Job(spec, bundle, values.decode(prepared))


def for_merge(bundle: Bundle, given: bytes) -> Bundle:
    """A bundle as a job over saved states has it: its last step, and parameters given anew."""
    changed = values.decode(given) if given else {}
    return Bundle(bundle.steps[-1:], {**bundle.parameters, **changed})


def _fetched(store: Store, name: str, path: Path) -> bytes:
    """An object that never changes, by way of a file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        data = store.read(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}-{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.replace(path)
    return data


@dataclass(frozen=True)
class Attempt:
    """What one attempt works with; `folder` is local, empty and its own."""

    store: Store
    job: Job
    task: Task
    name: str
    folder: Path
    position: Position = field(default_factory=Position)
    #: Where its output goes, if not to `store`: one that is only to be looked at.
    elsewhere: Store | None = None
    #: Opens a block.
    open_block: Callable[[Block], BinaryIO] = open_planned

    @property
    def out(self) -> Store:
        """Where its output goes."""
        return self.elsewhere or self.store

    @property
    def step(self) -> Step:
        """The step of the job that the task belongs to."""
        return self.job.spec.steps[self.task.step - 1]

    @property
    def result(self) -> str:
        """Where its part of the result goes."""
        return layout.result_name(self.task.job, self.task.id, self.name)

    @property
    def files(self) -> str:
        """Where its files go until they are put in place."""
        return layout.files_name(self.task.job, self.task.id, self.name)

    @property
    def profile(self) -> str:
        """Where its profile of the processor's time goes, if the job has that."""
        return layout.profile_name(self.task.job, self.task.id, self.name)

    def moved(self) -> None:
        """Show that the attempt goes on."""
        self.position.moves += 1


def run_attempt(attempt: Attempt) -> Commit:
    """Run it and return what would be committed.

    Raises what the analysis raises, and RetryElsewhere when a store fails.
    """
    with _profiling(attempt) if attempt.job.spec.profiles_cpu else nullcontext():
        WATCH.start()
        try:
            commit = _run(attempt)
        except PlanAgain as error:
            commit = Commit(attempt.task.id, attempt.name, [], again=str(error))
        return replace(commit, profile=WATCH.stop())


@contextmanager
def _profiling(attempt: Attempt) -> Iterator[None]:
    """Tell by function where the time of the with-block went, in the form that `pstats` reads."""
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
    profiler.create_stats()
    attempt.out.write(attempt.profile, marshal.dumps(profiler.stats))


def _run(attempt: Attempt) -> Commit:
    start = time.monotonic()
    task = attempt.task
    line = _planned(attempt)
    if task.kind == "place":
        _place(attempt, line)
        return Commit(task.id, attempt.name, [], seconds=time.monotonic() - start)
    if task.kind == "publish" and attempt.job.spec.keep is not None:
        said = _keep(attempt, line)
        return Commit(task.id, attempt.name, [], seconds=time.monotonic() - start, said=said)
    analysis = attempt.job.bundle.analysis(task.step)
    analysis.prepared = attempt.job.prepared
    analysis.setup()
    pairs = spills = 0
    files: dict[str, Span] = {}
    marks: list[Mark] = []
    if task.kind == "publish":
        said = _publish(attempt, analysis, line)
        return Commit(task.id, attempt.name, [], seconds=time.monotonic() - start, said=said)
    if task.kind == "reduce":
        written, files = _reduce(attempt, analysis, line)
        spans, marks = [Span(0, written.written)], written.marks.found
    elif not attempt.step.has_reduce:
        written, pairs = _map_only(attempt, analysis, line)
        spans, marks = [Span(0, written.written)], written.marks.found
    else:
        buffer = _map_buffer(attempt, analysis)
        _feed(attempt, analysis, line, buffer)
        with _writing(attempt, layout.run_name(task.job, task.id, attempt.name)) as out:
            spans = buffer.write(out)
        pairs, spills = buffer.pairs, buffer.spills
    seconds = time.monotonic() - start
    tally = attempt.position.tally
    return Commit(task.id, attempt.name, spans, tally, pairs, spills, seconds, files, marks)


@contextmanager
def _writing(attempt: Attempt, name: str) -> Iterator[BinaryIO]:
    """An object of the attempt's output, written in a with-block; its last bytes go at the end."""
    with attempt.out.create(name) as out:
        yield out
        WATCH.enter(WRITE)
    WATCH.enter(OTHER)


def _planned(attempt: Attempt) -> Any:
    """The task's line of its plan. Raises WrongMessage where that is not what the message says."""
    task = attempt.task
    plan = layout.plan_name(task.job, task.stage)
    try:
        return read_line(attempt.store, plan, task.start, task.end, task.number)
    except ObjectMissing:
        raise WrongMessage(f"{task.id}: its stage is not planned.") from None
    except FormatError as error:
        raise WrongMessage(f"{task.id}: {error}") from None


def _feed(
    attempt: Attempt,
    analysis: Analysis,
    line: dict,
    sink: Sink,
) -> None:
    """Run the analysis's map over what the task's line names."""
    spec = attempt.job.spec
    if spec.states:
        _feed_state(attempt, analysis, line, sink)
    elif attempt.task.step == 1:
        blocks = line_blocks(line, spec)
        size = sum(block.size for block in blocks)
        with read_ahead(_remote(blocks), attempt.open_block) as open_block:
            map_blocks(
                analysis,
                blocks,
                sink,
                attempt.position,
                open_block=open_block,
                sample=spec.sample,
                compiled=lambda: READY.functions(size),
            )
    else:
        _, runs = line_runs(line)
        with Sources(attempt.store) as sources:
            map_pairs(analysis, _results(attempt, sources, runs), sink, attempt.position)


def _feed_state(attempt: Attempt, analysis: Analysis, line: dict, sink: Sink) -> None:
    """Emit what was kept of another job's maps; what these have read counts as read."""
    spec, position = attempt.job.spec, attempt.position
    position.tally.add(line_read(line))
    state, parts = line_parts(line, spec)
    position.block = state.url
    store, where = open_store(state.url), f"{type(analysis).__name__}.combine"
    with Sources(store) as sources:
        runs = [sources.of(Run(store, part.name, 0, part.size)) for part in parts]
        for rows in sources.in_turn(runs):
            for encoded, column, _ in pieces(rows):
                position.moves += len(encoded)
                pairs = zip(keys.decode_all(encoded), values.decode_all(column), strict=True)
                sink.take(pairs, where)


def _remote(blocks: list[Block]) -> list[Block]:
    """The blocks that are a round trip away, or more."""
    urls = {block.store_url for block in blocks}
    remote = {url for url in urls if open_store(url).is_remote}
    return [block for block in blocks if block.store_url in remote]


def _map_only(attempt: Attempt, analysis: Analysis, line: dict) -> tuple[RunWriter, int]:
    with _writing(attempt, attempt.result) as out:
        writer = RunWriter(out, attempt.moved)
        sink = ItemSink(writer)
        _feed(attempt, analysis, line, sink)
        writer.flush()
    return writer, sink.pairs


def _map_buffer(attempt: Attempt, analysis: Analysis) -> MapBuffer:
    spec, combine = attempt.job.spec, analysis.combine
    return MapBuffer(
        partitions=spec.reducers,
        partitions_of=partition_function(analysis, spec.reducers),
        folder=attempt.folder,
        combine=Combiner(combine, type(analysis).__name__) if combine else None,
        ordered=attempt.step.ordered,
        limit_bytes=spec.buffer_bytes,
        on_frame=attempt.moved,
    )


def _reduce(attempt: Attempt, analysis: Analysis, line: dict) -> tuple[RunWriter, dict[str, Span]]:
    partition, runs = line_runs(line)
    spec = attempt.job.spec
    output = _output(spec, attempt.task.step)
    keeps = spec.keep is not None and attempt.task.step == len(spec.steps)
    with ExitStack() as stack:
        out = stack.enter_context(_writing(attempt, attempt.result))
        files = keeper = None
        if output is not None or keeps:
            packed = _Moving(stack.enter_context(_writing(attempt, attempt.files)), attempt.moved)
        if output is not None:
            files = stack.enter_context(StagedFiles(packed, attempt.folder))
        if keeps:
            keeper = Keeper(analysis, packed, attempt.position)
        writer = RunWriter(out, attempt.moved)
        sources = stack.enter_context(Sources(attempt.store))
        reduce_runs(
            analysis,
            partition,
            [_source(attempt, sources, run, layout.run_name) for run in runs],
            writer,
            attempt.folder,
            attempt.position,
            takes=takes_function(analysis, spec.reducers, partition),
            files=files,
            store=output,
            ordered=attempt.step.ordered,
            on_frame=attempt.moved,
            through=keeper.through if keeper else iter,
        )
        kept = keeper.finish() if keeper else {}
    return writer, kept if files is None else files.spans


def _output(spec: JobSpec, step: int) -> Store | None:
    """Where a step publishes; None where it does not."""
    return open_store(spec.output) if spec.output and step == len(spec.steps) else None


def _place(attempt: Attempt, line: dict) -> None:
    """Copy the files of one reduce task's commit to where they belong."""
    store, spec = attempt.store, attempt.job.spec
    commit = read_commit(store, spec.job, line["task"])
    name = layout.files_name(spec.job, commit.task, commit.attempt)
    WATCH.enter(WRITE)
    if spec.keep is not None:
        place_part(store, spec.job, commit, spec.keep.url, attempt.moved)
    else:
        place_files(
            commit.files,
            lambda start, end: store.open(name, start=start, end=end),
            open_store(spec.output),
            attempt.moved,
        )
    WATCH.add(WRITE, sum(span.length for span in commit.files.values()))


def _keep(attempt: Attempt, line: dict) -> str:
    """Make the state that the job leaves whole; returns what to say of it."""
    read = line_read(line)
    return save_state(attempt.store, attempt.job.spec, read, attempt.folder, attempt.moved)


def _publish(attempt: Attempt, analysis: Analysis, line: dict) -> str:
    """Let the analysis publish; returns what it says."""
    spec, covered = attempt.job.spec, line["coverage"]
    output = open_store(spec.output)

    def results() -> Iterator[Item]:
        for item in read_result(attempt.store, spec, attempt.folder):
            attempt.moved()
            yield item

    commits = Commits(covered, unread_blocks(spec, covered), results, attempt.moved)
    said = analysis.publish(output, commits)
    if not isinstance(said, str | None):
        raise AnalysisError(
            f"{type(analysis).__name__}.publish returned a {type(said).__name__}; it may return a "
            "text for the person, or nothing."
        )
    if spec.document:
        with attempt.out.create(attempt.result) as out:
            analysis.document(output, _Moving(out, attempt.moved))
    return said or ""


class _Moving:
    """A file of the attempt's output that shows with each write that the attempt goes on."""

    def __init__(self, out: BinaryIO, moved: Callable[[], None]) -> None:
        self._out = out
        self._moved = moved

    def write(self, data: bytes) -> int:
        self._moved()
        before = WATCH.enter(WRITE)
        written = self._out.write(data)
        WATCH.enter(before)
        WATCH.add(WRITE, written)
        return written


def _results(
    attempt: Attempt, sources: Sources, runs: list[RunRef]
) -> Iterator[tuple[bytes, Item]]:
    """Each item of some result parts, with the key that its reduce was given.

    What `setup_reduce` wrote, which has none, is for people, not for the next step.
    """
    has_header = attempt.job.spec.steps[attempt.task.step - 2].has_reduce
    parts = [_source(attempt, sources, run, layout.result_name) for run in runs]
    for under, column, _ in sources.in_turn(parts):
        for key, item in zip(under, items.decode_all(under, column), strict=True):
            if key or not has_header:
                yield key, item


def _source(
    attempt: Attempt, sources: Sources, run: RunRef, name_of: Callable[[str, str, str], str]
) -> Run:
    name = name_of(attempt.task.job, run.task, run.attempt)
    return sources.of(Run(attempt.store, name, run.offset, run.length))
