"""`mr-telemetry logs`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("logs")
@click.argument("job", metavar="JOB")
@click.argument("task", metavar="[TASK]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they were written.")
@queue_option
@store_option
def command(job: str, task: str | None, as_json: bool, **options) -> None:
    """Show what workers tell of the attempts at JOB's tasks, or at one TASK, oldest first.

    With a TASK also what the analysis printed, and the traceback of each failure.
    """
    import datetime

    from mr.commits import read_failures
    from mr.config import load_settings
    from mr.errors import UsageError
    from mr.jobs import find_job
    from mr.logs import read_logs
    from mr.stores import open_store
    from mr.tasks import is_task_id

    settings = load_settings(options)
    store = open_store(settings.store)
    spec = find_job(store, job)
    if task is not None and not is_task_id(task):
        raise UsageError(f"{task!r} is no task's id, as 1-map-0000007 is; `logs JOB` shows them.")
    shown = 0
    for shown, line in enumerate(read_logs(store, spec.job, task), 1):  # noqa: B007 - counts
        if as_json:
            click.echo(line.encode())
            continue
        when = datetime.datetime.fromtimestamp(line.time, datetime.UTC)
        facts = f"{line.seconds:.1f} s, {line.records:,} records, {line.raw_bytes / 1e6:,.1f} MB"
        text = f": {line.text}" if line.text else ""
        click.echo(
            f"{when:%Y-%m-%d %H:%M:%S} {line.task} {line.state} {facts}, {line.worker}{text}"
        )
        for output in line.output if task else ():
            click.echo(f"    {output}")
    if task is not None and not as_json:
        for failure in read_failures(store, spec.job, task):
            click.echo(f"failed at {failure.where}: {failure.error}")
            click.echo(failure.traceback.rstrip())
            shown += 1
    if not shown:
        what = f"task {task} of job {spec.job}" if task else f"job {spec.job}"
        raise UsageError(
            f"there are no logs of {what} (yet): workers of a cluster write them every 20 seconds."
        )
