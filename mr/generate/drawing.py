"""Drawing from a random stream, by `Random.random` alone, the same with every Python."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any

#: Frequencies: pairs of a thing and its weight, any positive number.
Weighted = Sequence[tuple[Any, float]]


def below(rng: Random, number: int) -> int:
    """From 0 to number - 1."""
    return int(rng.random() * number)


def pick(rng: Random, things: Sequence[Any]) -> Any:
    """One of the things, all equally likely."""
    return things[below(rng, len(things))]


def weighted(rng: Random, things: Weighted) -> Any:
    """One of the things, as likely as its weight says."""
    totals = list(accumulate(weight for _, weight in things))
    return things[bisect_left(totals, rng.random() * totals[-1])][0]


def skewed(rng: Random, low: int, high: int) -> int:
    """From low to high - 1, small ones far more often."""
    draw = rng.random()
    return low + int((high - low) * draw * draw * draw)


def hex_digits(rng: Random, digits: int) -> str:
    """So many hexadecimal digits; their number is a multiple of 8."""
    return "".join(f"{int(rng.random() * (1 << 32)):08x}" for _ in range(digits // 8))
