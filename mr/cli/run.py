"""`mr-telemetry run`."""

from pathlib import Path

import click

from mr.cli.asking import job_options, read_request, split_options
from mr.cli.options import ProfiledCommand


@click.command("run", cls=ProfiledCommand, context_settings={"ignore_unknown_options": True})
@job_options
@click.option(
    "-r",
    "--runner",
    metavar="RUNNER",
    help="With --engine mrjob: inline, local, hadoop, emr, dataproc or spark; then come mrjob's "
    "own options.",
)
@click.option("--quiet", is_flag=True, help="Show no progress and no summary.")
@click.option("--report", metavar="FILE", help="Write what was read, and what not, as JSON.")
def command(
    analysis: str,
    output: str,
    format_: str | None,
    report: str | None,
    runner: str | None,
    quiet: bool,
    **options,
) -> None:
    """Run ANALYSIS over the telemetry blocks of every INPUT.

    ANALYSIS is a file.py, file.py:Class, package.module:Class, or a bundled analysis's name
    (`mr-telemetry analyses` lists them). INPUT is a directory that holds the folders of the
    schema's first dimension, or a block's file.
    """
    from mr.analysis import near_misses, steps
    from mr.cli.outcome import introduction, run_and_finish
    from mr.engines.choice import choose_engine
    from mr.errors import UsageError
    from mr.launch import plan_until_published, prepare_job
    from mr.profiles import check_profile

    options["inputs"], others = split_options(
        analysis,
        options["inputs"],
        by_mrjob=runner is not None or options["engine"] == "mrjob",
    )
    asked = read_request(analysis, output, format_, report, options)
    check_profile(asked.request.profile, Path.cwd())
    engine = choose_engine(asked.settings, runner, others, quiet=quiet)
    engine.check(asked.request)
    for limit in ("max_cost", "max_hours"):
        if options[limit] is not None and engine.name == "mrjob":
            option = "--" + limit.replace("_", "-")
            raise UsageError(f"{option}: mrjob's tasks are not ours to hold back.")
    if options["max_cost"] is not None and engine.name != "cluster":
        raise UsageError("--max-cost: only a cluster's machines have a price; --max-hours?")

    def run_once() -> None:
        spec, _ = prepare_job(asked.request, engine.settings, engine.store)
        for sentence in near_misses(steps(asked.request.analysis)):
            click.echo(f"mr-telemetry: {sentence}", err=True)
        if not quiet:
            click.echo(introduction(engine.store, spec), err=True)
        run_and_finish(engine, spec, asked.output, quiet=quiet)

    plan_until_published(run_once, lambda text: click.echo(f"mr-telemetry: {text}", err=True))
