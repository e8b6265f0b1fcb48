"""Machines and their processes: they take tasks, and may be taken away in the middle of one."""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from bench.simulation.durations import Load, map_load, reduce_load
from bench.simulation.inputs import Scenario
from bench.simulation.queue import SimulatedQueue
from bench.simulation.requests import Throttle
from bench.simulation.store import SimulatedStore
from bench.simulation.world import World
from mr import layout
from mr.commits import Commit, is_over, write_commit
from mr.compatibility import Platform
from mr.fleet import SIGN_S, Running, Sign
from mr.plans import read_line
from mr.runs import Span
from mr.tally import Tally
from mr.taskqueue import Message
from mr.tasks import Event, Task, TaskState, decode_task
from mr.worker import is_needless

#: A process that has nothing to do asks the queue so often.
IDLE_POLL_S = 5.0
RECORD_BYTES = 50_000


@dataclass(eq=False)
class Machine:
    """One machine: when its hours began, and what runs on it."""

    name: str
    began: float
    is_up: bool = False
    ended: float | None = None
    running: dict[int, "Attempt"] = field(default_factory=dict)


@dataclass(eq=False)
class Attempt:
    """One attempt at a task, and where it runs."""

    name: str
    task: Task
    message: Message
    machine: Machine
    process: int
    began: float
    seconds: float
    load: Load
    is_over: bool = False

    def share(self, now: float) -> float:
        """How much of it is done."""
        return min(1.0, (now - self.began) / self.seconds) if self.seconds else 1.0


@dataclass
class Spent:
    """What the machines did; seconds are those of processes, bytes are raw."""

    attempts: int = 0
    interruptions: int = 0
    #: Attempts that ended with their machine, and those that another was faster than.
    lost: int = 0
    needless: int = 0
    busy_s: float = 0.0
    lost_s: float = 0.0
    needless_s: float = 0.0
    read_bytes: float = 0.0
    lost_bytes: float = 0.0
    needless_bytes: float = 0.0


class Machines:
    """All machines of a scenario, while a job runs."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        store: SimulatedStore,
        tasks: SimulatedQueue,
        events: SimulatedQueue,
        counts: Counter[str],
    ) -> None:
        self._world = world
        self._scenario = scenario
        self._store = store
        self._tasks = tasks
        self._events = events
        self._counts = counts
        self._reads = Throttle(scenario.cloud.reads_s)
        self._writes = Throttle(scenario.cloud.writes_s)
        self._idle: deque[tuple[Machine, int, float]] = deque()
        self._running: dict[tuple[str, int], list[Attempt]] = {}
        self._tries: Counter[tuple[str, int]] = Counter()
        self.all: list[Machine] = []
        self.spent = Spent()
        tasks.heard = self._hand_out

    # Machines

    def start(self) -> None:
        """Ask for the whole fleet."""
        for _ in range(self._scenario.fleet.machines):
            self._ask_for_one()

    def _ask_for_one(self) -> None:
        fleet = self._scenario.fleet
        name = f"machine-{len(self.all)}"
        random = Random(f"{self._scenario.seed}/{name}")
        machine = Machine(name, self._world.clock() + fleet.asked_s)
        self.all.append(machine)
        up = machine.began + fleet.boot_s + random.uniform(0, fleet.boot_spread_s)
        self._world.at(up, lambda: self._begin(machine))
        if fleet.interruptions_hour:
            lives_s = random.expovariate(fleet.interruptions_hour / 3600)
            has_notice = random.random() < fleet.noticed
            self._world.at(machine.began + lives_s, lambda: self._lose(machine, has_notice))

    def _begin(self, machine: Machine) -> None:
        if machine.ended is not None:
            return
        machine.is_up = True
        now = self._world.clock()
        self._idle.extend((machine, n, now) for n in range(self._scenario.fleet.processes))
        self._hand_out()

    def _lose(self, machine: Machine, has_notice: bool) -> None:
        now = self._world.clock()
        machine.ended = now
        self.spent.interruptions += 1
        self._ask_for_one()
        scheduling = self._scenario.scheduling
        for attempt in list(machine.running.values()):
            done = self._end(attempt)
            self.spent.lost += 1
            self.spent.lost_s += done * attempt.seconds
            self.spent.lost_bytes += done * attempt.load.raw_bytes
            if has_notice:
                self._tasks.give_back(attempt.message)
            else:
                beats = math.floor((now - attempt.began) / scheduling.heartbeat_s)
                until = attempt.began + beats * scheduling.heartbeat_s + scheduling.lease_s
                self._tasks.let_lapse(attempt.message, until - now)

    def signs(self) -> list[Sign]:
        """What the workers tell of themselves, a worker for each machine."""
        now = self._world.clock()
        return [
            Sign(
                worker=machine.name,
                host=machine.name,
                pid=1,
                started=machine.began,
                time=now,
                processes=self._scenario.fleet.processes,
                platform=_PLATFORM,
                running=[
                    Running(one.task.job, one.task.id, one.name, one.began)
                    for one in machine.running.values()
                ],
            )
            for machine in self.all
            if machine.is_up and machine.ended is None
        ]

    def billed_s(self) -> float:
        """Seconds of machines that are to be paid until now."""
        unit, now = self._scenario.fleet.billed_s, self._world.clock()
        ends = ((one.began, now if one.ended is None else one.ended) for one in self.all)
        return sum(math.ceil(max(0.0, end - began) / unit) * unit for began, end in ends)

    # Attempts

    def _hand_out(self) -> None:
        """Give messages to processes that wait for one."""
        while self._idle:
            machine, process, since = self._idle[0]
            if machine.ended is not None:
                self._idle.popleft()
                continue
            message = self._tasks.take()
            if message is None:
                return
            self._idle.popleft()
            waited_s = self._world.clock() - since
            self._counts["sqs.ReceiveMessage"] += 1 + int(waited_s / IDLE_POLL_S)
            self._try(machine, process, message)

    def _try(self, machine: Machine, process: int, message: Message) -> None:
        task = decode_task(message.body)
        if is_needless(self._store, task):
            self._acknowledge(message, task, TaskState.OVER)
            self._world.after(self._scenario.cloud.read_s, lambda: self._free(machine, process))
            return
        number = self.spent.attempts
        self.spent.attempts += 1
        load = self._load(task)
        attempt = Attempt(
            name=f"{number:032x}",
            task=task,
            message=message,
            machine=machine,
            process=process,
            began=self._world.clock(),
            seconds=self._seconds(task, load),
            load=load,
        )
        machine.running[process] = attempt
        self._running.setdefault((task.stage, task.number), []).append(attempt)
        self._world.after(attempt.seconds, lambda: self._finish(attempt))

    def _load(self, task: Task) -> Load:
        name = layout.plan_name(task.job, task.stage)
        line = read_line(self._store, name, task.start, task.end, task.number)
        if task.is_map:
            return map_load(self._scenario, task.number, line)
        return reduce_load(self._scenario, line)

    def _seconds(self, task: Task, load: Load) -> float:
        """How long it takes: as drawn, and no less than S3 takes for its requests."""
        fleet, place = self._scenario.fleet, (task.stage, task.number)
        self._tries[place] += 1
        # By task and try, so that what is drawn does not depend on who runs it, and when.
        random = Random(f"{self._scenario.seed}/{task.id}/{self._tries[place]}")
        factor = math.exp(random.gauss(0, fleet.spread)) if fleet.spread else 1.0
        if task.is_map and random.random() < fleet.stragglers:
            factor *= fleet.straggler_factor
        now = self._world.clock()
        return max(
            load.asking_s + factor * load.working_s,
            self._reads.wait_s(now, load.reads),
            self._writes.wait_s(now, load.writes),
        )

    def _finish(self, attempt: Attempt) -> None:
        if attempt.is_over:
            return
        self._end(attempt)
        task = attempt.task
        state = TaskState.OVER
        won = False
        if not is_over(self._store, task.job, publishes=task.publishes):
            state = TaskState.COMMITTED
            won = write_commit(self._store, task.job, self._commit(attempt))
        if won:
            self._give_up_others(attempt)
        else:
            self._was_needless(attempt, 1.0)
        self._acknowledge(attempt.message, task, state)
        self._free(attempt.machine, attempt.process)

    def _commit(self, attempt: Attempt) -> Commit:
        load, task = attempt.load, attempt.task
        tally = Tally()
        if task.is_map:
            records = int(load.raw_bytes / RECORD_BYTES)
            tally = Tally(load.blocks, records, records, load.compressed_bytes, load.raw_bytes)
        return Commit(
            task.id,
            attempt.name,
            _spans(load.run_bytes),
            tally,
            seconds=attempt.seconds,
            deliveries=attempt.message.receives,
            worker=attempt.machine.name,
        )

    def _give_up_others(self, winner: Attempt) -> None:
        """Others at the same task see at their next heartbeat that nobody needs them."""
        beat_s = self._scenario.scheduling.heartbeat_s
        for other in self._running.get((winner.task.stage, winner.task.number), ()):
            beats = math.floor((self._world.clock() - other.began) / beat_s) + 1
            self._world.at(other.began + beats * beat_s, lambda one=other: self._give_up(one))

    def _give_up(self, attempt: Attempt) -> None:
        if attempt.is_over:
            return
        self._was_needless(attempt, self._end(attempt))
        self._tasks.give_back(attempt.message)
        self._free(attempt.machine, attempt.process)

    def _was_needless(self, attempt: Attempt, done: float) -> None:
        self.spent.needless += 1
        self.spent.needless_s += done * attempt.seconds
        self.spent.needless_bytes += done * attempt.load.raw_bytes

    def _end(self, attempt: Attempt) -> float:
        """Take an attempt from its process; returns how much of it is done, and counts it."""
        attempt.is_over = True
        del attempt.machine.running[attempt.process]
        place = (attempt.task.stage, attempt.task.number)
        self._running[place].remove(attempt)
        if not self._running[place]:
            del self._running[place]
        done = attempt.share(self._world.clock())
        self.spent.busy_s += done * attempt.seconds
        self.spent.read_bytes += done * attempt.load.raw_bytes
        load, counts = attempt.load, self._counts
        beats = int(done * attempt.seconds / self._scenario.scheduling.heartbeat_s)
        counts["s3.GetObject"] += load.reads + load.block_reads
        counts["s3.PutObject"] += load.writes
        counts["s3.HeadObject"] += 3 * beats
        counts["sqs.ChangeMessageVisibility"] += beats
        return done

    def _acknowledge(self, message: Message, task: Task, state: TaskState) -> None:
        self._counts["sqs.DeleteMessage"] += 1
        self._counts["sqs.SendMessageBatch"] += 1
        self._tasks.remove(message)
        self._events.tell(Event(task.job, task.id, state).encode())

    def _free(self, machine: Machine, process: int) -> None:
        if machine.ended is None:
            self._idle.append((machine, process, self._world.clock()))
            self._hand_out()

    def count_signs(self) -> None:
        """Count what the machines have told of themselves until now: a sign, and a piece of log."""
        now = self._world.clock()
        lived_s = sum(
            max(0.0, (now if one.ended is None else one.ended) - one.began) for one in self.all
        )
        self._counts["s3.PutObject"] += 2 * int(lived_s / SIGN_S)


#: All are alike.
_PLATFORM = Platform()
_NOTHING = Span(0, 0)


def _spans(lengths: Sequence[int]) -> list[Span]:
    spans, offset = [_NOTHING] * len(lengths), 0
    for place, length in enumerate(lengths):
        if length:
            spans[place] = Span(offset, length)
            offset += length
    return spans
