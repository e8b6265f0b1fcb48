"""`mr-telemetry plan`."""

from typing import TYPE_CHECKING, Any

import click

from mr.cli.asking import job_options, read_request
from mr.cli.options import ProfiledCommand

if TYPE_CHECKING:
    from mr.forecast import Fleet, Forecast
    from mr.prices import PriceTable

#: The fleet that is planned for unless another is named.
MACHINES, TYPE = 10, "c6i.2xlarge"


@click.command("plan", cls=ProfiledCommand)
@job_options
@click.option("--machines", type=click.IntRange(1), metavar="N", help="Machines of the fleet (10).")
@click.option("--type", "kind", metavar="TYPE", help=f"Their type ({TYPE}).")
@click.option("--on-demand", is_flag=True, help="No spot machines.")
@click.option("--prices", metavar="F.json", help="The prices of machines (conf/prices.json).")
@click.option("--refresh", is_flag=True, help="Ask EC2 what spot machines of the type cost now.")
@click.option("--no-calibrate", is_flag=True, help="Try no splits here: no time, no cost.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    analysis: str,
    output: str,
    format_: str | None,
    machines: int | None,
    kind: str | None,
    on_demand: bool,
    prices: str | None,
    refresh: bool,
    no_calibrate: bool,
    as_json: bool,
    quiet: bool,
    **options,
) -> None:
    """Tell what a job would read, how it would be cut, how long it would take and what it costs.

    ANALYSIS, INPUT and options are as for `run`; nothing of the job is kept. A few splits are tried
    here. Time and cost are those of a fleet, with --engine cluster (or a store in S3), --machines
    or --type; else those of this machine.
    """
    from dataclasses import replace
    from pathlib import Path

    from mr.engines.choice import engine_name
    from mr.forecast import Fleet, forecast
    from mr.prices import load_prices
    from mr.progress import Display
    from mr.scratch import scratch_folder, scratch_root
    from mr.stores import open_store

    asked = read_request(analysis, output, format_, None, options)
    store = open_store(asked.settings.store)
    table = load_prices(prices)
    fleet = Fleet.here(asked.settings.workers)
    if machines or kind or engine_name(asked.settings, store) == "cluster":
        kind = kind or TYPE
        table = _refreshed(table, kind) if refresh else table
        fleet = Fleet.of(machines or MACHINES, kind, table, on_demand=on_demand)
    with (
        scratch_folder(scratch_root(store, asked.settings.scratch)) as folder,
        Display(0, quiet=quiet or as_json) as display,
    ):
        found = forecast(
            replace(asked.request, profile=""),
            asked.settings,
            fleet,
            Path(folder),
            display,
            tries=not no_calibrate,
        )
    if as_json:
        click.echo(_as_json(found, fleet, table))
        return
    by_mrjob = asked.settings.engine == "mrjob"
    for line in [*_told_input(found), *_told_fleet(found, fleet, table, by_mrjob=by_mrjob)]:
        click.echo(line)


def _refreshed(table: "PriceTable", kind: str) -> "PriceTable":
    """The table with what EC2 says of one type of machine today."""
    import datetime
    from dataclasses import replace

    from mr.aws.stacks import region_in_force, spot_prices
    from mr.errors import UsageError

    now = spot_prices([kind])
    if kind not in now:
        raise UsageError(f"--refresh: EC2 has no spot price of {kind} in this region.")
    machine = replace(table.machine(kind), spot_usd=round(now[kind], 4))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return replace(
        table,
        region=region_in_force(),
        as_of=f"{today}, by EC2",
        machines={**table.machines, kind: machine},
    )


def _as_json(found: "Forecast", fleet: "Fleet", table: "PriceTable") -> str:
    import msgspec

    facts = found.facts
    told: dict[str, Any] = {
        "blocks": facts.blocks,
        "bytes": facts.bytes,
        "largest_block": facts.largest_block,
        "splits": len(facts.splits),
        "largest_split": max(facts.splits, default=0),
        "reducers": facts.reducers,
        "measured": found.measured,
        "fleet": {
            "machines": fleet.machines,
            "type": fleet.kind,
            "processes": fleet.machines * fleet.processes,
            "prices": table.as_of,
        },
        "estimate": found.estimate,
    }
    return msgspec.json.format(msgspec.json.encode(told)).decode()


def _told_input(found: "Forecast") -> list[str]:
    from statistics import median

    from mr.text import counted

    facts, raw = found.facts, ""
    if found.measured is not None:
        raw = f", about {_size(facts.bytes * found.measured.raw_ratio)} raw"
    lines = [f"input     {counted(facts.blocks, 'block')}, {_size(facts.bytes)}{raw}"]
    if not facts.splits:
        return lines
    middle, largest = median(facts.splits), max(facts.splits)
    lines.append(
        f"splits    {len(facts.splits):,}: half of them up to {_size(middle)}, the largest "
        f"{_size(largest)} ({largest / middle if middle else 1:.1f} times that); the largest block "
        f"{_size(facts.largest_block)}"
    )
    if facts.has_reduce:
        lines.append(f"reduces   {facts.reducers:,}")
    return lines


def _told_fleet(
    found: "Forecast", fleet: "Fleet", table: "PriceTable", *, by_mrjob: bool
) -> list[str]:
    reckoned, measured, assumed = found.estimate, found.measured, fleet.assumed
    if reckoned is None or measured is None:
        return []
    processes = fleet.machines * fleet.processes
    where = f"{fleet.kind}, {processes} processes"
    if fleet.machine is not None:
        market = "on demand" if fleet.on_demand else "spot"
        where = f"{fleet.machines} x {fleet.kind}, {market}, {processes} processes"
    again = f"; up to {assumed.again[1]:.0%} is done twice" if assumed.again[1] else ""
    rate = measured.raw_ratio / measured.mean_s / 1e6
    lines = [
        f"on        {where}",
        f"time      {_span(reckoned.hours.low)} to {_span(reckoned.hours.high)}",
        f"          maps {_span(reckoned.map_hours.low)} to {_span(reckoned.map_hours.high)}, "
        f"reduces {_span(reckoned.reduce_hours.low)} to {_span(reckoned.reduce_hours.high)}",
    ]
    if fleet.machine is not None:
        lines += [
            f"cost      {reckoned.usd} USD: machines {reckoned.machines_usd}, requests "
            f"{reckoned.requests_usd}",
            f"requests  up to {_requests(reckoned.requests, 's3'):,} to S3, "
            f"{_requests(reckoned.requests, 'sqs'):,} to SQS",
        ]
    lines += [
        f"rests on  {measured.splits} splits of {measured.blocks} blocks tried here "
        f"({_size(measured.compressed_bytes)}): {rate:,.1f} MB raw a second for each of "
        f"{measured.processes} processes (the fastest split "
        f"{measured.mean_s / measured.fastest_s:.1f} times that, the slowest "
        f"{measured.mean_s / measured.slowest_s:.1f})",
        f"          in the whole job each takes {assumed.slower[0]:g} to {assumed.slower[1]:g} "
        f"times as long{again}",
    ]
    if by_mrjob:
        lines.append("          the local engine: what mrjob itself takes is not in it")
    if found.facts.steps > 1:
        lines.append("          the first step alone: what follows by `then` is not in it")
    if fleet.machine is not None:
        lines.append(
            f"          a machine works after {assumed.start_s[0]:.0f} to {assumed.start_s[1]:.0f} "
            f"s, idles at the end for up to {assumed.idle_s[1]:.0f} s, and "
            f"costs {fleet.usd_an_hour:g} USD an hour (prices of {table.as_of}, "
            f"{table.region})"
        )
    return lines


def _requests(counts: dict[str, int], service: str) -> int:
    return sum(count for name, count in counts.items() if name.startswith(f"{service}."))


def _span(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if hours < 1.5 else f"{hours:.1f} h"


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,.0f} bytes"
