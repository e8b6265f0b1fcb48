"""A stage's plan: one line for each task, written once, read by byte range.

    line line line ... offsets weights footer

Each line is a JSON document: the task's number, and what it is to do. `offsets` are the lines'
starts and the last one's end, and `weights` the bytes that each task reads, as unsigned 64-bit
little-endian integers; the footer is `MAGIC`, the number of lines and where the offsets begin. So a
plan of any length is written streaming, in one object that is there whole or not at all, and
whoever holds a task's byte range reads that line alone.
"""

import itertools
import operator
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from mr import layout
from mr.errors import FormatError, UsageError
from mr.store import Store

MAGIC = b"mrplan3\n"
_FOOTER = struct.Struct("<8sQQ")
#: A task's line, and how many bytes the task reads.
Planned = tuple[Any, int]
#: Tasks of a stage that are sent in order of their weights; of more the last one matters little.
MOST_WEIGHED = 100_000


def write_plan(store: Store, name: str, lines: Iterable[Planned]) -> None:
    """Write the plan.

    Raises ObjectExists when somebody else has written it, and UsageError for too many tasks.
    """
    offsets, weights = array("Q", [0]), array("Q")
    with store.create(name, if_absent=True) as out:
        for number, (line, weight) in enumerate(lines):
            if number == layout.MOST_TASKS:
                raise UsageError(
                    f"the input makes more than {layout.MOST_TASKS:,} splits; raise --split-size."
                )
            data = msgspec.json.encode((number, line)) + b"\n"
            out.write(data)
            offsets.append(offsets[-1] + len(data))
            weights.append(weight)
        out.write(offsets.tobytes())
        out.write(weights.tobytes())
        out.write(_FOOTER.pack(MAGIC, len(offsets) - 1, offsets[-1]))


class Plan:
    """A written plan: its length, and each line's byte range.

    Raises ObjectMissing, and FormatError for an object that is no plan.
    """

    def __init__(self, store: Store, name: str, size: int) -> None:
        footer = store.read(name, start=max(0, size - _FOOTER.size))
        if len(footer) != _FOOTER.size or not footer.startswith(MAGIC):
            raise FormatError(f"{name}: not a plan.")
        _, self.tasks, start = _FOOTER.unpack(footer)
        self._store, self._name = store, name
        end = size - _FOOTER.size
        self._offsets, self._weights = array("Q"), array("Q")
        if end - start == (2 * self.tasks + 1) * self._offsets.itemsize:
            middle = start + (self.tasks + 1) * self._offsets.itemsize
            self._offsets.frombytes(store.read(name, start=start, end=middle))
            self._weights.frombytes(store.read(name, start=middle, end=end))
        if not _is_index(self._offsets, start):
            raise FormatError(f"{name}: the plan's index is damaged.")

    def span(self, number: int) -> tuple[int, int]:
        """The byte range of a task's line."""
        return self._offsets[number], self._offsets[number + 1]

    def order(self) -> Sequence[int]:
        """The numbers of all tasks as they are best begun: the longest first, none left to the end.

        (Graham, "Bounds on multiprocessing timing anomalies", 1969.)
        """
        if self.tasks > MOST_WEIGHED:
            return range(self.tasks)
        return sorted(range(self.tasks), key=self._weights.__getitem__, reverse=True)

    def lines(self) -> Iterator[Any]:
        """Every line in order."""
        with self._store.open(self._name, end=self._offsets[-1]) as stream:
            for number, (start, end) in enumerate(itertools.pairwise(self._offsets)):
                yield _decode(stream.read(end - start), self._name, start, end, number)


def _is_index(offsets: Sequence[int], end: int) -> bool:
    """Whether these are starts of lines, of at least a byte each, and `end`."""
    return (
        len(offsets) > 0
        and offsets[0] == 0
        and offsets[-1] == end
        and all(itertools.starmap(operator.lt, itertools.pairwise(offsets)))
    )


def _decode(data: bytes, name: str, start: int, end: int, number: int) -> Any:
    try:
        if data.find(b"\n") == len(data) - 1:
            found, line = msgspec.json.decode(data, type=tuple[int, Any])
            if found == number:
                return line
    except (msgspec.DecodeError, RecursionError):
        pass
    raise FormatError(f"{name}: bytes {start} to {end} are not the line of task {number}.")


def open_plan(store: Store, name: str) -> Plan | None:
    """The plan if it is written, else None."""
    entry = store.stat(name)
    return None if entry is None else Plan(store, name, entry.size)


def read_line(store: Store, name: str, start: int, end: int, number: int) -> Any:
    """One task's line of a plan; raises FormatError when the range does not hold exactly that."""
    return _decode(store.read(name, start=start, end=end), name, start, end, number)
