"""`mr-telemetry cluster`: up, status, down."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mr.spotfleet import Cluster


@click.group("cluster")
def command() -> None:
    """Make, show or remove a cluster of spot machines on AWS.

    It is a stack of CloudFormation (conf/fleet.yaml), in the region and account of your AWS
    settings. NAME has small letters, digits and hyphens.
    """


_NUMBER = click.IntRange(min=0)
_SOME = click.IntRange(min=1)


@command.command("up")
@click.argument("name", metavar="NAME")
@click.option("--machines", "most_machines", type=_SOME, metavar="N", help="At most (20).")
@click.option("--least", "least_machines", type=_NUMBER, metavar="N", help="At least (0).")
@click.option(
    "--on-demand", type=_NUMBER, metavar="N", help="The first N machines are no spot machines (0)."
)
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", help="A type of machine (repeatable, to 6)."
)
@click.option("--disk", "disk_gb", type=click.IntRange(16), metavar="GB", help="Of each (100).")
@click.option("--input", metavar="s3://...", help="Where blocks are, if in another bucket.")
@click.option("--bucket", default="", metavar="BUCKET", help="A bucket of yours for jobs.")
@click.option(
    "--idle", "idle_minutes", type=click.IntRange(2), metavar="MINUTES", help="Then it goes (15)."
)
@click.option("--job-days", type=_SOME, metavar="DAYS", help="Jobs are kept for so long (30).")
@click.option("--email", default="", metavar="ADDRESS", help="Who hears of dead letters.")
@click.option("--subnet", "subnets", multiple=True, metavar="ID", help="Your network (repeatable).")
@click.option("--image", default="", metavar="AMI", help="Amazon Linux 2023 (the newest).")
@click.option("--start", type=_SOME, default=None, metavar="N", help="Have N machines or more now.")
def up(name: str, start: int | None, **options) -> None:
    """Make the cluster NAME, or change it to these options, and bring this very package to it.

    It prints the settings by which every other command uses it. No machine runs until there are
    tasks, unless --start or --least says so.
    """
    from mr.spotfleet import Wanted, bring_up
    from mr.text import shell_exports

    options["input"] = options["input"] or ""
    cluster = bring_up(Wanted(name, **options), start=start or 0)
    click.echo(shell_exports(cluster.settings), nl=False)
    if cluster.note:
        click.echo(
            f"mr-telemetry: {cluster.note.rstrip('.')}; so AWS may move machines between zones, "
            "which ends some that work.",
            err=True,
        )
    click.echo(
        f"The cluster {name} is there. The lines above let this shell use it; machines come with "
        f"the first tasks. `mr-telemetry cluster status {name}` shows it.",
        err=True,
    )


@command.command("status")
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(name: str, as_json: bool) -> None:
    """Show the cluster NAME: its machines, workers, tasks, and what it costs an hour."""
    import msgspec

    from mr.prices import load_prices
    from mr.spotfleet import look_at

    cluster = look_at(name)
    usd = cluster.usd_an_hour(load_prices())
    if as_json:
        facts = {**msgspec.to_builtins(cluster), "usd_an_hour": usd}
        click.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    for line in _told(cluster, usd):
        click.echo(line)


@command.command("down")
@click.argument("name", metavar="NAME")
@click.option("--purge", is_flag=True, help="Remove its bucket too, with all jobs and results.")
def down(name: str, purge: bool) -> None:
    """Remove the cluster NAME: its machines, queue and role. Its bucket stays, unless --purge."""
    from mr.spotfleet import take_down
    from mr.text import counted

    url, left = take_down(name, purge=purge)
    click.echo(f"The cluster {name} is gone.", err=True)
    if left:
        click.echo(
            f"{url} stays, with {counted(left, 'object')}; a new cluster {name} will use it.",
            err=True,
        )


def _told(cluster: "Cluster", usd: float | None) -> list[str]:
    from collections import Counter

    from mr.fleet import capacity
    from mr.text import counted

    lines = [f"cluster   {cluster.name}: {cluster.status}"]
    if cluster.reason:
        lines.append(f"          {cluster.reason}")
    lines += [f"store     {cluster.store}", f"queue     {cluster.queue}"]
    if cluster.waiting is not None:
        lines.append(
            f"tasks     {cluster.waiting:,} waiting, "
            f"{counted(cluster.dead_letters or 0, 'dead letter')}"
        )
    cost = "" if usd is None else f", about {usd:.2f} USD an hour"
    lines.append(f"machines  {len(cluster.machines)} of {cluster.wanted} wanted{cost}")
    kinds = Counter(
        (one.type, one.zone, one.state, "spot" if one.is_spot else "on demand")
        for one in cluster.machines
    )
    for (kind, zone, state, market), number in sorted(kinds.items()):
        lines.append(f"          {number} x {kind} in {zone}, {market}, {state}")
    if cluster.workers is not None:
        lines.append(
            f"workers   {len(cluster.workers)}, for {capacity(cluster.workers)} tasks at a time, "
            f"{sum(len(one.running) for one in cluster.workers)} running"
        )
    return lines
