"""Adding histograms up: the pure core, in which no order and no grouping changes a bit.

A `Cell` is all that was added up under one key. Arrays of different lengths come from different
definitions, so it keeps a `Sums` for each number of buckets. "Buckets" always means the counts
alone, without the five statistics and the submissions.

    total = from_state(first)
    for state in rest:
        total.add(from_state(state))
    chosen = layouts([total])[0].buckets
    array = published(total, chosen)

Counts and ints are exact at any size, floats are added as `mr.exact` adds; a statistic that was
never there stays absent, whatever number stands for that in files. States are canonical: equal
cells have equal states, and equal bytes of JSON.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mr.errors import AnalysisError, FormatError
from mr.exact import Partial, exact_partial, exact_sum
from mr.histograms.extraction import ABSENT, STATISTICS, Statistics

#: An int64 holds all below it.
_INT64_LIMIT = 2**63
_INT32_LIMIT = 2**31
_INTS = {int}
_NONES = {type(None)}


class Sums:
    """What was added up over arrays of one number of buckets; it changes by `add`.

    `counts` is int64, or Python ints (dtype object) where these need more. `statistics` are five
    exact partial sums, None for one that is absent. `build` is the newest build id, and `revision`
    its revision: of several revisions of one build, the last one as text.
    """

    __slots__ = ("bound", "build", "counts", "revision", "statistics", "submissions")

    def __init__(
        self,
        counts: np.ndarray,
        submissions: int,
        statistics: list[Partial | None],
        build: str,
        revision: str,
        bound: int = _INT64_LIMIT,
    ) -> None:
        """Take over `counts` and `statistics`; `bound` is at least every count's magnitude."""
        self.counts = counts
        self.submissions = submissions
        self.statistics = statistics
        self.build = build
        self.revision = revision
        self.bound = bound

    def copy(self) -> "Sums":
        """Return Sums that share nothing that changes."""
        return Sums(
            self.counts.copy(),
            self.submissions,
            list(self.statistics),
            self.build,
            self.revision,
            self.bound,
        )

    def add(self, other: "Sums") -> None:
        """Add sums over arrays of the same number of buckets; `other` stays as it is."""
        self._add_counts(other.counts, other.bound)
        self.submissions += other.submissions
        self.statistics = list(map(_plus, self.statistics, other.statistics))
        self.build, self.revision = max((self.build, self.revision), (other.build, other.revision))

    def _add_counts(self, counts: np.ndarray, bound: int) -> None:
        # Most additions need no look at the numbers: the bounds tell that all fit.
        if self.bound + bound >= _INT64_LIMIT:
            self.bound, bound = _largest(self.counts), _largest(counts)
            dtype = np.int64 if self.bound + bound < _INT64_LIMIT else object
            self.counts = self.counts.astype(dtype, copy=False)
            counts = counts.astype(dtype, copy=False)
        self.counts += counts
        self.bound += bound


def sums_of(
    rows: np.ndarray,
    statistics: Sequence[Statistics],
    build: str,
    revision: str,
    largest: int | None = None,
) -> Sums:
    """Return the sums over at least one array, all at once.

    `rows` are their counts, of shape (arrays, buckets), int64 or Python ints. `largest` is at least
    every count's magnitude, for a caller that knows.
    """
    bound = (_largest(rows) if largest is None else largest) * len(rows)
    dtype = np.int64 if bound < _INT64_LIMIT else object
    rows = rows.astype(dtype, copy=False)
    if len(rows) == 1:  # as in most groups of a small block
        partials = [exact_partial((n,)) if type(n) is float else n for n in statistics[0]]
        return Sums(rows[0].copy(), 1, partials, build, revision, bound)
    partials = list(map(_column, zip(*statistics, strict=True)))
    return Sums(rows.sum(axis=0), len(rows), partials, build, revision, bound)


def _largest(counts: np.ndarray) -> int:
    """Return the largest magnitude of ints of any size."""
    return max(int(counts.max()), -int(counts.min()))


def _plus(a: Partial | None, b: Partial | None) -> Partial | None:
    if b is None:
        return a
    if a is None:
        return b
    if type(a) is int and type(b) is int:
        return a + b
    return exact_partial((a, b))


def _column(numbers: tuple[int | float | None, ...]) -> Partial | None:
    kinds = set(map(type, numbers))
    if kinds == _INTS:
        return sum(numbers)
    if kinds == _NONES:
        return None
    return exact_partial([number for number in numbers if number is not None])


class Cell:
    """Sums by their number of buckets; it changes by `add`."""

    __slots__ = ("by_buckets",)

    def __init__(self, by_buckets: dict[int, Sums] | None = None) -> None:
        self.by_buckets = {} if by_buckets is None else by_buckets

    def add_sums(self, sums: Sums) -> None:
        """Add sums; they may be kept and changed, so they are the cell's from now on."""
        mine = self.by_buckets.setdefault(len(sums.counts), sums)
        if mine is not sums:
            mine.add(sums)

    def add(self, other: "Cell") -> None:
        """Add another cell, which stays as it is."""
        for buckets, sums in other.by_buckets.items():
            mine = self.by_buckets.get(buckets)
            if mine is None:
                self.by_buckets[buckets] = sums.copy()
            else:
                mine.add(sums)

    def __eq__(self, other: object) -> bool:
        return to_json(self) == to_json(other) if isinstance(other, Cell) else NotImplemented

    __hash__ = None

    def __repr__(self) -> str:
        return f"<Cell {to_json(self)}>"


def merge(a: Cell, b: Cell) -> Cell:
    """Return the sum of two cells, which stay as they are."""
    total = Cell()
    total.add(a)
    total.add(b)
    return total


# --- what is published ---


class Layout(NamedTuple):
    """A number of buckets that a measure came with, its newest build, and how often it came."""

    build: str
    buckets: int
    revision: str
    submissions: int


def layouts(cells: Iterable[Cell]) -> list[Layout]:
    """Return the layouts of a measure's cells, the newest build's first; it is the published one.

    Of several layouts of one build the longer counts as newer. Submissions are those of the given
    cells: a submission that stands in two of them counts twice.
    """
    return merge_layouts(
        Layout(sums.build, buckets, sums.revision, sums.submissions)
        for cell in cells
        for buckets, sums in cell.by_buckets.items()
    )


def merge_layouts(many: Iterable[Layout]) -> list[Layout]:
    """Return one layout for each number of buckets among many, the newest build's first."""
    found: dict[int, Layout] = {}
    for one in many:
        known = found.get(one.buckets)
        if known is not None:
            build, revision = max((one.build, one.revision), (known.build, known.revision))
            submissions = one.submissions + known.submissions
            one = Layout(build, one.buckets, revision, submissions)
        found[one.buckets] = one
    return sorted(found.values(), reverse=True)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A measure of which more than one layout was seen: what is published and what is left out."""

    measure: str
    published: Layout
    left_out: tuple[Layout, ...]

    def __str__(self) -> str:
        others = ", ".join(
            f"{layout.buckets} buckets (newest build {layout.build},"
            f" submissions: {layout.submissions})"
            for layout in self.left_out
        )
        return (
            f"{self.measure} is published with {self.published.buckets} buckets, as in its newest"
            f" build {self.published.build}; left out: {others}"
        )


def mismatch(measure: str, found: list[Layout]) -> Mismatch | None:
    """Return what is left out of a measure with these layouts, None if nothing is."""
    return Mismatch(measure, found[0], tuple(found[1:])) if len(found) > 1 else None


def published(cell: Cell, buckets: int) -> list[int | float] | None:
    """Return counts, five statistics and submissions of arrays with so many buckets.

    Absent statistics are -1, floats are the correctly rounded sums (the largest double in place of
    an infinity, which JSON does not have). None if the cell has no such arrays.
    """
    sums = cell.by_buckets.get(buckets)
    if sums is None:
        return None
    return [*sums.counts.tolist(), *map(_number, sums.statistics), sums.submissions]


def _number(partial: Partial | None) -> int | float:
    if partial is None:
        return ABSENT
    number = exact_sum((partial,))
    if type(number) is float and math.isinf(number):
        return math.copysign(sys.float_info.max, number)
    return number


# --- states ---


def to_state(cell: Cell) -> tuple:
    """Return all of a cell as a storable value: tuples, ints, text and arrays of ints.

    For each number of buckets, rising: (build, revision, submissions, five statistics, counts).
    The counts are int32 if all magnitudes are below 2**31, int64 below 2**63, else a list.
    """
    return tuple(
        (sums.build, sums.revision, sums.submissions, tuple(sums.statistics), _narrow(sums))
        for _, sums in sorted(cell.by_buckets.items())
    )


def _narrow(sums: Sums) -> np.ndarray | list[int]:
    if sums.bound < _INT32_LIMIT:
        return sums.counts.astype(np.int32)
    largest = _largest(sums.counts)
    if largest < _INT32_LIMIT:
        return sums.counts.astype(np.int32)
    return sums.counts.astype(np.int64) if largest < _INT64_LIMIT else sums.counts.tolist()


def from_state(state: Any) -> Cell:
    """Return the cell that `to_state` gave. Raises FormatError if it cannot have."""
    try:
        return _cell(state)
    except (TypeError, ValueError, OverflowError, AnalysisError) as error:
        raise FormatError(
            f"this is not the state of a histogram's sums ({error}); what holds it is damaged"
        ) from error


def to_json(cell: Cell) -> str:
    """Return all of a cell as one line of JSON, the same for equal cells.

    For each number of buckets, rising: [build, revision, submissions, five statistics, counts].
    An absent statistic is null, a sum of ints a number, and a sum in which floats took part a text
    like "-1ap-3", its hexadecimal mantissa and the power of 2 that it is multiplied by.
    """
    rows = [
        (
            sums.build,
            sums.revision,
            sums.submissions,
            [_json_partial(partial) for partial in sums.statistics],
            sums.counts.tolist(),
        )
        for _, sums in sorted(cell.by_buckets.items())
    ]
    return json.dumps(rows, separators=(",", ":"))


def from_json(text: str | bytes) -> Cell:
    """Return the cell that `to_json` gave. Raises FormatError if it cannot have."""
    try:
        return from_rows(json.loads(text))
    except ValueError as error:
        raise FormatError(f"this is not the JSON of a histogram's sums ({error})") from error


def from_rows(rows: Any) -> Cell:
    """Return the cell that `to_json` gave, whose JSON was read already. Raises FormatError."""
    try:
        return _cell(
            (build, revision, submissions, tuple(map(_partial_of_json, statistics)), counts)
            for build, revision, submissions, statistics, counts in rows
        )
    except (TypeError, ValueError, OverflowError, AnalysisError) as error:
        raise FormatError(
            f"this is not the JSON of a histogram's sums ({error}); the file is damaged"
        ) from error


def _json_partial(partial: Partial | None) -> int | str | None:
    return f"{partial[0]:x}p{partial[1]}" if type(partial) is tuple else partial


def _partial_of_json(value: Any) -> Any:
    if type(value) is not str:
        return value
    mantissa, _, exponent = value.partition("p")
    return int(mantissa, 16), int(exponent)


def _cell(rows: Iterable) -> Cell:
    cell = Cell()
    for sums in _checked(rows):
        if len(sums.counts) in cell.by_buckets:
            raise ValueError("one number of buckets twice")
        cell.by_buckets[len(sums.counts)] = sums
    return cell


def _checked(rows: Iterable) -> Iterator[Sums]:
    for build, revision, submissions, statistics, counts in rows:
        if type(build) is not str or type(revision) is not str or type(submissions) is not int:
            raise ValueError("another type")
        if len(statistics) != STATISTICS:
            raise ValueError(f"{len(statistics)} statistics")
        for partial in statistics:
            if partial is not None and type(partial) is not int:
                if type(partial) is not tuple:
                    raise ValueError("a statistic of another type")
                exact_partial((partial,))  # raises for what is none
        yield _sums(build, revision, submissions, statistics, counts)


def _sums(build: str, revision: str, submissions: int, statistics: Any, counts: Any) -> Sums:
    if not isinstance(counts, np.ndarray):
        if type(counts) is not list or set(map(type, counts)) - _INTS:
            raise ValueError("a count that is no int")
        counts = np.array(counts, object)
        if len(counts) and _largest(counts) < _INT64_LIMIT:
            counts = counts.astype(np.int64)
    elif counts.dtype not in (np.int32, np.int64):
        raise ValueError(f"counts of dtype {counts.dtype}")
    if counts.ndim != 1 or not len(counts):
        raise ValueError("no counts")
    bound = _INT32_LIMIT if counts.dtype == np.int32 else _INT64_LIMIT
    counts = counts if counts.dtype == object else counts.astype(np.int64)
    return Sums(counts, submissions, list(statistics), build, revision, bound)
