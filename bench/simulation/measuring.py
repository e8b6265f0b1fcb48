"""What the real coordinator's code takes of memory and of the processor, measured here."""

import time
import tracemalloc
from dataclasses import dataclass

import msgspec

from bench.simulation.inputs import MB, Scenario, Work
from bench.simulation.running import JOB, blocks_of, simulate, spec_of
from bench.simulation.scenarios import modern_fleet, modern_work
from bench.simulation.store import Bucket, SimulatedStore
from mr import layout
from mr.blocks import BlockSorter
from mr.commits import Commit, held
from mr.job import plan_job
from mr.runs import Span
from mr.schema import load_schema
from mr.spec import RunRef, runs_line
from mr.stopwatch import STAGES, Spent
from mr.store import Entry
from mr.tally import Tally

#: Commits that are held, blocks that are sorted, tasks that are coordinated.
COMMITS, BLOCKS, TASKS = 2_000, 50_000, 2_000
REDUCERS = 300


@dataclass(frozen=True)
class Taken:
    """What a coordinator takes: bytes, and seconds of the processor without those of requests.

    A piece is what one map has for one reducer; a run is one that is not empty.
    """

    commit_bytes: float
    piece_bytes: float
    line_bytes: float
    block_bytes: float
    run_bytes: float
    task_cpu_s: float
    piece_cpu_s: float
    run_cpu_s: float
    block_cpu_s: float


def measure() -> Taken:
    """Measure all of it; takes some seconds."""
    bare, cut = _held_bytes(0), _held_bytes(100)
    line, lines = _line_bytes(1), _line_bytes(101)
    alone = _coordinating_s(1, 1)
    empty, full = _coordinating_s(REDUCERS, 1), _coordinating_s(REDUCERS, REDUCERS)
    # The reduces are tasks as well.
    of_pieces = [total - (TASKS + REDUCERS) * alone / (TASKS + 1) for total in (empty, full)]
    return Taken(
        commit_bytes=bare,
        piece_bytes=(cut - bare) / 100,
        line_bytes=line - (lines - line) / 100,
        block_bytes=(lines - line) / 100,
        run_bytes=_run_bytes(),
        task_cpu_s=alone / (TASKS + 1),
        piece_cpu_s=of_pieces[0] / (TASKS * REDUCERS),
        run_cpu_s=of_pieces[1] / (TASKS * REDUCERS),
        block_cpu_s=_planning_s(),
    )


def _held_bytes(partitions: int) -> float:
    """Bytes of a commit as the coordinator holds it."""
    data = msgspec.json.encode(
        Commit(
            task="1-map-0000000",
            attempt="0" * 32,
            spans=[Span(1_000 * place, 1_000) for place in range(partitions)],
            tally=Tally(5, 100_000, 100_000, 500 * MB, 5_000 * MB),
            requests={f"s3.Operation{number}": number for number in range(6)},
            worker="a-machine-of-some-name-12345-abcdef-1",
            profile={name: Spent(1.0, 10) for name in STAGES[:6]},
        )
    )
    tracemalloc.start()
    kept = {number: held(msgspec.json.decode(data, type=Commit)) for number in range(COMMITS)}
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def _line_bytes(blocks: int) -> float:
    """Bytes of a plan for each split of so many blocks."""
    splits = 100
    scenario = _scenario(
        modern_work(splits * blocks * 1_000 * MB, 8, split_bytes=blocks * 100 * MB)
    )
    bucket = Bucket()
    plan_job(_free(bucket), spec_of(scenario), b"", blocks_of(scenario))
    return len(bucket.found(layout.plan_name(JOB, "1-map")) or b"") / splits


def _run_bytes() -> float:
    """Bytes of a run in a reduce's manifest."""
    runs = [RunRef(f"1-map-{n:07d}", f"{n:032x}", 10_000 * n, 10_000) for n in range(1_000)]
    return len(msgspec.json.encode(runs_line(0, runs)[0])) / len(runs)


def _coordinating_s(reducers: int, filled: int) -> float:
    """Seconds that the coordinator of a job takes."""
    cut = {"split_bytes": 100 * MB, "reducers": reducers, "filled": filled}
    return simulate(_scenario(modern_work(TASKS * 1_000 * MB, 800, **cut))).cpu_s


def _planning_s() -> float:
    """Seconds that a block of a listing takes until it is sorted and planned."""
    sorter = BlockSorter(load_schema(None))
    store = sorter.store_number("s3://blocks")
    scenario = _scenario(modern_work(BLOCKS * 1_000 * MB, 8))
    began = time.process_time()
    for number in range(BLOCKS):
        key = (
            "saved_session/Firefox/nightly/26.0a1/20130829034923.20130829.v2.log."
            f"{7_919 * number % BLOCKS:032x}"
        )
        sorter.add(store, Entry(key, 100 * MB, "0" * 32), key.encode(), in_layout=True)
    plan_job(_free(Bucket()), spec_of(scenario), b"", sorter.finish())
    return (time.process_time() - began) / BLOCKS


def _scenario(work: Work) -> Scenario:
    return Scenario(name="measured", work=work, fleet=modern_fleet(100, stragglers=0.0))


def _free(bucket: Bucket) -> SimulatedStore:
    """A bucket whose requests take no time."""
    return SimulatedStore(bucket, lambda operation, size: None)
