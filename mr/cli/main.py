"""`mr-telemetry`: finds the command, and turns our errors into one sentence and an exit code."""

import os
import signal
import sys
from importlib import import_module

import click

from mr.errors import MrError
from mr.garbage import look_for_less

#: Command to the module that holds it, loaded only when that command is asked for.
COMMANDS = {
    "run": "mr.cli.run",
    "plan": "mr.cli.plan",
    "merge": "mr.cli.merge",
    "submit": "mr.cli.submit",
    "resume": "mr.cli.resume",
    "jobs": "mr.cli.jobs",
    "status": "mr.cli.status",
    "logs": "mr.cli.logs",
    "fetch": "mr.cli.fetch",
    "cancel": "mr.cli.cancel",
    "replay": "mr.cli.replay",
    "worker": "mr.cli.worker",
    "local-cluster": "mr.cli.localcluster",
    "cluster": "mr.cli.cluster",
    "analyses": "mr.cli.analyses",
    "new": "mr.cli.new",
    "check": "mr.cli.check",
    "ls": "mr.cli.ls",
    "cat": "mr.cli.cat",
    "copy": "mr.cli.copy",
    "show": "mr.cli.show",
    "dashboard": "mr.cli.dashboard",
    "serve": "mr.cli.serve",
    "generate": "mr.cli.generate",
    "wheel": "mr.cli.wheel",
}

#: One line for each command, here so that `--help` loads none of them.
SUMMARIES = {
    "run": "Run an analysis over telemetry blocks.",
    "plan": "Tell what a job would read, take and cost.",
    "merge": "Add up the states that several jobs have kept.",
    "submit": "Plan a job for a cluster and leave it to its workers.",
    "resume": "Go on with a job that was interrupted.",
    "jobs": "List jobs, or remove those that have ended.",
    "status": "Tell how a job stands.",
    "logs": "Show what workers tell of a job's tasks.",
    "fetch": "Get the result of a job that has ended.",
    "cancel": "End a job now.",
    "replay": "Run one task of a job again, here, to see how it fails.",
    "worker": "Work for a cluster.",
    "local-cluster": "Run a cluster on this machine, for tutorials and tests.",
    "cluster": "Make, show or remove a cluster of spot machines on AWS.",
    "analyses": "List the analyses that come with the package.",
    "new": "Write a new analysis and its test to start from.",
    "check": "Test that an analysis's answer does not depend on how its input is cut.",
    "ls": "Show what an input holds, by dimension.",
    "cat": "Print the records of a block.",
    "copy": "Copy objects between folders and S3.",
    "show": "Show published histograms.",
    "dashboard": "Write a static site that shows published histograms.",
    "serve": "Show published histograms in a browser.",
    "generate": "Write realistic sample data.",
    "wheel": "Write this package as a wheel, for other machines.",
}

#: Wide enough for a table, whatever the terminal says of itself when there is none.
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class ReaderGone(Exception):
    """Raised when whoever reads our output has closed it (`| head`): not our failure."""


class Commands(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a person's journey."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        return import_module(COMMANDS[name]).command

    def invoke(self, ctx: click.Context) -> None:
        """Run a command; click itself would give exit code 1 to a reader that has left."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise ReaderGone from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(
    package_name="mr-telemetry", message="%(prog)s %(version)s", prog_name="mr-telemetry"
)
def cli() -> None:
    """Run map/reduce classes over terabytes of compressed telemetry JSON."""


def main() -> None:
    """Run the command line; exits with 0, 1, 2, 3 or 130 (see the manual)."""
    look_for_less()
    # Being told to stop is Ctrl-C from afar: what is done is kept, and can be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cli.main(prog_name="mr-telemetry", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MrError as error:
        click.echo(f"mr-telemetry: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("mr-telemetry: stopped.", err=True)
        sys.exit(130)
    except ReaderGone:
        _drop_output()
        sys.exit(0)
    except OSError as error:
        # Whatever has a better sentence has raised that: mostly `> /dev/full`, or its like.
        place = error.filename or "standard output"
        click.echo(f"mr-telemetry: {place}: {error.strerror}.", err=True)
        _drop_output()
        sys.exit(1)


def _drop_output() -> None:
    """Let what is still to be flushed go nowhere, so that Python's own end does not stumble."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
