"""Sorting more than memory holds: sorted runs on local disk, merged.

The files have no names, so that nothing is left of them when the process ends, however it does.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from mr.files import explained
from mr.runs import MERGE_WIDTH, Rows, RunWriter, Span, merge_runs, read_run

#: Memory that a sorter takes, about.
SORT_BYTES = 32_000_000
#: What a pair takes in memory beyond its bytes: two objects' heads, a tuple, a place in a list.
PAIR_BYTES = 144

#: A key and its value.
Pair = tuple[bytes, bytes]

_by_key = itemgetter(0)


class Sorter:
    """Sorts pairs by key; of those with equal keys it keeps the one that came first.

    It holds about `limit_bytes` in memory; what is more goes to disk, to `folder` or else where
    temporary files go. Raises StoreUnavailable when that is full.
    """

    def __init__(
        self, limit_bytes: int = SORT_BYTES, folder: Path | None = None, *, width: int = MERGE_WIDTH
    ) -> None:
        self._limit = limit_bytes
        self._folder = folder
        self._width = width
        self._pairs: list[Pair] = []
        self._size = 0
        self._file: _RunFile | None = None

    def add(self, key: bytes, value: bytes) -> None:
        """Take one pair."""
        self._pairs.append((key, value))
        self._size += len(key) + len(value) + PAIR_BYTES
        if self._size > self._limit:
            self._spill()

    def finish(self, on_repeated: Callable[[bytes], None]) -> "SortedPairs":
        """Return the pairs in order; `on_repeated` is told of the value of each that is dropped."""
        if self._file is None:
            self._pairs.sort(key=_by_key)
            return SortedPairs(list(_first_of_each(self._pairs, on_repeated)))
        if self._pairs:
            self._spill()
        whole = _RunFile(self._folder)
        whole.write(_first_of_each(_pairs_of(self._file.merged()), on_repeated))
        return SortedPairs(whole)

    def _spill(self) -> None:
        """Write what is in memory as a run; many runs become one, since each is open in a merge."""
        self._pairs.sort(key=_by_key)
        if self._file is None:
            self._file = _RunFile(self._folder)
        self._file.write(self._pairs)
        self._pairs, self._size = [], 0
        if len(self._file.runs) == self._width:
            whole = _RunFile(self._folder)
            whole.write(_pairs_of(self._file.merged()))
            self._file = whole


class SortedPairs:
    """Sorted pairs, in memory or on disk; they can be iterated any number of times.

    What they take is free again when nobody holds them.
    """

    def __init__(self, pairs: "Sequence[Pair] | _RunFile") -> None:
        self._pairs = pairs

    def __iter__(self) -> Iterator[Pair]:
        if isinstance(self._pairs, _RunFile):
            return _pairs_of(self._pairs.merged())
        return iter(self._pairs)


class _RunFile:
    """A file without a name that holds runs."""

    def __init__(self, folder: Path | None) -> None:
        self._where = f"cannot keep a listing in {folder or tempfile.gettempdir()}"
        with explained(self._where):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as we
        self._writer = RunWriter(self._file)
        self.runs: list[Span] = []

    def write(self, pairs: Iterable[Pair]) -> None:
        """Write sorted pairs as one more run."""
        start, add = self._writer.written, self._writer.add
        with explained(self._where):
            for key, value in pairs:
                add(key, value)
            self._writer.flush()
            self._file.flush()
        self.runs.append(Span(start, self._writer.written - start))

    def merged(self) -> Iterator[Rows]:
        """All runs as one; of equal keys those of earlier runs come first."""
        return merge_runs(
            [read_run(_Reader(self._file, span.offset), span.length, "spill") for span in self.runs]
        )


class _Reader:
    """Reads a file from an offset, whoever else reads it."""

    def __init__(self, file, offset: int) -> None:
        self._file = file
        self._offset = offset

    def read(self, size: int) -> bytes:
        data = os.pread(self._file.fileno(), size, self._offset)
        self._offset += len(data)
        return data


def _pairs_of(merged: Iterable[Rows]) -> Iterator[Pair]:
    for keys, values, _ in merged:
        yield from zip(keys, values, strict=True)


def _first_of_each(pairs: Iterable[Pair], on_repeated: Callable[[bytes], None]) -> Iterator[Pair]:
    last = None
    for pair in pairs:
        if pair[0] == last:
            on_repeated(pair[1])
        else:
            last = pair[0]
            yield pair
