"""Running a task of a job again, to see how it fails: reads from the job, writes nothing to it."""

import uuid
from pathlib import Path

from mr import layout
from mr.attempts import Attempt, read_job, run_attempt
from mr.commits import Commit, Failure
from mr.directory import DirectoryStore
from mr.errors import ObjectMissing, UsageError
from mr.mapping import Position
from mr.plans import open_plan
from mr.spec import JobSpec
from mr.store import Store
from mr.tasks import Task

#: The kinds of tasks that change nothing beyond their own output.
REPLAYED = ("map", "reduce")


def task_of(store: Store, spec: JobSpec, text: str) -> Task:
    """The task of this id, as the coordinator sends it. Raises UsageError."""
    stage, _, number = text.rpartition("-")
    planned = [
        layout.stage_id(step, kind)
        for step in range(1, len(spec.steps) + 1)
        for kind in (*REPLAYED, "place", "publish")
    ]
    if stage not in planned or not number.isdecimal():
        raise UsageError(f"{text!r} is no task's id, as 1-map-0000007 is; `logs` shows them.")
    if not stage.endswith(REPLAYED):
        raise UsageError(f"{text} publishes, and that is not done again here: replay runs maps "
                         "and reduces.")  # fmt: skip
    plan = open_plan(store, layout.plan_name(spec.job, stage))
    if plan is None or int(number) >= plan.tasks:
        known = "is not planned yet" if plan is None else f"has {plan.tasks} tasks, from 0"
        raise UsageError(f"there is no task {text}: stage {stage} {known}.")
    return Task(spec.job, stage, int(number), *plan.span(int(number)), spec.bundle)


class Replay:
    """One attempt at a task that leaves the job as it is; `folder` is local and empty."""

    def __init__(self, store: Store, task: Task, folder: Path) -> None:
        self._store = store
        self._task = task
        self._folder = folder
        self._position = Position()
        self._name = uuid.uuid4().hex

    @property
    def where(self) -> str:
        """The place that it has come to, in words."""
        position = self._position
        key = repr(position.key) if self._task.kind == "reduce" else ""
        return Failure(
            self._task.id, self._name, "", block=position.block, line=position.line, key=key
        ).where

    def run(self) -> Commit:
        """Run it, and return what would be committed; raises what the analysis raises.

        Raises UsageError when the job's runs are gone, as they are once it is done.
        """
        spills = self._folder / "spills"
        spills.mkdir()
        attempt = Attempt(
            store=self._store,
            job=read_job(self._store, self._task, self._folder / "code"),
            task=self._task,
            name=self._name,
            folder=spills,
            position=self._position,
            elsewhere=DirectoryStore(self._folder / "output"),
        )
        try:
            return run_attempt(attempt)
        except ObjectMissing as error:
            raise UsageError(
                f"{error}: what maps wrote is deleted once a job is done; run the analysis anew"
            ) from None
