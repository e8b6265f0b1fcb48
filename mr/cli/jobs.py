"""`mr-telemetry jobs`."""

import click

from mr.cli.options import store_option


@click.command("jobs")
@click.argument("jobs", nargs=-1, metavar="[JOB...]")
@click.option("--clean", is_flag=True, help="Remove jobs that have ended, or those that are named.")
@store_option
def command(jobs: tuple[str, ...], clean: bool, **options) -> None:
    """List the jobs in the store, or (--clean) remove those that have ended.

    A job that is named is removed even if it was interrupted, but never while it runs.
    """
    from mr.config import load_settings
    from mr.errors import UsageError
    from mr.jobs import INTERRUPTED, RUNNING, UNREADABLE, list_jobs, remove_job
    from mr.launch import open_job_store
    from mr.scratch import sweep_scratch
    from mr.text import counted

    settings = load_settings({"store": options["store"]})
    store = open_job_store(settings.store)
    found = {status.job: status for status in list_jobs(store)}
    unknown = [job for job in jobs if job not in found]
    if unknown:
        raise UsageError(f"there is no job {', '.join(unknown)} in {settings.store}.")
    chosen = [found[job] for job in jobs] or list(found.values())
    if not clean:
        for status in chosen:
            told = "" if status.spec is None else _told(status.spec)
            click.echo(f"{status.job}  {status.state:<11}  {status.tasks_done:>5} tasks done{told}")
        if not chosen:
            click.echo(f"No jobs in {settings.store}.", err=True)
        return
    busy = [status.job for status in chosen if status.busy]
    if jobs and busy:
        raise UsageError(f"{', '.join(busy)} is in use: running, or its result being written.")
    kept = (RUNNING, INTERRUPTED, UNREADABLE)
    ended = [one for one in chosen if jobs or not (one.busy or one.state in kept)]
    for status in ended:
        remove_job(store, status.job)
    store.sweep()
    sweep_scratch(store)
    left = len(found) - len(ended)
    click.echo(
        f"Removed {counted(len(ended), 'job')} from {settings.store}; {left} left.", err=True
    )


def _told(spec) -> str:
    return f"  {spec.analysis} over {' '.join(spec.inputs)}"
