"""Each work as a plain loop in Python: one process, the standard library alone.

    python -m bench.speed.plain WORK OUTPUT BLOCK...

It is a peer, and what the answers of all others are held to. What other peers need of the format
(reading a block, the histograms of a block) they take from here.
"""

import json
import lzma
import math
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

#: The records that work (b) is about.
LOCALE = "de"

#: Version, kind, measure, date, and the five parts of the filter path.
CellKey = tuple[str, ...]


def records(block: str) -> Iterator[tuple[str, Any]]:
    """Id and content of each record of a block."""
    with lzma.open(block, "rb") as lines:
        for line in lines:
            identity, _, body = line.partition(b"\t")
            yield identity.decode(), json.loads(body)


def systems(block: str) -> Iterator[str]:
    """(a) The operating system of each record."""
    for _, record in records(block):
        yield record["info"]["OS"]


def processors(block: str) -> Iterator[int]:
    """(b) How many processors, of each record in one language."""
    for _, record in records(block):
        if record["info"]["locale"] == LOCALE:
            yield record["info"]["cpucount"]


def uptimes(block: str) -> Iterator[tuple[str, int]]:
    """(d) Id and uptime of each record."""
    for identity, record in records(block):
        yield identity, record["simpleMeasurements"]["uptime"]


def words(block: str) -> Iterator[str]:
    """(e) Each word of each record's text."""
    for _, record in records(block):
        yield from record["text"].split()


# (c): adding lists


def _simple_bounds() -> list[int]:
    """Lower bounds of the buckets of simple measures: 50 of them, exponential up to 30000."""
    bounds = [0, 1]
    for place in range(2, 50):
        low = math.log(bounds[-1])
        bound = math.floor(math.exp(low + (math.log(30_000) - low) / (50 - place)) + 0.5)
        bounds.append(max(bound, bounds[-1] + 1))
    return bounds


SIMPLE_BOUNDS = _simple_bounds()


def plus(one: list, other: list) -> list:
    """Two rows added up."""
    return [a + b for a, b in zip(one, other, strict=True)]


def cells(block: str, place: str | None = None) -> dict[CellKey, list]:
    """Histograms of a block, added up: buckets, five statistics and submissions of each cell.

    `place` is its path, or URL, if `block` is a copy somewhere else.
    """
    *_, reason, app, channel, version, name = (place or block).split("/")
    build, submitted = name.split(".")[:2]
    where = f"{channel}/{version.partition('.')[0]}"
    days = [("by-build-date", build[:8])]
    if (_day(submitted) - _day(build)).days <= 60:
        days.append(("by-submission-date", submitted))
    found: dict[CellKey, list] = {}
    for _, record in records(block):
        info = record["info"]
        system, system_version, arch = info["OS"], info.get("version"), info.get("arch")
        if system_version is None or arch is None:
            continue
        system_version = str(system_version)
        path = (reason, app, system, system_version[: 3 if system == "Linux" else None], arch)
        for measure, row in _rows(record):
            for kind, day in days:
                key = (where, kind, measure, day, *path)
                known = found.get(key)
                found[key] = row if known is None else plus(known, row)
    return found


def _rows(record: Any) -> Iterator[tuple[str, list]]:
    """Measure and row of all that a record holds."""
    for measure, array in record["histograms"].items():
        yield measure, [*array, 1]
    for name, value in record["simpleMeasurements"].items():
        if isinstance(value, dict):
            for inner, number in value.items():
                if isinstance(number, int | float):
                    yield _simple(f"{name}_{inner}", number)
        else:
            yield _simple(name, value)


def _simple(name: str, value: float) -> tuple[str, list]:
    counts = [0] * len(SIMPLE_BOUNDS)
    counts[bisect_right(SIMPLE_BOUNDS, value) - 1] = 1
    log = math.log(abs(value) + 1)
    return f"SIMPLE_MEASURES_{name.upper()}", [*counts, value, log, log * log, -1, -1, 1]


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


# The loop

#: What is counted, for each work that counts.
COUNTED: dict[str, Callable[[str], Iterator[Any]]] = {"a": systems, "b": processors, "e": words}


def answer(work: str, blocks: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """The pairs that a work gives."""
    if work in COUNTED:
        counts: Counter[Any] = Counter()
        for block in blocks:
            counts.update(COUNTED[work](block))
        yield from counts.items()
    elif work == "d":
        for block in blocks:
            yield from uptimes(block)
    else:
        total: dict[CellKey, list] = {}
        for block in blocks:
            for key, row in cells(block).items():
                known = total.get(key)
                total[key] = row if known is None else plus(known, row)
        yield from total.items()


def main() -> None:
    """Write a work's answer, a JSON pair a line."""
    work, output, *blocks = sys.argv[1:]
    with Path(output).open("w") as out:
        for pair in answer(work, blocks):
            out.write(json.dumps(pair) + "\n")


if __name__ == "__main__":
    main()
