"""The parts of the page: each simulates its scenarios, and tells them as blocks of tables."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

from bench.simulation import tables
from bench.simulation.chart import chart
from bench.simulation.inputs import Scenario
from bench.simulation.limits import fleet_limits, growths, size_limits
from bench.simulation.measuring import measure
from bench.simulation.running import Outcome, simulate
from bench.simulation.scenarios import busiest, curves, of_2013, ours, shuffles, variants_of_2013
from mr.config import processors
from mr.garbage import look_for_less


@dataclass(frozen=True)
class Part:
    """What a part came to: blocks of a page by their names, the same as JSON values, pictures."""

    blocks: dict[str, str]
    values: Any
    pictures: dict[str, str]


def part_2013() -> Part:
    """The system of 2013, and what becomes of it with other assumptions."""
    told, others = of_2013(), variants_of_2013()
    found, *varied = run_all([told.scenario, *(scenario for _, scenario in others)])
    named = [(name, one) for (name, _), one in zip(others, varied, strict=True)]
    blocks = {
        "2013": tables.beside_life(told, found),
        "2013 inputs": tables.inputs(told),
        "2013 variants": tables.variants(named),
    }
    return Part(blocks, [_values(one) for one in (found, *varied)], {})


def part_ours() -> Part:
    """Our own system over the same."""
    told = ours()
    found = run_all([one.scenario for one in told])
    named = [(one.title, outcome) for one, outcome in zip(told, found, strict=True)]
    blocks = {"ours": tables.results(named), "ours inputs": tables.inputs(told[0])}
    return Part(blocks, [_values(one) for one in found], {})


def part_curves() -> Part:
    """Larger and larger."""
    found = run_all(curves())
    regular = [one for one in found if " in splits of " not in one.scenario.name]
    in_order = sorted(
        found, key=lambda one: (one.scenario.work.raw_bytes, one.scenario.fleet.machines)
    )
    blocks = {"curves": tables.curve(regular), "curves queue": tables.queues(in_order)}
    return Part(blocks, [_values(one) for one in in_order], {"scale.svg": chart(regular)})


def part_limits() -> Part:
    """What breaks first."""
    busy, *full = run_all([busiest(), *shuffles()])
    taken = measure()
    tasks_a_second = busy.tasks["1-map"] / busy.stages["1-map"]
    by_fleet, by_size = fleet_limits(taken, tasks_a_second), size_limits(taken)
    small, large = growths(400, taken), growths(8_000, taken)
    blocks = {
        "coordinator": tables.coordinator(taken),
        "fleet limits": tables.breaking(by_fleet),
        "size limits": tables.breaking(by_size),
        "growth of 50 machines": tables.growing(small),
        "growth of 1000 machines": tables.growing(large),
        "shuffle": tables.results([(one.scenario.name, one) for one in full]),
    }
    values = {
        "coordinator": asdict(taken),
        "tasks_a_second": tasks_a_second,
        "limits": [asdict(one) for one in (*by_fleet, *by_size)],
        "growth": [asdict(one) for one in (*small, *large)],
        "shuffle": [_values(one) for one in full],
    }
    return Part(blocks, values, {})


PARTS: dict[str, Callable[[], Part]] = {
    "2013": part_2013,
    "ours": part_ours,
    "curves": part_curves,
    "limits": part_limits,
}


def run_all(scenarios: Iterable[Scenario]) -> list[Outcome]:
    """Simulate them, on all processors of this machine."""
    # By new processes: what one has simulated stays out of the memory of the next.
    with get_context("spawn").Pool(processors(), look_for_less, maxtasksperchild=4) as pool:
        return pool.map(simulate, scenarios, chunksize=1)


def _values(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "usd": outcome.usd, "busy_share": outcome.busy_share}


def shown(blocks: dict[str, str]) -> Sequence[str]:
    """The blocks as text, one after the other."""
    return [f"{name}\n\n{text}\n" for name, text in blocks.items()]
