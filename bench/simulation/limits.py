"""What breaks first: the arithmetic of each limit, from what was measured (pure)."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.simulation.durations import passes
from bench.simulation.inputs import GB, MB, Cloud, Scheduling
from bench.simulation.measuring import Taken
from bench.simulation.requests import AT_A_TIME
from bench.simulation.scenarios import (
    HISTOGRAMS_GAIN,
    HISTOGRAMS_MB_S,
    HISTOGRAMS_SHARE,
    SIZES,
    modern_fleet,
    raw_text,
)
from mr.config import MOST_LEASE_S
from mr.prices import S3_READ_USD
from mr.runs import MERGE_WIDTH
from mr.splits import (
    DEFAULT_SPLIT_BYTES,
    INPUT_PER_REDUCER_BYTES,
    MAX_BLOCKS,
    MOST_PIECES,
    fitting_reducers,
    fitting_size,
)

#: Raw bytes for a compressed one, and compressed bytes of a block.
RATIO, BLOCK_BYTES = 10, 100 * MB
#: A machine's disk: what `cluster up` gives it at first.
DISK_BYTES = 100 * GB
#: Raw bytes a second that a process maps, all processors busy.
MAP_BYTES_S = HISTOGRAMS_MB_S * MB * HISTOGRAMS_GAIN / 2


@dataclass(frozen=True)
class Growth:
    """What a job of a size asks for, cut by the planner for so many processes; bytes, seconds."""

    raw_bytes: float
    processes: int
    split_bytes: int
    splits: int
    reducers: int
    plan_bytes: float
    listing_s: float
    memory_bytes: float
    cpu_s: float
    shuffle_s: float
    shuffle_usd: float
    passes: int
    manifest_bytes: float
    disk_bytes: float

    @property
    def pieces(self) -> int:
        """What all maps may have for all reducers."""
        return self.splits * self.reducers


def grow(raw_bytes: float, processes: int, taken: Taken) -> Growth:
    """What a job asks for if every map has something for every reducer."""
    cloud, scheduling = Cloud(), Scheduling()
    compressed = int(raw_bytes / RATIO)
    split = max(fitting_size(compressed, processes), int(BLOCK_BYTES))
    split = min(split, int(MAX_BLOCKS * BLOCK_BYTES))
    splits = -(-compressed // split)
    blocks = compressed / BLOCK_BYTES
    reducers = fitting_reducers(compressed, processes, split)
    pieces = splits * reducers
    list_s = max(cloud.list_s / AT_A_TIME, scheduling.list_cpu_s)
    # For each task a GET and a DELETE, and tenths of a receive and a send.
    requests_s = 2.2 * scheduling.request_cpu_s
    return Growth(
        raw_bytes=raw_bytes,
        processes=processes,
        split_bytes=split,
        splits=splits,
        reducers=reducers,
        plan_bytes=splits * taken.line_bytes + blocks * taken.block_bytes,
        listing_s=blocks * (list_s / 1_000 + taken.block_cpu_s),
        memory_bytes=splits * taken.commit_bytes + pieces * taken.piece_bytes,
        cpu_s=splits * (taken.task_cpu_s + requests_s) + pieces * taken.run_cpu_s,
        shuffle_s=pieces / cloud.reads_s,
        shuffle_usd=pieces * S3_READ_USD,
        passes=passes(splits),
        manifest_bytes=splits * taken.run_bytes,
        disk_bytes=HISTOGRAMS_SHARE * raw_bytes / reducers,
    )


def growths(processes: int, taken: Taken) -> list[Growth]:
    """What jobs of the curves' sizes ask for."""
    return [grow(size, processes, taken) for size in SIZES]


@dataclass(frozen=True)
class Limit:
    """One thing that ends somewhere: what, where, by which reckoning, and what to do then."""

    what: str
    where: str
    reckoning: str
    then: str


def fleet_limits(taken: Taken, tasks_a_second: float) -> list[Limit]:
    """What ends at a number of machines, least first; splits of 500 MB."""
    cloud, scheduling = Cloud(), Scheduling()
    processes = modern_fleet(1).processes
    task_s = _task_s(DEFAULT_SPLIT_BYTES)
    busy = tasks_a_second * task_s
    heads = 3 / scheduling.heartbeat_s
    signs_s = max(cloud.read_s / AT_A_TIME, scheduling.request_cpu_s)
    found = [
        (
            busy,
            Limit(
                "the coordinator keeps up with its workers",
                _machines(busy),
                f"{tasks_a_second:,.0f} tasks a second (simulated) of {task_s:.0f} s each keep "
                f"{busy:,.0f} processes busy",
                "larger splits: twice as large, twice as many machines",
            ),
        ),
        (
            cloud.reads_s / heads,
            Limit(
                "heartbeats are what S3 answers below one prefix",
                _machines(cloud.reads_s / heads),
                f"3 HEAD for each process in {scheduling.heartbeat_s:.0f} s, of {cloud.reads_s:,}",
                "S3 refuses some for a while, and they are asked again",
            ),
        ),
        (
            scheduling.rescan_s / signs_s * processes,
            Limit(
                "the coordinator reads the machines' signs of life all the time",
                _machines(scheduling.rescan_s / signs_s * processes),
                f"{signs_s * 1e3:.1f} ms for each, every {scheduling.rescan_s:.0f} s",
                "fewer and larger machines",
            ),
        ),
        (
            cloud.most_lent,
            Limit(
                "messages that SQS lends at a time",
                _machines(cloud.most_lent),
                f"{cloud.most_lent:,}, one for each process",
                "another queue, and another job in it",
            ),
        ),
    ]
    return [limit for _, limit in sorted(found, key=lambda one: one[0])]


def size_limits(taken: Taken) -> list[Limit]:
    """What ends at a size, least first; a job cut for 50 machines, nothing told by hand."""
    fleet = modern_fleet(50)
    disk = DISK_BYTES / fleet.processes

    def first(ends: Callable[[Growth], bool]) -> float:
        return _first(lambda size: ends(grow(size, fleet.machines * fleet.processes, taken)))

    found = {
        "there are fewer reducers than one for each 5 GB": (
            first(lambda one: one.reducers < one.raw_bytes / RATIO / INPUT_PER_REDUCER_BYTES),
            f"splits x reducers are {MOST_PIECES:,} at most: {taken.piece_bytes:.0f} bytes each in "
            f"the coordinator, and {MOST_PIECES / Cloud().reads_s / 3600:.1f} hours of GETs at "
            f"{Cloud().reads_s:,} a second if none is empty",
            "nothing, or more: `--reducers`",
        ),
        "splits are larger than 500 MB": (
            first(lambda one: one.split_bytes > DEFAULT_SPLIT_BYTES),
            f"{MERGE_WIDTH} x {MERGE_WIDTH} = {MERGE_WIDTH**2:,} runs are what a reduce merges in "
            "two passes",
            "nothing: a third pass costs more than larger tasks",
        ),
        "a map takes an hour": (
            first(lambda one: _task_s(one.split_bytes) > 3600),
            f"{3600 * MAP_BYTES_S / GB:.0f} raw GB at {MAP_BYTES_S / MB:.0f} MB a second; whoever "
            "vanishes takes half an hour of each of its processes along",
            "`--split-size`, and fewer reducers",
        ),
        "histograms: a reduce's runs fill its share of the disk": (
            first(lambda one: one.disk_bytes > disk),
            f"{HISTOGRAMS_SHARE * 1e3:.1f} MB for each raw GB; {disk / GB:.1f} GB for each process "
            f"of a machine with {DISK_BYTES / GB:.0f} GB",
            "`--reducers`, or `cluster up --disk`",
        ),
        "a map takes as long as SQS lends a message": (
            first(lambda one: _task_s(one.split_bytes) > MOST_LEASE_S),
            f"{MOST_LEASE_S // 3600} hours",
            "`--split-size`",
        ),
    }
    sized = sorted(found.items(), key=lambda one: one[1][0])
    return [
        Limit(what, raw_text(float(f"{size:.1e}")), reckoning, then)
        for what, (size, reckoning, then) in sized
    ]


def _task_s(split_bytes: float) -> float:
    """Seconds of a map."""
    return split_bytes * RATIO / MAP_BYTES_S


def _machines(processes: float) -> str:
    return f"{processes / modern_fleet(1).processes:,.0f} machines"


def _first(ends: Callable[[float], bool]) -> float:
    """The size at which something ends, which goes on from there; raw bytes."""
    low, high = 1.0 * GB, 1e24
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if ends(middle) else (middle, high)
    return high
