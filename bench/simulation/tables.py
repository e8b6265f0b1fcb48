"""What was simulated as tables of a page."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.simulation.inputs import GB, MB, PB, TB, listed
from bench.simulation.limits import Growth, Limit
from bench.simulation.measuring import Taken
from bench.simulation.running import Outcome
from bench.simulation.scenarios import Told, raw_text


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: Any) -> str:
    """An input in few characters."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if value >= 1e9:
        for unit, name in ((PB, "PB"), (TB, "TB"), (GB, "GB")):
            if value >= unit:
                return f"{value / unit:.3g} {name}"
    if value >= 1e6:
        return f"{value / MB:.3g} MB"
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def time_text(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def usd_text(usd: float) -> str:
    """US dollars."""
    return f"{usd:,.2f}" if usd < 100 else f"{usd:,.0f}"


def inputs(told: Told) -> str:
    """The inputs of a scenario, and where they come from."""
    rows = [
        (label, number(value), told.origins.get(name, "as `mr` does, or of no weight here"))
        for name, label, value in listed(told.scenario)
    ]
    return table(("input", "value", "from"), rows)


def beside_life(told: Told, outcome: Outcome) -> str:
    """What came out, beside what was in life."""
    hours = outcome.seconds / 3600
    rows = [
        ("hours", f"{hours:.2f}", f"{told.hours:g}", f"{hours / told.hours - 1:+.0%}"),
        ("US dollars", f"{outcome.usd:.2f}", f"{told.usd:g}", f"{outcome.usd / told.usd - 1:+.0%}"),
        ("tasks", f"{outcome.tasks['1-map']:,}", "10,000", ""),
    ]
    return table(("", "simulated", "2013", ""), rows)


def variants(found: Sequence[tuple[str, Outcome]]) -> str:
    """The same with other assumptions."""
    rows = [
        (name, f"{one.seconds / 3600:.2f}", f"{one.usd:.2f}", f"{one.spent.interruptions}")
        for name, one in found
    ]
    return table(("assumption", "hours", "US dollars", "interruptions"), rows)


def results(found: Sequence[tuple[str, Outcome]]) -> str:
    """How jobs of ours went."""
    heads = ("job", "time", "maps end", "US dollars", "machines", "requests", "machine-hours",
             "interruptions", "attempts lost", "raw bytes wasted", "processes busy")  # fmt: skip
    return table(heads, (_result(name, one) for name, one in found))


def _result(name: str, one: Outcome) -> Sequence[str]:
    spent = one.spent
    wasted = spent.lost_bytes + spent.needless_bytes
    return (
        name,
        time_text(one.seconds),
        time_text(one.stages["1-map"]),
        usd_text(one.usd),
        usd_text(one.machines_usd),
        usd_text(one.requests_usd),
        f"{one.machine_hours:,.1f}",
        f"{spent.interruptions:,}",
        f"{spent.lost:,}",
        f"{wasted / one.scenario.work.raw_bytes:.2%}",
        f"{one.busy_share:.0%}",
    )


def curve(found: Sequence[Outcome]) -> str:
    """Time and dollars by size and fleet."""
    fleets = sorted({one.scenario.fleet.machines for one in found})
    sizes = sorted({one.scenario.work.raw_bytes for one in found})
    by = {(one.scenario.work.raw_bytes, one.scenario.fleet.machines): one for one in found}
    rows = []
    for size in sizes:
        of_size = [by.get((size, machines)) for machines in fleets]
        times = (time_text(one.seconds) if one else "-" for one in of_size)
        usd = (usd_text(one.usd) if one else "-" for one in of_size)
        rows.append((raw_text(size), *times, *usd))
    heads = [f"{machines:,} machines" for machines in fleets]
    return table(("raw", *heads, *(f"{head}, USD" for head in heads)), rows)


def queues(found: Sequence[Outcome]) -> str:
    """What the coordinator and its queue had to bear."""
    heads = ("job", "tasks", "splits x reducers", "time", "processes busy", "messages in the queue",
             "sent late, again", "plans", "commits", "requests",
             "coordinator's processor")  # fmt: skip
    return table(heads, (_queue(one) for one in found))


def _queue(one: Outcome) -> Sequence[str]:
    tasks = sum(one.tasks.values())
    return (
        one.scenario.name,
        f"{tasks:,}",
        f"{one.tasks['1-map'] * one.scenario.work.reducers:,}",
        time_text(one.seconds),
        f"{one.busy_share:.0%}",
        f"{one.most_held:,}",
        f"{one.sent_late:,}, {one.rung_again:,}",
        number(sum(one.plan_bytes.values())),
        number(one.commit_bytes),
        f"{sum(one.requests.values()):,}",
        f"{one.cpu_s / tasks * 1e3:.2f} ms a task",
    )


def coordinator(taken: Taken) -> str:
    """What the coordinator's code takes."""
    rows = [
        ("memory for each task that is done", f"{taken.commit_bytes:,.0f} bytes"),
        ("and for each of its reducers", f"{taken.piece_bytes:.0f} bytes"),
        ("processor for each task, without its requests", f"{taken.task_cpu_s * 1e3:.2f} ms"),
        ("for each map and reducer, if it has nothing for it", f"{taken.piece_cpu_s * 1e6:.1f} us"),
        ("and if it has", f"{taken.run_cpu_s * 1e6:.1f} us"),
        ("processor for each block, to sort and plan it", f"{taken.block_cpu_s * 1e6:.1f} us"),
        ("plan: a split, and each of its blocks",
         f"{taken.line_bytes:.0f} and {taken.block_bytes:.0f} bytes"),
        ("plan of the reduces: each run", f"{taken.run_bytes:.0f} bytes"),
    ]  # fmt: skip
    return table(("what", "takes"), rows)


def growing(found: Sequence[Growth]) -> str:
    """What jobs ask for by their size."""
    heads = ("raw", "splits", "reducers", "splits x reducers", "plan", "listing and planning",
             "coordinator's memory", "its processor", "GETs of a full shuffle", "their price",
             "merge passes", "a manifest", "disk of a reduce")  # fmt: skip
    return table(heads, (_grown(one) for one in found))


def _grown(one: Growth) -> Sequence[str]:
    return (
        raw_text(one.raw_bytes),
        f"{one.splits:,}",
        f"{one.reducers:,}",
        f"{one.pieces:.1e}",
        number(one.plan_bytes),
        time_text(one.listing_s),
        number(one.memory_bytes),
        time_text(one.cpu_s),
        time_text(one.shuffle_s),
        f"{usd_text(one.shuffle_usd)} USD",
        f"{one.passes}",
        number(one.manifest_bytes),
        number(one.disk_bytes),
    )


def breaking(found: Sequence[Limit]) -> str:
    """What ends where."""
    rows = [(one.what, one.where, one.reckoning, one.then) for one in found]
    return table(("what", "ends at", "reckoning", "then"), rows)
