"""`mr-telemetry resume`."""

import click

from mr.cli.options import SETTINGS, settings_options, show_profile_option


@click.command("resume")
@click.argument("job", metavar="JOB")
@click.option("-o", "--output", default="-", metavar="OUTPUT", help="As for run; default: print.")
@click.option("--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending.")
@settings_options
@click.option("--quiet", is_flag=True, help="Show no progress and no summary.")
@click.option("--report", metavar="FILE", help="Write what was read, and what not, as JSON.")
@show_profile_option
def command(
    job: str, output: str, format_: str | None, report: str | None, profile: bool, **options
) -> None:
    """Go on with JOB from where it was interrupted, and give its result.

    A job that is done gives its result once more. A limit of cost or time that has stopped it holds
    no longer.
    """
    from dataclasses import replace

    from mr.cli.outcome import Output, run_and_finish
    from mr.config import load_settings
    from mr.engines.choice import choose_engine
    from mr.jobs import find_job

    engine = choose_engine(load_settings({name: options[name] for name in SETTINGS}))
    spec = replace(find_job(engine.store, job), max_usd=None, max_hours=None)
    target = Output(output, format_, report, publishes=bool(spec.output))
    target.check_for(spec)
    run_and_finish(engine, spec, target, quiet=options["quiet"], profile=profile)
