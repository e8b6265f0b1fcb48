"""Shelves: the sheets of many measures of one version as one value of the shuffle.

A sheet has few rows where blocks are small, and each value of the shuffle costs tens of
microseconds, so measures share a value by the shelf that their name falls to (16 values instead of
340 for each map task and version).

    for data in pack(sheets): ...               # sheets: (measure, Sheet) of one shelf
    packed = unpack(data)                       # views into the bytes: what `Ledger` adds

The bytes are a header, tables (`mr.values`), and arrays of the narrowest ints that hold them. A row
is a vector: its submissions, its limbs, its counts. Most of these are 0, so only the others stand
there, in streams by their width: how many each row has, their columns, their numbers. Equal sheets
have equal bytes, whatever the order of rows and tables.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from mr import values
from mr.errors import FormatError
from mr.histograms.extraction import STATISTICS
from mr.histograms.filters import Path
from mr.histograms.sheets import COUNT_LIMIT, LIMBS, NO_DATE, Sheet

#: Shelves of a version: as many reducers can share its measures.
SHELVES = 16
#: Rows of one value, at most, so that a value is some MB.
MOST_ROWS = 4096

#: Columns of a row's vector: submissions, limbs, then the buckets.
LIMBS_AT, COUNTS_AT = 1, 1 + STATISTICS * LIMBS
#: Widths of the numbers in a stream; the last is for negative ones, too.
_STREAMS = ("<u1", "<u4", "<i8")
_STREAM_LIMITS = (2**8, 2**32)
#: Row, column and number of what is not 0 in some vectors, row by row, by rising columns.
Entries = tuple[np.ndarray, np.ndarray, np.ndarray]
#: What lists of indexes and columns may be made of.
_WIDTHS = ("<u1", "<u2", "<u4")
#: The rows' indexes: layout, path, build date, submission date plus 1, newest build.
INDEXES = 5
_KINDS = "<u2"

#: Mark, bytes of the two tables, rows, width of indexes; then of each stream: numbers, widths of
#: how many each row has, and of columns.
_MARK = b"S1"
_HEADER = struct.Struct("<2sIIIB" + "IBB" * len(_STREAMS))


@cache
def shelf_of(measure: str) -> int:
    """The shelf of a measure."""
    return zlib.crc32(measure.encode()) % SHELVES


@dataclass(frozen=True, slots=True)
class Stream:
    """Numbers of one width, row by row."""

    #: [rows]: how many numbers of each row.
    per_row: np.ndarray
    #: [numbers]: their columns in the row's vector.
    columns: np.ndarray
    #: [numbers].
    numbers: np.ndarray


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of many measures: views into their bytes."""

    #: Encoded tables: of layouts [measures, buckets]; of the rest [path after path, dates, build
    #: and revision after each other].
    layouts: bytes
    tables: bytes
    #: [INDEXES, rows]; the submission date's index is one more, 0 for none.
    indexes: np.ndarray
    #: uint16[rows]: two bits of kind for each statistic.
    kinds: np.ndarray
    streams: tuple[Stream | None, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.kinds)

    @property
    def numbers(self) -> int:
        """How many numbers there are: of all vectors, and the indexes."""
        return INDEXES * self.rows + sum(len(one.numbers) for one in self.streams if one)


# --- packing ---


def pack(sheets: Sequence[tuple[str, Sheet]]) -> Iterator[bytes]:
    """Yield the rows of settled sheets of some measures, a value for at most MOST_ROWS of them."""
    sheets = [(measure, sheet) for measure, sheet in sheets if len(sheet)]
    if not sheets:
        return
    layouts = sorted({(measure, sheet.buckets) for measure, sheet in sheets})
    place_of = {layout: place for place, layout in enumerate(layouts)}
    paths = _Table([sheet.paths for _, sheet in sheets], [s.path_of for _, s in sheets])
    newest = _Table([sheet.newest for _, sheet in sheets], [s.newest_of for _, s in sheets])
    dates = _Table(
        [sheet.dates for _, sheet in sheets],
        [np.concatenate((s.built, s.submitted[s.submitted != NO_DATE])) for _, s in sheets],
    )
    tables = encoded_tables(paths.items, dates.items, newest.items)
    indexes, kinds, vectors = [], [], []
    for number, (measure, sheet) in enumerate(sheets):
        layout = place_of[measure, sheet.buckets]
        date_of = dates.places[number] + 1
        submitted = np.where(sheet.submitted == NO_DATE, 0, date_of[sheet.submitted])
        rows = (
            np.full(len(sheet), layout),
            paths.places[number][sheet.path_of],
            date_of[sheet.built] - 1,
            submitted,
            newest.places[number][sheet.newest_of],
        )
        indexes.append(np.array(rows))
        kinds.append(sheet.kinds @ (4 ** np.arange(STATISTICS)).astype(np.uint16))
        vectors.append(_entries(sheet))
    yield from _cut(encoded_layouts(layouts), tables, indexes, kinds, vectors)


class _Table:
    """The items that several sheets' rows point at, sorted, and where each sheet's are in it."""

    def __init__(self, tables: Sequence[list], used: Sequence[np.ndarray]) -> None:
        chosen = [np.unique(indexes).tolist() for indexes in used]
        found = {table[place] for table, few in zip(tables, chosen, strict=True) for place in few}
        self.items = sorted(found)
        place_of = {item: place for place, item in enumerate(self.items)}
        #: Of each sheet: int64[items of its table].
        self.places = [
            np.array([place_of.get(item, 0) for item in table], np.int64) for table in tables
        ]


def _entries(sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and number of what is not 0 in a sheet."""
    rows = len(sheet)
    vectors = np.concatenate(
        (sheet.submissions.reshape(rows, 1), sheet.limbs.reshape(rows, -1), sheet.counts), axis=1
    )
    row, column = np.nonzero(vectors)
    return row, column, vectors[row, column]


def _cut(
    layouts: bytes,
    tables: bytes,
    indexes: list[np.ndarray],
    kinds: list[np.ndarray],
    vectors: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> Iterator[bytes]:
    index, kind = np.concatenate(indexes, axis=1), np.concatenate(kinds)
    starts = np.cumsum([0, *(part.shape[1] for part in indexes)])
    row = np.concatenate(
        [start + part for start, (part, _, _) in zip(starts, vectors, strict=False)]
    )
    column, number = (np.concatenate([part[place] for part in vectors]) for place in (1, 2))
    order = np.lexsort(index[::-1])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    row = place[row]
    # A row's numbers stay together, in the order of columns.
    by_row = np.argsort(row, kind="stable")
    row, column, number = row[by_row], column[by_row], number[by_row]
    for start in range(0, len(order), MOST_ROWS):
        end = min(start + MOST_ROWS, len(order))
        first, last = np.searchsorted(row, (start, end))
        few = slice(first, last)
        yield packed(
            layouts,
            tables,
            index[:, order[start:end]],
            kind[order[start:end]],
            (row[few] - start, column[few], number[few]),
        )


def encoded_layouts(layouts: Sequence[tuple[str, int]]) -> bytes:
    """The table of layouts."""
    return values.encode([[measure for measure, _ in layouts], [buckets for _, buckets in layouts]])


def encoded_tables(
    paths: Sequence[Path], dates: Sequence[str], newest: Sequence[tuple[str, str]]
) -> bytes:
    """The tables of all else that rows point at."""
    return values.encode(
        [
            [part for path in paths for part in path],
            list(dates),
            [part for one in newest for part in one],
        ]
    )


def packed(
    layouts: bytes, tables: bytes, index: np.ndarray, kinds: np.ndarray, entries: Entries
) -> bytes:
    """At most MOST_ROWS rows, which are sorted by their indexes, int64[INDEXES, rows]."""
    row, column, number = entries
    rows = index.shape[1]
    index, index_width = _narrow(index)
    wide = number < 0
    in_stream = (number >= _STREAM_LIMITS[0]).astype(np.int8) + (number >= _STREAM_LIMITS[1])
    in_stream[wide] = len(_STREAMS) - 1
    header, arrays = [], [index, kinds.astype(_KINDS)]
    for place, width in enumerate(_STREAMS):
        chosen = np.flatnonzero(in_stream == place)
        per_row, row_width = _narrow(np.bincount(row[chosen], minlength=rows))
        columns, column_width = _narrow(column[chosen])
        header += [len(chosen), row_width, column_width]
        if len(chosen):
            arrays += [per_row, columns, number[chosen].astype(width)]
    head = _HEADER.pack(_MARK, len(layouts), len(tables), rows, index_width, *header)
    return b"".join((head, layouts, tables, *(array.tobytes() for array in arrays)))


def _narrow(array: np.ndarray) -> tuple[np.ndarray, int]:
    """An array of indexes by the narrowest type that holds them, and that type's place."""
    most = int(array.max()) if array.size else 0
    width = 0 if most < 2**8 else 1 if most < 2**16 else 2
    return array.astype(_WIDTHS[width]), width


# --- unpacking ---


def unpack(data: bytes) -> Packed:
    """Rows that `pack` gave. Raises FormatError if it cannot have.

    What the tables hold, and indexes and columns, are checked where they are used.
    """
    try:
        return _unpacked(data)
    except (struct.error, ValueError, TypeError, IndexError) as error:
        raise damaged(error) from error


def damaged(error: object) -> FormatError:
    """What is raised for bytes that `pack` cannot have given."""
    return FormatError(f"this is no sheet of histograms ({error}); what holds it is damaged")


def _unpacked(data: bytes) -> Packed:
    mark, layouts, tables, rows, index_width, *streams = _HEADER.unpack_from(data)
    if mark != _MARK:
        raise ValueError("another mark")
    at = _HEADER.size + layouts + tables
    reader = _Arrays(data, at)
    index = reader.take(_WIDTHS[index_width], INDEXES * rows).reshape(INDEXES, rows)
    kinds = reader.take(_KINDS, rows)
    found: list[Stream | None] = []
    for place, width in enumerate(_STREAMS):
        numbers, row_width, column_width = streams[3 * place : 3 * place + 3]
        if not numbers:
            found.append(None)
            continue
        per_row = reader.take(_WIDTHS[row_width], rows)
        columns = reader.take(_WIDTHS[column_width], numbers)
        if int(per_row.sum()) != numbers:
            raise ValueError("another number of numbers")
        found.append(Stream(per_row, columns, reader.take(width, numbers)))
    if reader.at != len(data):
        raise ValueError("more bytes than its arrays have")
    if rows > MOST_ROWS:
        raise ValueError("too many rows")
    wide = found[-1]
    if wide is not None and not (
        wide.numbers.max() < COUNT_LIMIT and wide.numbers.min() > -COUNT_LIMIT
    ):
        raise ValueError("a number that is too large")
    start = _HEADER.size
    return Packed(
        data[start : start + layouts], data[start + layouts : at], index, kinds, tuple(found)
    )


class _Arrays:
    """Takes one array after the other from bytes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def take(self, dtype: str, items: int) -> np.ndarray:
        array = np.frombuffer(self._data, dtype, items, self.at)
        self.at += array.nbytes
        return array
