"""`mr-telemetry fetch`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("fetch")
@click.argument("job", metavar="JOB")
@click.option("-o", "--output", default="-", metavar="OUTPUT", help="As for run; default: print.")
@click.option("--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending.")
@click.option("--report", metavar="FILE", help="Write what was read, and what not, as JSON.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended.")
@click.option("--quiet", is_flag=True, help="Show no summary.")
@queue_option
@store_option
def command(
    job: str,
    output: str,
    format_: str | None,
    report: str | None,
    wait: bool,
    quiet: bool,
    **options,
) -> None:
    """Get the result of JOB, which has ended, to a file here."""
    import time

    from mr.cli.outcome import Output, finish
    from mr.config import load_settings
    from mr.ends import EndState, read_end
    from mr.errors import JobFailed
    from mr.jobs import find_job
    from mr.report import read_report
    from mr.scratch import scratch_root
    from mr.stores import open_store

    #: Seconds between two looks.
    look_s = 2.0
    settings = load_settings(options)
    store = open_store(settings.store)
    spec = find_job(store, job)
    target = Output(output, format_, report, publishes=bool(spec.output))
    target.check_for(spec)
    while True:
        end = read_end(store, spec.job)
        found = read_report(store, spec.job)
        if end is not None and end.state is not EndState.PUBLISHING and found is not None:
            break
        if end is not None and end.state is EndState.CANCELLED:
            raise JobFailed(f"job {spec.job} has no result: {end.reason}.")
        if not wait:
            raise JobFailed(
                f"job {spec.job} has no result yet: `mr-telemetry status {spec.job}` tells how it "
                "stands, and --wait waits for its end."
            )
        time.sleep(look_s)
    finish(store, scratch_root(store, settings.scratch), spec, end, found, target, quiet=quiet)
