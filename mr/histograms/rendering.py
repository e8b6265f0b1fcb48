"""Many summed rows as text at once: what is published of them, and what a folder's state keeps.

The texts are those of `merging.to_json` and of `row_text`, for cells whose sums are in limbs.
"""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from mr.exact import exact_sum
from mr.histograms.extraction import ABSENT, STATISTICS
from mr.histograms.merging import Cell, published, to_json
from mr.histograms.sheets import (
    FLOAT,
    FRACTION_BITS,
    INT,
    LIMBS,
    carry,
    numbers_of,
    partial_of,
)
from mr.histograms.shelves import COUNTS_AT, LIMBS_AT

_encode = msgspec.json.encode


class Line(NamedTuple):
    """A cell of one number of buckets as text."""

    buckets: int
    #: As `merging.to_json` has it.
    state: bytes
    #: As it is published, without the brackets and the filter's id.
    row: bytes


class Lines(NamedTuple):
    """The texts of many cells of one number of buckets, as in `Line`."""

    buckets: int
    states: list[bytes]
    rows: list[bytes]


def line_of(cell: Cell, buckets: int) -> Line:
    """The text of a cell, as it is published with so many buckets: its row is empty without any."""
    row = published(cell, buckets)
    return Line(buckets, to_json(cell).encode(), b"" if row is None else row_text(row))


def row_text(row: Sequence[int | float]) -> bytes:
    """Numbers as JSON, without the brackets; ints of any size."""
    try:
        return _encode(row)[1:-1]
    except OverflowError:
        return b",".join(str(n).encode() if type(n) is int else _encode(n) for n in row)


def newest_text(build: str, revision: str) -> bytes:
    """How the state of a cell begins."""
    return b"[[%s,%s," % (json.dumps(build).encode(), json.dumps(revision).encode())


@dataclass(frozen=True, slots=True)
class Texts:
    """What rows of any layouts have beside their counts, as text.

    It is made for thousands of rows at once, of many measures: of a measure's hundred rows each
    step would take longer to begin than to do (a fifth of the time of publishing).
    """

    #: Build, revision, submissions and statistics, as in a state.
    heads: list[bytes]
    #: Statistics and submissions, as they are published.
    ends: list[bytes]

    @classmethod
    def of(cls, vectors: np.ndarray, kinds: np.ndarray, newest: Iterable[bytes]) -> "Texts":
        """The texts of rows: `vectors` is int64[rows, COUNTS_AT], and is changed.

        `kinds` has the rows' packed kinds, `newest` the `newest_text` of each.
        """
        limbs = vectors[:, LIMBS_AT:COUNTS_AT].reshape(len(vectors), STATISTICS, LIMBS)
        carry(limbs)
        found = [
            _statistic(kinds >> (2 * place) & 3, limbs[:, place]) for place in range(STATISTICS)
        ]
        numbers, partials = zip(*found, strict=True)
        submissions = vectors[:, 0].tolist()
        sums = map(",".join, zip(*partials, strict=True))
        return cls(
            [
                b"%s%d,[%s],[" % (head, times, texts.encode())
                for head, times, texts in zip(newest, submissions, sums, strict=True)
            ],
            _rows_text(list(zip(*numbers, submissions, strict=True))),
        )

    def lines(self, start: int, counts: np.ndarray) -> Lines:
        """The lines of some rows with their counts, int64[rows, buckets]."""
        rows, buckets = counts.shape
        few = slice(start, start + rows)
        texts = _rows_text(counts.tolist())
        return Lines(
            buckets,
            [b"%s%s]]]" % pair for pair in zip(self.heads[few], texts, strict=True)],
            [b"%s,%s" % pair for pair in zip(texts, self.ends[few], strict=True)],
        )


def _rows_text(rows: list[Sequence[int | float]]) -> list[bytes]:
    # All at once, and cut apart: 0.3 us instead of 0.45 us a row.
    try:
        return _encode(rows)[2:-2].split(b"],[")
    except OverflowError:
        return list(map(row_text, rows))


def _statistic(kinds: np.ndarray, limbs: np.ndarray) -> tuple[Sequence, Sequence[str]]:
    """One statistic of many rows: the numbers that are published, and the partials as text."""
    found = set(np.unique(kinds).tolist())
    if found == {0}:
        return [ABSENT] * len(kinds), ["null"] * len(kinds)
    if found == {INT}:
        ints = _ints(limbs)
        return ints, list(map(str, ints))
    if not found & {0, INT}:
        return _floats(limbs), _float_texts(limbs)
    shown: list[int | float] = [ABSENT] * len(kinds)
    kept = ["null"] * len(kinds)
    for kind in found - {0}:
        places = np.flatnonzero(kinds == kind)
        few = _statistic(kinds[places], limbs[places])
        for place, number, text in zip(places.tolist(), *few, strict=True):
            shown[place], kept[place] = number, text
    return shown, kept


_WHOLE = FRACTION_BITS // 32


def _ints(limbs: np.ndarray) -> list[int]:
    high = limbs[:, _WHOLE + 1]
    top = limbs[:, _WHOLE + 2]
    if not top.any() and not (high >> 31).any():  # below 2**63 and not negative
        return (limbs[:, _WHOLE] + (high << 32)).tolist()
    return [number >> FRACTION_BITS for number in numbers_of(limbs)]


def _float_texts(limbs: np.ndarray) -> list[str]:
    # As `partial_of` has them, but without a call and a tuple for each.
    return [
        f'"{number >> zeros:x}p{zeros - FRACTION_BITS}"'
        if (zeros := (number & -number).bit_length() - 1) >= 0
        else '"0p0"'
        for number in numbers_of(limbs)
    ]


def _floats(limbs: np.ndarray) -> list[float]:
    numbers, sure = rounded(limbs)
    floats = numbers.tolist()
    places = np.flatnonzero(~sure)
    if len(places):
        few = numbers_of(limbs[places])
        for place, number in zip(places.tolist(), few, strict=True):
            value = exact_sum((partial_of(FLOAT, number),))
            largest = math.copysign(sys.float_info.max, value)
            floats[place] = largest if math.isinf(value) else value
    return floats


#: The parts of a sum, from carried limbs: below 53 bits each, but for the whole.
_WHOLE_LIMIT = 2**53
_LOW_BITS = 11


def rounded(limbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The doubles nearest to carried sums, float64[rows], and of which rows that is sure, bool.

    0.03 us a sum; by big ints it is 2 us. A sum is the exact sum of three doubles: its whole part,
    the upper 53 bits of its fraction, and the rest. Adding the first two leaves an error that is a
    double. What the error and the rest do to the last bit is sure unless they are about half of it.
    """
    fraction = (limbs[:, 2] << (32 - _LOW_BITS)) + (limbs[:, 1] >> _LOW_BITS)
    rest = ((limbs[:, 1] & (2**_LOW_BITS - 1)) << 32) + limbs[:, 0]
    high = limbs[:, 4] + (limbs[:, 5] << 32)
    small = (
        (high < _WHOLE_LIMIT >> 32)
        & (high >= -(_WHOLE_LIMIT >> 32))
        & (np.abs(limbs[:, 5]) < 2**30)
    )
    whole = np.where(small, (high << 32) + limbs[:, 3], 0)
    one, other = whole.astype(np.float64), np.ldexp(fraction.astype(np.float64), _LOW_BITS - 64)
    total = one + other
    part = total - one
    error = (one - (total - part)) + (other - part)
    least = np.ldexp(rest.astype(np.float64), -FRACTION_BITS)
    small_part = error + least
    exact = (error == 0) | (least == 0)
    margin = np.where(exact, 0.0, 2.0**-50)
    low, up = total + small_part * (1 - margin), total + small_part * (1 + margin)
    return low, small & (low == up)
