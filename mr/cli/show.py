"""`mr-telemetry show`."""

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mr.tables import BLOCK, aligned, bars

if TYPE_CHECKING:
    from mr.histograms.reading import Published, Version
    from mr.histograms.statistics import Histogram

#: A bar is no wider than this, and no narrower.
WIDEST_BAR, NARROWEST_BAR = 60, 10
#: Values of a filter level that are shown.
VALUES_SHOWN = 12

#: A table: the names of its columns, and its rows.
Table = tuple[Sequence[str], list[Sequence[Any]]]


@click.command("show")
@click.argument("published", metavar="PUBLISHED")
@click.argument("version", metavar="[CHANNEL/VERSION]", required=False)
@click.argument("measure", metavar="[MEASURE]", required=False)
@click.option(
    "--by",
    type=click.Choice(["build", "submission"]),
    default="build",
    show_default=True,
    help="By which date.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="LEVEL=VALUE",
    help="Only these: reason, appName, OS, osVersion or arch (repeatable).",
)
@click.option("--from", "start", metavar="DATE", help="The first date (YYYYMMDD).")
@click.option("--to", "end", metavar="DATE", help="The last date.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
def command(
    published: str, version: str | None, measure: str | None, by: str, format_: str, **options
) -> None:
    """Show what `run histograms` has published: its versions, a version's measures, or a measure.

    A measure is shown as a bar for each bucket, with percentiles that are estimated from these.
    """
    from mr.errors import UsageError
    from mr.histograms import open as open_published
    from mr.histograms.filters import LEVELS

    found = open_published(published)
    chosen: dict[str, list[str]] = {}
    for text in options["filters"]:
        level, separator, value = text.partition("=")
        if not separator or level not in LEVELS:
            levels = ", ".join(LEVELS)
            raise UsageError(
                f"--filter {text}: must be LEVEL=VALUE, as in OS=WINNT; levels are {levels}."
            )
        chosen.setdefault(level, []).append(value)
    if measure is None and (chosen or options["start"] or options["end"]):
        raise UsageError("--filter, --from and --to choose rows of a measure: name one.")
    if version is None:
        table = _versions(found)
        notes = [] if table[1] else ["Nothing is published yet."]
    elif measure is None:
        table = _measures(found[version])
        notes = _about(found[version])
    else:
        histogram = found[version].histogram(
            measure, by, start=options["start"], end=options["end"], **chosen
        )
        if format_ == "json":
            click.echo(json.dumps(histogram.to_dict(), indent=1))
            return
        table = _buckets(histogram)
        if format_ == "table":
            click.echo(f"{version} {measure}, by {by} date")
            for line in [*histogram.summary(), "", *_bars(histogram)]:
                click.echo(line)
            return
        notes = []
    _print(table, format_)
    if format_ == "table":
        for note in notes:
            click.echo(note, err=True)


def _print(table: Table, format_: str) -> None:
    names, rows = table
    if format_ == "json":
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))
    elif format_ == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([names, *rows])
    else:
        shown = [names, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
        for line in aligned(shown):
            click.echo(line)


def _versions(published: "Published") -> Table:
    rows = []
    for name in published.versions:
        version = published[name]
        coverage = version.coverage or {}
        records, blocks = coverage.get("records", {}), coverage.get("blocks", {})
        rows.append(
            (
                name,
                version.folder,
                len(version.measures),
                records.get("read"),
                blocks.get("processed"),
                len(blocks["bad"]) if "bad" in blocks else None,
            )
        )
    return ("version", "folder", "measures", "records", "blocks", "bad_blocks"), rows


def _measures(version: "Version") -> Table:
    rows = []
    for name in version.measures:
        definition = version.definition(name)
        revision = version.revisions.get(name, {})
        rows.append((name, definition.kind, definition.buckets, revision.get("buildId")))
    return ("measure", "kind", "buckets", "newest_build"), rows


def _about(version: "Version") -> list[str]:
    notes = []
    for level, values in version.filters.items():
        more = ", ..." if len(values) > VALUES_SHOWN else ""
        notes.append(f"{level}: {', '.join(values[:VALUES_SHOWN])}{more}")
    left_out = (version.coverage or {}).get("measures", {}).get("left_out", {})
    notes += [f"left out: {name}: {reason}" for name, reason in sorted(left_out.items())]
    return notes


def _buckets(histogram: "Histogram") -> Table:
    starts, counts = histogram.to_numpy()
    rows = zip(starts.tolist(), histogram.ends.tolist(), counts.tolist(), strict=True)
    return ("start", "end", "count"), list(rows)


def _bars(histogram: "Histogram") -> list[str]:
    names, rows = histogram.table()
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    columns = shutil.get_terminal_size((80, 24)).columns
    room = min(max(columns - sum(widths) - 2 * len(widths), NARROWEST_BAR), WIDEST_BAR)
    drawn = bars(histogram.counts.tolist(), room, _bar_character())
    whole = [(*row, bar) for row, bar in zip(rows, drawn, strict=True)]
    return aligned([(*names, ""), *whole], right=range(len(names)))


def _bar_character() -> str:
    """A full block, where the output's encoding has one."""
    try:
        BLOCK.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#"
    return BLOCK
