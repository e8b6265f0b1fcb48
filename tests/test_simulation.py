"""The simulation of fleets: its arithmetic, its laws, and how near it comes to what was in life."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from bench.pages import block_of
from bench.simulation.chart import chart
from bench.simulation.inputs import GB, TB, listed
from bench.simulation.limits import fleet_limits, grow, size_limits
from bench.simulation.main import PAGE, marks
from bench.simulation.measuring import measure
from bench.simulation.running import simulate
from bench.simulation.scenarios import of_2013, ours, simple
from bench.simulation.tables import beside_life

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def faulty(seed=1, machines=6):
    """A scenario in which much goes wrong."""
    base = simple(machines=machines, seed=seed)
    fleet = replace(base.fleet, interruptions_hour=8.0, noticed=0.3, boot_s=60.0, asked_s=30.0,
                    spread=0.3, stragglers=0.1, straggler_factor=4.0)  # fmt: skip
    return replace(base, fleet=fleet, cloud=replace(base.cloud, duplicates=0.05))


def test_without_trouble_it_takes_what_the_arithmetic_says():
    """48 splits of 1 GB raw at 10 MB/s on 8 processes: six rounds of 100 s."""
    outcome = simulate(simple())

    assert outcome.tasks == {"1-map": 48, "1-reduce": 2}
    assert outcome.stages["1-map"] == pytest.approx(600, abs=25)  # and looks at the queue
    assert outcome.committed_bytes == pytest.approx(48 * GB)
    assert (outcome.spent.attempts, outcome.spent.lost, outcome.spent.interruptions) == (50, 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_every_byte_counts_once_whatever_goes_wrong(seed):
    """Machines that vanish, stragglers, and messages that come twice."""
    outcome = simulate(faulty(seed))

    assert outcome.spent.interruptions > 0
    assert outcome.spent.lost > 0
    assert outcome.tasks == {"1-map": 48, "1-reduce": 2}
    assert outcome.committed_bytes == pytest.approx(48 * GB)
    lost = outcome.spent.lost_bytes + outcome.spent.needless_bytes
    assert outcome.spent.read_bytes == pytest.approx(48 * GB / 10 * 10 + lost, rel=0.02)


def test_the_same_seed_gives_the_same():
    """And another one another outcome."""
    first, again, other = (simulate(faulty(seed)) for seed in (1, 1, 2))

    assert (first.seconds, first.spent, first.requests) == (
        again.seconds, again.spent, again.requests,
    )  # fmt: skip
    assert first.seconds != other.seconds


def test_tasks_of_hours_are_not_sent_again_while_they_wait():
    """Each process has some ahead of it in the queue; with messages lost it would be another thing.

    48 splits of 1 GB raw, three hours each.
    """
    base = simple()
    outcome = simulate(replace(base, work=replace(base.work, map_bytes_s=GB / 10_800)))

    assert outcome.seconds > 6 * 10_800
    assert (outcome.rung_again, outcome.spent.attempts) == (0, 50)


def test_more_machines_are_faster():
    """Four times as many take about a quarter of the maps' time."""
    few, many = simulate(simple(machines=2)), simulate(simple(machines=8))

    assert few.stages["1-map"] / many.stages["1-map"] == pytest.approx(4, rel=0.15)


def test_2013_comes_within_a_quarter_of_what_it_was():
    """6 hours and 25 USD for 20 TB on 50 machines; the master merges 10,000 outputs."""
    told = of_2013()
    outcome = simulate(told.scenario)

    assert (told.scenario.work.raw_bytes, told.scenario.fleet.machines) == (20e12, 50)
    assert outcome.tasks["1-map"] == 10_000
    assert outcome.seconds / 3600 == pytest.approx(6, rel=0.25)
    assert outcome.usd == pytest.approx(25, rel=0.25)
    block = block_of(PAGE.read_text(), *marks("2013"))
    assert block == beside_life(told, outcome), "python -m bench.simulate --part 2013 --write"


def test_every_input_has_a_name_and_those_of_2013_say_where_they_come_from():
    """None is hidden in the code."""
    told = of_2013()
    names = {name for name, _, _ in listed(told.scenario)}

    assert len(names) > 30
    assert told.origins.keys() <= names
    assert all(origin.startswith(("given", "assumed")) for origin in told.origins.values())
    for one in ours():
        assert {name for name in one.origins if name not in names} == set()


def test_the_command_prints_tables_or_json():
    """A part alone; as JSON with all inputs."""
    command = [sys.executable, "-m", "bench.simulate", "--part", "ours"]

    shown, as_json = (
        subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=True)
        for more in ([], ["--json"])
    )

    first = json.loads(as_json.stdout)["ours"][0]
    assert first["tasks"] == {"1-map": 4000, "1-reduce": 400}
    assert first["scenario"]["work"]["raw_bytes"] == 20e12
    assert {"usd", "busy_share"} <= first.keys()
    block = block_of(PAGE.read_text(), *marks("ours"))
    assert block in shown.stdout, "python -m bench.simulate --part ours --write"


@pytest.fixture(scope="module")
def taken():
    """What a coordinator's code takes, measured here."""
    return measure()


def test_what_a_coordinator_takes_is_measured(taken):
    """More for a piece that is filled than for an empty one; all of it is something."""
    assert 1_000 < taken.commit_bytes < 10_000
    assert taken.piece_bytes == pytest.approx(16, abs=1)
    assert 0 < taken.run_bytes < 200
    assert min(taken.task_cpu_s, taken.block_cpu_s, taken.run_cpu_s) > 0


def test_what_a_job_asks_for_follows_from_how_it_is_cut(taken):
    """Ten times the input: as many splits until there would be too many, then larger ones."""
    small, large, huge = (grow(size, 400, taken) for size in (20 * TB, 80 * TB, 800 * TB))

    assert (small.splits, small.reducers, small.split_bytes) == (4_000, 400, 500_000_000)
    assert (large.splits, large.passes) == (16_000, 2)
    assert (huge.splits, huge.passes) == (16_384, 2)
    assert huge.pieces <= 2 * 10**7
    assert huge.disk_bytes == pytest.approx(0.0057 * 800 * TB / huge.reducers)


def test_limits_come_in_order(taken):
    """Of fleets and of sizes, least first, each with its reckoning and what to do."""
    for limits in (fleet_limits(taken, 200.0), size_limits(taken)):
        assert all(limit.reckoning and limit.then for limit in limits)
    machines = [int(one.where.split()[0].replace(",", "")) for one in fleet_limits(taken, 200.0)]
    assert machines == sorted(machines)
    # 200 tasks a second, each of 5 GB at 78.7 MB/s, on machines of eight.
    assert machines[0] == pytest.approx(200 * 63.5 / 8, rel=0.01)


def test_curves_are_drawn():
    """A line for each fleet, a point for each size; the more machines, the less time."""

    def outcome(size, machines, seconds):
        base = simple(machines=machines)
        scenario = replace(base, work=replace(base.work, raw_bytes=size))
        return SimpleNamespace(scenario=scenario, seconds=seconds)

    picture = ElementTree.fromstring(
        chart([outcome(1 * TB, 10, 600), outcome(10 * TB, 10, 6_000), outcome(1 * TB, 100, 60),
               outcome(10 * TB, 100, 600)])
    )  # fmt: skip

    points = [(float(one.get("cx")), float(one.get("cy"))) for one in picture.iter(f"{SVG}circle")]
    assert len(points) == 4
    (few, many), (few_large, _) = points[0:4:2], points[1:4:2]
    assert many[0] == few[0] < few_large[0]
    assert many[1] > few[1] > few_large[1]
