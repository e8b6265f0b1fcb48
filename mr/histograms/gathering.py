"""All records of one block, added up at once: many arrays by numpy instead of one by one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mr.histograms.extraction import (
    SIMPLE_BUILD,
    SIMPLE_REVISION,
    FilterPath,
    Skip,
    Statistics,
    filter_path,
    histograms,
    revision_of,
    simple_histogram,
    simple_measures,
)
from mr.histograms.merging import Cell, sums_of

#: Numbers that wait to be added up, at most: some tens of MB.
PENDING_NUMBERS = 1_000_000
#: Numbers in one array that take about as much memory as a pending array does beside its counts.
_ARRAY_NUMBERS = 30

#: (build, revision), counts and statistics of one array.
_Row = tuple[tuple[str, str], np.ndarray, Statistics]


class BlockSums:
    """Cells by measure and filter path, over records that have all other dimensions in common.

    `build` is the build id of the records. `skip` is told what is left out, a whole record with ""
    for its name.
    """

    def __init__(self, build: str, skip: Skip) -> None:
        self._build = build
        self._skip = skip
        self._cells: dict[tuple[str, FilterPath], Cell] = defaultdict(Cell)
        #: By measure, path and number of buckets.
        self._pending: dict[tuple[str, FilterPath, int], list[_Row]] = defaultdict(list)
        self._pending_numbers = 0

    def add_record(self, payload: Mapping[str, Any]) -> bool:
        """Add a record's histograms and simple measures; return whether it has a filter path."""
        info = payload.get("info")
        path = filter_path(info)
        if isinstance(path, str):
            self._skip(path, "")
            return False
        newest = self._build, revision_of(info)
        for measure, counts, statistics in histograms(payload, self._skip):
            self.add(measure, path, newest, counts, statistics)
        newest = SIMPLE_BUILD, SIMPLE_REVISION
        for measure, value in simple_measures(payload, self._skip):
            self.add(measure, path, newest, *simple_histogram(value))
        return True

    def add(
        self,
        measure: str,
        path: FilterPath,
        newest: tuple[str, str],
        counts: np.ndarray,
        statistics: Statistics,
    ) -> None:
        """Add one histogram of a build and its revision; `counts` is kept for a while."""
        if counts.dtype == object:  # hardly ever: numbers of more than 64 bits
            sums = sums_of(counts.reshape(1, -1), [statistics], *newest)
            self._cells[measure, path].add_sums(sums)
            return
        self._pending[measure, path, len(counts)].append((newest, counts, statistics))
        self._pending_numbers += len(counts) + _ARRAY_NUMBERS
        if self._pending_numbers >= PENDING_NUMBERS:
            self._add_pending()

    def __len__(self) -> int:
        """Return how many cells there are by now; what waits may add to them."""
        return len(self._cells)

    def drain(self) -> Iterator[tuple[str, FilterPath, Cell]]:
        """Yield (measure, filter path, cell), ordered by the first two, and start afresh."""
        self._add_pending()
        cells, self._cells = self._cells, defaultdict(Cell)
        for measure, path in sorted(cells):
            yield measure, path, cells.pop((measure, path))

    def _add_pending(self) -> None:
        pending, self._pending = self._pending, defaultdict(list)
        self._pending_numbers = 0
        if not pending:
            return
        # One array of all counts, and one look at how large they are.
        numbers = np.concatenate([counts for rows in pending.values() for _, counts, _ in rows])
        largest = max(int(numbers.max()), -int(numbers.min()))
        start = 0
        for (measure, path, buckets), rows in pending.items():
            end = start + len(rows) * buckets
            newest, _, statistics = zip(*rows, strict=True)
            sums = sums_of(
                numbers[start:end].reshape(-1, buckets), statistics, *max(newest), largest
            )
            self._cells[measure, path].add_sums(sums)
            start = end
