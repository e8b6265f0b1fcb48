"""Numbers of records, and medians that stay exact when they are combined."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

#: A float holds every whole number up to here.
MOST = 2**53

#: How often each value came, in the order of the values: [[value, times], ...].
Counted = list[list[float]]


def is_measure(value: Any) -> bool:
    """Whether a value is a number as a client measures: from 0 on, finite and no bool."""
    return type(value) in (int, float) and 0 <= value <= MOST


def counted(values: Iterable[float]) -> Counted:
    """How often each value came."""
    return added([value, 1] for value in map(float, values))


def added(pairs: Iterable[list[float]]) -> Counted:
    """Pairs of a value and how often it came, those of equal values added up."""
    times: Counter[float] = Counter()
    for value, number in pairs:
        times[value] += number
    return [[value, times[value]] for value in sorted(times)]


def median(found: Counted) -> float:
    """The value in the middle, or the mean of the two there; there is at least one."""
    ends = list(accumulate(number for _, number in found))
    middle = (ends[-1] - 1) // 2, ends[-1] // 2
    low, high = (found[bisect_right(ends, place)][0] for place in middle)
    return (low + high) / 2
