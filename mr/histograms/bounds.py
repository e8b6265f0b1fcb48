"""The lower bounds of buckets, as the client calculated them.

A value is counted in the last bucket whose lower bound is at most the value. All functions return
int64 arrays of shape (buckets,), strictly increasing from 0, that are shared and cannot be written
to. They expect numbers that a `Definition` has accepted.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Arrays of bounds that are kept; a release of the client has about a hundred different ones.
_KEPT = 512


@lru_cache(_KEPT)
def exponential(low: int, high: int, buckets: int) -> NDArray[np.int64]:
    """Bounds 0, low, ..., high, of which each is about the same multiple of the one before."""
    bounds = [0, low]
    for i in range(2, buckets):
        last = bounds[-1]
        log = math.log(last)
        bound = math.floor(math.exp(log + (math.log(high) - log) / (buckets - i)) + 0.5)
        bounds.append(max(bound, last + 1))
    return _shared(bounds)


@lru_cache(_KEPT)
def linear(low: int, high: int, buckets: int) -> NDArray[np.int64]:
    """Bounds 0, low, ..., high, of which each is about as far from the one before."""
    return _shared(
        [
            0,
            *(
                math.floor((low * (buckets - 1 - i) + high * (i - 1)) / (buckets - 2) + 0.5)
                for i in range(1, buckets)
            ),
        ]
    )


@lru_cache(_KEPT)
def enumerated(values: int) -> NDArray[np.int64]:
    """Bounds 0 .. values: a bucket for each value, and one for all beyond."""
    return _shared(range(values + 1))


def _shared(bounds: Iterable[int]) -> NDArray[np.int64]:
    array = np.array(bounds, dtype=np.int64)
    array.flags.writeable = False
    return array
