"""A whole job in simulated time: planned and coordinated by the real code."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from bench.simulation.inputs import Scenario
from bench.simulation.machines import Machines, Spent
from bench.simulation.queue import SimulatedQueue
from bench.simulation.requests import AT_A_TIME, CoordinatorTime
from bench.simulation.store import Bucket, SimulatedStore
from bench.simulation.world import World
from mr import layout
from mr.blocks import Block
from mr.ends import EndState
from mr.engines.cluster import Unheard
from mr.fleet import Sign
from mr.job import conduct_job, plan_job, stage_tally
from mr.prices import price_usd
from mr.spec import VERSION, JobSpec, Step
from mr.stages import Conduct

JOB = "simulated"


@dataclass(frozen=True)
class Outcome:
    """How it went; seconds, bytes, US dollars."""

    scenario: Scenario
    seconds: float
    #: When each stage had ended.
    stages: dict[str, float]
    tasks: dict[str, int]
    machine_hours: float
    machines_usd: float
    requests_usd: float
    requests: dict[str, int]
    spent: Spent
    rung_again: int
    sent_late: int
    most_held: int
    most_lent: int
    plan_bytes: dict[str, int]
    commit_bytes: int
    #: Raw bytes by the commits that count.
    committed_bytes: int
    #: Processor seconds of the real coordinator's code: these are measured, not simulated.
    cpu_s: float

    @property
    def usd(self) -> float:
        """What it costs."""
        return self.machines_usd + self.requests_usd

    @property
    def busy_share(self) -> float:
        """The share of the processes' time in which they were at something."""
        return self.spent.busy_s / (self.machine_hours * 3600 * self.scenario.fleet.processes)


def simulate(scenario: Scenario) -> Outcome:
    """Plan a job and run it to its end."""
    world, bucket = World(), Bucket()
    counts = bucket.counts
    cloud, scheduling = scenario.cloud, scenario.scheduling
    pays = CoordinatorTime(world, cloud, scheduling)
    store = SimulatedStore(bucket, pays.spend)
    random = Random(f"{scenario.seed}/queues")
    tasks = SimulatedQueue(world, pays, counts, cloud, random)
    events = SimulatedQueue(world, pays, counts, cloud, random)
    workers_store = SimulatedStore(bucket, lambda operation, size: None)
    machines = Machines(world, scenario, workers_store, tasks, events, counts)
    began_cpu = time.process_time()
    machines.start()
    spec = spec_of(scenario)
    _list(scenario, pays, counts)
    plan_job(store, spec, b"", blocks_of(scenario))

    def signs() -> list[Sign]:
        with world.own_time():  # who coordinates a cluster reads them
            found = machines.signs()
        counts["s3.ListObjectsV2"] += 1
        counts["s3.GetObject"] += len(found)
        pays.spend("ListObjectsV2", 0)
        asking_s = max(cloud.read_s / AT_A_TIME, scheduling.request_cpu_s)
        world.spend(len(found) * asking_s)
        return found

    stages = _Stages(world)
    conduct = Conduct(
        store,
        tasks,
        events,
        stages,
        window=scheduling.window,
        fleet=signs if scheduling.signs else None,
        clock=world.clock,
        time_of_day=world.clock,
        poll_s=scheduling.poll_s,
        rescan_s=scheduling.rescan_s,
    )
    end = conduct_job(conduct, spec)
    if end.state is not EndState.DONE:
        raise AssertionError(f"the job has ended otherwise: {end}")
    stages.stage("", 0, 0)
    cpu_s = time.process_time() - began_cpu - world.own_cpu_s
    if scheduling.signs:
        machines.count_signs()
    billed_hours = machines.billed_s() / 3600
    return Outcome(
        scenario=scenario,
        seconds=world.clock(),
        stages=stages.ends,
        tasks={stage: len(found) for stage, found in conduct.commits.items()},
        machine_hours=billed_hours,
        machines_usd=billed_hours * scenario.fleet.usd_hour,
        requests_usd=price_usd(counts),
        requests=dict(sorted(counts.items())),
        spent=machines.spent,
        rung_again=conduct.rung_again,
        sent_late=conduct.sent_late,
        most_held=tasks.most_held,
        most_lent=tasks.most_lent,
        plan_bytes={
            stage: len(bucket.found(layout.plan_name(JOB, stage)) or b"")
            for stage in conduct.commits
        },
        commit_bytes=sum(len(data) for _, data in bucket.below(layout.commits_prefix(JOB))),
        committed_bytes=stage_tally(conduct, layout.stage_id(1, "map")).raw_bytes,
        cpu_s=cpu_s,
    )


class _Stages(Unheard):
    """Takes note of when each stage has ended."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._name = ""
        self.ends: dict[str, float] = {}

    def stage(self, name: str, tasks: int, done: int) -> None:
        """The one before has ended."""
        if self._name:
            self.ends[self._name] = self._world.clock()
        self._name = name


def _list(scenario: Scenario, pays: CoordinatorTime, counts: Counter[str]) -> None:
    """Spend the time of listing the blocks."""
    blocks = scenario.compressed_bytes / scenario.work.block_bytes
    requests = max(1, round(blocks / 1000))
    counts["s3.ListObjectsV2"] += requests
    pays.spend_listing(requests)


def blocks_of(scenario: Scenario) -> Iterator[Block]:
    """The blocks that it reads, in order."""
    size, left, number = int(scenario.work.block_bytes), int(scenario.compressed_bytes), 0
    while left > 0:
        key = f"saved_session/Firefox/nightly/26.0a1/20130829034923.20130829.v2.log.{number:032x}"
        yield Block("s3://blocks", key, min(size, left), f"{number:032x}", (), number)
        left -= size
        number += 1


def spec_of(scenario: Scenario) -> JobSpec:
    """The job's description."""
    work = scenario.work
    return JobSpec(
        version=VERSION,
        job=JOB,
        analysis="simulated",
        created="",
        bundle="0" * 64,
        schema={},
        filter={},
        inputs=["s3://blocks"],
        stores=["s3://blocks"],
        steps=[Step("simulated", has_reduce=True, ordered=False)],
        reducers=work.reducers,
        split_bytes=int(work.split_bytes),
        buffer_bytes=128 * 10**6,
        sample=None,
        max_bad_records=None,
        max_bad_share=None,
        strict=False,
        max_failures=5,
        hang_s=600.0,
        is_script=False,
        listing={},
    )
