"""How long a planned job would take on a fleet, and what it would cost: a range (pure).

Everything is reckoned from the plan, from what a few splits took here, and from the assumptions in
`Assumed`, which the answer names.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mr.prices import price_usd
from mr.tally import add_counts

#: An object of more bytes goes up in parts, each a request.
PART_BYTES = 16_000_000
#: How often a running task extends its lease, a worker signs and a coordinator looks; seconds.
BEAT_S, SIGN_S, LOOK_S, ALIVE_S = 20.0, 20.0, 20.0, 10.0
#: Names in a page of a listing.
PAGE = 1_000


@dataclass(frozen=True)
class Facts:
    """What the plan says; sizes are compressed bytes."""

    blocks: int
    bytes: int
    largest_block: int
    #: Of each split, in the order of the plan.
    splits: Sequence[int]
    reducers: int
    has_reduce: bool = True
    #: Steps of the analysis; only the first is reckoned with.
    steps: int = 1


@dataclass(frozen=True)
class Measured:
    """What a few splits took here, one process for each at a time."""

    splits: int
    blocks: int
    compressed_bytes: int
    raw_bytes: int
    records: int
    #: Seconds for a compressed byte: of the fastest split, of all, of the slowest.
    fastest_s: float
    mean_s: float
    slowest_s: float
    #: What the maps wrote for the reduces: in all, and a task on average.
    output_bytes: int
    output_bytes_a_task: float
    #: Seconds of reducing for a byte of that.
    reduce_s: float
    #: Seconds that a task takes beside that.
    processes: int = 1

    @property
    def raw_ratio(self) -> float:
        """Raw bytes for a compressed byte."""
        return self.raw_bytes / self.compressed_bytes if self.compressed_bytes else 0.0

    @property
    def output_ratio(self) -> float:
        """Bytes for the reduces for a compressed byte."""
        return self.output_bytes / self.compressed_bytes if self.compressed_bytes else 0.0


@dataclass(frozen=True)
class Assumed:
    """What cannot be measured here, as (low, high): of the shorter and the longer time."""

    #: A process of the fleet's machines takes so many times as long as one here. What EC2 calls a
    #: processor is half of a core.
    slower: tuple[float, float] = (1.0, 2.0)
    #: The share of the work that is done again, as machines are taken away and tasks are late.
    again: tuple[float, float] = (0.0, 0.10)
    #: Seconds until the machines work, and what comes after the tasks.
    start_s: tuple[float, float] = (120.0, 900.0)
    end_s: tuple[float, float] = (5.0, 60.0)
    #: Seconds that machines are paid for after the job, until they leave.
    idle_s: tuple[float, float] = (0.0, 900.0)


#: A fleet that is this machine.
HERE = Assumed(
    slower=(1.0, 1.25), again=(0.0, 0.0), start_s=(0.2, 1.0), end_s=(0.2, 2.0), idle_s=(0.0, 0.0)
)


@dataclass(frozen=True)
class Range:
    """From the least that is expected to the most."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:,.2f} to {self.high:,.2f}"


@dataclass(frozen=True)
class Estimate:
    """The answer: hours from the start to the end, machine-hours, US dollars."""

    map_hours: Range
    reduce_hours: Range
    hours: Range
    machine_hours: Range
    machines_usd: Range
    requests_usd: Range
    usd: Range
    requests: dict[str, int] = field(default_factory=dict)


def estimate(
    facts: Facts,
    measured: Measured,
    *,
    machines: int,
    processes: int,
    usd_an_hour: float,
    assumed: Assumed,
) -> Estimate:
    """What the job would take on so many machines of so many processes each."""
    slots = machines * processes
    low, high = (_hours(facts, measured, slots, assumed, end) for end in (0, 1))
    hours = Range(low.hours, high.hours)
    counts = [
        requests_of(facts, output_bytes=one.output_bytes, hours=one.hours, machines=machines,
                    slots=slots)
        for one in (low, high)
    ]  # fmt: skip
    requests = Range(*map(price_usd, counts))
    paid = [one.hours + idle / 3600 for one, idle in zip((low, high), assumed.idle_s, strict=True)]
    machine_hours = Range(machines * paid[0], machines * paid[1])
    cost = Range(machine_hours.low * usd_an_hour, machine_hours.high * usd_an_hour)
    return Estimate(
        map_hours=Range(low.map_hours, high.map_hours),
        reduce_hours=Range(low.reduce_hours, high.reduce_hours),
        hours=hours,
        machine_hours=machine_hours,
        machines_usd=cost,
        requests_usd=requests,
        usd=Range(cost.low + requests.low, cost.high + requests.high),
        requests=counts[1],
    )


@dataclass(frozen=True)
class _End:
    """One end of the range."""

    map_hours: float
    reduce_hours: float
    hours: float
    output_bytes: float


def _hours(facts: Facts, measured: Measured, slots: int, assumed: Assumed, end: int) -> _End:
    factor = assumed.slower[end] * (1 + assumed.again[end])
    # What comes once, as starting a process, weighs on small splits; least on the fastest.
    pace = (measured.fastest_s, measured.mean_s)[end]
    whole = makespan([size * pace for size in facts.splits], slots)
    last = max(facts.splits, default=0) * (measured.fastest_s, measured.slowest_s)[end]
    map_s = factor * max(whole, last)
    # Where values are added up, what a split gives hardly grows with its size; else in proportion.
    grown = (
        len(facts.splits) * measured.output_bytes_a_task,
        facts.bytes * measured.output_ratio,
    )
    output = (min(grown), max(grown))[end] if facts.has_reduce else 0.0
    each = output * measured.reduce_s / max(1, facts.reducers)
    reduce_s = factor * each * math.ceil(facts.reducers / slots) if facts.has_reduce else 0.0
    total = assumed.start_s[end] + map_s + reduce_s + assumed.end_s[end]
    return _End(map_s / 3600, reduce_s / 3600, total / 3600, output)


def makespan(tasks: Sequence[float], slots: int) -> float:
    """Seconds until all tasks are done, the longest begun first, as the coordinator sends them."""
    free = [0.0] * min(slots, max(1, len(tasks)))
    for seconds in sorted(tasks, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def requests_of(
    facts: Facts, *, output_bytes: float, hours: float, machines: int, slots: int
) -> dict[str, int]:
    """What workers and coordinator would ask of S3 and SQS, as docs/cluster.md has it."""
    maps, seconds = len(facts.splits), hours * 3600
    reduces = facts.reducers if facts.has_reduce else 0
    beats = round(seconds / BEAT_S) * min(slots, maps + reduces)
    counts: dict[str, int] = {}
    add_counts(counts, _of_tasks(maps, facts.blocks, output_bytes / maps if maps else 0.0))
    # Each reduce reads a range of each map's output.
    add_counts(counts, _of_tasks(reduces, maps * reduces, 0.0))
    add_counts(
        counts,
        {
            "s3.HeadObject": 3 * beats,
            "sqs.ChangeMessageVisibility": beats,
            "s3.PutObject": round(machines * seconds / SIGN_S + seconds / ALIVE_S),
            "s3.ListObjectsV2": round(seconds / LOOK_S * (1 + maps / PAGE)),
        },
    )
    return counts


def _of_tasks(tasks: int, reads: int, output_bytes: float) -> Mapping[str, int]:
    parts = math.ceil(output_bytes / PART_BYTES) if output_bytes > PART_BYTES else 0
    return {
        "s3.PutObject": (2 + parts) * tasks,
        "s3.CreateMultipartUpload": tasks if parts else 0,
        "s3.CompleteMultipartUpload": tasks if parts else 0,
        "s3.HeadObject": 5 * tasks,
        "s3.GetObject": reads + 2 * tasks,
        "sqs.ReceiveMessage": 2 * tasks,
        "sqs.DeleteMessage": 2 * tasks,
        "sqs.SendMessageBatch": tasks + tasks // 10,
    }
