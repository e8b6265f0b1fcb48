"""The ledger of a shelf: what all maps say of some measures of a version, added up by numpy.

    ledger = Ledger(catalog, folder)
    for value in values: ledger.add(value)      # packed sheets, or an odd cell
    for measure, layouts, cells in ledger.close():
        for (kind, date, *path), line in cells: ...

Values wait until there are enough of them, and are then added all at once. A row of the ledger is a
vector of int64: submissions, limbs, counts. What is more than memory should hold goes to local disk
by measure, kind and date, and is added up again one date at a time.
"""

import heapq
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from mr import keys, values
from mr.errors import FormatError
from mr.histograms.extraction import STATISTICS
from mr.histograms.filters import LEVELS
from mr.histograms.filters import Path as FilterPath
from mr.histograms.merging import (
    Cell,
    Layout,
    from_json,
    from_state,
    layouts,
    merge,
    merge_layouts,
    to_state,
)
from mr.histograms.rendering import Line, Lines, Texts, newest_text
from mr.histograms.sheets import NO_DATE, Odd, Sheet, settled
from mr.histograms.shelves import (
    COUNTS_AT,
    INDEXES,
    LIMBS_AT,
    Packed,
    damaged,
    pack,
    unpack,
)
from mr.kernel.layout import LIMBS, MOST_BUCKETS
from mr.runs import FileRun, RunWriter, group, merge_in_passes, write_run
from mr.runs import Rows as RunRows

#: Kinds of cells.
BY_BUILD, BY_SUBMISSION = 0, 1

#: Numbers that wait to be added, at most: some 20 MB while they are added.
PENDING_NUMBERS = 400_000
#: Bytes of a ledger's vectors; more than that goes to disk.
MOST_BYTES = 48_000_000
#: Rows that may be added before limbs and counts could leave 64 bits: below COUNT_LIMIT each.
MOST_ADDED = 2**22
#: Numbers in odd cells that are held, and what a cell takes beside its counts.
MOST_ODD_NUMBERS, _ODD_NUMBERS = 1_000_000, 100
#: Rows that become text at a time.
_RENDERED = 2_000

#: Bits of a path, of a date, and of a layout in a row's key.
_PATH_BITS, _DATE_BITS, _LAYOUT_BITS = 24, 18, 21

#: Kind, date, and path.
Suffix = tuple


class Catalog:
    """What the rows of one version point at, numbered as it comes."""

    def __init__(self) -> None:
        self.paths: list[tuple[str, ...]] = []
        #: The first is that of rows that do not count by submission date.
        self.dates: list[str] = [""]
        self.newest: list[tuple[str, str]] = []
        #: Measure and number of buckets.
        self.layouts: list[tuple[str, int]] = []
        self._of_path: dict[tuple[str, ...], int] = {}
        self._of_date: dict[str, int] = {"": 0}
        self._of_newest: dict[tuple[str, str], int] = {}
        self._of_layout: dict[tuple[str, int], int] = {}
        # By the bytes of tables: many values have the same ones (a twentieth of a reduce's time).
        self._known: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._known_layouts: dict[bytes, np.ndarray] = {}
        self._newest_texts: list[bytes] = []
        self._ranks = np.empty(0, np.int64), np.empty(0, np.int64)

    #: Tables that are remembered.
    MOST_KNOWN = 4_000

    def numbers(self, tables: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Our numbers of a value's paths, of its dates (after a 0), and of its newest builds."""
        found = self._known.get(tables)
        if found is None:
            if len(self._known) >= self.MOST_KNOWN:
                self._known.clear()
            found = self._known[tables] = self._numbered(tables)
        return found

    def newest_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """The rank of each newest build, by build id and revision, and the build of each rank.

        Both have -1 for -1.
        """
        if len(self._ranks[0]) != len(self.newest) + 1:
            order = sorted(range(len(self.newest)), key=self.newest.__getitem__)
            rank = np.full(len(order) + 1, -1)
            rank[order] = np.arange(len(order))
            self._ranks = rank, np.array([*order, -1])
        return self._ranks

    def newest_text(self, number: int) -> bytes:
        """How the state of a cell of this newest build begins."""
        texts = self._newest_texts
        while len(texts) <= number:
            texts.append(newest_text(*self.newest[len(texts)]))
        return texts[number]

    def _numbered(self, tables: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts, dates, newest = values.decode(tables)
        for table in (parts, dates, newest):
            if type(table) is not list or set(map(type, table)) - {str}:
                raise ValueError("a table of something other than text")
        paths = list(zip(*[iter(parts)] * len(LEVELS), strict=True))
        builds = list(zip(*[iter(newest)] * 2, strict=True))
        return (
            _ids(self._of_path, self.paths, paths, _PATH_BITS),
            _ids(self._of_date, self.dates, ["", *dates], _DATE_BITS),
            _ids(self._of_newest, self.newest, builds, _LAYOUT_BITS),
        )

    def layout_numbers(self, table: bytes) -> np.ndarray:
        """Our numbers of a value's layouts."""
        found = self._known_layouts.get(table)
        if found is None:
            if len(self._known_layouts) >= self.MOST_KNOWN:
                self._known_layouts.clear()
            measures, buckets = values.decode(table)
            if set(map(type, measures)) - {str} or set(map(type, buckets)) - {int}:
                raise ValueError("layouts of another type")
            if min(buckets, default=1) < 1 or max(buckets, default=1) > MOST_BUCKETS:
                raise ValueError("layouts without buckets, or with too many")
            pairs = list(zip(measures, buckets, strict=True))
            found = _ids(self._of_layout, self.layouts, pairs, _LAYOUT_BITS)
            self._known_layouts[table] = found
        return found


def _ids(known: dict, items: list, found: Iterable, bits: int) -> np.ndarray:
    """The numbers of some items; those that are new get the next ones."""
    numbers = []
    for item in found:
        number = known.get(item)
        if number is None:
            number = known[item] = len(items)
            items.append(item)
        numbers.append(number)
    if len(items) > 2**bits:
        raise ValueError("more than can be numbered")
    return np.array(numbers, np.int64)


class _Batch:
    """Packed values in one: the rows' indexes in a catalog, and their numbers."""

    def __init__(self, catalog: Catalog, waiting: Sequence[Packed]) -> None:
        parts: list[list[np.ndarray]] = [[] for _ in range(INDEXES)]
        for packed in waiting:
            paths, dates, newest = catalog.numbers(packed.tables)
            layouts = catalog.layout_numbers(packed.layouts)
            layout, path, built, submitted, newest_of = packed.indexes
            parts[0].append(layouts[layout])
            parts[1].append(paths[path])
            parts[2].append(dates[1:][built])
            parts[3].append(dates[submitted])
            parts[4].append(newest[newest_of])
        self.layout, self.path, self.built, self.submitted, self.newest = map(np.concatenate, parts)
        self.kinds = np.concatenate([packed.kinds for packed in waiting])
        widths = np.array([buckets for _, buckets in catalog.layouts]) + COUNTS_AT
        #: The width of each row's vector.
        self.width = widths[self.layout]
        #: Stream by stream, how many numbers each row has, their columns, and they themselves.
        self.entries = [
            self._stream(waiting, place)
            for place in range(len(waiting[0].streams))
            if any(packed.streams[place] for packed in waiting)
        ]

    def _stream(self, waiting: Sequence[Packed], place: int) -> tuple[np.ndarray, ...]:
        streams = [packed.streams[place] for packed in waiting]
        per_row = np.concatenate(
            [
                np.zeros(packed.indexes.shape[1], np.uint8) if stream is None else stream.per_row
                for packed, stream in zip(waiting, streams, strict=True)
            ]
        )
        found = [stream for stream in streams if stream is not None]
        column = np.concatenate([stream.columns for stream in found])
        if (column >= np.repeat(self.width.astype(np.uint32), per_row)).any():
            raise ValueError("a column beyond the row")
        # np.add.at takes 1.4 ns a number if all are int64, else 46 ns.
        number = np.concatenate([stream.numbers for stream in found]).astype(np.int64)
        return per_row, column.astype(np.int64), number


class Rows:
    """Rows of one kind: a vector for each layout, date and path."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        #: Sorted, and the row that each has.
        self._keys = np.empty(0, np.int64)
        self._row_of = np.empty(0, np.int64)
        self._starts = np.empty(0, np.int64)
        self._kinds = np.empty(0, np.uint16)
        self._newest = np.empty(0, np.int64)
        self._flat = np.zeros(0, np.int64)
        self._used = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors."""
        return self._used * self._flat.itemsize

    def add(self, batch: _Batch, dates: np.ndarray) -> None:
        """Add a batch's rows by these dates.

        Rows of number 0, that do not count, are added like others, and left out at the end.
        """
        keys = ((batch.layout << _DATE_BITS | dates) << _PATH_BITS) | batch.path
        row = self._rows(keys, batch.width)
        starts = self._starts[row]
        for per_row, column, number in batch.entries:
            np.add.at(self._flat, np.repeat(starts, per_row) + column, number)
        for kind in np.unique(batch.kinds).tolist():
            self._kinds[row[batch.kinds == kind]] |= kind
        self._keep_newest(row, batch.newest)

    def _rows(self, keys: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The row of each key; new ones are begun."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        distinct = ordered[first]
        at = np.searchsorted(self._keys, distinct)
        known = np.zeros(len(distinct), bool)
        if len(self._keys):
            inside = at < len(self._keys)
            known[inside] = self._keys[at[inside]] == distinct[inside]
        row = np.empty(len(distinct), np.int64)
        row[known] = self._row_of[at[known]]
        new = ~known
        if new.any():
            row[new] = self._begin(distinct[new], at[new], width[order[first][new]])
        found = np.empty(len(keys), np.int64)
        found[order] = np.repeat(row, np.diff(np.append(np.flatnonzero(first), len(keys))))
        return found

    def _begin(self, keys: np.ndarray, at: np.ndarray, width: np.ndarray) -> np.ndarray:
        rows = np.arange(len(self._kinds), len(self._kinds) + len(keys))
        self._keys = np.insert(self._keys, at, keys)
        self._row_of = np.insert(self._row_of, at, rows)
        ends = self._used + np.cumsum(width)
        self._starts = np.concatenate((self._starts, ends - width))
        self._used = int(ends[-1])
        self._kinds = np.concatenate((self._kinds, np.zeros(len(keys), np.uint16)))
        self._newest = np.concatenate((self._newest, np.full(len(keys), -1)))
        if self._used > len(self._flat):
            grown = np.zeros(max(self._used, len(self._flat) * 3 // 2), np.int64)
            grown[: len(self._flat)] = self._flat
            self._flat = grown
        return rows

    def _keep_newest(self, row: np.ndarray, newest: np.ndarray) -> None:
        """Of each row's newest builds, keep the last by build id, then by revision."""
        rank, by_rank = self._catalog.newest_ranks()
        best = rank[self._newest]
        np.maximum.at(best, row, rank[newest])
        self._newest = by_rank[best]

    def layouts(self) -> dict[str, list[Layout]]:
        """By measure, the layouts of all rows, and how often they came."""
        layout = self._keys >> (_DATE_BITS + _PATH_BITS)
        submissions = self._flat[self._starts[self._row_of]] if len(self) else self._keys
        newest = self._newest[self._row_of]
        found: dict[str, list[Layout]] = defaultdict(list)
        # Rows are ordered by layout here.
        for start, end in _stretches(layout):
            measure, buckets = self._catalog.layouts[layout[start]]
            of_these = np.unique(newest[start:end]).tolist()
            build, revision = max(self._catalog.newest[number] for number in of_these)
            times = int(submissions[start:end].sum())
            found[measure].append(Layout(build, buckets, revision, times))
        return found

    def by_measure(self) -> Iterator[tuple[str, "Chosen"]]:
        """Yield each measure with its rows, by name; the rows by date and path."""
        catalog = self._catalog
        date = self._keys >> _PATH_BITS & (2**_DATE_BITS - 1)
        counted = date > 0
        keys, row, date = self._keys[counted], self._row_of[counted], date[counted]
        layout = keys >> (_DATE_BITS + _PATH_BITS)
        path = keys & (2**_PATH_BITS - 1)
        names = [measure for measure, _ in catalog.layouts]
        rank = _ranks(names)[layout]
        order = np.lexsort((layout, _ranks(catalog.paths)[path], _ranks(catalog.dates)[date], rank))
        chosen = Chosen(_Window(self, row[order]), layout[order], date[order], path[order], 0)
        for start, end in _stretches(rank[order]):
            yield names[layout[order[start]]], chosen.between(start, end)

    def vectors(self, rows: np.ndarray, columns: slice) -> np.ndarray:
        """Some columns of the vectors of some rows, which all have them: int64[rows, columns]."""
        return self._flat[
            self._starts[rows][:, np.newaxis] + np.arange(columns.start, columns.stop)
        ]

    def kinds(self, rows: np.ndarray) -> np.ndarray:
        """The packed kinds of some rows."""
        return self._kinds[rows]

    def newest(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of some rows' newest builds."""
        return self._newest[rows]


def _stretches(numbers: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield start and end of each stretch of equal numbers."""
    if len(numbers):
        ends = np.append(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1, len(numbers)).tolist()
        yield from zip([0, *ends[:-1]], ends, strict=True)


def _ranks(items: Sequence) -> np.ndarray:
    """The place of each item in their order; of equal ones the same."""
    place_of = {item: place for place, item in enumerate(sorted(set(items)))}
    return np.array([place_of[item] for item in items], np.int64)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Many cells of one measure, of one kind and number of buckets, ordered by date and path.

    It iterates over (suffix, line).
    """

    kind: int
    dates: list[str]
    paths: list[FilterPath]
    lines: Lines

    def __iter__(self) -> Iterator[tuple[Suffix, Line]]:
        buckets = self.lines.buckets
        for date, path, *texts in zip(
            self.dates, self.paths, self.lines.states, self.lines.rows, strict=True
        ):
            yield (self.kind, date, *path), Line(buckets, *texts)


#: A measure's cells in the order of their suffixes, many at once or one by one.
Cells = Iterator[Chunk | tuple[Suffix, Line | Cell]]


class _Window:
    """Rows in the order in which they become text: the texts of some thousands are at hand."""

    def __init__(self, rows: Rows, order: np.ndarray) -> None:
        self.rows = rows
        self.order = order
        self._start = self._end = 0
        self._texts = Texts([], [])

    def lines(self, catalog: Catalog, start: int, end: int, buckets: int) -> Lines:
        """The lines of the rows from one place to another, at most _RENDERED, all of one layout."""
        if not self._start <= start <= end <= self._end:
            self._start, self._end = start, min(start + 2 * _RENDERED, len(self.order))
            rows = self.order[self._start : self._end]
            self._texts = Texts.of(
                self.rows.vectors(rows, slice(0, COUNTS_AT)),
                self.rows.kinds(rows),
                map(catalog.newest_text, self.rows.newest(rows).tolist()),
            )
        counts = self.rows.vectors(self.order[start:end], slice(COUNTS_AT, COUNTS_AT + buckets))
        return self._texts.lines(start - self._start, counts)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some of a window's rows, of one measure: those from `start` on, by numbers of the catalog."""

    window: _Window
    layout: np.ndarray
    date: np.ndarray
    path: np.ndarray
    start: int

    def between(self, start: int, end: int) -> "Chosen":
        """Those from one place to another."""
        few = slice(start, end)
        return Chosen(
            self.window, self.layout[few], self.date[few], self.path[few], self.start + start
        )

    def dates(self) -> Iterator["Chosen"]:
        """Yield the rows of each date."""
        for start, end in _stretches(self.date):
            yield self.between(start, end)

    def cells(self, catalog: Catalog, kind: int) -> Cells:
        """Yield the cells: chunks, or one by one where a cell may have several layouts."""
        if (self.layout == self.layout[0]).all():
            yield from self._chunks(catalog, kind)
            return
        chunks = (
            chunk
            for start, end in _stretches(self.layout)
            for chunk in self.between(start, end)._chunks(catalog, kind)
        )
        yield from _added_up(chain.from_iterable(chunks))

    def _chunks(self, catalog: Catalog, kind: int) -> Iterator[Chunk]:
        """Yield the cells, which are all of one layout."""
        _, buckets = catalog.layouts[self.layout[0]]
        for start in range(0, len(self.layout), _RENDERED):
            end = min(start + _RENDERED, len(self.layout))
            few = slice(start, end)
            yield Chunk(
                kind,
                list(map(catalog.dates.__getitem__, self.date[few].tolist())),
                list(map(catalog.paths.__getitem__, self.path[few].tolist())),
                self.window.lines(catalog, self.start + start, self.start + end, buckets),
            )

    def sheets(self, catalog: Catalog) -> Iterator[tuple[str, Sheet]]:
        """Yield (measure, sheet) of rows of one date, as built on it."""
        rows = self.window.rows
        for number in np.unique(self.layout).tolist():
            measure, buckets = catalog.layouts[number]
            places = np.flatnonzero(self.layout == number)
            chosen = self.window.order[self.start + places]
            paths, path_of = np.unique(self.path[places], return_inverse=True)
            newest, newest_of = np.unique(rows.newest(chosen), return_inverse=True)
            vectors = rows.vectors(chosen, slice(0, COUNTS_AT + buckets))
            kinds = rows.kinds(chosen)[:, np.newaxis] >> 2 * np.arange(STATISTICS) & 3
            yield (
                measure,
                Sheet(
                    paths=[catalog.paths[path] for path in paths.tolist()],
                    dates=[catalog.dates[self.date[0]]],
                    newest=[catalog.newest[one] for one in newest.tolist()],
                    path_of=path_of,
                    built=np.zeros(len(chosen), np.int32),
                    submitted=np.full(len(chosen), NO_DATE, np.int32),
                    newest_of=newest_of,
                    submissions=vectors[:, 0],
                    counts=vectors[:, COUNTS_AT:],
                    kinds=kinds.astype(np.uint8),
                    limbs=vectors[:, LIMBS_AT:COUNTS_AT].reshape(-1, STATISTICS, LIMBS),
                ),
            )


#: Measure, kind and date, and the cells of each path.
_Group = tuple[str, int, str]
#: What a measure has: its name, its layouts, and its cells by suffix, in their order.
Measure = tuple[str, list[Layout], Cells]


class Ledger:
    """All that is said of a shelf's measures; `folder` is local, for what memory does not hold."""

    def __init__(self, catalog: Catalog, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._catalog = catalog
        self._folder = folder
        self._most_bytes = most_bytes
        self._rows = {kind: Rows(catalog) for kind in (BY_BUILD, BY_SUBMISSION)}
        self._odd: dict[_Group, dict[FilterPath, Cell]] = defaultdict(dict)
        self._odd_numbers = 0
        self._waiting: list[Packed] = []
        self._waiting_numbers = 0
        #: Rows that were added since the last spill.
        self._added = 0
        self._runs: list[FileRun] = []
        self._layouts: dict[str, list[Layout]] = {}

    def add(self, value: Any) -> None:
        """Add a value of the shuffle. Raises FormatError for what is none."""
        if type(value) is bytes:
            self._add_packed(unpack(value))
        else:
            self._add_odd(*odd_of(value))

    def _add_packed(self, packed: Packed) -> None:
        self._waiting.append(packed)
        self._waiting_numbers += packed.numbers
        self._added += packed.rows
        if self._waiting_numbers >= PENDING_NUMBERS:
            self._add_waiting()
            held = sum(rows.nbytes for rows in self._rows.values())
            if held > self._most_bytes or self._added > MOST_ADDED // 2:
                self._spill()

    def _add_waiting(self) -> None:
        waiting, self._waiting, self._waiting_numbers = self._waiting, [], 0
        if not waiting:
            return
        batch = _batch(self._catalog, waiting)
        self._rows[BY_BUILD].add(batch, batch.built)
        self._rows[BY_SUBMISSION].add(batch, batch.submitted)

    def _add_odd(self, measure: str, odd: Odd) -> None:
        for kind, date in ((BY_BUILD, odd.built), (BY_SUBMISSION, odd.submitted)):
            if date is not None:
                cells = self._odd[measure, kind, date]
                if odd.path not in cells:
                    self._odd_numbers += _ODD_NUMBERS + sum(odd.cell.by_buckets)
                cells.setdefault(odd.path, Cell()).add(odd.cell)
        if self._odd_numbers >= MOST_ODD_NUMBERS:
            self._spill()

    def close(self) -> Iterator[Measure]:
        """Yield what each measure has, by name; nothing is added after that."""
        if self._runs:
            self._spill()
            yield from self._spilled()
            return
        self._add_waiting()
        self._note_layouts()
        rows = {kind: dict(rows.by_measure()) for kind, rows in self._rows.items()}
        odd: dict[tuple[str, int], list[tuple[Suffix, Cell]]] = defaultdict(list)
        for (measure, kind, date), cells in sorted(self._odd.items(), key=itemgetter(0)):
            odd[measure, kind] += [((kind, date, *path), cells[path]) for path in sorted(cells)]

        def cells_of(measure: str) -> Cells:
            for kind, found in rows.items():
                chosen = found.get(measure)
                cells = () if chosen is None else chosen.cells(self._catalog, kind)
                yield from _joined(cells, odd[measure, kind])

        for measure in sorted(self._layouts):
            yield measure, merge_layouts(self._layouts[measure]), cells_of(measure)

    def _note_layouts(self) -> None:
        """Keep the layouts of what is held."""
        for measure, found in self._rows[BY_BUILD].layouts().items():
            self._note(measure, found)
        for (measure, kind, _), cells in self._odd.items():
            if kind == BY_BUILD:
                self._note(measure, layouts(cells.values()))

    def _note(self, measure: str, found: list[Layout]) -> None:
        self._layouts[measure] = merge_layouts([*self._layouts.get(measure, ()), *found])

    # --- what memory does not hold ---

    def _spill(self) -> None:
        """Write all that is held to a run, and start afresh."""
        self._add_waiting()
        self._note_layouts()
        if not self._runs:
            self._folder = Path(tempfile.mkdtemp(prefix="ledger-", dir=self._folder))
        path = self._folder / f"run-{len(self._runs)}"
        with path.open("wb") as out:
            span = write_run(RunWriter(out), self._entries())
        self._runs.append(FileRun(path, span))
        self._rows = {kind: Rows(self._catalog) for kind in self._rows}
        self._odd, self._odd_numbers, self._added = defaultdict(dict), 0, 0

    def _entries(self) -> Iterator[RunRows]:
        """Everything under its group's key: packed sheets, and odd cells."""
        held: dict[_Group, list[Chosen]] = defaultdict(list)
        for kind, rows in self._rows.items():
            for measure, chosen in rows.by_measure():
                for one in chosen.dates():
                    held[measure, kind, self._catalog.dates[one.date[0]]].append(one)
        for key in sorted(held.keys() | self._odd.keys()):
            measure, _, date = key
            found: list[Any] = []
            odd = [Odd(path, date, None, cell) for path, cell in self._odd.get(key, {}).items()]
            for chosen in held.get(key, ()):
                for _, sheet in chosen.sheets(self._catalog):
                    fitting, others = settled(sheet)
                    found += pack([(measure, fitting)])
                    odd += others
            found += [odd_value(measure, one) for one in odd]
            yield [keys.encode(key)] * len(found), [values.encode(value) for value in found], []

    def _spilled(self) -> Iterator[Measure]:
        merged = merge_in_passes(self._runs, self._folder)
        groups = (
            (keys.decode(key), map(values.decode, found))
            for names, columns in group((names, column) for names, column, _ in merged)
            for key, found in zip(names, columns, strict=True)
        )
        for measure, same in groupby(groups, lambda one: one[0][0]):
            cells = (
                cell for (_, kind, date), found in same for cell in self._of_date(kind, date, found)
            )
            yield measure, merge_layouts(self._layouts[measure]), cells
        shutil.rmtree(self._folder)

    def _of_date(self, kind: int, date: str, found: Iterable[Any]) -> Cells:
        """Add up what runs have of one date: sheets whose rows are built on it, and odd cells."""
        rows, odd, waiting = Rows(self._catalog), {}, []
        for value in found:
            if type(value) is bytes:
                waiting.append(unpack(value))
            else:
                _, one = odd_of(value)
                odd.setdefault(one.path, Cell()).add(one.cell)
        if waiting:
            batch = _batch(self._catalog, waiting)
            rows.add(batch, batch.built)
        cells: Iterable = ()
        for _, chosen in rows.by_measure():
            cells = chosen.cells(self._catalog, kind)
        return _joined(cells, [((kind, date, *path), odd[path]) for path in sorted(odd)])


def _batch(catalog: Catalog, waiting: Sequence[Packed]) -> _Batch:
    try:
        return _Batch(catalog, waiting)
    except (ValueError, TypeError, IndexError, FormatError) as error:
        raise damaged(error) from error


def _joined(cells: Cells, odd: Sequence[tuple[Suffix, Cell]]) -> Cells:
    """Cells and odd cells in one order, those of one suffix added up."""
    if not odd:
        return cells
    one_by_one = chain.from_iterable(found if type(found) is Chunk else (found,) for found in cells)
    return _added_up(heapq.merge(one_by_one, odd, key=itemgetter(0)))


def _added_up(
    found: Iterable[tuple[Suffix, Line | Cell]],
) -> Iterator[tuple[Suffix, Line | Cell]]:
    for suffix, same in groupby(found, itemgetter(0)):
        values = [value for _, value in same]
        yield suffix, values[0] if len(values) == 1 else reduce(merge, map(as_cell, values))


def as_cell(value: Line | Cell) -> Cell:
    """The cell of a line."""
    return from_json(value.state) if type(value) is Line else value


# --- odd cells ---


def odd_value(measure: str, odd: Odd) -> tuple:
    """An odd cell as a value of the shuffle."""
    return measure, odd.built, odd.submitted, odd.path, to_state(odd.cell)


def odd_of(value: Any) -> tuple[str, Odd]:
    """The measure and the cell that `odd_value` was given. Raises FormatError."""
    try:
        measure, built, submitted, path, state = value
        texts = (measure, built, *path, "" if submitted is None else submitted)
        if set(map(type, texts)) != {str} or len(path) != len(LEVELS) or type(path) is not tuple:
            raise ValueError("another form")
    except (ValueError, TypeError) as error:
        raise damaged(error) from error
    return measure, Odd(path, built, submitted, from_state(state))
