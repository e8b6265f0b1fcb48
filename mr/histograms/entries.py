"""What goes from the maps to the reduces, and into the state of a folder: entries, sorted by key.

    (channel, major, measure)                                             the measure's layouts
    (channel, major, measure, kind, date, reason, app, os, version, arch) a cell
    (channel, major, "", BLOCK, key)                                      what a block held
    (channel, major, "", PATH, reason, app, os, version, arch)            a filter path that occurs
    (channel, major, "", SKIP, reason, measure)                           how often it was left out

The first three parts name a section: all that is published of one measure, or of the folder itself.
The rest is the suffix; a section's entries stand in its state file by suffix, a line of JSON each:
`[[part, ...], value]`, compressed by gzip.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, BinaryIO

from mr.errors import FormatError
from mr.histograms.gathering import BlockSums
from mr.histograms.merging import (
    Cell,
    Layout,
    from_rows,
    from_state,
    layouts,
    merge_layouts,
    to_json,
    to_state,
)
from mr.histograms.placing import Place

#: Kinds of cells.
BY_BUILD, BY_SUBMISSION = 0, 1
#: Kinds of a folder's own entries; they sort in this order.
BLOCK, PATH, SKIP = "block", "path", "skip"

#: What follows channel, major and measure in a key.
Suffix = tuple
#: A value as it is worked with: a cell, layouts (newest first), or a plain value.
Value = Any

_LEVEL = 1


def drained(place: Place, sums: BlockSums) -> Iterator[tuple[tuple, Any]]:
    """Yield the pairs of all that was added up over records of a block, and start afresh."""
    folder = place.channel, place.major
    paths = set()
    for measure, group in groupby(sums.drain(), key=lambda found: found[0]):
        cells = []
        for _, found, cell in group:
            path = place.reason, place.app, *found
            paths.add(path)
            cells.append(cell)
            state = to_state(cell)
            yield (*folder, measure, BY_BUILD, place.build_date, *path), state
            if place.submission_date is not None:
                yield (*folder, measure, BY_SUBMISSION, place.submission_date, *path), state
        yield (*folder, measure), stored((), layouts(cells))
    for path in sorted(paths):
        yield (*folder, "", PATH, *path), None


# --- values ---


def total(suffix: Suffix, found: Iterable[Any]) -> Value:
    """All stored values of one key in one: sums, and of what has no sum, the first."""
    values = iter(found)
    if not suffix:
        return merge_layouts(_layout(one) for value in values for one in value)
    if suffix[0] in (BY_BUILD, BY_SUBMISSION):
        cell = from_state(next(values))
        for value in values:
            cell.add(from_state(value))
        return cell
    return sum(values) if suffix[0] == SKIP else next(values)


def plus(suffix: Suffix, one: Value, other: Value) -> Value:
    """Two values of one suffix in one; `one` may change."""
    if not suffix:
        return merge_layouts([*one, *other])
    if suffix[0] in (BY_BUILD, BY_SUBMISSION):
        one.add(other)
        return one
    return one + other if suffix[0] == SKIP else one


def stored(suffix: Suffix, value: Value) -> Any:
    """A value as it goes through the shuffle."""
    if not suffix:
        return [(one.buckets, one.build, one.revision, one.submissions) for one in sorted(value)]
    return to_state(value) if type(value) is Cell else value


def combined(key: tuple, found: Iterable[Any]) -> Any:
    """The stored values of one key as one."""
    return stored(key[3:], total(key[3:], found))


def _layout(value: Any) -> Layout:
    buckets, build, revision, submissions = value
    return Layout(build, buckets, revision, submissions)


# --- state files ---


class StateWriter:
    """Writes a state file, whose bytes depend on the entries alone."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # Without a name and a time.
        self._out = gzip.GzipFile("", "wb", _LEVEL, file, mtime=0)

    def write(self, suffix: Suffix, value: Value) -> None:
        """Write the next entry."""
        text = to_json(value) if type(value) is Cell else json.dumps(stored(suffix, value))
        self._out.write(f"[{json.dumps(suffix)},{text}]\n".encode())

    def close(self) -> None:
        """Finish the file."""
        self._out.close()
        self._file.close()


def read_entries(stream: BinaryIO, where: str) -> Iterator[tuple[Suffix, Value]]:
    """Yield the entries of a state file; closes it. Raises FormatError for what is none."""
    with stream, gzip.GzipFile(fileobj=stream) as lines:
        try:
            for line in lines:
                suffix, value = json.loads(line)
                yield tuple(suffix), _value(suffix, value)
        except (
            EOFError,
            zlib.error,
            gzip.BadGzipFile,
            ValueError,
            TypeError,
            FormatError,
        ) as error:
            raise FormatError(
                f"{where}: the state of what is published is damaged ({error}); --rebuild "
                "publishes afresh."
            ) from None


def _value(suffix: list, value: Any) -> Value:
    if not suffix:
        return merge_layouts(map(_layout, value))
    return from_rows(value) if suffix[0] in (BY_BUILD, BY_SUBMISSION) else value
