"""`mr-telemetry local-cluster`."""

import click


@click.command("local-cluster")
@click.option("--workers", metavar="N", help="Worker processes (one a processor).")
@click.option("--dir", "folder", metavar="DIR", help="Keep everything here, to go on later.")
@click.option("--port", type=click.IntRange(1, 65535), help="The servers' port (any free one).")
def command(workers: str | None, folder: str | None, port: int | None) -> None:
    """Run a cluster on this machine until Ctrl-C: S3 and SQS servers on loopback, and workers.

    It prints the settings by which every other command uses it: copy them to another terminal.
    Without --dir all that it holds is gone at the end.
    """
    import signal
    from pathlib import Path

    from mr.config import load_settings
    from mr.engines.onemachine import local_cluster

    settings = load_settings({"workers": workers})
    # A terminal that is closed is Ctrl-C too.
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    place = Path(folder).absolute() if folder else None
    with local_cluster(place, settings.workers, port=port) as cluster:
        try:
            click.echo(cluster.exports(), nl=False)
            click.echo(
                f"A cluster with {len(cluster.workers)} workers is running; Ctrl-C stops it. The "
                f"lines above let other terminals use it. Logs: {cluster.folder}",
                err=True,
            )
            while True:
                signal.pause()
        except KeyboardInterrupt:
            click.echo("Stopping.", err=True)
