"""What a simulation goes by: every input by name, so that it can be printed beside its result."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

MB, GB, TB, PB = 10**6, 10**9, 10**12, 10**15


def told(label: str, default: Any = None) -> Any:
    """An input with the words that stand for it in a table."""
    if default is None:
        return field(metadata={"label": label})
    return field(default=default, metadata={"label": label})


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is read, and what comes of it."""

    raw_bytes: float = told("raw bytes")
    ratio: float = told("raw bytes for each compressed one")
    block_bytes: float = told("compressed bytes of a block", 100 * MB)
    split_bytes: float = told("compressed bytes of a split, at most", 500 * MB)
    reducers: int = told("reducers")
    map_bytes_s: float = told("raw bytes a second that a process maps, all processors busy")
    filled: int = told("partitions that a map has something for, at most", 10**9)
    shuffle_share: float = told("map output for each raw byte", 0.0)
    merge_bytes_s: float = told("bytes of map output a second that a reduce merges", 38 * MB)
    run_s: float = told("seconds of a reduce for each map output, beside its bytes", 0.0)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The machines, and what befalls them."""

    machine: str = told("type of machine")
    machines: int = told("machines")
    processes: int = told("processes of each")
    usd_hour: float = told("US dollars for a machine's hour")
    billed_s: float = told("seconds that are billed as a whole", 1.0)
    network_bytes_s: float = told("bytes a second between a machine and S3")
    reads_ahead: bool = told("whether reading goes on beside the work", True)
    asked_s: float = told("seconds until machines are asked for, also for one that is lost", 0.0)
    boot_s: float = told("seconds that a machine takes to begin", 0.0)
    boot_spread_s: float = told("seconds more, at most, evenly drawn", 0.0)
    interruptions_hour: float = told("interruptions of a machine in an hour", 0.0)
    noticed: float = told("share of interruptions with a notice", 1.0)
    spread: float = told("spread of attempts' times (sigma of their logarithm)", 0.0)
    stragglers: float = told("share of map attempts that straggle", 0.0)
    straggler_factor: float = told("times as long as others that these take", 1.0)


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """S3 and SQS: how long a request takes, and what they take at most."""

    read_s: float = told("seconds of a GET or HEAD", 0.03)
    write_s: float = told("seconds of a PUT", 0.05)
    list_s: float = told("seconds of a LIST of 1,000 names", 0.1)
    queue_s: float = told("seconds of a request to SQS", 0.01)
    reads_s: float = told("GET and HEAD a second below a job's prefix", 5_500)
    writes_s: float = told("PUT a second below a job's prefix", 3_500)
    most_lent: int = told("messages that SQS lends at a time", 120_000)
    duplicates: float = told("share of messages that are delivered twice", 0.0)


@dataclass(frozen=True, kw_only=True)
class Scheduling:
    """How tasks are handed out, as `mr` does unless told otherwise."""

    lease_s: float = told("seconds of a lease", 300.0)
    heartbeat_s: float = told("seconds between heartbeats", 20.0)
    signs: bool = told("whether the coordinator sees who works, and sends late tasks again", True)
    window: int = told("messages in the queue while it sees nobody", 100)
    poll_s: float = told("seconds of a look for news", 2.0)
    rescan_s: float = told("seconds between looks at the store", 20.0)
    request_cpu_s: float = told("processor seconds of the coordinator for a request", 0.0011)
    list_cpu_s: float = told("the same for a LIST", 0.028)
    decode_bytes_s: float = told("bytes a second of commits that it reads and plans by", 36 * MB)
    plan_bytes_s: float = told("bytes a second of a plan that it writes", 36 * MB)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """All inputs of a simulation."""

    name: str
    work: Work
    fleet: Fleet
    cloud: Cloud = Cloud()
    scheduling: Scheduling = Scheduling()
    seed: int = 1

    @property
    def compressed_bytes(self) -> float:
        """What is read of the store."""
        return self.work.raw_bytes / self.work.ratio

    @property
    def processes(self) -> int:
        """Attempts that run at a time."""
        return self.fleet.machines * self.fleet.processes


def listed(scenario: Scenario) -> Iterator[tuple[str, str, Any]]:
    """Every input: its name, what it means, and its value."""
    for part in ("work", "fleet", "cloud", "scheduling"):
        values = getattr(scenario, part)
        for one in fields(values):
            yield f"{part}.{one.name}", one.metadata["label"], getattr(values, one.name)
