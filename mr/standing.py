"""How a job stands, told from its store alone: state, stages, failures, who works on it."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mr import clock, layout
from mr.commits import committed_tasks, read_failures
from mr.fleet import Running, read_fleet
from mr.jobs import INTERRUPTED, RUNNING, job_status
from mr.plans import open_plan
from mr.spec import JobSpec
from mr.store import Store
from mr.text import counted

if TYPE_CHECKING:
    from mr.aws.sqs import SqsQueue

#: Failures that are told in words.
FAILURES_SHOWN = 5


@dataclass(frozen=True)
class StageStanding:
    """One planned stage: its tasks, and how many are committed."""

    stage: str
    tasks: int
    committed: int


@dataclass(frozen=True)
class Standing:
    """How a job stands."""

    job: str
    analysis: str
    created: str
    #: running, interrupted, or its end's state; and why it ended so.
    state: str
    reason: str
    stages: list[StageStanding]
    #: Counted failures, and the first of them in words.
    failures: int
    failures_shown: list[str]
    #: Live workers (None where there is no cluster), and the attempts of this job they are at.
    workers: int | None
    running: list[Running] = field(default_factory=list)
    #: Messages that nobody holds in the cluster's queue and in its dead-letter queue, of all jobs;
    #: None where no queue is known.
    messages: int | None = None
    dead_letters: int | None = None


def job_standing(store: Store, spec: JobSpec, queue: "SqsQueue | None" = None) -> Standing:
    """How a planned job stands; `queue` is its cluster's."""
    status = job_status(store, spec.job)
    failures = list(read_failures(store, spec.job))
    fleet = read_fleet(store) if store.is_remote else []
    # A sign may be older than the end.
    at_work = fleet if status.state in (RUNNING, INTERRUPTED) else ()
    return Standing(
        job=spec.job,
        analysis=spec.analysis,
        created=spec.created,
        state=status.state,
        reason=status.reason,
        stages=list(_stages(store, spec)),
        failures=len(failures),
        failures_shown=[
            f"{failure.task} at {failure.where}: {failure.error}"
            for failure in failures[:FAILURES_SHOWN]
        ],
        workers=len(fleet) if store.is_remote else None,
        running=[one for sign in at_work for one in sign.running if one.job == spec.job],
        messages=None if queue is None else queue.waiting(),
        dead_letters=None if queue is None else queue.dead_letters_waiting(),
    )


def _stages(store: Store, spec: JobSpec) -> Iterator[StageStanding]:
    committed = committed_tasks(store, spec.job)
    for number in range(1, len(spec.steps) + 1):
        for kind in ("map", "reduce", "place", "publish"):
            stage = layout.stage_id(number, kind)
            plan = open_plan(store, layout.plan_name(spec.job, stage))
            if plan is not None:
                done = sum(1 for task in committed if layout.task_number(task, stage) is not None)
                yield StageStanding(stage, plan.tasks, done)


def standing_text(standing: Standing, *, now: float | None = None) -> str:
    """How a job stands, for people."""
    now = clock.now() if now is None else now
    created = datetime.datetime.fromisoformat(standing.created).timestamp()
    lines = [
        f"{standing.job}  {standing.state}",
        f"  {standing.analysis}, planned {_ago(now - created)} ago",
    ]
    if standing.reason:
        lines.append(f"  {standing.reason}")
    lines += [
        f"  {stage.stage}: {stage.committed} of {counted(stage.tasks, 'task')} done"
        for stage in standing.stages
    ]
    if standing.failures:
        lines.append(f"  {counted(standing.failures, 'failure')}:")
        lines += [f"    {text}" for text in standing.failures_shown]
    lines += [
        f"  {one.task} is running for {_ago(now - one.since)}: {one.records:,} records, "
        f"{one.raw_bytes / 1e6:,.1f} MB"
        for one in sorted(standing.running, key=lambda one: one.task)
    ]
    if standing.workers is not None:
        lines.append(f"  {counted(standing.workers, 'worker')} alive")
    if standing.messages is not None:
        lines.append(
            f"  {counted(standing.messages, 'message')} in the queue, of all jobs; "
            f"{counted(standing.dead_letters, 'dead letter')}"
        )
    if standing.state == INTERRUPTED:
        lines.append(
            f"  nobody coordinates it now: `mr-telemetry resume {standing.job}` goes on at once (a "
            "worker goes on with a submitted one when the lease of the last has run out)"
        )
    return "\n".join(lines)


def _ago(seconds: float) -> str:
    seconds = max(0, round(seconds))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
