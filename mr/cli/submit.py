"""`mr-telemetry submit`."""

import click

from mr.cli.asking import job_options, read_request
from mr.cli.options import ProfiledCommand


@click.command("submit", cls=ProfiledCommand)
@job_options
def command(analysis: str, output: str, format_: str | None, **options) -> None:
    """Plan a job for a cluster and leave it to its workers; prints the job's id.

    ANALYSIS, INPUT and options are those of `run`. `status` tells how it goes, and `fetch` gives
    its result, and what `--profile` asks for. OUTPUT is for analyses that publish files.
    """
    from mr.cli.outcome import introduction
    from mr.engines.choice import choose_engine, open_cluster_queue
    from mr.engines.cluster import submit_job
    from mr.errors import UsageError
    from mr.fleet import read_fleet
    from mr.launch import prepare_job
    from mr.stages import NO_WORKER

    asked = read_request(analysis, output, format_, None, options)
    if output != "-" and not asked.output.publishes:
        raise UsageError("-o: only `fetch JOB -o OUTPUT` writes the result of a submitted job.")
    engine = choose_engine(asked.settings)
    if engine.name != "cluster":
        raise UsageError(
            "submit is for a cluster: name its --queue and its --store s3://BUCKET/PREFIX."
        )
    spec, _ = prepare_job(asked.request, engine.settings, engine.store)
    submit_job(engine.store, open_cluster_queue(engine.settings, engine.store), spec)
    click.echo(introduction(engine.store, spec), err=True)
    if not read_fleet(engine.store):
        click.echo(f"mr-telemetry: {NO_WORKER}", err=True)
    click.echo(spec.job)
