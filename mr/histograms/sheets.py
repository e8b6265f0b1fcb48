"""Sheets: many cells of one measure at once, as arrays instead of objects.

A map task gathers its cells as sheets, and a reduce adds whole sheets with numpy. A sum is the same
exact number as in `merging`, in fixed point: six limbs of 32 bits, in units of 2**-96. What does
not fit (a part smaller than that, a sum of 2**94 or more, a count of 2**40 or more, more than
10,000 buckets) stays a `Cell`, an `Odd` one: exactness is never given up.

    sheets, odd = sheets_of(placed)             # of one measure: `Placed` cells
    for path, built, submitted, cell in cells_of(sheet): ...
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mr.exact import Partial
from mr.histograms.extraction import STATISTICS
from mr.histograms.filters import Path
from mr.histograms.merging import Cell, Sums
from mr.kernel.layout import FRACTION_BITS, KIND_FLOAT, KIND_INT, LIMBS, MOST_BUCKETS

_LIMB_BITS = 32
_LIMB_MASK = 2**_LIMB_BITS - 1
#: A sum of this magnitude, in units of 2**-FRACTION_BITS, is an odd cell's: far from what limbs
#: hold, so that sheets can be added without a look at each.
_SUM_LIMIT = 1 << (94 + FRACTION_BITS)
#: A count, and a number of submissions, of this magnitude is an odd cell's: millions of them fit
#: into 64 bits.
COUNT_LIMIT = 2**40

#: Bits of `Sheet.kinds`: some int was added, some float was added.
INT, FLOAT = KIND_INT, KIND_FLOAT

#: What has no submission date, in `Sheet.submitted`.
NO_DATE = -1


#: What a sheet is of: channel, major version, measure.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Cells of one measure with one number of buckets.

    A row is what was added up over records of one build date, submission date and filter path.
    Several rows may have these in common: they are added as others are.
    """

    #: Reason, application, OS, its version, architecture: what rows point into.
    paths: list[Path]
    #: YYYYMMDD: what rows point into.
    dates: list[str]
    #: Build id and revision: what rows point into.
    newest: list[tuple[str, str]]
    #: int32[rows].
    path_of: np.ndarray
    #: int32[rows], index into dates.
    built: np.ndarray
    #: int32[rows], index into dates; NO_DATE where a row does not count by submission date.
    submitted: np.ndarray
    #: int32[rows].
    newest_of: np.ndarray
    #: int64[rows].
    submissions: np.ndarray
    #: int64[rows, buckets].
    counts: np.ndarray
    #: uint8[rows, STATISTICS], of INT and FLOAT; 0 for a statistic that is absent.
    kinds: np.ndarray
    #: int64[rows, STATISTICS, LIMBS]: sum(limb[k] * 2**(32 * k - FRACTION_BITS)); signed, and not
    #: necessarily carried.
    limbs: np.ndarray

    def __len__(self) -> int:
        return len(self.path_of)

    @property
    def buckets(self) -> int:
        """The number of buckets of each row."""
        return self.counts.shape[1]


class Placed(NamedTuple):
    """A cell of a measure: where it belongs, and what was added up."""

    path: Path
    built: str
    #: None for one that does not count by submission date.
    submitted: str | None
    cell: Cell


#: A cell that does not fit into a sheet.
Odd = Placed


# --- sums in limbs ---


def carry(limbs: np.ndarray) -> None:
    """Carry in place, over the last axis: all limbs but the highest are from 0 to 2**32 - 1.

    So equal sums have equal limbs. Limbs must be below 2**62 in magnitude.
    """
    for place in range(LIMBS - 1):
        limb = limbs[..., place]
        limbs[..., place + 1] += limb >> _LIMB_BITS
        limb &= _LIMB_MASK


def scaled(partial: Partial | None) -> int | None:
    """An exact sum in units of 2**-FRACTION_BITS; None if it does not fit into limbs."""
    if partial is None:
        return 0
    if type(partial) is int:
        number = partial << FRACTION_BITS
    elif type(partial) is tuple:
        mantissa, exponent = partial
        if not -FRACTION_BITS <= exponent < FRACTION_BITS:
            return None
        number = mantissa << (exponent + FRACTION_BITS)
    else:
        return None
    return number if -_SUM_LIMIT < number < _SUM_LIMIT else None


def partial_of(kind: int, number: int) -> Partial | None:
    """The exact sum of a kind from units of 2**-FRACTION_BITS, as `exact_partial` gives it."""
    if not kind:
        return None
    if not kind & FLOAT:
        return number >> FRACTION_BITS
    if not number:
        return 0, 0
    zeros = (number & -number).bit_length() - 1
    return number >> zeros, zeros - FRACTION_BITS


_BYTES = LIMBS * _LIMB_BITS // 8


def limbs_of(numbers: Iterable[int]) -> np.ndarray:
    """Numbers in units of 2**-FRACTION_BITS as carried limbs, int64[numbers, LIMBS]."""
    data = b"".join([number.to_bytes(_BYTES, "little", signed=True) for number in numbers])
    digits = np.frombuffer(data, "<u4").reshape(-1, LIMBS)
    limbs = digits.astype(np.int64)
    limbs[:, -1] = digits[:, -1].astype(np.int32)
    return limbs


def numbers_of(limbs: np.ndarray) -> list[int]:
    """What `limbs_of` was given, for carried limbs of any shape, flat."""
    rows = limbs.reshape(-1, LIMBS)
    top = rows[:, -1]
    if len(top) and (top.max() >= 2**31 or top.min() < -(2**31)):  # more than was ever one sheet
        return [
            sum(limb << (_LIMB_BITS * place) for place, limb in enumerate(row))
            for row in rows.tolist()
        ]
    data = (rows & _LIMB_MASK).astype("<u4").tobytes()
    ends = range(_BYTES, len(data) + 1, _BYTES)
    return [int.from_bytes(data[end - _BYTES : end], "little", signed=True) for end in ends]


# --- cells ---


def sheets_of(placed: Iterable[Placed]) -> tuple[list[Sheet], list[Odd]]:
    """Cells of one measure as sheets, a sheet for each number of buckets; and what does not fit."""
    rows: dict[int, list[tuple[Placed, Sums, list[int]]]] = defaultdict(list)
    odd: list[Odd] = []
    for one in placed:
        for buckets, sums in one.cell.by_buckets.items():
            numbers = _fitting(sums) if buckets <= MOST_BUCKETS else None
            if numbers is None:
                odd.append(one._replace(cell=Cell({buckets: sums})))
            else:
                rows[buckets].append((one, sums, numbers))
    return [_sheet(rows[buckets]) for buckets in sorted(rows)], odd


def _fitting(sums: Sums) -> list[int] | None:
    """The statistics of sums that fit into a sheet; None if they do not."""
    if sums.counts.dtype == object or not -COUNT_LIMIT < sums.submissions < COUNT_LIMIT:
        return None
    if sums.bound >= COUNT_LIMIT and (
        sums.counts.max() >= COUNT_LIMIT or sums.counts.min() <= -COUNT_LIMIT
    ):
        return None
    numbers = list(map(scaled, sums.statistics))
    return None if None in numbers else numbers


#: The kind of an exact sum by its type.
_KIND_OF = {type(None): 0, int: INT, tuple: FLOAT}


def _sheet(rows: Sequence[tuple[Placed, Sums, list[int]]]) -> Sheet:
    paths, path_of = indexed([one.path for one, _, _ in rows])
    newest, newest_of = indexed([(sums.build, sums.revision) for _, sums, _ in rows])
    dates = sorted({date for one, _, _ in rows for date in (one.built, one.submitted) if date})
    place_of = {date: place for place, date in enumerate(dates)}
    place_of[None] = NO_DATE
    kinds = [_KIND_OF[type(partial)] for _, sums, _ in rows for partial in sums.statistics]
    return Sheet(
        paths=paths,
        dates=dates,
        newest=newest,
        path_of=path_of,
        built=np.array([place_of[one.built] for one, _, _ in rows], np.int32),
        submitted=np.array([place_of[one.submitted] for one, _, _ in rows], np.int32),
        newest_of=newest_of,
        submissions=np.array([sums.submissions for _, sums, _ in rows], np.int64),
        counts=np.array([sums.counts for _, sums, _ in rows], np.int64),
        kinds=np.array(kinds, np.uint8).reshape(-1, STATISTICS),
        limbs=limbs_of(number for _, _, numbers in rows for number in numbers).reshape(
            -1, STATISTICS, LIMBS
        ),
    )


def indexed(items: Sequence) -> tuple[list, np.ndarray]:
    """The distinct items, sorted, and each item's place among them as int32."""
    table = sorted(set(items))
    place_of = {item: place for place, item in enumerate(table)}
    return table, np.array([place_of[item] for item in items], np.int32)


def cells_of(sheet: Sheet) -> Iterator[Placed]:
    """Yield each row of a sheet as a cell of its own."""
    limbs = sheet.limbs.copy()
    carry(limbs)
    numbers = numbers_of(limbs)
    kinds = sheet.kinds.ravel().tolist()
    for row in range(len(sheet)):
        of_row = slice(STATISTICS * row, STATISTICS * (row + 1))
        build, revision = sheet.newest[sheet.newest_of[row]]
        sums = Sums(
            sheet.counts[row].astype(np.int64),
            int(sheet.submissions[row]),
            list(map(partial_of, kinds[of_row], numbers[of_row])),
            build,
            revision,
        )
        submitted = int(sheet.submitted[row])
        yield Placed(
            sheet.paths[sheet.path_of[row]],
            sheet.dates[sheet.built[row]],
            None if submitted == NO_DATE else sheet.dates[submitted],
            Cell({sheet.buckets: sums}),
        )


def settled(sheet: Sheet) -> tuple[Sheet, list[Odd]]:
    """A sheet in its one form, carried and with one kind for each sum; and what does not fit.

    For sheets that were added up in place, whose numbers may have become too large.
    """
    limbs = sheet.limbs.copy()
    carry(limbs)
    kinds = np.where(sheet.kinds & FLOAT, np.uint8(FLOAT), sheet.kinds)
    sheet = _replaced(sheet, slice(None), limbs, kinds)
    top = _SUM_LIMIT >> (_LIMB_BITS * (LIMBS - 1))
    fits = (
        (np.abs(limbs[:, :, -1]) < top).all(axis=1)
        & (sheet.counts < COUNT_LIMIT).all(axis=1)
        & (sheet.counts > -COUNT_LIMIT).all(axis=1)
        & (sheet.submissions < COUNT_LIMIT)
        & (sheet.buckets <= MOST_BUCKETS)
    )
    if fits.all():
        return sheet, []
    odd = list(cells_of(_replaced(sheet, ~fits, limbs, kinds)))
    return _replaced(sheet, fits, limbs, kinds), odd


def _replaced(
    sheet: Sheet, rows: slice | np.ndarray, limbs: np.ndarray, kinds: np.ndarray
) -> Sheet:
    """Some rows of a sheet, with these limbs and kinds in place of all rows' own."""
    return Sheet(
        paths=sheet.paths,
        dates=sheet.dates,
        newest=sheet.newest,
        path_of=sheet.path_of[rows],
        built=sheet.built[rows],
        submitted=sheet.submitted[rows],
        newest_of=sheet.newest_of[rows],
        submissions=sheet.submissions[rows],
        counts=sheet.counts[rows],
        kinds=kinds[rows],
        limbs=limbs[rows],
    )
