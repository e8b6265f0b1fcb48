"""The journey of a job: plan, run the maps, run the reduces, end. Resumable at any point.

Everything that decides is in the store: a stage is planned once (its plan is written if absent),
a task is done once its commit exists, a job has ended once `end` exists. So the coordinator may
die anywhere, and another one, even at the same time, goes on from what is there.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mr import layout, values
from mr.blocks import Block
from mr.commits import committed_tasks, held, read_commits
from mr.coverage import job_coverage
from mr.ends import (
    End,
    EndState,
    cancelled,
    failed,
    read_end,
    write_end,
    write_published,
)
from mr.errors import JobError, JobFailed, LimitReached, ObjectExists, TooManyBadRecords
from mr.plans import Planned, open_plan, write_plan
from mr.spec import (
    JobSpec,
    RunRef,
    blocks_line,
    kept_line,
    place_line,
    publish_line,
    runs_line,
    write_spec,
)
from mr.splits import split_blocks
from mr.stages import Conduct, Ended, first_bad, run_stage, stop_early
from mr.store import Store
from mr.tally import Tally, add_counts

#: Runs of map output that are held at a time while reduces are planned.
RUNS_AT_A_TIME = 250_000

# Planning


def plan_job(
    store: Store, spec: JobSpec, bundle: bytes, blocks: Iterable[Block], prepared: Any = None
) -> None:
    """Write everything that a job starts from; the job exists once its description does."""
    lines = (blocks_line(split, spec.stores) for split in split_blocks(blocks, spec.split_bytes))
    write_job(store, spec, bundle, lines, prepared)


def write_job(
    store: Store, spec: JobSpec, bundle: bytes, lines: Iterable[Planned], prepared: Any = None
) -> None:
    """Write what a job starts from, whatever the lines of its first maps are."""
    write_plan(store, layout.plan_name(spec.job, layout.stage_id(1, "map")), lines)
    store.write(layout.bundle_name(spec.job), bundle, if_absent=True)
    store.write(layout.prepared_name(spec.job), values.encode(prepared), if_absent=True)
    write_spec(store, spec)


# Coordinating


def conduct_job(conduct: Conduct, spec: JobSpec) -> End:
    """Run a planned job to its end, from wherever it is.

    Returns the job's end, also when somebody else ended it. Raises nothing for a job that fails:
    its end says so; and LimitReached for one that stops at a limit.
    """
    end = read_end(conduct.store, spec.job) or run_stages(conduct, spec)
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
        state = EndState.PUBLISHING if spec.target else EndState.DONE
        return write_end(store, spec.job, End(state))
    except Ended:
        return read_end(store, spec.job) or cancelled("the job was removed")
    except LimitReached:
        raise  # the job has no end yet
    except JobError as error:
        return write_end(store, spec.job, failed(error))


def recall(conduct: Conduct, spec: JobSpec) -> None:
    """Learn of every commit of the job: another coordinator may have gone on without us."""
    known = {commit.task for commits in conduct.commits.values() for commit in commits.values()}
    tasks = sorted(committed_tasks(conduct.store, spec.job) - known)
    for commit in read_commits(conduct.store, spec.job, tasks):
        stage, _, number = commit.task.rpartition("-")
        conduct.commits.setdefault(stage, {})[int(number)] = held(commit)


def publish(conduct: Conduct, spec: JobSpec) -> End:
    """Put what the reduces wrote in place, then let the analysis publish it. Repeatable."""
    recall(conduct, spec)
    store, steps = conduct.store, len(spec.steps)
    placing, publishing = layout.stage_id(steps, "place"), layout.stage_id(steps, "publish")
    try:
        plan_stage(conduct, spec, placing, _place_lines(conduct, spec.last_stage))
        run_stage(conduct, spec, placing)
        plan_stage(conduct, spec, publishing, [_publish_line(conduct, spec)])
        run_stage(conduct, spec, publishing)
        end = End(EndState.DONE)
    except Ended:
        return read_end(store, spec.job) or cancelled("the job was removed")
    except JobError as error:
        end = failed(error)
    return write_published(store, spec.job, end)


def _publish_line(conduct: Conduct, spec: JobSpec) -> Planned:
    if spec.keep is None:
        return publish_line(covered_by(conduct, spec))
    read = stage_tally(conduct, layout.stage_id(1, "map"))
    for stage in conduct.commits:
        if stage not in (layout.stage_id(1, "map"), spec.last_stage):
            add_counts(read.counters, stage_tally(conduct, stage).counters)
    return kept_line(replace(read, counters=dict(sorted(read.counters.items()))))


def covered_by(conduct: Conduct, spec: JobSpec) -> dict[str, Any]:
    """What the commits that are known cover."""
    read = stage_tally(conduct, layout.stage_id(1, "map"))
    counters: dict[str, int] = {}
    for stage in conduct.commits:
        add_counts(counters, stage_tally(conduct, stage).counters)
    return job_coverage(spec, read, dict(sorted(counters.items())))


def plan_stage(conduct: Conduct, spec: JobSpec, stage: str, lines: Iterable[Planned]) -> None:
    """Write a later stage's plan, unless a coordinator before us has."""
    name = layout.plan_name(spec.job, stage)
    if open_plan(conduct.store, name) is None:
        with suppress(ObjectExists):
            write_plan(conduct.store, name, lines)


def _reduce_lines(conduct: Conduct, spec: JobSpec, maps: str) -> Iterator[Planned]:
    """One manifest for each partition that has runs, and for the first, which may have a header.

    Empty ranges are left out. Where files are published every partition has its task: it may have
    something to publish that no map has told of.
    """
    every = spec.output and maps == layout.stage_id(len(spec.steps), "map")
    commits = [commit for _, commit in sorted(conduct.commits[maps].items())]
    # Some partitions at a time: each look at a commit costs, and so does each run that is held.
    step = max(1, RUNS_AT_A_TIME // max(1, len(commits)))
    for first in range(0, spec.reducers, step):
        found: list[list[RunRef]] = [[] for _ in range(first, min(first + step, spec.reducers))]
        for commit in commits:
            for partition, offset, length in commit.spans.filled(first, first + step):
                found[partition - first].append(RunRef(commit.task, commit.attempt, offset, length))
        for partition, runs in enumerate(found, first):
            if runs or partition == 0 or every:
                yield runs_line(partition, runs)


def _part_lines(conduct: Conduct, stage: str) -> Iterator[Planned]:
    """A later step's map has one task for each result part of the step before."""
    for number, commit in sorted(conduct.commits[stage].items()):
        (span,) = commit.spans
        yield runs_line(number, [RunRef(commit.task, commit.attempt, span.offset, span.length)])


def _place_lines(conduct: Conduct, stage: str) -> Iterator[Planned]:
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


# Judging


def judge_bad_records(spec: JobSpec, tally: Tally) -> None:
    """Raise TooManyBadRecords when the maps as a whole found too many."""
    stop_early(spec, tally)
    total = tally.records + tally.bad
    allows_all = spec.max_bad_share is None or spec.max_bad_share >= 1
    if tally.bad and not tally.records and not allows_all:
        raise TooManyBadRecords(
            f"none of {tally.bad} lines is a record, the first: {first_bad(tally)}. Is "
            f"{' '.join(spec.inputs)} the folder that holds the blocks, or one above it?"
        )
    if spec.max_bad_share is not None and tally.bad > spec.max_bad_share * total:
        raise TooManyBadRecords(
            f"{tally.bad} of {total} records are bad ({tally.bad / total:.2%}, "
            f"{spec.max_bad_share:.2%} are allowed), the first: {first_bad(tally)}; run again "
            "with a higher --max-bad-records to go on in spite of them."
        )


def stage_tally(conduct: Conduct, stage: str) -> Tally:
    """The sum of a stage's committed tallies, in the order of its tasks."""
    total = Tally()
    for _, commit in sorted(conduct.commits.get(stage, {}).items()):
        total.add(commit.tally)
    return total
