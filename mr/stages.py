"""One stage of a job, seen from its coordinator: send its tasks, learn of their commits.

The commits are the truth, and events only hints: what no event tells is found by looking. A message
that seems lost is sent again, and so is a task that is late, for the first commit wins.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from mr import layout
from mr.clock import now
from mr.commits import (
    Commit,
    Failure,
    committed_among,
    committed_tasks,
    held,
    is_hopeless,
    is_over,
    read_commits,
    read_failures,
)
from mr.compatibility import differences
from mr.errors import (
    FormatError,
    JobFailed,
    LimitReached,
    ObjectMissing,
    PlanAgain,
    QueueUnavailable,
    TooManyBadRecords,
)
from mr.fleet import MESSAGES_PER_PROCESS, Running, Sign, capacity
from mr.lateness import late_tasks, usual_wait
from mr.plans import Plan, open_plan
from mr.spec import JobSpec
from mr.spending import Spending
from mr.store import Store
from mr.tally import PLACES_KEPT, Tally
from mr.taskqueue import TaskQueue
from mr.tasks import Event, Task, TaskState, decode_event, publishes

#: How long the coordinator waits for news before it looks at the store itself.
RESCAN_S = 30.0
#: How long one look for news takes at most.
POLL_S = 0.5
#: A task that is sent, not committed, and run by nobody for so long is sent again; then after
#: twice as long, and so on. Longer than a lease (5 minutes), after which it comes back by itself;
#: and where tasks are long, as long as they usually wait.
RING_S = 600.0
#: While so many messages wait in the queue as seem lost they are taken for those that wait; but
#: not for ever, since they may be other jobs': only until a task was to be sent so often.
RING_ANYWAY = 4
#: Places of bad records that a coordinator holds before it drops those that no report shows.
PLACES_HELD = 10 * PLACES_KEPT
#: How a failed job's reason goes on after the failure.
REPLAY = "\n\n`mr-telemetry replay"
#: What a job tells while nobody could work for it.
NO_WORKER = (
    "no worker is alive; start some with `mr-telemetry worker`, or wait for a cluster that starts "
    "its machines itself."
)
#: A job at a limit ends once it was looked so often and nobody worked for it.
IDLE_LOOKS = 3
#: How often the same trouble is told.
TROUBLE_S = 30.0


class Observer(Protocol):
    """Hears how a job goes; every method may be called from any thread."""

    def stage(self, name: str, tasks: int, done: int) -> None:
        """A stage begins."""

    def committed(self, commit: Commit) -> None:
        """A task is done."""

    def trouble(self, text: str) -> None:
        """Something went wrong that does not end the job."""

    def running(self, attempts: Mapping[str, Running]) -> None:
        """These attempts are running, by name, as far as their workers tell."""


class Ended(Exception):
    """Raised when the job turns out to have ended meanwhile."""


class Stopped(Exception):
    """Raised when the coordinator is told to stop: the job is left as it is."""


@dataclass
class Sent:
    """A task that was sent: when last, how often, and whether once because it was late."""

    last: float
    times: int = 1
    late: bool = False


@dataclass
class Conduct:
    """What a coordinator works with, and what it has learnt of its job."""

    store: Store
    tasks: TaskQueue
    events: TaskQueue
    observer: Observer
    #: Messages of one job that are in the queue at a time, where no fleet says how many it takes.
    window: int
    #: Who works, by their signs; None where the workers are in this process.
    fleet: Callable[[], list[Sign]] | None = None
    clock: Callable[[], float] = time.monotonic
    #: What the workers' signs tell the time by.
    time_of_day: Callable[[], float] = now
    poll_s: float = POLL_S
    rescan_s: float = RESCAN_S
    ring_s: float = RING_S
    stop: threading.Event = field(default_factory=threading.Event)
    #: What the job costs, and its limits; None where it has none.
    spending: Spending | None = None
    #: Commits and what was sent, by stage and task number.
    commits: dict[str, dict[int, Commit]] = field(default_factory=dict)
    sent: dict[str, dict[int, Sent]] = field(default_factory=dict)
    attempts_lost: int = 0
    #: Tasks that were sent again because nobody seemed to have them, or because they were late.
    rung_again: int = 0
    sent_late: int = 0
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
            for _, one in sorted(commits.items()):
                del one.tally.bad_places[PLACES_KEPT - self.places :]
                self.places += len(one.tally.bad_places)

    def tell_trouble(self, text: str) -> None:
        """Tell the observer, unless it has heard the same lately."""
        at = self.clock()
        if at - self.troubles.get(text, float("-inf")) >= TROUBLE_S:
            self.troubles[text] = at
            self.observer.trouble(text)


def run_stage(conduct: Conduct, spec: JobSpec, stage: str) -> None:
    """See to it that every task of a planned stage is committed.

    Raises JobFailed when a task has failed for good, TooManyBadRecords, Ended and Stopped, and
    LimitReached when the job has cost or taken what it may.
    """
    plan = open_plan(conduct.store, layout.plan_name(spec.job, stage))
    if plan is None:
        raise JobFailed(f"job {spec.job}: the plan of stage {stage} is missing from the store.")
    _Stage(conduct, spec, stage, plan).run()


class _Stage:
    """A stage while it runs."""

    def __init__(self, conduct: Conduct, spec: JobSpec, name: str, plan: Plan) -> None:
        self._conduct = conduct
        self._spec = spec
        self._name = name
        self._plan = plan
        self._commits = conduct.commits.setdefault(name, {})
        self._sent = conduct.sent.setdefault(name, {})
        self._window = conduct.window
        self._is_first = name == layout.stage_id(1, "map")
        self._tally = Tally()
        self._has_looked = False
        #: How many failures of each task we have looked at.
        self._failed: dict[str, int] = {}
        #: Whether the job is at a limit, and how often since then nobody was seen working for it.
        self._at_limit = False
        self._seen_idle = 0
        self._unsent = (
            number
            for number in plan.order()
            if number not in self._sent and number not in self._commits
        )

    def run(self) -> None:
        conduct = self._conduct
        for commit in self._commits.values():
            self._tally.add(commit.tally)
        self._look()
        conduct.observer.stage(self._name, self._plan.tasks, len(self._commits))
        looked = conduct.clock()
        self._look_at_fleet()
        while len(self._commits) < self._plan.tasks:
            if conduct.stop.is_set():
                raise Stopped
            self._send_more_within_limits()
            self._hear(self._news())
            if conduct.clock() - looked >= conduct.rescan_s:
                self._look()
                self._look_at_fleet()
                looked = conduct.clock()

    def _news(self) -> list[bytes]:
        """What workers have told; nothing where their queue fails, for the store tells it too."""
        conduct = self._conduct
        try:
            messages = conduct.events.receive(most=10, wait_s=conduct.poll_s, lease_s=60.0)
            for message in messages:
                conduct.events.acknowledge(message)
        except QueueUnavailable as error:
            conduct.tell_trouble(f"no news of tasks, so it is looked for them: {error}")
            conduct.stop.wait(conduct.poll_s)
            return []
        return [message.body for message in messages]

    # Sending

    def _send_more_within_limits(self) -> None:
        """Send more; at a limit none, and end once what was begun is done."""
        spending = self._conduct.spending
        # What is decided to be published is published.
        is_limited = spending is not None and not publishes(self._name)
        reached = spending.reached() if is_limited else ""
        self._at_limit = bool(reached)
        if not reached:
            self._seen_idle = 0
            self._send_more()
        elif not self._sent or self._seen_idle >= IDLE_LOOKS:
            raise LimitReached(reached)
        else:
            self._conduct.tell_trouble(
                "a limit of the job is reached: no task is sent any more; those that run, or wait "
                "in the queue, are finished."
            )

    def _send_more(self) -> None:
        """Keep a few messages out for each worker, and no more: jobs share the queue."""
        room = max(0, self._window - len(self._sent))
        numbers = list(itertools.islice(self._unsent, room))
        if numbers:
            self._send(numbers)
            at = self._conduct.clock()
            self._sent.update((number, Sent(at)) for number in numbers)

    def _send(self, numbers: Iterable[int]) -> None:
        spec, store = self._spec, layout.store_digest(self._conduct.store.url)
        self._conduct.tasks.send(
            [
                Task(
                    spec.job, self._name, number, *self._plan.span(number), spec.bundle, store
                ).encode()
                for number in numbers
            ]
        )

    # Learning

    def _look(self) -> None:
        """Look at the store itself."""
        conduct, job = self._conduct, self._spec.job
        if is_over(conduct.store, job, publishes=publishes(self._name)):
            raise Ended
        if self._has_looked:  # of what we have not sent we hear when we do
            found = committed_among(conduct.store, job, self._name, self._sent)
        else:
            found = committed_tasks(conduct.store, job, self._name)
        self._has_looked = True
        self._take(sorted(found))
        self._look_at_failures()

    def _look_at_failures(self) -> None:
        """Learn of failures that no event told us of; a failed task has no message any more."""
        conduct, job = self._conduct, self._spec.job
        prefix = layout.failures_prefix(job)
        names = [entry.name[len(prefix) :] for entry in conduct.store.list(prefix)]
        for task, number in Counter(name.partition("/")[0] for name in names).items():
            if number == self._failed.get(task) or layout.task_number(task, self._name) is None:
                continue
            self._failed[task] = number
            failures = list(read_failures(conduct.store, job, task))
            if is_hopeless(failures, self._spec.max_failures):
                raise JobFailed(describe_failures(job, failures))

    def _take(self, tasks: Iterable[str]) -> None:
        """Learn of the commits of these tasks."""
        numbers = {task: layout.task_number(task, self._name) for task in tasks}
        new = [
            task
            for task, number in numbers.items()
            if number is not None and number < self._plan.tasks and number not in self._commits
        ]
        conduct = self._conduct
        for commit in read_commits(conduct.store, self._spec.job, new):
            if commit.again:  # before it counts as known: this may have to be said again
                raise PlanAgain(commit.again)
            self._commits[numbers[commit.task]] = held(commit)
            self._sent.pop(numbers[commit.task], None)
            conduct.observer.committed(commit)
            if conduct.spending is not None:
                conduct.spending.committed(commit)
            self._tally.add(commit.tally)
            conduct.hold_places(commit)
            if self._is_first:
                stop_early(self._spec, self._tally)

    def _hear(self, bodies: Iterable[bytes]) -> None:
        """Take what workers tell."""
        conduct = self._conduct
        events: list[Event] = []
        for body in bodies:
            try:
                events.append(decode_event(body))
            except FormatError as error:
                conduct.observer.trouble(str(error))
        events = [event for event in events if event.job == self._spec.job]
        done = [event.task for event in events if event.state is TaskState.COMMITTED]
        with suppress(ObjectMissing):  # said by somebody who does not know; others are found later
            self._take(dict.fromkeys(done))
        for event in events:
            if event.state is TaskState.OVER:
                self._hear_over(event)
            elif event.state is TaskState.FAILED:
                self._hear_failure(event)
            elif event.state is TaskState.REFUSED:
                conduct.tell_trouble(event.text)
            elif event.state is TaskState.LOST:
                conduct.attempts_lost += 1
                conduct.tell_trouble(f"a task could not run: {event.text}; it is tried again.")

    def _hear_over(self, event: Event) -> None:
        if is_over(self._conduct.store, self._spec.job, publishes=publishes(self._name)):
            raise Ended
        with suppress(ObjectMissing):
            self._take([event.task])

    def _hear_failure(self, event: Event) -> None:
        conduct, spec = self._conduct, self._spec
        conduct.attempts_lost += 1
        failures = list(read_failures(conduct.store, spec.job, event.task))
        if is_hopeless(failures, spec.max_failures):
            raise JobFailed(describe_failures(spec.job, failures))
        first_line = event.text.strip().partition("\n")[0]
        conduct.observer.trouble(
            f"task {event.task} failed ({len(failures)} of {spec.max_failures}): "
            f"{first_line:.200}; it is tried again."
        )

    # The workers

    def _look_at_fleet(self) -> None:
        """Learn from the workers' signs what runs, and send again what is lost or late."""
        conduct = self._conduct
        if conduct.fleet is None:
            return
        fleet = conduct.fleet()
        if conduct.spending is not None:
            conduct.spending.looked(fleet, self._spec.job)
        try:
            check_fleet(self._spec, fleet)
        except JobFailed as error:
            # Once something is done there were others, and there may be again.
            if not any(conduct.commits.values()):
                raise
            conduct.tell_trouble(str(error))
        if not fleet:
            conduct.tell_trouble(NO_WORKER)
        self._window = MESSAGES_PER_PROCESS * capacity(fleet) or conduct.window
        running = {
            one.attempt: one for sign in fleet for one in sign.running if one.job == self._spec.job
        }
        conduct.observer.running(running)
        since: dict[int, float] = {}
        for one in running.values():
            number = layout.task_number(one.task, self._name)
            if number is not None and number not in self._commits:
                since[number] = min(one.since, since.get(number, one.since))
        if self._at_limit:
            # Messages that nobody takes must not hold the job up for ever.
            self._seen_idle = 0 if running else self._seen_idle + 1
            return
        done_s = [commit.seconds for commit in self._commits.values()]
        self._ring_again(since, done_s)
        self._send_late(since, done_s)

    def _ring_again(self, since: Mapping[int, float], done_s: Sequence[float]) -> None:
        """Send what was sent long ago and nobody runs: its message may be lost."""
        conduct = self._conduct
        wait_s = usual_wait(since, done_s, MESSAGES_PER_PROCESS, now=conduct.time_of_day())
        ring_s = max(conduct.ring_s, wait_s)
        at = conduct.clock()
        for number in since:
            # Also what an earlier coordinator has sent.
            self._sent.setdefault(number, Sent(at)).last = at
        lost = [
            number
            for number, sent in self._sent.items()
            if at - sent.last >= ring_s * 2 ** (sent.times - 1)
        ]
        # They may only be waiting for a free worker.
        patient = [number for number in lost if self._sent[number].times < RING_ANYWAY]
        if patient and conduct.tasks.waiting() >= len(lost):
            rung = [number for number in lost if self._sent[number].times >= RING_ANYWAY]
        else:
            rung = lost
        if rung:
            self._send(rung)
            conduct.rung_again += len(rung)
        for number in lost:
            self._sent[number].last = at
            self._sent[number].times += 1

    def _send_late(self, since: Mapping[int, float], done_s: Sequence[float]) -> None:
        """Send a task once more when it takes far longer than the rest: the first commit wins."""
        late = late_tasks(since, done_s, self._plan.tasks, now=self._conduct.time_of_day())
        late = [number for number in late if not self._sent[number].late]
        if late:
            self._send(late)
            self._conduct.sent_late += len(late)
        for number in late:
            self._sent[number].late = True


def check_fleet(spec: JobSpec, fleet: Iterable[Sign]) -> None:
    """Raise JobFailed when there are workers, and none of them can run the job."""
    found = [differences(spec.platform, sign.platform, spec.requirements) for sign in fleet]
    if found and all(found):
        lines = dict.fromkeys(itertools.chain.from_iterable(found))
        raise JobFailed(
            "no worker can run this job, for they are not as the sender:\n  "
            + "\n  ".join(lines)
            + "\nInstall the same on both sides, or name packages in the analysis's `requirements`."
        )


def describe_failures(job: str, failures: list[Failure]) -> str:
    """Why a task failed: the user's own traceback and the place, and how to see it again."""
    last = failures[-1]
    times = "once" if len(failures) == 1 else f"{len(failures)} times"
    text = f"the analysis failed {times} at {last.where}: {last.error}"
    if last.traceback:
        text += f"\n\n{last.traceback.rstrip()}"
    return f"{text}{REPLAY} {job} {last.task}` runs that task again, here."


def stop_early(spec: JobSpec, tally: Tally) -> None:
    """Raise TooManyBadRecords as soon as a limit that is a number is passed."""
    if spec.strict and (tally.bad or tally.bad_blocks or tally.missing):
        raise TooManyBadRecords(
            f"--strict: {first_bad(tally)}; leave --strict out to skip and report such input."
        )
    if spec.max_bad_records is not None and tally.bad > spec.max_bad_records:
        raise TooManyBadRecords(
            f"more than {spec.max_bad_records} bad records, the first: {first_bad(tally)}; "
            "run again with a higher --max-bad-records to go on in spite of them."
        )


def first_bad(tally: Tally) -> str:
    """The first of what is bad, in words."""
    if tally.bad_places:
        first = tally.bad_places[0]
        return f"{first.block}, line {first.line}: {first.reason}"
    if tally.bad_blocks:
        return f"{tally.bad_blocks[0].block}: {tally.bad_blocks[0].reason}"
    return f"{tally.missing[0]}: missing"
