"""The journey of a job: plan, run the maps, run the reduces, end. Resumable at any point.

Everything that decides is in the store: a stage is planned once (its plan is written if absent),
a task is done once its commit exists, a job has ended once `end` exists. So the coordinator may
die anywhere, and another one, even at the same time, goes on from what is there.
"""

import enum
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from mr import layout, values
from mr.blocks import Block
from mr.commits import (
    Commit,
    Failure,
    committed_tasks,
    is_hopeless,
    is_over,
    read_commit,
    read_failures,
)
from mr.coverage import job_coverage
from mr.errors import (
    FormatError,
    JobError,
    JobFailed,
    ObjectExists,
    ObjectMissing,
    PlanAgain,
    TooManyBadRecords,
)
from mr.plans import Plan, open_plan, write_plan
from mr.spec import (
    JobSpec,
    RunRef,
    blocks_line,
    place_line,
    publish_line,
    runs_line,
    write_spec,
)
from mr.splits import split_blocks
from mr.state import read_state
from mr.store import Store
from mr.tally import PLACES_KEPT, Tally, add_counts
from mr.taskqueue import TaskQueue
from mr.tasks import Task, TaskState, decode_event, publishes

#: How long the coordinator waits for news before it looks at the store itself.
RESCAN_S = 30.0
#: How long one look for news takes at most.
POLL_S = 0.5
#: Places of bad records that a coordinator holds before it drops those that no report shows.
PLACES_HELD = 10 * PLACES_KEPT


class EndState(enum.Enum):
    """How a job ends."""

    DONE = "done"
    #: Its result is decided, and being published: how that ends is told apart.
    PUBLISHING = "publishing"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class End:
    """A job's end, created once; `exit_code` is the command's."""

    state: EndState
    reason: str = ""
    exit_code: int = 0
    #: Whether the same job, planned anew, may succeed: others have published meanwhile.
    again: bool = False


class Observer(Protocol):
    """Hears how a job goes; every method may be called from any thread."""

    def stage(self, name: str, tasks: int, done: int) -> None:
        """A stage begins."""

    def committed(self, commit: Commit) -> None:
        """A task is done."""

    def trouble(self, text: str) -> None:
        """Something went wrong that does not end the job."""


@dataclass
class Conduct:
    """What a coordinator works with, and what it has learnt of its job."""

    store: Store
    tasks: TaskQueue
    events: TaskQueue
    observer: Observer
    #: Messages of one job that are in the queue at a time.
    window: int
    clock: Callable[[], float] = time.monotonic
    #: Commits by stage and task number.
    commits: dict[str, dict[int, Commit]] = field(default_factory=dict)
    attempts_lost: int = 0
    #: When each trouble was last told, so that one that lasts is not told all the time.
    troubles: dict[str, float] = field(default_factory=dict)

    #: Places of bad records in `commits`.
    places: int = 0

    def hold_places(self, commit: Commit) -> None:
        """Count a commit's places of bad records, and keep only as many as a report shows."""
        self.places += len(commit.tally.bad_places)
        if self.places <= PLACES_HELD:
            return
        self.places = 0
        for commits in self.commits.values():
            for _, held in sorted(commits.items()):
                del held.tally.bad_places[PLACES_KEPT - self.places :]
                self.places += len(held.tally.bad_places)

    def tell_trouble(self, text: str) -> None:
        """Tell the observer, unless it has heard the same lately."""
        now = self.clock()
        if now - self.troubles.get(text, float("-inf")) >= RESCAN_S:
            self.troubles[text] = now
            self.observer.trouble(text)


# Planning


def plan_job(
    store: Store, spec: JobSpec, bundle: bytes, blocks: Iterable[Block], prepared: Any = None
) -> None:
    """Write everything that a job starts from; the job exists once its description does."""
    lines = (blocks_line(split, spec.stores) for split in split_blocks(blocks, spec.split_bytes))
    write_plan(store, layout.plan_name(spec.job, layout.stage_id(1, "map")), lines)
    store.write(layout.bundle_name(spec.job), bundle, if_absent=True)
    store.write(layout.prepared_name(spec.job), values.encode(prepared), if_absent=True)
    write_spec(store, spec)


# Coordinating


def conduct_job(conduct: Conduct, spec: JobSpec) -> End:
    """Run a planned job to its end, from wherever it is.

    Returns the job's end, also when somebody else ended it. Raises nothing for a job that fails:
    its end says so.
    """
    store = conduct.store
    end = read_end(store, spec.job)
    if end is None:
        end = run_stages(conduct, spec)
    else:
        recall(conduct, spec)
    return publish(conduct, spec) if end.state is EndState.PUBLISHING else end


def run_stages(conduct: Conduct, spec: JobSpec) -> End:
    """Run every step's maps and reduces, and decide the job's end."""
    store = conduct.store
    try:
        for number, step in enumerate(spec.steps, 1):
            maps = layout.stage_id(number, "map")
            run_stage(conduct, spec, maps)
            if number == 1:
                judge_bad_records(spec, stage_tally(conduct, maps))
            if step.has_reduce:
                reduces = layout.stage_id(number, "reduce")
                plan_stage(conduct, spec, reduces, _reduce_lines(conduct, spec, maps))
                run_stage(conduct, spec, reduces)
                maps = reduces
            if number < len(spec.steps):
                following = layout.stage_id(number + 1, "map")
                plan_stage(conduct, spec, following, _part_lines(conduct, maps))
        state = EndState.PUBLISHING if spec.output else EndState.DONE
        return write_end(store, spec.job, End(state))
    except Ended:
        return read_end(store, spec.job) or End(EndState.CANCELLED, "the job was removed", 1)
    except JobError as error:
        return write_end(store, spec.job, failed(error))


def recall(conduct: Conduct, spec: JobSpec) -> None:
    """Learn of every commit of a job that others ran."""
    for task in sorted(committed_tasks(conduct.store, spec.job)):
        stage, _, number = task.rpartition("-")
        commits = conduct.commits.setdefault(stage, {})
        commits[int(number)] = read_commit(conduct.store, spec.job, task)


def publish(conduct: Conduct, spec: JobSpec) -> End:
    """Put what the reduces wrote in place, then let the analysis publish it. Repeatable."""
    store, steps = conduct.store, len(spec.steps)
    placing, publishing = layout.stage_id(steps, "place"), layout.stage_id(steps, "publish")
    try:
        plan_stage(conduct, spec, placing, _place_lines(conduct, spec.last_stage))
        run_stage(conduct, spec, placing)
        plan_stage(conduct, spec, publishing, [publish_line(covered_by(conduct, spec))])
        run_stage(conduct, spec, publishing)
        end = End(EndState.DONE)
    except Ended:
        return read_end(store, spec.job) or End(EndState.CANCELLED, "the job was removed", 1)
    except JobError as error:
        end = failed(error)
    return write_published(store, spec.job, end)


def covered_by(conduct: Conduct, spec: JobSpec) -> dict[str, Any]:
    """What the commits that are known cover."""
    read = stage_tally(conduct, layout.stage_id(1, "map"))
    counters: dict[str, int] = {}
    for stage in conduct.commits:
        add_counts(counters, stage_tally(conduct, stage).counters)
    return job_coverage(spec, read, dict(sorted(counters.items())))


class Ended(Exception):
    """Raised when the job turns out to have ended meanwhile."""


def plan_stage(conduct: Conduct, spec: JobSpec, stage: str, lines: Iterable[Any]) -> None:
    """Write a later stage's plan, unless a coordinator before us has."""
    name = layout.plan_name(spec.job, stage)
    if open_plan(conduct.store, name) is None:
        with suppress(ObjectExists):
            write_plan(conduct.store, name, lines)


def _reduce_lines(conduct: Conduct, spec: JobSpec, maps: str) -> Iterator[Any]:
    """One manifest for each partition that has runs, and for the first, which may have a header.

    Empty ranges are left out. Where files are published every partition has its task: it may have
    something to publish that no map has told of.
    """
    every = spec.output and maps == layout.stage_id(len(spec.steps), "map")
    commits = sorted(conduct.commits[maps].items())
    for partition in range(spec.reducers):
        runs = [
            RunRef(commit.task, commit.attempt, span.offset, span.length)
            for _, commit in commits
            if (span := commit.spans[partition]).length
        ]
        if runs or partition == 0 or every:
            yield runs_line(partition, runs)


def _part_lines(conduct: Conduct, stage: str) -> Iterator[Any]:
    """A later step's map has one task for each result part of the step before."""
    for number, commit in sorted(conduct.commits[stage].items()):
        (span,) = commit.spans
        yield runs_line(number, [RunRef(commit.task, commit.attempt, span.offset, span.length)])


def _place_lines(conduct: Conduct, stage: str) -> Iterator[Any]:
    """One task for each reduce task that wrote files. Raises JobFailed when two wrote one name."""
    writers: dict[str, str] = {}
    for _, commit in sorted(conduct.commits[stage].items()):
        for name in commit.files:
            if writers.setdefault(name, commit.task) != commit.task:
                raise JobFailed(
                    f"two reduce tasks wrote the file {name}; let partition_key bring all keys of "
                    "one file to one reducer."
                )
        if commit.files:
            yield place_line(commit.task)


def run_stage(conduct: Conduct, spec: JobSpec, stage: str) -> None:
    """See to it that every task of a planned stage is committed.

    Raises JobFailed when a task has failed for good, TooManyBadRecords, and Ended.
    """
    store, job = conduct.store, spec.job
    plan = open_plan(store, layout.plan_name(job, stage))
    if plan is None:
        raise JobFailed(f"job {job}: the plan of stage {stage} is missing from the store.")
    commits = conduct.commits.setdefault(stage, {})
    numbers = {layout.task_id(stage, number): number for number in range(plan.tasks)}
    running = Tally()

    def take(task: str) -> None:
        number = numbers.get(task)
        if number is None or number in commits:
            return
        commits[number] = commit = read_commit(store, job, task)
        if commit.again:
            raise PlanAgain(commit.again)
        waiting.discard(number)
        conduct.observer.committed(commit)
        running.add(commit.tally)
        conduct.hold_places(commit)
        if stage == layout.stage_id(1, "map"):
            stop_early(spec, running)

    waiting: set[int] = set()
    for task in committed_tasks(store, job, stage):
        take(task)
    conduct.observer.stage(stage, plan.tasks, len(commits))
    unsent = (number for number in range(plan.tasks) if number not in commits)
    scanned = conduct.clock()
    while len(commits) < plan.tasks:
        _send(conduct, spec, stage, plan, unsent, waiting)
        for message in conduct.events.receive(most=10, wait_s=POLL_S, lease_s=60.0):
            conduct.events.acknowledge(message)
            _hear(conduct, spec, stage, message.body, take)
        if conduct.clock() - scanned >= RESCAN_S:
            scanned = conduct.clock()
            if is_over(store, job, publishes=publishes(stage)):
                raise Ended
            for task in committed_tasks(store, job, stage):
                take(task)


def _send(
    conduct: Conduct,
    spec: JobSpec,
    stage: str,
    plan: Plan,
    unsent: Iterator[int],
    waiting: set[int],
) -> None:
    numbers = list(itertools.islice(unsent, max(0, conduct.window - len(waiting))))
    if not numbers:
        return
    waiting.update(numbers)
    conduct.tasks.send(
        [
            Task(spec.job, stage, number, *plan.span(number), spec.bundle).encode()
            for number in numbers
        ]
    )


def _hear(
    conduct: Conduct, spec: JobSpec, stage: str, body: bytes, take: Callable[[str], None]
) -> None:
    try:
        event = decode_event(body)
    except FormatError as error:
        conduct.observer.trouble(str(error))
        return
    if event.job != spec.job:
        return
    if event.state is TaskState.COMMITTED:
        take(event.task)
        return
    if event.state is TaskState.OVER:
        if is_over(conduct.store, spec.job, publishes=publishes(stage)):
            raise Ended
        with suppress(ObjectMissing):
            take(event.task)
        return
    if event.state is TaskState.FAILED:
        conduct.attempts_lost += 1
        failures = list(read_failures(conduct.store, spec.job, event.task))
        if is_hopeless(failures, spec.max_failures):
            raise JobFailed(describe_failures(failures))
        conduct.observer.trouble(
            f"task {event.task} failed ({len(failures)} of {spec.max_failures}): "
            f"{event.text:.200}; it is tried again."
        )
        return
    conduct.attempts_lost += 1
    conduct.tell_trouble(f"a task could not run: {event.text}; it is tried again.")


def describe_failures(failures: list[Failure]) -> str:
    """Why a task failed: the user's own traceback and the place."""
    last = failures[-1]
    times = "once" if len(failures) == 1 else f"{len(failures)} times"
    text = f"the analysis failed {times} at {last.where}: {last.error}"
    return f"{text}\n\n{last.traceback.rstrip()}" if last.traceback else text


# Judging


def stop_early(spec: JobSpec, tally: Tally) -> None:
    """Raise TooManyBadRecords as soon as a limit that is a number is passed."""
    if spec.strict and (tally.bad or tally.bad_blocks or tally.missing):
        raise TooManyBadRecords(
            f"--strict: {_first_bad(tally)}; leave --strict out to skip and report such input."
        )
    if spec.max_bad_records is not None and tally.bad > spec.max_bad_records:
        raise TooManyBadRecords(
            f"more than {spec.max_bad_records} bad records, the first: {_first_bad(tally)}; "
            "run again with a higher --max-bad-records to go on in spite of them."
        )


def judge_bad_records(spec: JobSpec, tally: Tally) -> None:
    """Raise TooManyBadRecords when the maps as a whole found too many."""
    stop_early(spec, tally)
    total = tally.records + tally.bad
    if spec.max_bad_share is not None and tally.bad > spec.max_bad_share * total:
        raise TooManyBadRecords(
            f"{tally.bad} of {total} records are bad ({tally.bad / total:.2%}, "
            f"{spec.max_bad_share:.2%} are allowed), the first: {_first_bad(tally)}; run again "
            "with a higher --max-bad-records to go on in spite of them."
        )


def _first_bad(tally: Tally) -> str:
    if tally.bad_places:
        first = tally.bad_places[0]
        return f"{first.block}, line {first.line}: {first.reason}"
    if tally.bad_blocks:
        return f"{tally.bad_blocks[0].block}: {tally.bad_blocks[0].reason}"
    return f"{tally.missing[0]}: missing"


def stage_tally(conduct: Conduct, stage: str) -> Tally:
    """The sum of a stage's committed tallies, in the order of its tasks."""
    total = Tally()
    for _, commit in sorted(conduct.commits.get(stage, {}).items()):
        total.add(commit.tally)
    return total


# Ending


def failed(error: JobError) -> End:
    """The end of a job that fails with this error."""
    again = isinstance(error, PlanAgain)
    return End(EndState.FAILED, str(error), type(error).exit_code, again)


def failure_of(end: End) -> JobError:
    """The exception for a job that ended other than done."""
    if end.again:
        return PlanAgain(end.reason)
    if end.exit_code == TooManyBadRecords.exit_code:
        return TooManyBadRecords(end.reason)
    return JobFailed(end.reason)


def read_end(store: Store, job: str) -> End | None:
    """How the job ended, or None while it has not; how publishing did, once that has."""
    end = _read(store, layout.end_name(job))
    if end is not None and end.state is EndState.PUBLISHING:
        return _read(store, layout.published_name(job)) or end
    return end


def _read(store: Store, name: str) -> End | None:
    try:
        return read_state(store, name, End)
    except ObjectMissing:
        return None


def write_end(store: Store, job: str, end: End) -> End:
    """End the job; the first to do so wins, and the winner's end is returned."""
    try:
        store.write(layout.end_name(job), msgspec.json.encode(end), if_absent=True)
    except ObjectExists:
        return read_end(store, job) or end
    return end


def write_published(store: Store, job: str, end: End) -> End:
    """End a job that publishes, as `write_end` does."""
    with suppress(ObjectExists):
        store.write(layout.published_name(job), msgspec.json.encode(end), if_absent=True)
    return read_end(store, job) or end


def tidy(store: Store, job: str) -> None:
    """Delete what nobody needs once a job has ended: the maps' runs, files put in place."""
    for prefix in (layout.runs_prefix(job), layout.files_prefix(job)):
        for entry in list(store.list(prefix)):
            store.delete(entry.name)
