"""`mr-telemetry merge`."""

import click

from mr.cli.options import SETTINGS, keep_state_option, settings_options

#: The options that are settings too (see `mr.config`).
_SETTINGS = (*SETTINGS, "reducers")


@click.command("merge")
@click.argument("states", nargs=-1, metavar="STATE...")
@click.option("-o", "--output", default="-", metavar="OUTPUT", help="As for run; default: print.")
@click.option("--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending.")
@click.option("--report", metavar="FILE", help="Write what the states cover, as JSON.")
@click.option(
    "--set",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter that only the reduce uses.",
)
@keep_state_option
@settings_options
@click.option("--reducers", metavar="N", help="Partitions of the reduce (as many as workers).")
@click.option("--quiet", is_flag=True, help="Show no progress and no summary.")
def command(
    states: tuple[str, ...],
    output: str,
    format_: str | None,
    report: str | None,
    parameters: tuple[str, ...],
    keep_state: str | None,
    quiet: bool,
    **options,
) -> None:
    """Add up the STATEs that runs with --keep-state have left, and give the result of all.

    It is the result of one run over all their blocks. The analysis is the one that came with them.
    """
    from mr.cli.outcome import Output, introduction, run_and_finish
    from mr.config import load_settings
    from mr.engines.choice import choose_engine
    from mr.errors import UsageError
    from mr.rollup import NOT_BY_MRJOB, MergeRequest, prepare_merge

    target = Output(output, format_, report)
    target.check()
    engine = choose_engine(load_settings({name: options[name] for name in _SETTINGS}))
    if engine.name == "mrjob":
        raise UsageError(NOT_BY_MRJOB)
    request = MergeRequest(states, settings=parameters, keep_state=keep_state)
    spec = prepare_merge(request, engine.settings, engine.store)
    if not quiet:
        click.echo(introduction(engine.store, spec), err=True)
    run_and_finish(engine, spec, target, quiet=quiet)
