"""Sums of ints and floats that do not depend on grouping or order.

    total = exact_sum(values)                       # in a reduce
    partial = exact_partial(values)                 # in a combine; goes where a value goes

A sum is kept exact and rounded once, at the end, so that any grouping into partials, in any order,
gives the same bits:

- ints alone add up to an int; once any float takes part, the sum is a float: the double nearest to
  the exact sum (ties to even), infinity where that is beyond the largest double;
- sums that come to zero are 0.0, never -0.0;
- with NaN, or with both infinities, among the values the sum is NaN; with one infinity, that one.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mr.errors import AnalysisError
from mr.keys import python_scalar, type_name

#: What `exact_partial` returns: an int where all values were ints, (mantissa, exponent) for the
#: exact sum mantissa * 2**exponent where floats took part, a float for NaN and the infinities.
Partial = int | float | tuple[int, int]

#: Exponent of the smallest positive double, 2**-1074; no exact sum needs a smaller one.
_LEAST_EXPONENT = sys.float_info.min_exp - sys.float_info.mant_dig
#: Bits of a double's mantissa.
_MANTISSA_BITS = sys.float_info.mant_dig
#: What makes an int of the fraction that `math.frexp` gives.
_MANTISSA_SCALE = 2.0**_MANTISSA_BITS

_KINDS = frozenset({int, float, tuple})


def exact_sum(values: Iterable[Any]) -> int | float:
    """Return the sum of ints, floats and partials, rounded once; see the module for the rules.

    Raises AnalysisError for a value that is none of these.
    """
    partial = exact_partial(values)
    return _rounded(*partial) if isinstance(partial, tuple) else partial


def exact_partial(values: Iterable[Any]) -> Partial:
    """Return the exact sum of ints, floats and partials as a value that can be stored and added.

    The partial of equal sums is equal: its mantissa is odd, or 0 with exponent 0. Memory does not
    grow with the number of values. Raises AnalysisError for a value that is none of these.
    """
    ints = 0
    scaled: dict[int, int] = defaultdict(int)  # exponent: sum of the mantissas that have it
    special = 0.0  # sum of the NaNs and infinities
    for value in values:
        if type(value) not in _KINDS:
            value = _plain(value)
        if type(value) is float:
            if math.isfinite(value):
                fraction, exponent = math.frexp(value)
                scaled[exponent - _MANTISSA_BITS] += int(fraction * _MANTISSA_SCALE)
            else:
                special += value
        elif type(value) is int:
            ints += value
        else:
            mantissa, exponent = _checked(value)
            scaled[exponent] += mantissa
    if math.isnan(special):
        return math.nan  # of the many NaNs, one
    if special:
        return special
    return _canonical(ints, scaled) if scaled else ints


def _canonical(ints: int, scaled: dict[int, int]) -> tuple[int, int]:
    least = min(0, *scaled)
    total = ints << -least
    for exponent, mantissa in scaled.items():
        total += mantissa << (exponent - least)
    if total == 0:
        return 0, 0
    zeros = (total & -total).bit_length() - 1
    return total >> zeros, least + zeros


def _rounded(mantissa: int, exponent: int) -> float:
    try:
        if exponent >= 0:
            return float(mantissa << exponent)
        return mantissa / (1 << -exponent)  # Python rounds the quotient of two ints correctly
    except OverflowError:
        return math.inf if mantissa > 0 else -math.inf


def _checked(partial: tuple) -> tuple[int, int]:
    if len(partial) == 2 and type(partial[0]) is int and type(partial[1]) is int:
        mantissa, exponent = partial
        if (mantissa & 1 and exponent >= _LEAST_EXPONENT) or mantissa == exponent == 0:
            return partial
    raise AnalysisError(
        "exact_sum was given a tuple that exact_partial did not make;"
        " give it ints, floats and what exact_partial returns"
    )


def _plain(value: Any) -> Any:
    """Return a bool, a subclass's instance or a numpy scalar as an int or a float."""
    if not isinstance(value, (int, float)):
        value = python_scalar(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise AnalysisError(
        f"exact_sum cannot add a {type_name(value)};"
        " give it ints, floats and what exact_partial returns"
    )
