"""The simulation of fleets: its arithmetic, its laws, and how near it comes to what was in life."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.simulation.inputs import GB, listed
from bench.simulation.running import simulate
from bench.simulation.scenarios import of_2013, ours, simple

ROOT = Path(__file__).parent.parent


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


def test_every_input_has_a_name_and_those_of_2013_say_where_they_come_from():
    """None is hidden in the code."""
    told = of_2013()
    names = {name for name, _, _ in listed(told.scenario)}

    assert len(names) > 30
    assert told.origins.keys() <= names
    assert all(origin.startswith(("given", "assumed")) for origin in told.origins.values())
    for one in ours():
        assert {name for name in one.origins if name not in names} == set()


def test_the_command_prints_a_scenario():
    """As JSON with all inputs, and for people."""
    command = [sys.executable, "-m", "bench.simulate", "--scenario", "ours-50"]

    as_json, shown = (
        subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=True)
        for more in (["--json"], ["--inputs"])
    )

    told = json.loads(as_json.stdout)
    assert told["tasks"] == {"1-map": 4000, "1-reduce": 400}
    assert f"{told['hours']:.2f} h, {told['usd']:.2f} USD" in shown.stdout
    assert "work.raw_bytes" in shown.stdout
