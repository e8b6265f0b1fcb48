"""What a task reads, writes and takes, by its line of the plan (pure)."""

import math
from dataclasses import dataclass
from typing import Any

from bench.simulation.inputs import Scenario, Work
from mr.runs import MERGE_WIDTH
from mr.sources import THREADS

#: A multipart upload has parts of so many bytes; what is smaller is one PUT.
PART_BYTES = 16_000_000


@dataclass(frozen=True)
class Load:
    """What an attempt asks of S3 and of its machine; bytes and seconds."""

    #: Seconds of round trips, and of the work, which is subject to chance.
    asking_s: float
    working_s: float
    #: Requests below the job's prefix, and for blocks.
    reads: int
    writes: int
    block_reads: int = 0
    blocks: int = 0
    compressed_bytes: int = 0
    raw_bytes: int = 0
    #: Bytes of what it writes for each partition.
    run_bytes: tuple[int, ...] = (0,)


def map_load(scenario: Scenario, number: int, line: dict[str, Any]) -> Load:
    """A map of a split's blocks, the so-many-th of its stage."""
    work, fleet = scenario.work, scenario.fleet
    compressed = sum(size for _, _, size, _ in line["blocks"])
    raw = compressed * work.ratio
    fetch_s = compressed / (fleet.network_bytes_s / fleet.processes)
    map_s = raw / work.map_bytes_s
    written = raw * work.shuffle_share
    writes = 1 + _uploads(written)
    return Load(
        asking_s=_asking_s(scenario, 2, writes),
        working_s=max(fetch_s, map_s) if fleet.reads_ahead else fetch_s + map_s,
        reads=2,
        writes=writes,
        block_reads=len(line["blocks"]),
        blocks=len(line["blocks"]),
        compressed_bytes=compressed,
        raw_bytes=round(raw),
        run_bytes=_runs(scenario.work, number, written),
    )


def _runs(work: Work, number: int, written: float) -> tuple[int, ...]:
    """What a map writes for each partition: each for as many, one after the other in turn."""
    filled, start = min(work.filled, work.reducers), number * work.filled % work.reducers
    runs = [0] * work.reducers
    for place in range(start, start + filled):
        runs[place % work.reducers] = max(1, int(written / filled))
    return tuple(runs)


def reduce_load(scenario: Scenario, line: dict[str, Any]) -> Load:
    """A merge of the runs of one partition, and what it asks to be merged."""
    work, fleet = scenario.work, scenario.fleet
    runs = line["runs"]
    size = sum(length for _, _, _, length in runs)
    writes = 1 + _uploads(size)
    opening_s = math.ceil(len(runs) / THREADS) * scenario.cloud.read_s
    fetch_s = size / (fleet.network_bytes_s / fleet.processes)
    merge_s = size * passes(len(runs)) / work.merge_bytes_s
    return Load(
        asking_s=_asking_s(scenario, 2, writes) + opening_s,
        working_s=fetch_s + merge_s + len(runs) * work.run_s,
        reads=2 + len(runs),
        writes=writes,
    )


def passes(runs: int) -> int:
    """How often a reduce goes over its bytes: merges have a bounded width."""
    number = 1
    while runs > MERGE_WIDTH:
        runs = -(-runs // MERGE_WIDTH)
        number += 1
    return number


def _uploads(size: float) -> int:
    """Requests that write an object: more than one part needs a beginning and an end."""
    parts = math.ceil(size / PART_BYTES)
    return parts + 2 if parts > 1 else 1


def _asking_s(scenario: Scenario, reads: int, writes: int) -> float:
    """Round trips of an attempt: beside these five HEADs, and three requests to SQS."""
    cloud = scenario.cloud
    return (reads + 5) * cloud.read_s + writes * cloud.write_s + 3 * cloud.queue_s
