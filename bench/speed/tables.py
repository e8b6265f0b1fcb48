"""What was measured, as tables in Markdown, with what is asked for beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.speed import cluster, pairs, reduction, tiny
from bench.speed.cluster import OnCluster
from bench.speed.corpus import TINY_RECORDS
from bench.speed.floor import Floored
from bench.speed.pairs import Gain
from bench.speed.peers import WORDS_TARGETS, Beside
from bench.speed.reduction import Merged
from bench.speed.results import MARKS, Measured
from bench.speed.timing import Spread
from bench.speed.tiny import Tiny
from bench.speed.works import WORKS

RANGE = "minimum / median / maximum"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def verdict(met: bool) -> str:
    """Whether what was asked for was found."""
    return "met" if met else "**missed**"


def _title(letter: str) -> str:
    return f"({letter}) {WORKS[letter].title}"


def summary(measured: Measured) -> str:
    """What was asked for and what was found: medians."""
    return table(("what", "asked", "found", ""), _summary_rows(measured))


def _summary_rows(measured: Measured) -> Iterator[tuple[str, str, str, str]]:
    for one in measured.floor or ():
        if one.letter:
            what = f"{_title(one.letter)}, of the speed of `xz -dc`"
            yield _asked(what, WORKS[one.letter].target, one.ratio.median)
    for one in measured.small or ():
        if one.letter:
            what = f"{_title(one.letter)}, many small blocks, of the speed of `xz -dc`"
            yield what, "-", f"{one.ratio.median:.2f}", ""
    for one in measured.pairs or ():
        if one.letter:
            what = f"{_title(one.letter)}, two workers, of the gain of two `xz -dc`"
            yield _asked(what, pairs.TARGET, one.share.median)
    for one in measured.peers or ():
        target = WORDS_TARGETS.get(one.peer) if one.letter == "e" else None
        if target is not None and one.times_as_fast is not None:
            what = f"{_title('e')}, times as fast as {one.peer}"
            yield _asked(what, target, one.times_as_fast, 1)
    if measured.tiny:
        what = f"(f) tiny blocks a second, {tiny.WORKERS} workers"
        yield _asked(what, tiny.BLOCKS_TARGET, measured.tiny.rate.median, 0)
        found, target = measured.tiny.first_s.median, tiny.FIRST_TARGET_S
        met = verdict(found <= target)
        yield "first result of a tiny job, seconds", f"below {target:.0f}", f"{found:.2f}", met
    if measured.reduction:
        number = measured.reduction.numbers[-1]
        what = f"(g) merging {number:,} map outputs, times as fast as the json module"
        yield _asked(what, reduction.TARGET, measured.reduction.ratio.median, 1)
    if measured.cluster and not measured.cluster.missing:
        what = "(a) a worker of a cluster, of the throughput of the local engine"
        yield _asked(what, cluster.TARGET, measured.cluster.rates["job"][-1].median)


def _asked(what: str, target: float, found: float, digits: int = 2) -> tuple[str, str, str, str]:
    return what, f"{target:,.{digits}f}", f"{found:,.{digits}f}", verdict(found >= target)


def _floor(found: list[Floored], told: str) -> str:
    return _section(
        "One core, beside the decompressor alone",
        f"{told} Whole commands with `--workers 1` on one core, from their start to their end, and "
        "`xz -dc` of the same blocks on the same core, taking turns. The ratio is the "
        f"decompressor's seconds by ours, pair by pair; {RANGE}. Memory is that of the largest "
        "process.",
        _floored(found),
    )


def _small(found: list[Floored], told: str) -> str:
    return _section(
        "The same in many small blocks",
        f"{told} Nearly every record of such a block has a cell of its own in what is published, "
        "so there is little to add up, and nearly as much is written as was read: what limits is "
        "the writing.",
        _floored(found),
    )


def _floored(found: list[Floored]) -> str:
    rows = [
        (
            _title(one.letter) if one.letter else "`xz -dc` to nowhere",
            one.seconds.text(1),
            one.ratio.text() if one.letter else "",
            WORKS[one.letter].target if one.letter else "",
            f"{one.peak_bytes / 1e6:,.0f} MB" if one.letter else "",
        )
        for one in found
    ]
    return table(("work", "seconds", "ratio", "asked", "memory"), rows)


def _pairs(found: list[Gain], told: str) -> str:
    rows = [
        (
            _title(one.letter) if one.letter else "`xz -dc`",
            one.gain.text(),
            one.share.text() if one.letter else "",
            pairs.TARGET if one.letter else "",
        )
        for one in found
    ]
    return _section(
        "Two processes",
        f"{told} How many times as fast `--workers 2` is as `--workers 1`, and two `xz -dc`, each "
        f"with half of the bytes, as one; {RANGE}.",
        table(("work", "gain", "of the gain of `xz -dc`", "asked"), rows),
    )


def _peers(found: list[Beside], told: str) -> str:
    rows = [
        (
            _title(one.letter),
            one.peer,
            one.processes,
            f"{one.megabytes:,.0f}",
            *(
                (
                    f"{one.megabytes / one.seconds:,.1f}",
                    f"{one.megabytes / one.ours_s:,.1f}",
                    f"{one.times_as_fast:.2f}",
                    f"{one.ours_bytes / 1e6:,.0f} MB",
                )
                if one.times_as_fast
                else (f"({one.missing} is not installed)", "", "", "")
            ),
        )
        for one in found
    ]
    return _section(
        "Peers",
        f"{told} The same work over the same blocks, ours with as many processes on as many cores: "
        "whole commands, the best of the runs, each answer checked. DuckDB and Polars query what "
        "`xz -dc` has unpacked to a file, which their time includes.",
        table(
            (
                *("work", "peer", "processes", "MB raw", "MB/s", "ours, MB/s"),
                *("ours, times as fast", "ours, memory"),
            ),
            rows,
        ),
    )


def _tiny(found: Tiny, told: str) -> str:
    rows = [
        (
            f"(f) {found.blocks:,} tiny blocks, blocks a second",
            found.rate.text(0),
            f"{tiny.BLOCKS_TARGET:,}",
            f"{found.peak_bytes / 1e6:,.0f} MB",
        ),
        (
            "first result: a whole command over one block, seconds",
            found.first_s.text(),
            f"below {tiny.FIRST_TARGET_S:.0f}",
            "",
        ),
    ]
    return _section(
        "Small things",
        f"{told} Counting by operating system with {tiny.WORKERS} workers; {RANGE}.",
        table(("what", "found", "asked", "memory"), rows),
    )


def _reduction(found: Merged, told: str) -> str:
    first = found.seconds[0].median / found.numbers[0]
    rows = [
        (
            f"{number:,}",
            seconds.text(1),
            f"{seconds.median / number / first:.2f}",
            "",
        )
        for number, seconds in zip(found.numbers, found.seconds, strict=True)
    ]
    rows.append((f"{found.numbers[-1]:,}, json module", found.json_s.text(1), "",
                 f"{found.json_peak_bytes / 1e6:,.0f} MB"))  # fmt: skip
    rows[-2] = (*rows[-2][:3], f"{found.peak_bytes / 1e6:,.0f} MB")
    return _section(
        "(g) Reduce and publish",
        f"{told} Merging map outputs of the histograms ({found.output_bytes / 1e6:.1f} MB each, "
        f"{found.json_bytes / 1e6:.1f} MB as JSON) and publishing what comes out, with "
        "`--workers 1` on one core; and reading the same as JSON and adding lists, which publishes "
        f"nothing. Times as fast: {found.ratio.text(1)} ({reduction.TARGET:.0f} asked). Memory "
        f"may be {reduction.PEAK_BYTES / 1e6:.0f} MB. {RANGE.capitalize()}.",
        table(("map outputs", "seconds", "a map output, by that of the first row", "memory"), rows),
    )


def _cluster(found: OnCluster, told: str) -> str:
    if found.missing:
        rows = [(f"({found.missing} is not installed)", "", "", "", "")]
    else:
        names = {"work": "at its tasks", "job": "the job", "command": "the whole command"}
        rows = [
            (
                f"(a) {name}, MB/s",
                *(one.text(1) for one in found.rates[what][:2]),
                found.rates[what][2].text(),
                cluster.TARGET if what == "job" else "",
            )
            for what, name in names.items()
        ]
        on_cluster, local = ([one * 1_000 for one in vars(s).values()] for s in found.task_s)
        rows.append(
            (
                f"each of {found.tasks:,} empty tasks, milliseconds",
                Spread(*on_cluster).text(1),
                Spread(*local).text(1),
                "",
                "",
            )
        )
    requests = " and ".join(
        f"{number:.1f} to {name.upper()}" for name, number in found.requests.items()
    )
    return _section(
        "A cluster of one worker",
        f"{told} Jobs in S3 (SeaweedFS) with a queue in SQS (ministack), all on this machine, with "
        "`worker --processes 1`, and the same blocks in a folder with `--engine local --workers "
        f'1`, taking turns. "The job" is its seconds as its report tells, without its planning; '
        f"an empty task is a block of {TINY_RECORDS} records"
        + (f", and takes requests: {requests}." if requests else ".")
        + f" {RANGE.capitalize()}.",
        table(("what", "on the cluster", "locally", "ratio", "asked"), rows),
    )


def _section(heading: str, text: str, rows: str) -> str:
    return f"## {heading}\n\n{text}\n\n{rows}"


def page(measured: Measured) -> str:
    """All of it."""
    sections: Mapping[str, Any] = {
        "floor": _floor,
        "small": _small,
        "pairs": _pairs,
        "peers": _peers,
        "tiny": _tiny,
        "reduction": _reduction,
        "cluster": _cluster,
    }
    written = [
        write(getattr(measured, name), measured.parts.get(name, ""))
        for name, write in sections.items()
        if getattr(measured, name) is not None
    ]
    missing = [name for name in sections if getattr(measured, name) is None]
    if missing:
        written.append(f"Not measured: {', '.join(missing)}.")
    where = table(("what", "which"), measured.machine.items())
    return "\n\n".join(
        [
            "# Results",
            "Written by `make bench`; see [the architecture](../docs/architecture.md).",
            f"{MARKS[0]}\n{summary(measured)}\n{MARKS[1]}",
            *written,
            f"## Machine and versions\n\n{where}\n",
        ]
    )
