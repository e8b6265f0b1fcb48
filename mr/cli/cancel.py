"""`mr-telemetry cancel`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("cancel")
@click.argument("job", metavar="JOB")
@queue_option
@store_option
def command(job: str, **options) -> None:
    """End JOB now; its workers stop at their next heartbeat, and nothing of it is published.

    A job that has ended stays as it is, and so does one that is publishing: that is finished.
    """
    from mr.config import load_settings
    from mr.ends import EndState, cancelled, write_end
    from mr.errors import JobFailed
    from mr.jobs import find_job
    from mr.stores import open_store

    settings = load_settings(options)
    store = open_store(settings.store)
    spec = find_job(store, job)
    end = write_end(store, spec.job, cancelled(f"job {spec.job} was cancelled"))
    if end.state is EndState.PUBLISHING:
        raise JobFailed(
            f"job {spec.job} is publishing its result already, and that is finished: what is "
            "published must be whole."
        )
    if end.state is not EndState.CANCELLED:
        raise JobFailed(f"job {spec.job} has ended before: it is {end.state.value}.")
    click.echo(f"Job {spec.job} is cancelled.", err=True)
