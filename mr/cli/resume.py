"""`mr-telemetry resume`."""

import click

from mr.cli.options import settings_options


@click.command("resume")
@click.argument("job", metavar="JOB")
@click.option("-o", "--output", default="-", metavar="OUTPUT", help="As for run; default: print.")
@click.option("--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending.")
@settings_options
@click.option("--quiet", is_flag=True, help="Show no progress and no summary.")
@click.option("--report", metavar="FILE", help="Write what was read, and what not, as JSON.")
def command(job: str, output: str, format_: str | None, report: str | None, **options) -> None:
    """Go on with JOB from where it was interrupted, and give its result.

    A job that is done gives its result once more.
    """
    from mr.cli.outcome import Output, run_and_finish
    from mr.config import load_settings
    from mr.errors import FormatError, ObjectMissing, UsageError
    from mr.launch import open_job_store
    from mr.spec import read_spec

    settings = load_settings({name: options[name] for name in ("store", "workers")})
    store = open_job_store(settings.store)
    try:
        spec = read_spec(store, job)
    except ObjectMissing:
        raise UsageError(
            f"there is no job {job} in {settings.store}; `mr-telemetry jobs` lists them."
        ) from None
    except FormatError as error:
        raise UsageError(f"cannot resume: {error}") from None
    target = Output(output, format_, report, publishes=bool(spec.output))
    if spec.output and not spec.document and output != "-":
        raise UsageError(f"job {job} publishes to {spec.output}; leave -o out.")
    if spec.document and target.is_folder:
        raise UsageError(f"job {job} makes one document: name a file.json, or - to print it.")
    target.check()
    run_and_finish(store, spec, settings, target, quiet=options["quiet"])
