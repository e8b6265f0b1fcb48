"""Records added up by the compiled scanner, without building anything of them.

It gathers what `gathering` does, in tables that the compiled code fills (`mr.kernel.layout`). What
it does not take goes to the plain code, record by record.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from mr.histograms.bounds import exponential
from mr.histograms.extraction import (
    SIMPLE_BUCKETS,
    SIMPLE_BUILD,
    SIMPLE_HIGH,
    SIMPLE_LOW,
    SIMPLE_PREFIX,
    SIMPLE_REVISION,
    STATISTICS,
    FilterPath,
    Skip,
    filter_path,
    revision_of,
)
from mr.histograms.gathering import Gathering, Key
from mr.histograms.placing import Place
from mr.histograms.sheets import NO_DATE, Odd, Sheet, indexed
from mr.kernel import layout
from mr.kernel.building import GATHER_ARRAYS, Functions
from mr.validity import parse_plain

#: A row's sums stay far below 2**63 for so many records of counts up to `layout.LARGEST_COUNT`.
_MOST_RECORDS = 2**22
#: The values that make a path, in the order of `layout.OS` and on.
_TOKENS = ("OS", "version", "arch", "revision")


class ScannedGathering:
    """Cells by measure, dates and filter path, over the lines of any blocks.

    `skip` is told what is left out, for the block at hand, a whole record with "" for its name.
    """

    def __init__(self, functions: Functions, skip: Skip) -> None:
        self._gather = functions.gather
        self._skip = skip
        #: For what the scanner leaves.
        self._plain = Gathering(skip)
        self._arrays = {
            name: np.zeros(shape, kind) for name, (shape, kind) in GATHER_ARRAYS.items()
        }
        self._arrays["powers"][:] = layout.powers_of_ten()
        self._arrays["bounds"][:] = exponential(SIMPLE_LOW, SIMPLE_HIGH, SIMPLE_BUCKETS)
        self._arguments = [array.ctypes.data for array in self._arrays.values()]
        #: Sheets of tables that became full in the middle of a chunk.
        self._waiting: list[tuple[Key, Sheet | Odd]] = []
        self._place: int | None = None
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
        #: Records of the block without a filter path, among those that were taken.
        self._left_out = 0

    def take(self, chunk: bytes) -> tuple[int, list[tuple[int, int, int]]]:
        """Add up a chunk of whole lines of the block.

        Returns how many were taken, and of each other line its place among the lines, its begin and
        its newline.
        """
        if not chunk.endswith(b"\n"):
            raise ValueError("the scanner would run past the end of a chunk without a newline")
        cursor, refused = self._arrays["cursor"], self._arrays["refused"]
        cursor[:] = 0
        taken, left = 0, []
        while cursor[layout.PLACE] < len(chunk):
            if cursor[layout.IS_FULL] or self._records >= _MOST_RECORDS:
                self._waiting += self._emptied()
            number = self._places.setdefault(self._place, len(self._places))
            self._gather(chunk, len(chunk), number, *self._arguments)
            taken += int(cursor[layout.TAKEN])
            self._records += int(cursor[layout.TAKEN])
            left += map(tuple, refused[: cursor[layout.WRITTEN]].tolist())
        return taken, left

    def add_record(self, payload: Mapping[str, Any]) -> None:
        """Add a record of the block that the scanner has left."""
        self._plain.add_record(payload)

    def end_block(self) -> int:
        """Finish a block, and return how many of its records have no filter path."""
        self._count_left_out()
        return self._left_out + self._plain.end_block()

    @property
    def is_full(self) -> bool:
        """Whether it is time to drain."""
        return bool(self._waiting) or self._plain.is_full

    def drain(self) -> Iterator[tuple[Key, Sheet | Odd]]:
        """Yield sheets, and cells that do not fit, ordered by their keys; start afresh."""
        found = chain(self._waiting, self._emptied(), self._plain.drain())
        yield from sorted(found, key=lambda one: one[0])
        self._waiting.clear()

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

    # Sheets

    def _emptied(self) -> list[tuple[Key, Sheet | Odd]]:
        """All rows as sheets; the tables are empty then."""
        self._count_left_out()
        sheets = list(self._sheets())
        self._begin()
        return sheets

    def _sheets(self) -> Iterator[tuple[Key, Sheet]]:
        used = self._arrays["used"]
        starts = self._arrays["rows"][: used[layout.USED_ROWS]]
        if not len(starts):
            return
        cells = self._arrays["cells"]
        names = cells[starts + layout.ROW_NAME]
        path_names = cells[starts + layout.ROW_PATH]
        buckets = cells[starts + layout.ROW_BUCKETS]
        measures = {name: self._measure(name) for name in np.unique(names).tolist()}
        measure_table, measure_of = _numbered(measures, names)
        paths = {name: self._path(name) for name in np.unique(path_names).tolist()}
        folders = {name: path.folder for name, path in paths.items()}
        folder_table, folder_of = _numbered(folders, path_names)
        order = np.lexsort((buckets, measure_of, folder_of))
        order = order[folder_of[order] > 0]  # the first is no folder: records without a path
        groups = np.stack((folder_of[order], measure_of[order], buckets[order]))
        ends = np.flatnonzero((np.diff(groups) != 0).any(axis=0)) + 1
        for rows in np.split(order, ends):
            if not len(rows):
                continue
            measure = measure_table[measure_of[rows[0]]]
            channel, major = folder_table[folder_of[rows[0]]]
            simple = measure.startswith(SIMPLE_PREFIX) and self._is_simple(int(names[rows[0]]))
            yield (
                (channel, major, measure),
                self._sheet(starts[rows], int(buckets[rows[0]]), path_names[rows], paths, simple),
            )

    def _is_simple(self, name: int) -> bool:
        kind = self._arrays["names"][name, layout.NAME_PREFIX] >> layout.KIND_SHIFT
        return int(kind) != layout.HISTOGRAM

    def _measure(self, name: int) -> str:
        own = self._text(name).decode()
        prefix = int(self._arrays["names"][name, layout.NAME_PREFIX])
        kind, parent = prefix >> layout.KIND_SHIFT, prefix & (2**layout.KIND_SHIFT - 1)
        if kind == layout.HISTOGRAM:
            return own
        if kind == layout.INNER:
            own = f"{self._text(parent).decode()}_{own}"
        return SIMPLE_PREFIX + own.upper()

    def _sheet(
        self,
        starts: np.ndarray,
        buckets: int,
        path_names: np.ndarray,
        paths: dict[int, "_Path"],
        is_simple: bool,
    ) -> Sheet:
        words = self._arrays["cells"][
            starts[:, None] + np.arange(layout.ROW_SUBMISSIONS, layout.ROW_COUNTS + buckets)
        ]
        statistics = words[:, 1 : layout.ROW_COUNTS - layout.ROW_SUBMISSIONS]
        statistics = statistics.reshape(len(starts), STATISTICS, layout.STATISTIC_WORDS)
        chosen = [paths[name] for name in path_names.tolist()]
        table, path_of = indexed([path.full for path in chosen])
        newest = (SIMPLE_BUILD, SIMPLE_REVISION)
        newest_table, newest_of = indexed([newest if is_simple else path.newest for path in chosen])
        dates = sorted({date for path in chosen for date in path.dates if date is not None})
        number = {date: place for place, date in enumerate(dates)} | {None: NO_DATE}
        built, submitted = zip(*(path.dates for path in chosen), strict=True)
        return Sheet(
            paths=table,
            dates=dates,
            newest=newest_table,
            path_of=path_of,
            built=np.array([number[date] for date in built], np.int32),
            submitted=np.array([number[date] for date in submitted], np.int32),
            newest_of=newest_of,
            submissions=words[:, 0],
            counts=words[:, layout.ROW_COUNTS - layout.ROW_SUBMISSIONS :],
            kinds=statistics[:, :, 0].astype(np.uint8),
            limbs=statistics[:, :, 1:],
        )


class _Path:
    """The path of a block and a record."""

    def __init__(self, place: Place, found: FilterPath | str, revision: str) -> None:
        #: Why a record gives nothing; "" if it does.
        self.reason = found if isinstance(found, str) else ""
        self.folder = None if self.reason else (place.channel, place.major)
        self.full = () if self.reason else (place.reason, place.app, *found)
        self.newest = place.build, revision
        self.dates = place.build_date, place.submission_date
        #: Records that were told of, if they give nothing.
        self.counted = 0


def _numbered(values: Mapping[int, Any], keys: np.ndarray) -> tuple[list, np.ndarray]:
    """The distinct values in order, None first, and of each key its value's place."""
    table = [None, *sorted({value for value in values.values() if value is not None})]
    place_of = {value: place for place, value in enumerate(table)}
    unique, inverse = np.unique(keys, return_inverse=True)
    places = np.array([place_of[values[key]] for key in unique.tolist()], np.int64)
    return table, places[inverse]
