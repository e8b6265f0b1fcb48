"""Sections: what one reducer writes of one measure, or of a folder as a whole.

A section takes its entries in the order of their suffixes, joins them with those of the base
folder's state, and writes files as it goes: one cell is in memory at a time, whatever their number.
"""

import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, BinaryIO, NamedTuple

from mr.histograms.definitions import Definition, Definitions
from mr.histograms.entries import (
    BLOCK,
    PATH,
    Pieces,
    StateFile,
    Value,
    plus,
)
from mr.histograms.filters import FilterTree, Path
from mr.histograms.folders import state_name
from mr.histograms.ledger import BY_BUILD, BY_SUBMISSION, Cells, Chunk, Suffix
from mr.histograms.merging import Layout, mismatch
from mr.histograms.rendering import Line, Lines, line_of

#: Items of a published array after its buckets, without the filter's id.
_AFTER_BUCKETS = 6

#: Begins a file of this name.
OpenFile = Callable[[str], BinaryIO]

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class _Section(ABC):
    """Joins what is added with the base, and hands each entry once to `_take`."""

    def __init__(self, base: Iterable[tuple[Suffix, Value]]) -> None:
        self._base: Iterator[tuple[Suffix, Value]] = iter(base)
        self._next = next(self._base, None)

    def add(self, suffix: Suffix, value: Value) -> None:
        """Take the next entry."""
        while self._next is not None and self._next[0] < suffix:
            self._take_base()
        if self._next is not None and self._next[0] == suffix:
            value = plus(suffix, self._next[1], value)
            self._next = next(self._base, None)
        self._take(suffix, value)

    def close(self) -> dict[str, Any]:
        """Finish the files, and tell what became of the section as JSON values."""
        while self._next is not None:
            self._take_base()
        return self._finish()

    def _take_base(self) -> None:
        self._take(*self._next)
        self._next = next(self._base, None)

    @abstractmethod
    def _take(self, suffix: Suffix, value: Value) -> None:
        """Write an entry."""

    @abstractmethod
    def _finish(self) -> dict[str, Any]:
        """Finish the files."""


class MeasureSection(_Section):
    """One measure of one version: its two date files, if they are published, and its state.

    The state goes into a file that the measures of a shelf have together.

    The buckets of the newest build by build date decide which arrays are published, and the
    definition that has as many of them which definition is.
    """

    def __init__(
        self,
        folder: str,
        measure: str,
        *,
        open_file: OpenFile,
        states: StateFile,
        definitions: Definitions,
        paths: "PathTexts",
        base: Iterable[tuple[Suffix, Value]] = (),
    ) -> None:
        super().__init__(base)
        self._folder = folder
        self._measure = measure
        self._open_file = open_file
        self._definitions = definitions
        self._paths = paths
        self._state = states.begin()
        self._layouts: list[Layout] = []
        self._definition: Definition | None = None
        self._files: dict[int, DateFile] = {}

    def _take(self, suffix: Suffix, value: Value) -> None:
        if not suffix:
            self._state.write(suffix, value)
            self._begin(value)
            return
        kind, date, *path = suffix
        line = value if type(value) is Line else line_of(value, self._layouts[0].buckets)
        self._write(
            Chunk(kind, [date], [tuple(path)], Lines(line.buckets, [line.state], [line.row]))
        )

    def add_cells(self, cells: Cells) -> None:
        """Take the next cells."""
        for found in cells:
            if type(found) is not Chunk:
                self.add(*found)
            elif self._next is None:
                self._write(found)
            else:
                for suffix, line in found:
                    self.add(suffix, line)

    def _write(self, chunk: Chunk) -> None:
        # As few steps as possible for each cell: there may be millions.
        kind, dates, lines = chunk.kind, chunk.dates, chunk.lines
        shown = list(map(self._paths.__getitem__, chunk.paths))
        heads = {date: b"[[%d, %s, " % (kind, _dumped(date)) for date in set(dates)}
        self._state.write_lines(
            [
                b"%s%s],%s]\n" % (heads[date], path.text, state)
                for date, path, state in zip(dates, shown, lines.states, strict=True)
            ]
        )
        file = self._files.get(kind)
        if file is not None and lines.buckets == self._layouts[0].buckets and lines.rows[0]:
            rows = [
                b"[%s,%d]" % (row, path.id) for row, path in zip(lines.rows, shown, strict=True)
            ]
            start = 0
            for date, same in groupby(dates):
                end = start + sum(1 for _ in same)
                file.add(date, rows[start:end])
                start = end

    def _begin(self, layouts: list[Layout]) -> None:
        self._layouts = layouts
        newest = layouts[0]
        self._definition = self._definitions.with_length(
            self._measure, newest.buckets, newest.revision
        )
        if self._definition is not None:
            stem = f"{self._folder}/{self._measure}"
            self._files = {
                BY_BUILD: DateFile(self._open_file(f"{stem}-by-build-date.json")),
                BY_SUBMISSION: DateFile(self._open_file(f"{stem}-by-submission-date.json")),
            }

    def _finish(self) -> dict[str, Any]:
        place = self._state.close()
        for file in self._files.values():
            file.close()
        newest = self._layouts[0]
        different = mismatch(self._measure, self._layouts)
        return {
            "definition": None if self._definition is None else self._definition.to_json(),
            "revision": {
                "revision": newest.revision,
                "buildId": newest.build,
                "length": newest.buckets + _AFTER_BUCKETS,
            },
            "left_out": self._why_left_out() if self._definition is None else None,
            "mismatch": None if different is None else str(different),
            "state": place,
        }

    def _why_left_out(self) -> str:
        newest = self._layouts[0]
        other = self._definitions.lookup(self._measure, newest.revision)
        if other is None:
            return self._definitions.why_missing(self._measure, newest.revision)
        return (
            f"its arrays have {newest.buckets} buckets in the newest build, {newest.build}, and "
            f"its definition has {other.buckets}"
        )


class _Shown(NamedTuple):
    """What stands for a path in lines: its parts in JSON, and its id."""

    text: bytes
    id: int


class PathTexts(dict[Path, _Shown]):
    """What stands for each path of one version."""

    def __init__(self, tree: FilterTree) -> None:
        super().__init__()
        self._tree = tree

    def __missing__(self, path: Path) -> _Shown:
        shown = self[path] = _Shown(_dumped(path)[1:-1], self._tree.id_of(path))
        return shown


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


class DateFile:
    """A published file of rows by date, written as the rows come: sorted by date."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pieces = Pieces(file)
        self._date: str | None = None

    def add(self, date: str, rows: list[bytes]) -> None:
        """Write the next rows, of one date."""
        if date == self._date:
            before = b","
        else:
            before = b'%s"%s":[' % (b"{" if self._date is None else b"],", date.encode())
            self._date = date
        self._pieces.write(before + b",".join(rows))

    def close(self) -> None:
        """Finish the file."""
        self._pieces.write(b"{}" if self._date is None else b"]}")
        self._pieces.flush()
        self._file.close()


class FolderSection(_Section):
    """What a folder has beside its measures: its blocks, its filters, what they cover."""

    def __init__(
        self,
        folder: str,
        *,
        open_file: OpenFile,
        base: Iterable[tuple[Suffix, Value]] = (),
        base_tree: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(base)
        self._states = StateFile(open_file(state_name(folder)))
        self._state = self._states.begin()
        self._blocks = open_file(f"{folder}/FILES_PROCESSED")
        self._tree_file = open_file(f"{folder}/filter-tree.json")
        self._tree = FilterTree(base_tree)
        self._covered = Covered()

    def _take(self, suffix: Suffix, value: Value) -> None:
        self._state.write(suffix, value)
        kind, *rest = suffix
        if kind == BLOCK:
            (key,) = rest
            self._blocks.write(f"{key}\n".encode())
            self._covered.add_block(key, value)
        elif kind == PATH:
            self._tree.add(tuple(rest))
        else:
            reason, measure = rest
            self._covered.skipped[reason][measure] = value

    def _finish(self) -> dict[str, Any]:
        self._state.close()
        self._states.close()
        self._blocks.close()
        self._tree_file.write(_json(self._tree.to_json()).encode())
        self._tree_file.close()
        return self._covered.to_json()


class Covered:
    """Blocks and records of a folder, in all and by date."""

    def __init__(self) -> None:
        self._blocks = 0
        self._bad_blocks: list[dict[str, str]] = []
        self._records = {"read": 0, "bad": 0, "left_out": 0}
        self._dates: tuple[dict[str, dict[str, int]], ...] = ({}, {})
        #: Reason, then measure, to how often it was left out.
        self.skipped: dict[str, dict[str, int]] = defaultdict(dict)

    def add_block(self, key: str, value: list) -> None:
        """Count a block: what its entry says."""
        _size, _tag, _store, built, submitted, records, bad, left_out, damage = value
        self._blocks += 1
        if damage is not None:
            self._bad_blocks.append({"block": key, "reason": damage})
        self._records["read"] += records
        self._records["bad"] += bad
        self._records["left_out"] += left_out
        for dates, date in zip(self._dates, (built, submitted), strict=True):
            if date:
                day = dates.setdefault(date, {"blocks": 0, "records": 0, "bad_records": 0})
                day["blocks"] += 1
                day["records"] += records
                day["bad_records"] += bad

    def to_json(self) -> dict[str, Any]:
        """The part of coverage.json that blocks and records make."""
        by_build, by_submission = (dict(sorted(dates.items())) for dates in self._dates)
        return {
            "blocks": {"processed": self._blocks, "bad": self._bad_blocks},
            "records": self._records,
            "by_build_date": by_build,
            "by_submission_date": by_submission,
            "skipped": {reason: dict(found) for reason, found in self.skipped.items()},
        }
