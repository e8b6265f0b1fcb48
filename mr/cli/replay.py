"""`mr-telemetry replay`."""

import click

from mr.cli.options import queue_option, store_option


@click.command("replay")
@click.argument("job", metavar="JOB")
@click.argument("task", metavar="TASK")
@click.option("--pdb", is_flag=True, help="Open Python's debugger where the analysis fails.")
@queue_option
@store_option
def command(job: str, task: str, pdb: bool, **options) -> None:
    """Run one map or reduce TASK of JOB again, here, in this process.

    It reads what the task read, by the job's own code, and writes nothing to the job. An exception
    of the analysis shows as it would in a run, with its block and line.
    """
    import pdb as debugger

    from mr.config import load_settings
    from mr.errors import JobFailed, MrError
    from mr.jobs import find_job
    from mr.replaying import Replay, task_of
    from mr.scratch import scratch_folder, scratch_root
    from mr.stores import open_store
    from mr.usercode import error_line, own_frames

    settings = load_settings(options)
    store = open_store(settings.store)
    spec = find_job(store, job)
    found = task_of(store, spec, task)
    with scratch_folder(scratch_root(store, settings.scratch)) as folder:
        replay = Replay(store, found, folder)
        try:
            commit = replay.run()
        except MrError:
            raise
        except Exception as error:
            if pdb:
                click.echo(f"{replay.where}: {error_line(error)}", err=True)
                debugger.post_mortem(error.__traceback__)
            raise JobFailed(
                f"the analysis failed at {replay.where}: {error_line(error)}\n\n"
                f"{own_frames(error).rstrip()}"
            ) from None
    click.echo(
        f"Task {found.id} runs to its end here: {commit.tally.records:,} records, "
        f"{commit.seconds:.1f} s.",
        err=True,
    )
