"""All records of a map task, added up by measure and place: many arrays by numpy at once."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from mr.histograms.entries import drained
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
from mr.histograms.filters import Path
from mr.histograms.merging import Cell, Sums, sums_of
from mr.histograms.placing import Place
from mr.histograms.sheets import Key, Odd, Placed, Sheet, sheets_of

#: Cells that are held at a time: some tens of MB.
MOST_CELLS = 30_000
#: Numbers that wait to be added up, at most: some tens of MB.
PENDING_NUMBERS = 1_000_000
#: Numbers in one array that take about as much memory as a pending array does beside its counts.
_ARRAY_NUMBERS = 30
#: Buckets that take as much memory as a cell does beside them.
_CELL_NUMBERS = 100

#: (build, revision), counts and statistics of one array.
_Row = tuple[tuple[str, str], np.ndarray, Statistics]
#: Channel, major version, filter path, build date, submission date: all of a cell but its measure.
_Spot = tuple[str, str, Path, str, str | None]


class Gathering:
    """Cells by measure, dates and filter path, over records of any blocks.

    `skip` is told what is left out, a whole record with "" for its name.
    """

    def __init__(self, skip: Skip) -> None:
        self._skip = skip
        self._begin()

    def _begin(self) -> None:
        # Cells are kept by the number of their spot, which is looked up once for each record.
        self._spots: dict[_Spot, int] = {}
        self._cells: dict[tuple[str, int], Cell] = defaultdict(Cell)
        #: By measure, spot and number of buckets.
        self._pending: dict[tuple[str, int, int], list[_Row]] = defaultdict(list)
        self._pending_numbers = 0
        self._held = 0

    def begin_block(self, place: Place) -> None:
        """Tell where the next records belong."""
        self._place = place
        self._left_out = 0

    def end_block(self) -> int:
        """Finish a block, and return how many of its records have no filter path."""
        return self._left_out

    def add_record(self, payload: Mapping[str, Any]) -> None:
        """Add the histograms and simple measures of a record of the block."""
        info = payload.get("info")
        path = filter_path(info)
        if isinstance(path, str):
            self._skip(path, "")
            self._left_out += 1
            return
        place = self._place
        spot = self.spot(place, path)
        newest = place.build, revision_of(info)
        for measure, counts, statistics in histograms(payload, self._skip):
            self.add(measure, spot, newest, counts, statistics)
        newest = SIMPLE_BUILD, SIMPLE_REVISION
        for measure, value in simple_measures(payload, self._skip):
            self.add(measure, spot, newest, *simple_histogram(value))

    def spot(self, place: Place, path: FilterPath) -> int:
        """The number of where records belong."""
        full = (place.reason, place.app, *path)
        spot = place.channel, place.major, full, place.build_date, place.submission_date
        return self._spots.setdefault(spot, len(self._spots))

    def add(
        self,
        measure: str,
        spot: int,
        newest: tuple[str, str],
        counts: np.ndarray,
        statistics: Statistics,
    ) -> None:
        """Add one histogram of a build and its revision; `counts` is kept for a while."""
        if counts.dtype == object:  # hardly ever: numbers of more than 64 bits
            sums = sums_of(counts.reshape(1, -1), [statistics], *newest)
            self._add_sums(measure, spot, sums)
            return
        self._pending[measure, spot, len(counts)].append((newest, counts, statistics))
        self._pending_numbers += len(counts) + _ARRAY_NUMBERS
        if self._pending_numbers >= PENDING_NUMBERS:
            self._add_pending()

    @property
    def is_full(self) -> bool:
        """Whether it is time to drain; what waits may add to the cells that there are."""
        return self._held > MOST_CELLS

    def pairs(self) -> Iterator[tuple[tuple, Any]]:
        """Yield all that was gathered as pairs of the shuffle; start afresh."""
        return drained(self.drain())

    def drain(self) -> Iterator[tuple[Key, Sheet | Odd]]:
        """Yield sheets, and cells that do not fit, ordered by their keys; start afresh."""
        self._add_pending()
        cells, spots = self._cells, list(self._spots)
        self._begin()
        ordered = sorted((*spots[spot][:2], measure, spot) for measure, spot in cells)
        for key, same in groupby(ordered, key=lambda one: one[:3]):
            placed = []
            for *_, measure, spot in same:
                *_, path, built, submitted = spots[spot]
                placed.append(Placed(path, built, submitted, cells.pop((measure, spot))))
            sheets, odd = sheets_of(placed)
            for found in (*sheets, *odd):
                yield key, found

    def _add_pending(self) -> None:
        pending, self._pending = self._pending, defaultdict(list)
        self._pending_numbers = 0
        if not pending:
            return
        # One array of all counts, and one look at how large they are.
        numbers = np.concatenate([counts for rows in pending.values() for _, counts, _ in rows])
        largest = max(int(numbers.max()), -int(numbers.min()))
        start = 0
        for (measure, spot, buckets), rows in pending.items():
            end = start + len(rows) * buckets
            newest, _, statistics = zip(*rows, strict=True)
            sums = sums_of(
                numbers[start:end].reshape(-1, buckets), statistics, *max(newest), largest
            )
            self._add_sums(measure, spot, sums)
            start = end

    def _add_sums(self, measure: str, spot: int, sums: Sums) -> None:
        cell = self._cells[measure, spot]
        if len(sums.counts) not in cell.by_buckets:
            self._held += 1 + len(sums.counts) // _CELL_NUMBERS
        cell.add_sums(sums)
