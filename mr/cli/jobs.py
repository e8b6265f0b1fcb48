"""`mr-telemetry jobs`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("jobs")
@click.argument("jobs", nargs=-1, metavar="[JOB...]")
@click.option("--clean", is_flag=True, help="Remove jobs that have ended, or those that are named.")
@store_option
@queue_option
def command(jobs: tuple[str, ...], clean: bool, **options) -> None:
    """List the jobs in the store, or (--clean) remove those that have ended.

    A job that is named is removed even if it was interrupted, but never while it runs.
    """
    from mr.config import load_settings
    from mr.engines.cluster import remove_events
    from mr.errors import UsageError
    from mr.jobs import INTERRUPTED, RUNNING, UNREADABLE, list_jobs, match_job, remove_job
    from mr.scratch import scratch_root, sweep_scratch
    from mr.stores import open_store
    from mr.text import counted

    settings = load_settings(options)
    store = open_store(settings.store)
    found = {status.job: status for status in list_jobs(store)}
    chosen = [found[match_job(found, job, settings.store)] for job in jobs]
    chosen = chosen or list(found.values())
    if not clean:
        for status in chosen:
            told = "" if status.spec is None else _told(status.spec)
            click.echo(f"{status.job}  {status.state:<11}  {status.tasks_done:>5} tasks done{told}")
        if not chosen:
            click.echo(f"No jobs in {settings.store}.", err=True)
        if settings.queue and store.is_remote:
            _tell_dead_letters(settings.queue)
        return
    busy = [status.job for status in chosen if status.busy]
    if jobs and busy:
        raise UsageError(f"{', '.join(busy)} is in use: running, or its result being written.")
    kept = (RUNNING, INTERRUPTED, UNREADABLE)
    ended = [one for one in chosen if jobs or not (one.busy or one.state in kept)]
    for status in ended:
        remove_job(store, status.job)
        if settings.queue and store.is_remote:
            remove_events(settings.queue, status.job)
    store.sweep()
    sweep_scratch(scratch_root(store, settings.scratch))
    left = len(found) - len(ended)
    click.echo(
        f"Removed {counted(len(ended), 'job')} from {settings.store}; {left} left.", err=True
    )


def _tell_dead_letters(name: str) -> None:
    """Tell of messages that could not be decoded, or whose task has failed."""
    from mr.queues import open_queue
    from mr.text import counted

    waiting = open_queue(name, make=False).dead_letters_waiting()
    if waiting:
        click.echo(
            f"{counted(waiting, 'dead letter')} in the dead-letter queue of {name}: messages that "
            "could not be decoded, or whose task has failed for good.",
            err=True,
        )


def _told(spec) -> str:
    return f"  {spec.analysis} over {' '.join(spec.inputs)}"
