"""`mr-telemetry plan`."""

from typing import TYPE_CHECKING, Any

import click

from mr.cli.asking import job_options, read_request
from mr.cli.options import ProfiledCommand

if TYPE_CHECKING:
    from mr.estimating import Estimate, Facts, Measured
    from mr.prices import PriceTable


@click.command("plan", cls=ProfiledCommand)
@job_options
@click.option("--machines", type=click.IntRange(1), metavar="N", help="Machines of the fleet (10).")
@click.option("--type", "kind", metavar="TYPE", help="Their type (c6i.2xlarge).")
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
    import dataclasses
    from pathlib import Path

    import msgspec

    from mr.calibration import calibrate, sampled_blocks
    from mr.directory import DirectoryStore
    from mr.engines.choice import engine_name
    from mr.estimating import HERE, Assumed, estimate
    from mr.launch import list_input, plan_listing
    from mr.layout import plan_name, stage_id
    from mr.plans import open_plan
    from mr.prices import load_prices
    from mr.progress import Display
    from mr.scratch import scratch_folder, scratch_root
    from mr.spec import line_blocks
    from mr.splits import fitting_reducers
    from mr.stores import open_store

    asked = read_request(analysis, output, format_, None, options)
    request = dataclasses.replace(asked.request, profile="")
    store = open_store(asked.settings.store)
    on_fleet = bool(machines or kind) or engine_name(asked.settings, store) == "cluster"
    table = load_prices(prices)
    kind = kind or "c6i.2xlarge"
    if on_fleet and refresh:
        table = _refreshed(table, kind)
    machine = table.machine(kind) if on_fleet else None
    number = (machines or 10) if on_fleet else 1
    here = asked.settings.workers
    processes = machine.processors if machine else here
    with scratch_folder(scratch_root(store, asked.settings.scratch)) as folder:
        own = DirectoryStore(folder / "plan", durable=False)
        listing = list_input(request, asked.settings, own)
        settings = asked.settings
        if on_fleet:
            sized = settings if "workers" in settings.given else dataclasses.replace(
                settings, workers=min(number * processes, 1000)
            )  # fmt: skip
            if "reducers" not in settings.given:
                sized = dataclasses.replace(
                    sized, reducers=fitting_reducers(listing.bytes, sized.workers)
                )
            settings = sized
        spec = plan_listing(request, settings, own, listing)
        plan = open_plan(own, plan_name(spec.job, stage_id(1, "map")))
        facts = _facts(spec, plan)
        measured = found = None
        if not no_calibrate and facts.blocks:
            splits = (line_blocks(line, spec) for line in plan.lines())
            blocks = list(sampled_blocks(splits, plan.tasks, facts.bytes))
            size = sum(block.size for block in blocks)
            with Display(size, quiet=quiet or as_json) as display:
                measured = calibrate(
                    request, asked.settings, listing, blocks, Path(folder), display
                )
    if measured is not None and measured.compressed_bytes:
        price = 0.0
        if machine:
            price = machine.on_demand_usd if on_demand else machine.spot_usd
        found = estimate(
            facts,
            measured,
            machines=number,
            processes=processes,
            usd_an_hour=price,
            assumed=Assumed() if on_fleet else HERE,
        )
    if as_json:
        told: dict[str, Any] = {
            "blocks": facts.blocks,
            "bytes": facts.bytes,
            "largest_block": facts.largest_block,
            "splits": len(facts.splits),
            "largest_split": max(facts.splits, default=0),
            "reducers": facts.reducers,
            "measured": measured,
            "fleet": {"machines": number, "type": kind if machine else "this machine",
                      "processes": number * processes, "prices": table.as_of},
            "estimate": found,
        }  # fmt: skip
        click.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
        return
    for line in _told_input(facts, measured):
        click.echo(line)
    if found is None:
        return
    market = "on demand" if on_demand else "spot"
    where = (
        f"{number} x {kind}, {market}, {number * processes} processes"
        if machine
        else f"this machine, {here} processes"
    )
    price = machine and (machine.on_demand_usd if on_demand else machine.spot_usd)
    for line in _told_fleet(where, found, measured, price, table):
        click.echo(line)


def _refreshed(table: "PriceTable", kind: str) -> "PriceTable":
    """The table with what EC2 says of one type of machine today."""
    import dataclasses
    import datetime

    from mr.aws.stacks import spot_prices
    from mr.errors import UsageError

    now = spot_prices([kind])
    if kind not in now:
        raise UsageError(f"--refresh: EC2 has no spot price of {kind} in this region.")
    machine = dataclasses.replace(table.machine(kind), spot_usd=round(now[kind], 4))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return dataclasses.replace(
        table, as_of=f"{today}, by EC2", machines={**table.machines, kind: machine}
    )


def _facts(spec, plan) -> "Facts":
    from mr.estimating import Facts

    splits, blocks, largest = [], 0, 0
    for line in plan.lines():
        sizes = [size for _, _, size, _ in line["blocks"]]
        splits.append(sum(sizes))
        blocks += len(sizes)
        largest = max(largest, *sizes)
    return Facts(
        blocks=blocks,
        bytes=sum(splits),
        largest_block=largest,
        splits=splits,
        reducers=spec.reducers,
        has_reduce=spec.steps[0].has_reduce,
    )


def _told_input(facts: "Facts", measured: "Measured | None") -> list[str]:
    from statistics import median

    from mr.text import counted

    raw = ""
    if measured is not None and measured.compressed_bytes:
        raw = f", about {_size(facts.bytes * measured.raw_ratio)} raw"
    lines = [f"input     {counted(facts.blocks, 'block')}, {_size(facts.bytes)}{raw}"]
    if not facts.splits:
        return lines
    middle = median(facts.splits)
    skew = max(facts.splits) / middle if middle else 1.0
    lines.append(
        f"splits    {len(facts.splits):,}: half of them up to {_size(middle)}, the largest "
        f"{_size(max(facts.splits))} ({skew:.1f} times that); the largest block "
        f"{_size(facts.largest_block)}"
    )
    if facts.has_reduce:
        lines.append(f"reduces   {facts.reducers:,}")
    return lines


def _told_fleet(
    where: str,
    found: "Estimate",
    measured: "Measured",
    price: float | None,
    table: "PriceTable",
) -> list[str]:
    from mr.estimating import HERE, Assumed

    rate = measured.raw_ratio / measured.mean_s / 1e6 if measured.mean_s else 0.0
    lines = [
        f"on        {where}",
        f"time      {_span(found.hours.low)} to {_span(found.hours.high)}",
    ]
    lines.append(
        f"          maps {_span(found.map_hours.low)} to {_span(found.map_hours.high)}, reduces "
        f"{_span(found.reduce_hours.low)} to {_span(found.reduce_hours.high)}"
    )
    assumed = Assumed() if price is not None else HERE
    if price is not None:
        lines += [
            f"cost      {found.usd} USD: machines {found.machines_usd}, requests "
            f"{found.requests_usd}",
            f"requests  up to {_requests(found.requests, 's3'):,} to S3, "
            f"{_requests(found.requests, 'sqs'):,} to SQS",
        ]
    lines += [
        f"rests on  {measured.splits} splits of {measured.blocks} blocks tried here "
        f"({_size(measured.compressed_bytes)}): {rate:,.1f} MB raw a second for each of "
        f"{measured.processes} processes (the fastest split "
        f"{measured.mean_s / measured.fastest_s:.1f} times that, the slowest "
        f"{measured.mean_s / measured.slowest_s:.1f})",
        f"          a process there takes {assumed.slower[0]:g} to {assumed.slower[1]:g} times as "
        f"long as one here; up to {assumed.again[1]:.0%} is done twice",
    ]
    if price is not None:
        lines.append(
            f"          a machine works after {assumed.start_s[0]:.0f} to {assumed.start_s[1]:.0f} "
            f"s, and costs {price:g} USD an hour (prices of {table.as_of}, {table.region})"
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
