"""What goes from the maps to the reduces, and into the state of a folder: sorted entries.

    (channel, major, shelf)                                               sheets, and odd cells
    (channel, major, "", BLOCK, key)                                      what a block held
    (channel, major, "", PATH, reason, app, os, version, arch)            a filter path that occurs
    (channel, major, "", SKIP, reason, measure)                           how often it was left out

A shelf's values are `shelves.pack`ed bytes, or `ledger.odd_value`s. All that is published of one
measure, or of the folder itself, is a section. Its entries stand in its state by suffix, a line
of JSON each: `[[part, ...], value]`, compressed by zstd.

    ()                                                  of a measure: its layouts
    (kind, date, reason, app, os, version, arch)        of a measure: a cell
    (BLOCK, key) and so on                              of a folder, as above
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np
import zstandard

from mr.errors import FormatError
from mr.histograms.filters import Path
from mr.histograms.ledger import BY_BUILD, BY_SUBMISSION, Suffix, as_cell, odd_value
from mr.histograms.merging import Layout, from_rows, merge, merge_layouts
from mr.histograms.sheets import Key, Odd, Sheet, settled
from mr.histograms.shelves import pack, shelf_of

#: Kinds of a folder's own entries; they sort in this order.
BLOCK, PATH, SKIP = "block", "path", "skip"

#: A value as it is worked with: a line or a cell, layouts (newest first), or a plain value.
Value = Any

_LEVEL = 1
#: Bytes of small writes that are gathered.
_PIECE_BYTES = 64 * 1024
#: Bytes of a state file that are unpacked at a time.
_PACKED_BYTES = 16 * 1024


def drained(gathered: Iterable[tuple[Key, Sheet | Odd]]) -> Iterator[tuple[tuple, Any]]:
    """Yield the pairs of all that was gathered, which comes ordered by its keys."""
    for folder, group in groupby(gathered, key=lambda found: found[0][:2]):
        shelves: dict[int, list[tuple[str, Sheet]]] = defaultdict(list)
        paths: set[Path] = set()
        for (*_, measure), found in group:
            odd = [found]
            if isinstance(found, Sheet):
                sheet, odd = settled(found)
                shelves[shelf_of(measure)].append((measure, sheet))
                paths.update(sheet.paths[place] for place in np.unique(sheet.path_of).tolist())
            for one in odd:
                paths.add(one.path)
                yield (*folder, shelf_of(measure)), odd_value(measure, one)
        for shelf, sheets in sorted(shelves.items()):
            for data in pack(sheets):
                yield (*folder, shelf), data
        for path in sorted(paths):
            yield (*folder, "", PATH, *path), None


# --- values of a folder's own entries ---


def total(suffix: Suffix, found: Iterable[Any]) -> Value:
    """All values of one key of a folder's own in one: a sum, or of what has none, the first."""
    return sum(found) if suffix[0] == SKIP else next(iter(found))


def plus(suffix: Suffix, one: Value, other: Value) -> Value:
    """Two values of one suffix in one."""
    if not suffix:
        return merge_layouts([*one, *other])
    if suffix[0] in (BY_BUILD, BY_SUBMISSION):
        return merge(as_cell(one), as_cell(other))
    return one + other if suffix[0] == SKIP else one


def combined(key: tuple, found: Iterable[Any]) -> Iterable[Any]:
    """The values of one key, or their sum: sheets are small, and are added in the reduce."""
    return found if key[2] != "" else [total(key[3:], found)]


def _layout(value: Any) -> Layout:
    buckets, build, revision, submissions = value
    return Layout(build, buckets, revision, submissions)


# --- states ---


class StateFile:
    """A file of states, one after the other, each packed for itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # A third of the time of gzip, and half of its bytes (600 states of 46 MB).
        self._packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        #: Bytes written so far.
        self.bytes = 0

    def begin(self) -> "StateWriter":
        """Begin the next state, once the one before is closed."""
        return StateWriter(self, self._packer)

    def write(self, data: bytes) -> int:
        """Write packed bytes."""
        self.bytes += len(data)
        return self._file.write(data)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class StateWriter:
    """Writes a state, whose bytes depend on the entries alone."""

    def __init__(self, file: StateFile, packer: zstandard.ZstdCompressor) -> None:
        self._file = file
        self._start = file.bytes
        self._out = packer.stream_writer(file, closefd=False)
        self._lines = Pieces(self._out)

    def write(self, suffix: Suffix, value: Any) -> None:
        """Write an entry that is no cell."""
        if not suffix:
            value = [
                (one.buckets, one.build, one.revision, one.submissions) for one in sorted(value)
            ]
        self.write_lines([f"[{json.dumps(suffix)},{json.dumps(value)}]\n".encode()])

    def write_lines(self, lines: list[bytes]) -> None:
        """Write entries that are lines of JSON already."""
        self._lines.write(b"".join(lines))

    def close(self) -> tuple[int, int]:
        """Finish the state; returns its place: where it begins in the file, and its length."""
        self._lines.flush()
        self._out.close()
        return self._start, self._file.bytes - self._start


class Pieces:
    """Gathers small writes to a file, each of which would take a microsecond."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes >= _PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self._file.write(b"".join(self._waiting))
        self._waiting.clear()
        self._bytes = 0


def read_entries(stream: BinaryIO, where: str) -> Iterator[tuple[Suffix, Value]]:
    """Yield the entries of a state; closes the stream. Raises FormatError for what is none."""
    try:
        with stream:
            for line in _lines(stream):
                suffix, value = json.loads(line)
                yield tuple(suffix), _value(suffix, value)
    except (zstandard.ZstdError, ValueError, TypeError, FormatError) as error:
        raise FormatError(
            f"{where}: the state of what is published is damaged ({error}); --rebuild "
            "publishes afresh."
        ) from None


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    begun: list[bytes] = []
    while data := stream.read(_PACKED_BYTES):
        first, *others = unpacker.decompress(data).split(b"\n")
        begun.append(first)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = others[-1:]
    if not unpacker.eof or any(begun):
        raise FormatError("it is cut off")
    if unpacker.unused_data:
        raise FormatError("something follows its end")


def _value(suffix: list, value: Any) -> Value:
    if not suffix:
        return merge_layouts(map(_layout, value))
    return from_rows(value) if suffix[0] in (BY_BUILD, BY_SUBMISSION) else value
