"""One distribution: counts by bucket, and what can be said of them.

What a mean or a percentile says of categories (an enumerated measure's values) is for the reader to
judge; `Histogram.is_categorical` tells.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mr.errors import UsageError
from mr.extras import import_pandas
from mr.histograms.definitions import Definition
from mr.tables import aligned, bars, html_table
from mr.text import counted

#: The client sent a sum of squares of 64 bits as two halves of 32: the upper one counts so much.
_HALF = 2**32
#: Kinds whose buckets stand for different things instead of amounts.
_CATEGORICAL = ("enumerated", "boolean", "flag")
#: Buckets that its table shows, and how long its longest bar is.
BUCKETS_SHOWN = 60
_BAR = 40


class Moments(NamedTuple):
    """Of the rows that tell a sum and that of the squares: their values, and the two sums."""

    count: int
    sum: int | float
    squares: int | float


class Told(NamedTuple):
    """Over how many values a histogram's statistics go: not every row tells every sum.

    sum, log_sum: values of the rows that tell the sum of values, and of their logarithms.
    squares, log_squares: of the rows that tell the squares as well.
    """

    sum: int
    log_sum: int
    squares: Moments
    log_squares: Moments


@dataclass(frozen=True, eq=False)
class Histogram:
    """The sum of some submissions of one measure; it never changes.

    counts: how many values fell into each bucket, an array of shape (buckets,).
    sum, log_sum, log_sum_squares: of the values x: of x, of ln(|x|+1), of its square.
    sum_squares: of the squares of x; where several large sums were added up it is an estimate (see
        `_squares`). Each of the four is None where no submission tells it, or no float can hold it.
    submissions: how many were added up.
    told: over how many values each of the sums goes; means and deviations are of those.
    name: what it is of, in words.
    """

    definition: Definition
    counts: NDArray[Any]
    sum: int | float | None
    log_sum: int | float | None
    log_sum_squares: int | float | None
    sum_squares: int | float | None
    submissions: int
    told: Told
    name: str = field(default="", kw_only=True)

    @classmethod
    def of_rows(
        cls, definition: Definition, rows: Iterable[Sequence[int | float]], name: str = ""
    ) -> "Histogram":
        """The sum of published rows: buckets, five statistics, submissions (more is not looked at).

        A statistic is None if all rows say -1, which stands for absent. Where some do, what is
        derived from it is that of the values of the other rows.
        """
        size = definition.buckets
        chosen = list(rows)
        counts = [sum(column) for column in zip(*(row[:size] for row in chosen), strict=True)]
        told_rows = [_told_by(row[:size], *row[size : size + 6]) for row in chosen]
        sums = (_total(numbers) for numbers in zip(*(sums for sums, _ in told_rows), strict=True))
        total, log_sum, log_squares, squares = sums if chosen else [None] * 4
        told = _together([told for _, told in told_rows])
        submissions = sum(row[size + 5] for row in chosen)
        array = np.array(counts or [0] * size)
        array.flags.writeable = False
        return cls(
            definition, array, total, log_sum, log_squares, squares, submissions, told, name=name
        )

    def __add__(self, other: "Histogram") -> "Histogram":
        """The sum of two of one definition. Raises UsageError for another one's."""
        if not isinstance(other, Histogram):
            return NotImplemented
        if other.definition != self.definition:
            raise UsageError("histograms of different definitions cannot be added up.")
        counts = self.counts + other.counts
        counts.flags.writeable = False
        names = ("sum", "log_sum", "log_sum_squares", "sum_squares")
        return Histogram(
            self.definition,
            counts,
            *(_total([getattr(self, name), getattr(other, name)]) for name in names),
            self.submissions + other.submissions,
            _together([self.told, other.told]),
            name=self.name if self.name == other.name else "",
        )

    @property
    def kind(self) -> str:
        """exponential, linear, enumerated, boolean or flag."""
        return self.definition.kind

    @property
    def is_categorical(self) -> bool:
        """Whether buckets stand for different things, so that their mean may mean nothing."""
        return self.kind in _CATEGORICAL

    @cached_property
    def count(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    @property
    def bounds(self) -> NDArray[np.int64]:
        """The lower bound of each bucket, shape (buckets,)."""
        return self.definition.bounds()

    @cached_property
    def ends(self) -> NDArray[np.float64]:
        """The upper end of each bucket, shape (buckets,); that of the last one is estimated.

        It is as far above the mean of the values in the last bucket as that is above the bucket's
        start; and the mean is what the sum leaves when the others lie in their buckets' middles.
        A sum of a part of the values stands for all of them.
        """
        ends = np.append(self.bounds[1:], self.bounds[-1]).astype(float)
        last, start = float(self.counts[-1]), float(self.bounds[-1])
        width = start - float(self.bounds[-2])
        mean = None
        if self.sum is not None and self.told.sum > 0 and last > 0:
            middles = (self.bounds[:-1] + ends[:-1]) / 2
            others = math.fsum((self.counts[:-1].astype(float) * middles).tolist())
            scale = self.count / self.told.sum
            mean = _finite(lambda: (self.sum * scale - others) / last)
        ends[-1] = start + width if mean is None else max(2 * mean - start, start)
        return ends

    @property
    def mean(self) -> float | None:
        """The mean of the values whose sum is told; None if there are none."""
        if self.sum is None or self.told.sum <= 0:
            return None
        return _finite(lambda: self.sum / self.told.sum)

    @property
    def median(self) -> float | None:
        """The 50th percentile, estimated."""
        return self.percentile(50)

    def percentile(self, p: float) -> float | None:
        """The value below which `p` percent lie, estimated within its bucket; None if empty.

        Within a bucket the values are taken to lie evenly; of an exponential kind, evenly in their
        logarithms, but for the first bucket. Raises UsageError unless 0 <= p <= 100.
        """
        if not 0 <= p <= 100:
            raise UsageError(f"a percentile is from 0 to 100, not {p}.")
        if self.count <= 0:
            return None
        remaining = self.count * p / 100
        place = 0
        for place, number in enumerate(self.counts.tolist()):
            if number > 0 and remaining <= number:
                return self._within(place, remaining / number)
            remaining -= max(number, 0)
        return float(self.ends[place])

    def percentiles(self, ps: Iterable[float] = (5, 25, 50, 75, 95)) -> dict[float, float | None]:
        """Several percentiles by their numbers."""
        return {p: self.percentile(p) for p in ps}

    def _within(self, place: int, share: float) -> float:
        start, end = float(self.bounds[place]), float(self.ends[place])
        if self.kind == "exponential" and start > 0 and end > 0:
            return start * (end / start) ** share
        return start + (end - start) * share

    @property
    def standard_deviation(self) -> float | None:
        """Of the values whose sum and squares are told, as a whole population; None without."""
        return _deviation(self.told.squares)

    @property
    def geometric_mean(self) -> float | None:
        """exp(mean of ln(x+1)) - 1, so that zeros count; None where logarithms were not summed."""
        if self.log_sum is None or self.told.log_sum <= 0:
            return None
        return _finite(lambda: math.exp(self.log_sum / self.told.log_sum) - 1)

    @property
    def geometric_standard_deviation(self) -> float | None:
        """exp(standard deviation of ln(x+1)), a factor; None where squares are not known."""
        deviation = _deviation(self.told.log_squares)
        return None if deviation is None else _finite(lambda: math.exp(deviation))

    def to_numpy(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Lower bounds and counts, two arrays of shape (buckets,)."""
        return self.bounds, self.counts

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each bucket: start, end, count, share.

        The last end is estimated. Raises UsageError when pandas is not installed.
        """
        return import_pandas().DataFrame(self._buckets())

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "definition": self.definition.to_json(),
            "submissions": self.submissions,
            "count": self.count,
            "sum": self.sum,
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
            "geometric_mean": self.geometric_mean,
            "percentiles": {str(p): value for p, value in self.percentiles().items()},
            "buckets": [
                dict(zip(("start", "end", "count", "share"), row, strict=True))
                for row in zip(*self._buckets().values(), strict=True)
            ],
        }

    def _buckets(self) -> dict[str, list]:
        counts = self.counts.tolist()
        shares = [number / self.count if self.count > 0 else 0.0 for number in counts]
        starts, ends = self.bounds.tolist(), self.ends.tolist()
        return {"start": starts, "end": ends, "count": counts, "share": shares}

    def plot(
        self,
        ax: Any = None,
        *,
        share: bool = True,
        outline: bool = False,
        label: str | None = None,
        title: str | None = None,
        color: str | None = None,
    ) -> Any:
        """Draw a bar for each bucket, all of one width, and return matplotlib's Axes.

        Bars are shares of all values, or counts; an `outline` leaves what is behind it to be seen,
        to compare several on one `ax`. `label` names it in a legend. Empty buckets at both ends are
        left out, as far as nothing else is drawn there. Raises UsageError when matplotlib is not
        installed, or when `ax` has a histogram of other buckets.
        """
        from mr import plotting

        buckets = self._buckets()
        return plotting.buckets(
            buckets["start"],
            buckets["share" if share else "count"],
            ax,
            y_label="share of values" if share else "values",
            x_label="value" if self.is_categorical else "value (lower bound of the bucket)",
            title=self.name if title is None else title,
            outline=outline,
            label=label,
            color=color,
        )

    def summary(self) -> list[str]:
        """What can be said of it, in one line to three; of categories no mean or percentile."""
        told = counted(self.submissions, "submission"), counted(self.count, "value")
        lines = [", ".join([self.kind, *told])]
        known = {
            "mean": self.mean,
            "standard deviation": self.standard_deviation,
            "geometric mean": self.geometric_mean,
        }
        if self.is_categorical or self.count <= 0:
            return lines
        means = [f"{name} {value:,.2f}" for name, value in known.items() if value is not None]
        percentiles = self.percentiles().items()
        estimates = ", ".join(
            f"{p}%: {value:,.1f}" for p, value in percentiles if value is not None
        )
        return [*lines, ", ".join(means), f"percentiles (estimates): {estimates}"]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The names of its columns, and as text each bucket's lower bound, count and share."""
        buckets = self._buckets()
        columns = (buckets[name] for name in ("start", "count", "share"))
        rows = [
            (f"{start:,}", f"{count:,}", f"{share:.1%}")
            for start, count, share in zip(*columns, strict=True)
        ]
        return ("from", "count", "share"), rows

    def __repr__(self) -> str:
        names, rows, drawn, notes = self._shown()
        whole = [(*row, bar) for row, bar in zip(rows, drawn, strict=True)]
        lines = aligned([(*names, ""), *whole], right=range(len(names)))
        return "\n".join([*lines, *notes])

    def _repr_html_(self) -> str:
        names, rows, drawn, notes = self._shown()
        return html_table(names, rows, notes, drawn)

    def _shown(self) -> tuple[tuple[str, ...], list[tuple[str, ...]], list[str], list[str]]:
        """Its table from the first value to the last, bars for it, and what stands below."""
        names, rows = self.table()
        filled = np.flatnonzero(self.counts).tolist() or [-1]
        shown = slice(filled[0], min(filled[-1] + 1, filled[0] + BUCKETS_SHOWN))
        drawn = bars(self.counts.tolist()[shown], _BAR)
        notes = []
        if self.count <= 0:
            notes.append("(no values)")
        if filled[-1] >= shown.stop:
            notes.append(f"(the first {BUCKETS_SHOWN} buckets of more)")
        title = [self.name] if self.name else []
        return names, rows[shown], drawn, [*notes, *title, *self.summary()]


def _total(numbers: Iterable[int | float | None]) -> int | float | None:
    """The sum of those that are not None; None if all are, or if no float can hold it."""
    present = [number for number in numbers if number is not None]
    total = _sum(present)
    return total if present and total == total else None


def _sum(numbers: Sequence[int | float]) -> int | float:
    """The exact sum, of floats rounded once; NaN if no float can hold it."""
    if all(type(number) is int for number in numbers):
        return sum(numbers)
    total = _finite(lambda: math.fsum(numbers))
    return math.nan if total is None else total


def _told_by(
    counts: Sequence[int],
    total: Any,
    log_sum: Any,
    log_squares: Any,
    low: Any,
    high: Any,
    sent: int,
) -> tuple[tuple[Any, ...], Told]:
    """The four sums of a row, None for absent, and over how many values each goes."""
    squares = _squares(low, high, sent)
    values = sum(counts)
    has_sum = total != -1
    # Some measures of the client say 0 instead of absent.
    has_logs = log_sum != -1 and not (has_sum and total and not log_sum)
    nothing = Moments(0, 0, 0)
    told = Told(
        values if has_sum else 0,
        values if has_logs else 0,
        Moments(values, total, squares) if has_sum and squares != -1 else nothing,
        Moments(values, log_sum, log_squares) if has_logs and log_squares != -1 else nothing,
    )
    sums = (total, log_sum, log_squares, squares)
    return tuple(None if number == -1 else number for number in sums), told


def _together(parts: Sequence[Told]) -> Told:
    """What several rows tell together."""

    def moments(some: Sequence[Moments]) -> Moments:
        return Moments(*(_sum([one[place] for one in some]) for place in range(3)))

    return Told(
        sum(one.sum for one in parts),
        sum(one.log_sum for one in parts),
        moments([one.squares for one in parts]),
        moments([one.log_squares for one in parts]),
    )


def _deviation(moments: Moments) -> float | None:
    """The standard deviation of the values behind two sums; None if there are none."""
    if moments.count <= 0:
        return None

    def deviation() -> float:
        variance = moments.squares / moments.count - (moments.sum / moments.count) ** 2
        return math.sqrt(variance) if not variance <= 0 else 0.0

    return _finite(deviation)


def _squares(low: int | float, high: int | float, submissions: int) -> int | float:
    """The sum of squares of a row; -1 if it is absent.

    The client wrote the lower half as a signed number, so of each submission whose lower half was
    2**31 or more 2**32 are missing. Of one submission that is known; of several it is known how
    many there are at least and at most, and the middle is taken.
    """
    if low == high == -1:
        return -1
    low, high = (0 if half == -1 else half for half in (low, high))
    least = max(-(low // _HALF), 0) if low < 0 else 0
    most = max(least, min(submissions, high)) if submissions > 1 else least
    return (
        low + (high + (least + most) / 2) * _HALF if most > least else low + (high + least) * _HALF
    )


def _finite(compute: Callable[[], float]) -> float | None:
    """What is computed; None if no float can hold it."""
    try:
        number = compute()
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
