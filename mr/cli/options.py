"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

from mr.errors import UsageError


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`INPUT...`, `--input-list`, `--schema`, `--filter`: which blocks."""
    decorators = [
        click.argument("inputs", nargs=-1, metavar="INPUT..."),
        click.option(
            "--input-list",
            type=click.Path(dir_okay=False, allow_dash=True),
            metavar="FILE",
            help="Take further inputs from a file, one a line (- for standard input).",
        ),
        click.option("--schema", metavar="F.json", help="The dimensions of the input's paths."),
        click.option("--filter", metavar="F.json", help="Read only what this filter allows."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


#: Where a command's context has the words after "--", which are no options.
LITERAL = "mr.literal"


class ProfiledCommand(click.Command):
    """A command whose `--profile` may stand alone: the word after it is its value only if it fits.

    Else `--profile ANALYSIS` would take the analysis for its value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a lone `--profile` its value."""
        (option,) = (one for one in self.params if one.name == "profile")
        words = [*args, ""]
        ctx.meta[LITERAL] = args[args.index("--") + 1 :] if "--" in args else []
        for place, word in enumerate(args):
            if word == "--":
                break
            if word == "--profile" and words[place + 1] not in option.type.choices:
                words[place] = f"--profile={option.flag_value}"
        return super().parse_args(ctx, words[:-1])


#: `--profile` of commands that only show what a job has.
show_profile_option = click.option(
    "--profile", is_flag=True, help="Show where the time went, as run --profile does."
)

#: `--keep-state` of commands that leave a state for `merge`.
keep_state_option = click.option(
    "--keep-state",
    metavar="STATE",
    help="Keep what the reduce is given, for merge: in a folder, or at s3://BUCKET/PREFIX.",
)

#: The settings by which every command finds jobs and those who work on them.
SETTINGS = ("store", "queue", "engine", "workers")


def store_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--store`: where jobs are kept."""
    return click.option(
        "--store", metavar="DIR|URL", help="Where jobs live: a folder, or s3://BUCKET/PREFIX."
    )(function)


def queue_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--queue`: how a cluster's workers hear of tasks."""
    return click.option("--queue", metavar="NAME|URL", help="A cluster's SQS queue.")(function)


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Flags of the settings that a job runs with; see `mr.config`."""
    workers = click.option(
        "--workers",
        metavar="N",
        help="Processes that work (one a processor; of a cluster: those that are there).",
    )
    engine = click.option(
        "--engine", metavar="local|cluster|mrjob", help="Where tasks run (as the store is)."
    )
    return store_option(queue_option(engine(workers(function))))


def read_input_list(path: str | None) -> list[str]:
    """The inputs of an input list; blank lines do not count. Raises UsageError."""
    if path is None:
        return []
    try:
        with click.open_file(path, encoding="utf-8") as stream:
            return [line.strip() for line in stream if line.strip()]
    except UnicodeDecodeError:
        raise UsageError(f"--input-list {path}: is not a text in UTF-8.") from None
    except OSError as error:
        raise UsageError(f"--input-list {path}: cannot be read: {error.strerror}.") from None


def need_inputs(inputs: tuple[str, ...], listed: list[str]) -> None:
    """Raise UsageError when there is nothing to read."""
    if not inputs and not listed:
        raise UsageError("no input: name a directory, a file, or --input-list FILE.")
