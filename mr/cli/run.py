"""`mr-telemetry run`."""

import click

from mr.cli.options import need_inputs, read_input_list, selection_options, settings_options


@click.command("run")
@click.argument("analysis", metavar="ANALYSIS")
@selection_options
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="OUTPUT",
    help="A file (.jsonl .json .csv .tsv .parquet .txt), a directory for result parts or for "
    "what the analysis publishes, or - to print (the default).",
)
@click.option("--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending.")
@click.option("--engine", type=click.Choice(["local"]), default="local", help="Where tasks run.")
@click.option("--set", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a parameter.")
@click.option(
    "--definitions",
    multiple=True,
    metavar="[REVISION=]FILE",
    help="Histogram definitions, of a revision (those of this package).",
)
@click.option("--rebuild", is_flag=True, help="Publish afresh instead of an update.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="N",
    help="Earlier versions of what is published to keep (1).",
)
@settings_options
@click.option("--reducers", metavar="N", help="Partitions of the reduce (as many as workers).")
@click.option("--split-size", metavar="SIZE", help="Largest input split (500MB).")
@click.option("--buffer-size", metavar="SIZE", help="A map task's memory (128MB).")
@click.option("--sample", metavar="P%", help="Read only this share of the records (by hash).")
@click.option("--limit-blocks", type=click.IntRange(min=1), help="Read only the first blocks.")
@click.option(
    "--max-bad-records",
    default="1%",
    show_default=True,
    metavar="N|P%",
    help="Fail when more records are bad than this.",
)
@click.option("--strict", is_flag=True, help="Fail at the first bad record or block.")
@click.option("--max-failures", metavar="N", help="Failures that make a task failed (5).")
@click.option("--hang-limit", metavar="TIME", help="End a task that hangs for this long (10m).")
@click.option("--quiet", is_flag=True, help="Show no progress and no summary.")
@click.option("--report", metavar="FILE", help="Write what was read, and what not, as JSON.")
def command(analysis: str, output: str, format_: str | None, report: str | None, **options) -> None:
    """Run ANALYSIS over the telemetry blocks of every INPUT.

    ANALYSIS is a file.py, file.py:Class, package.module:Class, or a bundled analysis's name
    (`mr-telemetry analyses` lists them). INPUT is a directory that holds the folders of the
    schema's first dimension, or a block's file.
    """
    from mr.analysis import known_parameters, near_misses, steps
    from mr.cli.outcome import Output, introduction, run_and_finish
    from mr.config import load_settings, parse_named, parse_share
    from mr.errors import UsageError
    from mr.launch import (
        Request,
        open_job_store,
        parse_settings_of_analysis,
        plan_until_published,
        prepare_job,
        publishes,
    )
    from mr.loading import load_analysis
    from mr.usercode import own_traceback

    listed = read_input_list(options["input_list"])
    need_inputs(options["inputs"], listed)
    names = ("store", "workers", "reducers", "split_size", "buffer_size")
    names += ("max_failures", "hang_limit")
    settings = load_settings({name: options[name] for name in names})
    with own_traceback(UsageError, f"{analysis} cannot be imported"):
        loaded = load_analysis(analysis)
    sample = options["sample"]
    target = Output(output, format_, report, publishes(loaded))
    target.check()
    target.check_inputs([*options["inputs"], *listed])
    parameters = parse_settings_of_analysis(loaded, options["parameters"])
    # Each is short for a parameter, which an analysis that has it documents.
    given = {
        "definitions": list(options["definitions"]) or None,
        "rebuild": options["rebuild"] or None,
        "keep": options["keep"],
    }
    parameters |= known_parameters(
        loaded, {name: value for name, value in given.items() if value is not None}
    )
    request = Request(
        analysis=loaded,
        name=analysis,
        inputs=options["inputs"],
        listed=listed,
        schema=options["schema"],
        filter=options["filter"],
        parameters=parameters,
        sample=None if sample is None else parse_named("--sample", parse_share, sample),
        limit_blocks=options["limit_blocks"],
        max_bad_records=options["max_bad_records"],
        strict=options["strict"],
        output=target.folder,
        document=target.publishes and not target.is_folder,
    )
    store = open_job_store(settings.store)

    def run_once() -> None:
        spec, _ = prepare_job(request, settings, store)
        for sentence in near_misses(steps(loaded)):
            click.echo(f"mr-telemetry: {sentence}", err=True)
        if not options["quiet"]:
            click.echo(introduction(store, spec), err=True)
        run_and_finish(store, spec, settings, target, quiet=options["quiet"])

    plan_until_published(run_once, lambda text: click.echo(f"mr-telemetry: {text}", err=True))
