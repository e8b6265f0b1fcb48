"""Rows of few records, which `min_count` leaves out of a result."""

from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

from mr.analysis import Analysis
from mr.errors import AnalysisError
from mr.items import Line, Pair, as_pair

#: Counts the rows that were left out.
LEFT_OUT = "rows below min_count"


def frequent_rows(analysis: Analysis, rows: Iterable[Any], where: str) -> Iterator[Any]:
    """The rows, yielded at `where`, whose count is at least `min_count`; the others are counted.

    The count is the value, or the first item of one that is a tuple or a list. Raises AnalysisError
    for a row without.
    """
    least = analysis.min_count
    for row in rows:
        if count_of(row, where) >= least:
            yield row
        else:
            analysis.count(LEFT_OUT)


def count_of(row: Any, where: str) -> Real:
    """The count of a row that user code yielded at `where`. Raises AnalysisError without one."""
    if isinstance(row, Line):
        raise AnalysisError(
            f"{where} yielded the line {row.text!r:.200}: with min_count a row is a pair, for a "
            "line has no count."
        )
    key, value = (row.key, row.value) if isinstance(row, Pair) else as_pair(row, where)
    count = value[0] if isinstance(value, tuple | list) and value else value
    if not isinstance(count, Real) or isinstance(count, bool):
        raise AnalysisError(
            f"{where} yielded the key {key!r:.200}: with min_count a value is a number, or a tuple "
            f"or list that begins with one, not {value!r:.200}."
        )
    return count
