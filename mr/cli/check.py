"""`mr-telemetry check`."""

import click

from mr.cli.options import need_inputs, read_input_list, selection_options


@click.command("check")
@click.argument("analysis", metavar="ANALYSIS")
@selection_options
@click.option("--set", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a parameter.")
@click.option(
    "--records",
    default=500,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many records to try it on, spread over the blocks.",
)
def command(analysis: str, parameters: tuple[str, ...], records: int, **options) -> None:
    """Run ANALYSIS over some records of INPUT in many ways, and compare the answers.

    One split or many, orders, reducers, with and without its combiner: where an answer differs,
    the differing key is told, and the exit code is 1.
    """
    from mr.checking import check_laws, manners
    from mr.errors import JobFailed, UsageError
    from mr.launch import check_steps, parse_settings_of_analysis
    from mr.loading import load_analysis
    from mr.sampling import sample_records
    from mr.schema import load_filter, load_schema
    from mr.usercode import own_traceback

    listed = read_input_list(options["input_list"])
    need_inputs(options["inputs"], listed)
    with own_traceback(UsageError, f"{analysis} cannot be imported"):
        loaded = load_analysis(analysis)
    check_steps(loaded)
    values = parse_settings_of_analysis(loaded, parameters)
    schema = load_schema(options["schema"])
    chosen = options["filter"] if options["filter"] is not None else loaded.filter
    selection = load_filter(chosen, schema)
    found = sample_records(options["inputs"], schema, selection, most=records, listed=listed)
    if not found:
        raise UsageError("no record to check with: the input holds none that the filter allows.")
    with own_traceback(JobFailed, f"{loaded.__name__} fails on some of {len(found)} records"):
        difference = check_laws(loaded, found, values)
    if difference is not None:
        raise JobFailed(f"{loaded.__name__} depends on how its input is cut: {difference}.")
    tried = sum(1 for _ in manners(loaded, found)) + 1
    click.echo(
        f"{loaded.__name__}: the same answer in all {tried} ways, over {len(found)} records."
    )
