"""`mr-telemetry worker`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("worker")
@queue_option
@store_option
@click.option("--processes", metavar="N", help="Tasks to run at once (one a processor).")
@click.option("--idle-exit", metavar="TIME", help="Leave after so long without work (never).")
@click.option("--lease", metavar="TIME", help="How long a task is lent at a time (5m).")
def command(processes: str | None, idle_exit: str | None, **options) -> None:
    """Work for a cluster: run tasks of every job in the queue, until told to stop.

    SIGTERM, Ctrl-C and a notice that EC2 takes this spot machine away all let it leave at once;
    what it was at is done by another worker. A line of JSON for each task goes to standard error.
    """
    import os
    import signal
    import sys
    import threading
    from pathlib import Path

    from mr.aws.spot import machine_names, watch_spot
    from mr.config import load_settings, parse_count, parse_duration, parse_named
    from mr.engines.choice import open_cluster_queue
    from mr.engines.serving import Service, serve
    from mr.logs import LogLine
    from mr.scratch import scratch_root
    from mr.stores import open_store

    if processes is not None:
        parse_named("--processes", parse_count, processes)
    settings = load_settings({**options, "workers": processes})
    store = open_store(settings.store)
    queue = open_cluster_queue(settings, store)
    machine: list[str] = []
    # Where nothing answers it takes seconds to find that out.
    threading.Thread(target=lambda: machine.extend(machine_names()), daemon=True).start()
    service = Service(
        processes=settings.workers,
        idle_exit_s=idle_exit and parse_named("--idle-exit", parse_duration, idle_exit),
        lease_s=settings.lease,
        scratch=Path(scratch_root(store, settings.scratch)),
        machine=lambda: machine[-1] if machine else "",
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def show(line: LogLine) -> None:
        # What it printed has been shown as it came.
        sys.stderr.buffer.write(line.without_output().encode() + b"\n")
        sys.stderr.buffer.flush()

    click.echo(
        f"Working on {queue.name} for {store.url}, {service.processes} tasks at a time.", err=True
    )
    if not serve(store, queue, service, stop=stop, show=show, watch=watch_spot):
        click.echo("mr-telemetry: left without an answer of the store or the queue.", err=True)
        sys.stderr.flush()
        os._exit(0)  # threads that still wait for one would keep us
