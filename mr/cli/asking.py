"""What `run` and `submit` have in common: which job a person asks for."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mr.cli.options import (
    LITERAL,
    SETTINGS,
    keep_state_option,
    need_inputs,
    read_input_list,
    selection_options,
    settings_options,
)

if TYPE_CHECKING:
    from mr.cli.outcome import Output
    from mr.config import Settings
    from mr.launch import Request

#: The options that are settings too (see `mr.config`).
_SETTINGS = (
    *SETTINGS,
    "reducers",
    "split_size",
    "buffer_size",
    "max_failures",
    "hang_limit",
)


class _Positive(click.ParamType):
    """A number over 0."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number; fails for anything else, and for one that is none."""
        with suppress(ValueError):
            if (number := float(value)) > 0:
                return number
        return self.fail(f"{value!r} is no number over 0.", param, ctx)


def job_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options that say what the job is."""
    decorators = [
        click.argument("analysis", metavar="ANALYSIS"),
        selection_options,
        click.option(
            "-o",
            "--output",
            default="-",
            metavar="OUTPUT",
            help="A file (.jsonl .json .csv .tsv .parquet .txt), a directory for result parts or "
            "for what the analysis publishes, or - to print (the default).",
        ),
        click.option(
            "--format", "format_", metavar="FORMAT", help="The format, whatever OUTPUT's ending."
        ),
        click.option(
            "--set", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a parameter."
        ),
        click.option(
            "--definitions",
            multiple=True,
            metavar="[REVISION=]FILE",
            help="Histogram definitions, of a revision (those of this package).",
        ),
        click.option("--rebuild", is_flag=True, help="Publish afresh instead of an update."),
        click.option(
            "--keep",
            type=click.IntRange(min=0),
            metavar="N",
            help="Earlier versions of what is published to keep (1).",
        ),
        settings_options,
        click.option(
            "--with",
            "ship",
            multiple=True,
            metavar="DIR",
            help="Send this folder's modules and files along (repeatable).",
        ),
        click.option(
            "--reducers", metavar="N", help="Partitions of the reduce (as many as workers)."
        ),
        click.option("--split-size", metavar="SIZE", help="Largest input split (500MB)."),
        click.option("--buffer-size", metavar="SIZE", help="A map task's memory (128MB)."),
        click.option(
            "--sample", metavar="P%", help="Read only this share of the records (by hash)."
        ),
        click.option(
            "--limit-blocks", type=click.IntRange(min=1), help="Read only the first blocks."
        ),
        click.option(
            "--max-bad-records",
            default="1%",
            show_default=True,
            metavar="N|P%",
            help="Fail when more records are bad than this.",
        ),
        click.option("--strict", is_flag=True, help="Fail at the first bad record or block."),
        keep_state_option,
        click.option(
            "--profile",
            type=click.Choice(["table", "cpu"]),
            is_flag=False,
            flag_value="table",
            default=None,
            metavar="[=cpu]",
            help="Show where the time went; with =cpu also by function, into a folder here (which "
            "slows the analysis down).",
        ),
        click.option(
            "--max-cost",
            type=_Positive(),
            metavar="USD",
            help="Of a cluster: send no more tasks once its machines have cost so much.",
        ),
        click.option(
            "--max-hours",
            type=_Positive(),
            metavar="H",
            help="Send no more tasks after so many hours; resume goes on.",
        ),
        click.option("--max-failures", metavar="N", help="Failures that make a task failed (5)."),
        click.option(
            "--hang-limit", metavar="TIME", help="End a task that hangs for this long (10m)."
        ),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@dataclass(frozen=True)
class Asked:
    """A job that a person asks for, and where its result is to go."""

    request: "Request"
    output: "Output"
    settings: "Settings"


def split_options(
    analysis: str, words: Sequence[str], *, by_mrjob: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The inputs among words that hold options of mrjob's too, if it is to run the job, and these.

    Raises click.NoSuchOption for options that cannot be mrjob's.
    """
    literal = click.get_current_context().meta.get(LITERAL, ())
    options = [
        word
        for word in (analysis, *words)
        if word.startswith("-") and word != "-" and word not in literal
    ]
    if not options:
        return tuple(words), []
    if not by_mrjob or options[0] == analysis:
        name = options[0].partition("=")[0]
        if by_mrjob:
            raise click.UsageError(f"{name}: no such option; those of mrjob come after ANALYSIS.")
        raise click.NoSuchOption(name)
    from mr.engines.mrjob.engine import split_arguments

    return split_arguments(words)


def read_request(
    analysis: str, output: str, format_: str | None, report: str | None, options: dict[str, Any]
) -> Asked:
    """What the options of `job_options` ask for. Raises UsageError."""
    from mr.analysis import known_parameters
    from mr.cli.outcome import Output
    from mr.config import load_settings, parse_named, parse_share
    from mr.errors import UsageError
    from mr.launch import Request, parse_settings_of_analysis, publishes
    from mr.loading import load_analysis
    from mr.usercode import own_traceback

    listed = read_input_list(options["input_list"])
    need_inputs(options["inputs"], listed)
    settings = load_settings({name: options[name] for name in _SETTINGS})
    with own_traceback(UsageError, f"{analysis} cannot be imported"):
        loaded = load_analysis(analysis, options["ship"])
    sample = options["sample"]
    target = Output(output, format_, report, publishes(loaded))
    target.check()
    target.check_inputs([*options["inputs"], *listed])
    parameters = parse_settings_of_analysis(loaded, options["parameters"])
    # Each is short for a parameter, which an analysis that has it documents.
    given = {
        "definitions": list(options["definitions"]) or None,
        "rebuild": options["rebuild"] or None,
        "keep": options["keep"],
    }
    parameters |= known_parameters(
        loaded, {name: value for name, value in given.items() if value is not None}
    )
    request = Request(
        analysis=loaded,
        name=analysis,
        inputs=options["inputs"],
        listed=listed,
        schema=options["schema"],
        filter=options["filter"],
        parameters=parameters,
        sample=None if sample is None else parse_named("--sample", parse_share, sample),
        limit_blocks=options["limit_blocks"],
        max_bad_records=options["max_bad_records"],
        strict=options["strict"],
        output=target.folder if target.publishes else None,
        document=target.publishes and not target.is_folder,
        ship=options["ship"],
        profile=options["profile"] or "",
        max_usd=options["max_cost"],
        max_hours=options["max_hours"],
        keep_state=options["keep_state"],
    )
    return Asked(request, target, settings)
