"""`mr-telemetry fetch`."""

import time
from typing import TYPE_CHECKING

import click

from mr.cli.options import queue_option, show_profile_option, store_option

if TYPE_CHECKING:
    from mr.store import Store

#: Seconds between two looks, and after which a job that nobody coordinates is told of.
LOOK_S, TELL_AFTER_S = 2.0, 60.0


@click.command("fetch")
@click.argument("job", metavar="JOB")
@click.option("-o", "--output", default="-", metavar="OUTPUT", help="As for run; default: print.")
@click.option("--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending.")
@click.option("--report", metavar="FILE", help="Write what was read, and what not, as JSON.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended.")
@click.option("--quiet", is_flag=True, help="Show no summary.")
@show_profile_option
@queue_option
@store_option
def command(
    job: str,
    output: str,
    format_: str | None,
    report: str | None,
    wait: bool,
    quiet: bool,
    profile: bool,
    **options,
) -> None:
    """Get the result of JOB, which has ended, to a file here."""
    from mr.cli.outcome import Output, finish
    from mr.config import load_settings
    from mr.ends import EndState, read_end
    from mr.errors import JobFailed
    from mr.jobs import find_job
    from mr.report import read_report
    from mr.scratch import scratch_root
    from mr.stores import open_store

    settings = load_settings(options)
    store = open_store(settings.store)
    spec = find_job(store, job)
    target = Output(output, format_, report, publishes=bool(spec.output))
    target.check_for(spec)
    watch = _Watch(store, spec.job)
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
        watch.look()
        time.sleep(LOOK_S)
    scratch = scratch_root(store, settings.scratch)
    finish(
        store,
        scratch,
        spec,
        end,
        found,
        target,
        quiet=quiet,
        profile=profile,
        workers=settings.workers,
    )


class _Watch:
    """Tells once that nobody has coordinated a job for a while: it shows as interrupted."""

    def __init__(self, store: "Store", job: str) -> None:
        self._store = store
        self._job = job
        self._told = False
        #: When it was first seen so.
        self._since: float | None = None

    def look(self) -> None:
        """Look at a job that has not ended."""
        from mr.errors import LimitReached
        from mr.heartbeat import is_alive
        from mr.jobs import why_stopped

        # What `mr.jobs.job_status` tells, without its count of all commits.
        if reason := why_stopped(self._store, self._job):
            raise LimitReached(f"job {self._job}: {reason}")
        if self._told or is_alive(self._store, self._job):
            self._since = None
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since < TELL_AFTER_S:
            return
        self._told = True
        click.echo(
            f"mr-telemetry: job {self._job} is interrupted: nobody has coordinated it for "
            f"{TELL_AFTER_S:.0f} s. `mr-telemetry resume {self._job}` goes on; still waiting.",
            err=True,
        )
