"""Records added up by the compiled scanner, without building anything of them.

It gathers what `gathering` does, in tables that the compiled code fills (`mr.kernel.layout`). What
it does not take goes to the plain code, record by record.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from mr.histograms.bounds import exponential
from mr.histograms.entries import PATH
from mr.histograms.extraction import (
    SIMPLE_BUCKETS,
    SIMPLE_BUILD,
    SIMPLE_HIGH,
    SIMPLE_LOW,
    SIMPLE_PREFIX,
    SIMPLE_REVISION,
    FilterPath,
    Skip,
    filter_path,
    revision_of,
)
from mr.histograms.gathering import Gathering
from mr.histograms.placing import Place
from mr.histograms.sheets import indexed
from mr.histograms.shelves import (
    COUNTS_AT,
    INDEXES,
    MOST_ROWS,
    SHELVES,
    Entries,
    encoded_layouts,
    encoded_tables,
    packed,
    shelf_of,
)
from mr.kernel import layout
from mr.kernel.building import GATHER_ARRAYS, Functions
from mr.lines import lines_of
from mr.validity import parse_plain

#: The values that make a path, in the order of `layout.OS` and on.
_TOKENS = ("OS", "version", "arch", "revision")
_SIMPLE_NEWEST = SIMPLE_BUILD, SIMPLE_REVISION


class ScannedGathering:
    """Cells by measure, dates and filter path, over the lines of any blocks.

    `skip` is told what is left out, for the block at hand, a whole record with "" for its name.
    """

    def __init__(self, skip: Skip) -> None:
        self._skip = skip
        #: For what the scanner leaves.
        self._plain = Gathering(skip)
        #: None until there is compiled code; `_arrays` then are its memory.
        self._functions: Functions | None = None
        #: What was in tables that became full in the middle of a chunk.
        self._waiting: list[tuple[tuple, Any]] = []
        self._place: Place | None = None
        #: Records of the block without a filter path, among those that were taken.
        self._left_out = 0

    def _prepare(self, functions: Functions) -> None:
        self._functions = functions
        self._arrays = {
            name: np.zeros(shape, kind) for name, (shape, kind) in GATHER_ARRAYS.items()
        }
        self._arrays["powers"][:] = layout.powers_of_ten()
        self._arrays["bounds"][:] = exponential(SIMPLE_LOW, SIMPLE_HIGH, SIMPLE_BUCKETS)
        self._arguments = [array.ctypes.data for array in self._arrays.values()]
        self._begin()

    def _begin(self) -> None:
        self._arrays["used"][:] = 0
        self._arrays["slots"][:] = -1
        self._arrays["row_slots"][:] = -1
        self._places: dict[Place, int] = {}
        #: By the number of its name: where records belong, or why they give nothing.
        self._paths: dict[int, _Path] = {}
        self._records = 0

    def begin_block(self, place: Place) -> None:
        """Tell where the next lines belong."""
        self._place = place
        self._plain.begin_block(place)
        self._left_out = 0

    def take(
        self, chunk: bytes, functions: Functions | None
    ) -> tuple[int, Iterable[tuple[int, int, int]]]:
        """Add up a chunk of whole lines of the block, as far as the compiled code is sure of them.

        Returns how many were taken, and of each other line its place among the lines, its begin and
        its newline: all of them while there is no compiled code.
        """
        if not chunk.endswith(b"\n"):
            raise ValueError("the scanner would run past the end of a chunk without a newline")
        if self._functions is None:
            if functions is None:
                return 0, lines_of(chunk)
            self._prepare(functions)
        cursor, refused = self._arrays["cursor"], self._arrays["refused"]
        cursor[:] = 0
        taken, left = 0, []
        while cursor[layout.PLACE] < len(chunk):
            if cursor[layout.IS_FULL] or self._records >= layout.MOST_RECORDS:
                self._waiting += self._emptied()
            number = self._places.setdefault(self._place, len(self._places))
            self._functions.gather(chunk, len(chunk), number, *self._arguments)
            taken += int(cursor[layout.TAKEN])
            self._records += int(cursor[layout.TAKEN])
            left += map(tuple, refused[: cursor[layout.WRITTEN]].tolist())
        return taken, left

    def add_record(self, payload: Mapping[str, Any]) -> None:
        """Add a record of the block that the scanner has left."""
        self._plain.add_record(payload)

    def end_block(self) -> int:
        """Finish a block, and return how many of its records have no filter path."""
        if self._functions is not None:
            self._count_left_out()
        return self._left_out + self._plain.end_block()

    @property
    def is_full(self) -> bool:
        """Whether it is time to drain."""
        return bool(self._waiting) or self._plain.is_full

    def pairs(self) -> Iterator[tuple[tuple, Any]]:
        """Yield all that was gathered as pairs of the shuffle; start afresh."""
        waiting, self._waiting = self._waiting, []
        scanned = [] if self._functions is None else self._emptied()
        yield from chain(waiting, scanned, self._plain.pairs())

    # Paths

    def _count_left_out(self) -> None:
        """Tell of records without a filter path; they are those of the block at hand."""
        names = self._arrays["names"]
        used = self._arrays["used"][layout.USED_NAMES]
        kinds = names[:used, layout.NAME_PREFIX] >> layout.KIND_SHIFT
        for name in np.flatnonzero(kinds == layout.REVISION).tolist():
            path = self._path(name)
            records = int(names[name, layout.NAME_RECORDS])
            for _ in range(records - path.counted if path.reason else 0):
                self._skip(path.reason, "")
                self._left_out += 1
            path.counted = records

    def _path(self, name: int) -> "_Path":
        found = self._paths.get(name)
        if found is None:
            found = self._paths[name] = self._new_path(name)
        return found

    def _new_path(self, name: int) -> "_Path":
        info = {}
        names = self._arrays["names"]
        for token in reversed(_TOKENS):
            text = self._text(name)
            if text:
                info[token] = parse_plain(text)
            name = int(names[name, layout.NAME_PREFIX]) & (2**layout.KIND_SHIFT - 1)
        return _Path(list(self._places)[name], filter_path(info), revision_of(info))

    def _text(self, name: int) -> bytes:
        offset, length = self._arrays["names"][
            name, (layout.NAME_OFFSET, layout.NAME_LENGTH)
        ].tolist()
        return self._arrays["arena"][offset : offset + length].tobytes()

    # Rows

    def _emptied(self) -> list[tuple[tuple, Any]]:
        """All rows as pairs of the shuffle; the tables are empty then."""
        self._count_left_out()
        pairs = list(self._packed())
        self._begin()
        return pairs

    def _packed(self) -> Iterator[tuple[tuple, Any]]:
        rows = self._rows()
        folders = sorted({path.folder for path in rows.paths if path.folder is not None})
        for folder in folders:
            tables = _Tables([path for path in rows.paths if path.folder == folder])
            is_in = np.array([path.folder == folder for path in rows.paths])
            encoded, index = tables.encoded(), tables.index(rows)
            for shelf in range(SHELVES):
                chosen = np.flatnonzero(is_in[rows.path_of] & (rows.shelves == shelf))
                if len(chosen):
                    for data in self._shelf(rows, chosen, index[:, chosen], encoded):
                        yield (*folder, shelf), data
            for full in tables.paths:
                yield (*folder, "", PATH, *full), None

    def _rows(self) -> "_Rows":
        starts = self._arrays["rows"][: self._arrays["used"][layout.USED_ROWS]]
        cells = self._arrays["cells"]
        row_keys = cells[starts + layout.ROW_KEY]
        names = (row_keys >> layout.NAME_SHIFT) & (layout.MOST_NAMES - 1)
        measures, measure_of = np.unique(names, return_inverse=True)
        paths, path_of = np.unique(row_keys >> layout.PATH_SHIFT, return_inverse=True)
        return _Rows(
            starts,
            row_keys & layout.BUCKETS_MASK,
            [self._measure(name) for name in measures.tolist()],
            measure_of,
            [self._path(name) for name in paths.tolist()],
            path_of,
        )

    def _shelf(
        self, rows: "_Rows", chosen: np.ndarray, index: np.ndarray, tables: bytes
    ) -> Iterator[bytes]:
        """Rows of one shelf; `index` is the index of each row but for its layout."""
        layouts, layout_of = rows.layouts(chosen)
        encoded = encoded_layouts(layouts)
        index = np.concatenate((layout_of[None, :], index))
        order = np.lexsort(index[::-1])
        chosen, index = chosen[order], index[:, order]
        for first in range(0, len(chosen), MOST_ROWS):
            few = slice(first, first + MOST_ROWS)
            kinds, entries = self._spilled(rows.starts[chosen[few]], rows.buckets[chosen[few]])
            yield packed(encoded, tables, index[:, few], kinds, entries)

    def _spilled(self, starts: np.ndarray, buckets: np.ndarray) -> tuple[np.ndarray, Entries]:
        """The kinds of rows, and what of them is not 0."""
        most = int(buckets.sum()) + len(starts) * COUNTS_AT
        found = np.empty((3, most), np.int64)
        kinds = np.empty(len(starts), np.int64)
        cells = self._arrays["cells"]
        written = self._functions.spill(
            *(cells.ctypes.data, len(cells)),
            *(starts.ctypes.data, buckets.ctypes.data, len(starts)),
            *(found[0].ctypes.data, found[1].ctypes.data, found[2].ctypes.data, most),
            kinds.ctypes.data,
        )
        return kinds, tuple(found[:, :written])

    def _measure(self, name: int) -> tuple[str, bool]:
        """A measure, and whether it is a simple one."""
        own = self._text(name).decode()
        prefix = int(self._arrays["names"][name, layout.NAME_PREFIX])
        kind, parent = prefix >> layout.KIND_SHIFT, prefix & (2**layout.KIND_SHIFT - 1)
        if kind == layout.HISTOGRAM:
            return own, False
        if kind == layout.INNER:
            own = f"{self._text(parent).decode()}_{own}"
        return SIMPLE_PREFIX + own.upper(), True


class _Path:
    """The path of a block and a record."""

    def __init__(self, place: Place, found: FilterPath | str, revision: str) -> None:
        #: Why a record gives nothing; "" if it does.
        self.reason = found if isinstance(found, str) else ""
        self.folder = None if self.reason else (place.channel, place.major)
        self.full = () if self.reason else (place.reason, place.app, *found)
        self.newest = place.build, revision
        self.built, self.submitted = place.build_date, place.submission_date
        #: Records that were told of, if they give nothing.
        self.counted = 0


class _Rows:
    """All rows: where each begins, and what it is of, as a place in a list."""

    def __init__(
        self,
        starts: np.ndarray,
        buckets: np.ndarray,
        measures: list[tuple[str, bool]],
        measure_of: np.ndarray,
        paths: list[_Path],
        path_of: np.ndarray,
    ) -> None:
        self.starts = starts
        self.buckets = buckets
        self.paths = paths
        self.path_of = path_of
        names = [name for name, _ in measures]
        self._names, places = indexed(names)
        #: Of each row, the place of its measure's name among the sorted ones.
        self._measure_of = places[measure_of].astype(np.int64)
        self.is_simple = np.array([simple for _, simple in measures], bool)[measure_of]
        self.shelves = np.array([shelf_of(name) for name in names], np.int64)[measure_of]

    def layouts(self, chosen: np.ndarray) -> tuple[list[tuple[str, int]], np.ndarray]:
        """The layouts of some rows, in order, and of each row the place of its own."""
        found, layout_of = np.unique(
            (self._measure_of[chosen] << 32) | self.buckets[chosen], return_inverse=True
        )
        table = [(self._names[one >> 32], one & (2**32 - 1)) for one in found.tolist()]
        return table, layout_of


class _Tables:
    """What the rows of a folder point at."""

    def __init__(self, paths: list[_Path]) -> None:
        self.paths = sorted({path.full for path in paths})
        dates = {date for path in paths for date in (path.built, path.submitted)} - {None}
        self._dates = sorted(dates)
        self._newest = sorted({_SIMPLE_NEWEST, *(path.newest for path in paths)})

    def encoded(self) -> bytes:
        """As the values of the shuffle have it."""
        return encoded_tables(self.paths, self._dates, self._newest)

    def index(self, rows: _Rows) -> np.ndarray:
        """Path, dates and newest build of each row, int64[INDEXES - 1, rows]; 0 elsewhere."""
        path_of = {path: place for place, path in enumerate(self.paths)}
        date_of = {date: place for place, date in enumerate(self._dates)}
        newest_of = {newest: place for place, newest in enumerate(self._newest)}
        places = np.array(
            [
                (
                    path_of.get(path.full, 0),
                    date_of.get(path.built, 0),
                    date_of.get(path.submitted, -1) + 1,
                    newest_of.get(path.newest, 0),
                )
                for path in rows.paths
            ],
            np.int64,
        ).reshape(-1, INDEXES - 1)
        index = places[rows.path_of].T.copy()
        index[-1, rows.is_simple] = newest_of[_SIMPLE_NEWEST]
        return index
