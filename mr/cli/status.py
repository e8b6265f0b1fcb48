"""`mr-telemetry status`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("status")
@click.argument("job", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@queue_option
@store_option
def command(job: str, as_json: bool, **options) -> None:
    """Tell how JOB stands: its state, stages, failures, and who works on it."""
    import msgspec

    from mr.config import load_settings
    from mr.jobs import find_job
    from mr.queues import open_queue
    from mr.standing import job_standing, standing_text
    from mr.stores import open_store

    settings = load_settings(options)
    store = open_store(settings.store)
    spec = find_job(store, job)
    known = settings.queue and store.is_remote
    standing = job_standing(store, spec, open_queue(settings.queue, make=False) if known else None)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(standing)).decode())
    else:
        click.echo(standing_text(standing))
