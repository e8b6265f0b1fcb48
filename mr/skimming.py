"""Chunks skimmed by the compiled scanner: which lines are surely good, and what stands in them.

Skimming reads every byte and builds nothing: five times as fast as parsing, for a reader who then
looks at few members of each record.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import simdjson

from mr.kernel.building import Functions
from mr.kernel.layout import (
    CURSOR_COLUMNS,
    DEPTH,
    LINE_COLUMNS,
    LINES,
    MEMBER_COLUMNS,
    PLACE,
    UNSURE,
)
from mr.scanned import ScannedObject
from mr.stopwatch import PARSE, WATCH
from mr.validity import PARSED_LINE_BYTES, Parser, parse_plain

#: Lines and members that are skimmed in one call.
MOST_LINES, MOST_MEMBERS = 4096, 32_768


class Skimmer:
    """Skims one chunk at a time; what it has given of a chunk is void when it goes on."""

    def __init__(self, functions: Functions) -> None:
        self._skim = functions.skim
        lines, self._lines = _integers(MOST_LINES * LINE_COLUMNS)
        members, self._members = _integers(MOST_MEMBERS * MEMBER_COLUMNS)
        cursor, self._cursor = _integers(CURSOR_COLUMNS)
        stack = ctypes.create_string_buffer(DEPTH)
        self._arguments = lines, MOST_LINES, members, MOST_MEMBERS, stack, cursor
        self._parsers = _Parsers()

    def skim(self, chunk: bytes) -> Iterator[tuple[int, int, int, "Members | None"]]:
        """Yield (begin, begin of its JSON, end) of each line, and its members.

        Every line of the chunk ends with a newline. The members are None where the plain code must
        look at the line; else it is surely good.
        """
        if not chunk.endswith(b"\n"):
            raise ValueError("the scanner would run past the end of a chunk without a newline")
        cursor, members = self._cursor, self._members
        cursor[PLACE] = 0
        while cursor[PLACE] < len(chunk):
            before = WATCH.enter(PARSE)
            self._skim(chunk, len(chunk), *self._arguments)
            WATCH.enter(before)
            numbers = iter(self._lines[: cursor[LINES] * LINE_COLUMNS].tolist())
            for begin, start, end, first, number in zip(*[numbers] * LINE_COLUMNS, strict=True):
                if number == UNSURE:
                    yield begin, start, end, None
                    continue
                places = members[first * MEMBER_COLUMNS : (first + number) * MEMBER_COLUMNS]
                yield begin, start, end, Members(chunk, places, self._parsers)
                self._parsers.used = 0


def _integers(number: int) -> tuple[ctypes.Array, memoryview]:
    """Room for int64s as compiled code and as Python sees it."""
    array = (ctypes.c_int64 * number)()
    return array, memoryview(array).cast("B").cast("q")


class _Parsers:
    """Parsers that are used again for each record: one for each of the members looked at."""

    def __init__(self) -> None:
        self._parsers: list[Parser] = []
        self.used = 0

    def take(self) -> Parser:
        if self.used == len(self._parsers):
            self._parsers.append(Parser())
        self.used += 1
        return self._parsers[self.used - 1]


class Members:
    """The outermost object of a good record, as a mapping that builds what is looked up."""

    __slots__ = ("_chunk", "_found", "_members", "_parsed", "_parsers")

    def __init__(self, chunk: bytes, members: memoryview, parsers: _Parsers) -> None:
        self._chunk = chunk
        #: Four places for each, as `layout` says.
        self._members = members
        self._parsers = parsers
        #: Of equal names the last counts.
        self._found: dict[str, tuple[int, int]] | None = None
        #: Objects that were looked up: they may be asked for again and again.
        self._parsed: dict[str, simdjson.Object | ScannedObject] = {}

    def __getitem__(self, name: str) -> Any:
        found = self._parsed.get(name)
        if found is not None:
            return found
        begin, end = self._names()[name]
        raw = self._chunk[begin:end]
        if raw[:1] != b"{":
            return parse_plain(raw)
        if len(raw) <= PARSED_LINE_BYTES:
            found = self._parsers.take().parse(raw)
        if found is None:
            found = ScannedObject(raw, 0, len(raw))
        self._parsed[name] = found
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def parse(self, raw: bytes) -> simdjson.Object | None:
        """All of the record, which is `raw`; None if the parser is not certain of it."""
        return self._parsers.take().parse(raw)

    def _names(self) -> dict[str, tuple[int, int]]:
        if self._found is None:
            chunk, places = self._chunk, iter(self._members.tolist())
            self._found = {
                str(chunk[begin:end], "utf-8"): (start, stop)
                for begin, end, start, stop in zip(*[places] * MEMBER_COLUMNS, strict=True)
            }
        return self._found
