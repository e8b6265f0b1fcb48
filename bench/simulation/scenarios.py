"""The scenarios: the system of 2013, ours, and what lies beyond."""

from dataclasses import dataclass, field, replace
from typing import Any

from bench.simulation.inputs import GB, MB, PB, TB, Cloud, Fleet, Scenario, Scheduling, Work
from mr.prices import load_prices
from mr.splits import DEFAULT_SPLIT_BYTES, fitting_reducers, fitting_size

#: Raw MB a second of a process that merges histograms by a plain loop (bench/results.md, "Peers").
PLAIN_LOOP_MB_S = 7.9
#: How many times as long a process of 2013 takes for the same.
SLOWER = 3.0

#: Raw MB a second of one process alone on a core (bench/results.md: 2,000 MB raw in 14.0 and in
#: 20.2 s), and how much faster two are on two processors: what EC2 calls a processor is such a one.
COUNTING_MB_S, COUNTING_GAIN = 2_000 / 14.0, 1.49
HISTOGRAMS_MB_S, HISTOGRAMS_GAIN = 2_000 / 20.2, 1.59
#: Map output of the histograms for each raw byte, of large blocks; measured: 2,269 KB of 400 MB.
HISTOGRAMS_SHARE = 0.0057
#: Partitions that a map of the histograms fills; measured: 30 of 64.
HISTOGRAMS_FILLED = 32

MACHINE = "c6a.2xlarge"


@dataclass(frozen=True)
class Told:
    """A scenario as a page tells it: where each input that matters comes from."""

    title: str
    scenario: Scenario
    #: By the input's name ("work.ratio"): "given", "measured: ..." or "assumed: ...".
    origins: dict[str, str] = field(default_factory=dict)
    #: What was found in life: hours and US dollars.
    hours: float | None = None
    usd: float | None = None


def of_2013() -> Told:
    """The system of 2013: 2 TB compressed, 20 TB raw, on 50 machines in 6 hours for 25 USD."""
    work = Work(
        raw_bytes=20 * TB,
        ratio=10.0,
        block_bytes=200 * MB,
        split_bytes=200 * MB,
        reducers=1,
        map_bytes_s=PLAIN_LOOP_MB_S * MB / SLOWER,
        run_s=0.2,
    )
    fleet = Fleet(
        machine="c1.xlarge",
        machines=50,
        processes=8,
        usd_hour=0.083,
        billed_s=3600.0,
        network_bytes_s=40 * MB,
        reads_ahead=False,
        asked_s=300.0,
        boot_s=300.0,
        boot_spread_s=120.0,
        interruptions_hour=0.02,
        noticed=0.0,
        spread=0.2,
        stragglers=0.02,
        straggler_factor=2.0,
    )
    scheduling = Scheduling(
        lease_s=1800.0,
        heartbeat_s=1800.0,
        signs=False,
        window=10_000,
        poll_s=20.0,
        rescan_s=300.0,
    )
    origins = {
        "work.raw_bytes": "given: 20 TB",
        "work.ratio": "given: 2 TB compressed",
        "work.split_bytes": "given: 10,000 outputs of 2 TB, and no block over 500 MB",
        "work.reducers": "given: one master merges all outputs",
        "work.map_bytes_s": "assumed: a third of the 7.9 MB/s that a plain loop over the "
        "histograms does today on one core (bench/results.md); Python 2, a core of 2009",
        "work.run_s": "assumed: the master merges five outputs a second, at the end",
        "fleet.machine": "assumed",
        "fleet.machines": "given",
        "fleet.processes": "assumed: one for each processor",
        "fleet.usd_hour": "given: 25 USD for 50 machines and 6 hours; so the dollars test the "
        "hours alone, and their rounding",
        "fleet.billed_s": "assumed: EC2 billed begun hours",
        "fleet.network_bytes_s": "assumed",
        "fleet.reads_ahead": "assumed: a block is fetched, then read",
        "fleet.asked_s": "assumed: a spot request",
        "fleet.boot_s": "assumed",
        "fleet.interruptions_hour": "assumed: one a machine in 50 hours",
        "fleet.noticed": "assumed: no notice",
        "fleet.spread": "assumed",
        "fleet.stragglers": "assumed",
        "fleet.straggler_factor": "assumed",
        "scheduling.lease_s": "assumed: half an hour, longer than a task; nobody extends it",
        "scheduling.heartbeat_s": "assumed: none",
        "scheduling.signs": "assumed: no task went twice for being late",
        "scheduling.window": "given: the master sends all tasks at once",
    }
    scenario = Scenario(name="2013", work=work, fleet=fleet, scheduling=scheduling)
    return Told("The system of 2013", scenario, origins, hours=6.0, usd=25.0)


def variants_of_2013() -> list[tuple[str, Scenario]]:
    """The same with one assumption changed, each to either side."""
    base = of_2013().scenario
    rate = PLAIN_LOOP_MB_S * MB

    def with_(**changes: Any) -> Scenario:
        work = {k: v for k, v in changes.items() if hasattr(base.work, k)}
        fleet = {k: v for k, v in changes.items() if hasattr(base.fleet, k)}
        return replace(base, work=replace(base.work, **work), fleet=replace(base.fleet, **fleet))

    return [
        ("a core 2.5 times as slow as today's", with_(map_bytes_s=rate / 2.5)),
        ("a core 3.5 times as slow", with_(map_bytes_s=rate / 3.5)),
        ("the master merges ten outputs a second", with_(run_s=0.1)),
        ("the master merges three outputs a second", with_(run_s=0.33)),
        ("no interruptions, no stragglers", with_(interruptions_hour=0.0, stragglers=0.0)),
        ("five times as many of both", with_(interruptions_hour=0.1, stragglers=0.1)),
        *((f"other chances ({seed})", replace(base, seed=seed)) for seed in (2, 3)),
    ]


def modern_fleet(machines: int, **changes: Any) -> Fleet:
    """Spot machines of today."""
    kind = load_prices().machine(MACHINE)
    given = {
        "machine": MACHINE,
        "machines": machines,
        "processes": kind.processors,
        "usd_hour": kind.spot_usd,
        "network_bytes_s": 300 * MB,
        "asked_s": 60.0,
        "boot_s": 90.0,
        "boot_spread_s": 60.0,
        "interruptions_hour": 0.05,
        "noticed": 0.95,
        "spread": 0.1,
        "stragglers": 0.01,
        "straggler_factor": 3.0,
    }
    return Fleet(**(given | changes))


def modern_work(
    raw_bytes: float,
    processes: int,
    *,
    histograms: bool = True,
    block_bytes: float = 100 * MB,
    split_bytes: int = 0,
    **changes: Any,
) -> Work:
    """Our work on so much, cut as the planner does unless told otherwise."""
    compressed = int(raw_bytes / 10)
    split = fitting_size(compressed, processes, split_bytes)
    if histograms:
        rate, gain = HISTOGRAMS_MB_S, HISTOGRAMS_GAIN
        share, filled = HISTOGRAMS_SHARE, HISTOGRAMS_FILLED
    else:
        rate, gain, share, filled = COUNTING_MB_S, COUNTING_GAIN, 0.0, 4
    given = {
        "raw_bytes": raw_bytes,
        "ratio": 10.0,
        "block_bytes": block_bytes,
        "split_bytes": split,
        "reducers": fitting_reducers(compressed, processes, split),
        "map_bytes_s": rate * MB * gain / 2,
        "shuffle_share": share,
        "filled": filled,
    }
    return Work(**(given | changes))


ORIGINS = {
    "work.raw_bytes": "as in 2013",
    "work.ratio": "as in 2013; our sample data has 7.5, at which the rate was measured",
    "work.block_bytes": "assumed",
    "work.split_bytes": "the planner's",
    "work.reducers": "the planner's",
    "work.map_bytes_s": "measured: one process on a core, times half of what a second one gains "
    "(bench/results.md)",
    "work.filled": "measured: partitions that maps of such a job fill",
    "work.shuffle_share": "measured: runs of large blocks",
    "work.merge_bytes_s": "measured: 0.7 MB for each 18 ms more (bench/results.md, (g))",
    "fleet.machine": "conf/prices.json",
    "fleet.processes": "conf/prices.json",
    "fleet.usd_hour": "conf/prices.json, spot",
    "fleet.network_bytes_s": "assumed",
    "fleet.asked_s": "assumed",
    "fleet.boot_s": "assumed",
    "fleet.boot_spread_s": "assumed",
    "fleet.interruptions_hour": "assumed: one a machine in 20 hours",
    "fleet.noticed": "assumed",
    "fleet.spread": "assumed",
    "fleet.stragglers": "assumed",
    "fleet.straggler_factor": "assumed",
    "cloud.read_s": "assumed",
    "cloud.write_s": "assumed",
    "cloud.list_s": "assumed",
    "cloud.queue_s": "assumed",
    "cloud.reads_s": "S3's documentation, for one prefix",
    "cloud.writes_s": "S3's documentation, for one prefix",
    "cloud.most_lent": "SQS's documentation",
    "scheduling.lease_s": "mr/surroundings.py",
    "scheduling.heartbeat_s": "mr/surroundings.py",
    "scheduling.window": "mr/engines/cluster.py",
    "scheduling.poll_s": "mr/engines/cluster.py",
    "scheduling.rescan_s": "mr/engines/cluster.py",
    "scheduling.request_cpu_s": "measured: `simulate.py --requests`",
    "scheduling.list_cpu_s": "measured: `simulate.py --requests`",
    "scheduling.decode_bytes_s": "measured: the table of the coordinator",
    "scheduling.plan_bytes_s": "measured: the table of the coordinator",
}


def ours() -> list[Told]:
    """Our own system: the same input on as many machines, and on fewer, and among interruptions."""

    def told(title: str, name: str, machines: int, histograms: bool, **changes: Any) -> Told:
        fleet = modern_fleet(machines, **changes)
        work = modern_work(20 * TB, machines * fleet.processes, histograms=histograms)
        return Told(title, Scenario(name=name, work=work, fleet=fleet), ORIGINS)

    return [
        told("(c) histograms, 50 machines", "ours-50", 50, True),
        told("(a) counting, 50 machines", "ours-counting-50", 50, False),
        told("(c) histograms, 10 machines", "ours-10", 10, True),
        told("(c) histograms, 2 machines", "ours-2", 2, True),
        told("(c), 10 machines, each interrupted once an hour, half of them without notice",
             "ours-interrupted-10", 10, True, interruptions_hour=1.0, noticed=0.5),
    ]  # fmt: skip


#: The curves: raw bytes, and machines.
SIZES = (1 * TB, 10 * TB, 100 * TB, 1 * PB, 10 * PB)
FLEETS = (10, 100, 1_000)


def curves() -> list[Scenario]:
    """The histograms of more and more, on larger and larger fleets; the longest to simulate first.

    One petabyte also in splits of 500 MB.
    """
    found = [_curve(size, machines) for size in reversed(SIZES) for machines in FLEETS]
    return [_curve(1 * PB, 1_000, split_bytes=DEFAULT_SPLIT_BYTES), *found]


def _curve(size: float, machines: int, split_bytes: int = 0) -> Scenario:
    fleet = modern_fleet(machines)
    work = modern_work(
        size,
        machines * fleet.processes,
        block_bytes=100 * MB if size < PB else 500 * MB,
        split_bytes=split_bytes,
    )
    cut = f" in splits of {split_bytes // MB} MB" if split_bytes else ""
    return Scenario(name=f"{raw_text(size)}{cut}, {machines:,} machines", work=work, fleet=fleet)


def raw_text(size: float) -> str:
    """A size in words."""
    return f"{size / PB:g} PB" if size >= PB else f"{size / TB:g} TB"


def shuffles() -> list[Scenario]:
    """A job whose every map has something for every reducer: as planned, more of them, fewer."""
    fleet = modern_fleet(200)
    processes = fleet.machines * fleet.processes
    full = {"shuffle_share": 0.01, "filled": 10**9}
    planned = modern_work(5 * TB, processes, **full)
    return [
        Scenario(name=f"{number:,} reducers", work=replace(planned, reducers=number), fleet=fleet)
        for number in (planned.reducers, processes, 64)
    ]


def busiest() -> Scenario:
    """Tiny tasks on a large fleet: how many a second the coordinator can keep up with."""
    work = modern_work(20_000 * 100 * MB, 8_000, histograms=False, block_bytes=10 * MB,
                       split_bytes=10 * MB, reducers=1)  # fmt: skip
    fleet = modern_fleet(1_000, asked_s=0.0, boot_s=0.0, boot_spread_s=0.0, stragglers=0.0)
    return Scenario(name="20,000 tiny tasks, 1000 machines", work=work, fleet=fleet)


def simple(machines: int = 4, **changes: Any) -> Scenario:
    """One in which nothing goes wrong and requests take no time: its answer is plain arithmetic."""
    work = Work(
        raw_bytes=48 * GB,
        ratio=10.0,
        block_bytes=100 * MB,
        split_bytes=100 * MB,
        reducers=2,
        map_bytes_s=10 * MB,
    )
    fleet = Fleet(machine="simple", machines=machines, processes=2, usd_hour=0.36,
                  network_bytes_s=1e15)  # fmt: skip
    cloud = Cloud(read_s=0.0, write_s=0.0, list_s=0.0, queue_s=0.0, reads_s=1e15, writes_s=1e15)
    scheduling = Scheduling(
        request_cpu_s=0.0, list_cpu_s=0.0, decode_bytes_s=1e18, plan_bytes_s=1e18
    )
    base = Scenario(name="simple", work=work, fleet=fleet, cloud=cloud, scheduling=scheduling)
    return replace(base, **changes)
