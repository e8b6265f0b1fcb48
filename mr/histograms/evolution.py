"""A measure's distribution by date."""

from collections.abc import Iterator, Mapping
from typing import Any

from mr.errors import UsageError
from mr.extras import import_pandas
from mr.histograms.statistics import Histogram
from mr.tables import aligned, html_table

#: The percentiles that it shows, all of them estimates.
PERCENTILES = (5, 25, 50, 75, 95)
#: Dates that its table shows.
DATES_SHOWN = 20


class Evolution(Mapping[str, Histogram]):
    """Date (YYYYMMDD) to distribution, in order of the dates. Dates without submissions are absent.

    name: what it is of, in words.
    by: the kind of its dates, build or submission.
    """

    def __init__(self, histograms: Mapping[str, Histogram], name: str = "", by: str = "build"):
        self._histograms = dict(sorted(histograms.items()))
        self.name = name
        self.by = by

    def __getitem__(self, day: str) -> Histogram:
        return self._histograms[day]

    def __iter__(self) -> Iterator[str]:
        return iter(self._histograms)

    def __len__(self) -> int:
        return len(self._histograms)

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each date.

        Columns: date, submissions, count, mean, and the estimated percentiles p5, p25, p50, p75,
        p95. Raises UsageError when pandas is not installed.
        """
        return import_pandas().DataFrame(self._rows(), columns=self._columns())

    def plot(self, ax: Any = None, *, title: str | None = None, color: str | None = None) -> Any:
        """Draw mean, median and bands between percentiles by date, and submissions below.

        Percentiles are estimates, and are left out, as the mean is, for categories. Dates that are
        missing are gaps. Returns matplotlib's Axes of the upper panel. Raises UsageError when
        matplotlib is not installed, or a date is none.
        """
        from mr import plotting

        try:
            days = [plotting.day_of(day) for day in self]
        except ValueError as error:
            raise UsageError(
                f"{self.name or 'the evolution'} has a key that is no date: {error}."
            ) from None
        rows = self._rows()
        columns = list(zip(*rows, strict=True)) or [()] * len(self._columns())
        _, submissions, _, means, *percentiles = columns
        return plotting.evolution(
            days,
            means,
            dict(zip(PERCENTILES, percentiles, strict=True)),
            submissions,
            ax,
            title=self.name if title is None else title,
            x_label=f"{self.by} date",
            y_label="value",
            color=color,
        )

    def _columns(self) -> list[str]:
        return ["date", "submissions", "count", "mean", *(f"p{p}" for p in PERCENTILES)]

    def _rows(self) -> list[tuple[Any, ...]]:
        """The rows of its table; of categories mean and percentiles are None."""
        rows = []
        for day, one in self.items():
            amounts = (None,) * (1 + len(PERCENTILES))
            if not one.is_categorical:
                amounts = (one.mean, *one.percentiles(PERCENTILES).values())
            rows.append((day, one.submissions, one.count, *amounts))
        return rows

    def __repr__(self) -> str:
        rows, notes = self._shown()
        return "\n".join([*aligned(rows, right=range(1, len(rows[0]))), *notes])

    def _repr_html_(self) -> str:
        rows, notes = self._shown()
        return html_table(rows[0], rows[1:], notes)

    def _shown(self) -> tuple[list[list[str]], list[str]]:
        """The names and rows of its table as text, and what stands below it."""
        rows = [
            [
                day,
                f"{submissions:,}",
                f"{count:,}",
                *("" if a is None else f"{a:,.1f}" for a in rest),
            ]
            for day, submissions, count, *rest in self._rows()
        ]
        notes = [self.name] if self.name else []
        if not rows:
            notes.insert(0, "(no dates)")
        elif len(rows) > DATES_SHOWN:
            notes.insert(0, f"(the last {DATES_SHOWN} of {len(rows):,} dates)")
            rows = rows[-DATES_SHOWN:]
        return [self._columns(), *rows], [*notes, f"by {self.by} date; percentiles are estimates"]
