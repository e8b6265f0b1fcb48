"""Sums that do not depend on grouping or order."""

import math
import struct
import sys
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mr import values
from mr.errors import AnalysisError
from mr.exact import exact_partial, exact_sum

_MAX = sys.float_info.max
_LEAST = 5e-324

_INTS = st.one_of(st.integers(), st.sampled_from([0, 2**53 + 1, 2**1024, -(2**1100), 10**400]))
_FINITE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 0.1, 1e16, -1e16, 1.0, _MAX, -_MAX, _LEAST, -_LEAST, 2.0**970]),
)
_ANY = st.one_of(_INTS, _FINITE, st.sampled_from([math.inf, -math.inf, math.nan]))


def _reference(numbers: list) -> int | float:
    """The sum by the documented rules, in fractions."""
    if not any(isinstance(number, float) for number in numbers):
        return sum(numbers)
    odd_ones = [n for n in numbers if isinstance(n, float) and not math.isfinite(n)]
    if odd_ones:
        return sum(odd_ones)
    try:
        return float(sum(map(Fraction, numbers))) + 0.0
    except OverflowError:
        return math.inf if sum(map(Fraction, numbers)) > 0 else -math.inf


def _bits(number: int | float) -> object:
    return struct.pack(">d", number) if isinstance(number, float) else number


def _same(a: int | float, b: int | float) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


# --- laws ---


@given(st.lists(_ANY))
@example([1e16, 1.0, -1e16])
@example([_MAX, _MAX, -_MAX, -_MAX, 1.0])
@example([_MAX, 2.0**969])
@example([_MAX, 2.0**970])
@example([2**1100, 0.5, -(2**1100)])
@example([-0.0])
@example([_LEAST, -_LEAST])
@example([_LEAST] * 3)
@example([1, math.inf])
def test_the_sum_is_the_exact_one_rounded_once(numbers):
    """It equals the sum in fractions, rounded at the end, of the documented type."""
    assert _same(exact_sum(numbers), _reference(numbers))


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_the_sum_of_floats_is_fsum(numbers):
    """Where math.fsum can add, both agree."""
    assert exact_sum(numbers) == math.fsum(numbers)


@given(st.lists(_ANY), st.data())
def test_no_grouping_and_no_order_changes_a_bit(numbers, data):
    """Partials of any chunks, stored, shuffled and grouped again, give the very same sum."""
    items = list(numbers)
    for _ in range(3):
        items = data.draw(st.permutations(items))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(items)), max_size=4)))
        edges = [0, *cuts, len(items)]
        chunks = [items[a:b] for a, b in pairwise(edges)]
        items = [values.decode(values.encode(exact_partial(chunk))) for chunk in chunks]

    assert type(exact_sum(items)) is type(exact_sum(numbers))
    assert _bits(exact_sum(items)) == _bits(exact_sum(numbers))
    assert repr(exact_partial(items)) == repr(exact_partial(numbers))


@given(st.lists(_ANY))
def test_a_partial_is_canonical(numbers):
    """An int for ints, a float for NaN and infinities, else an odd (or no) mantissa."""
    partial = exact_partial(numbers)

    if not any(isinstance(number, float) for number in numbers):
        assert partial == sum(numbers)
        assert type(partial) is int
    elif not all(isinstance(n, int) or math.isfinite(n) for n in numbers):
        assert type(partial) is float
        assert not math.isfinite(partial)
    else:
        mantissa, exponent = partial
        assert mantissa % 2 == 1 or (mantissa, exponent) == (0, 0)
        assert mantissa * Fraction(2) ** exponent == sum(map(Fraction, numbers))


# --- examples ---


@pytest.mark.parametrize(
    ("numbers", "total"),
    [
        ([], 0),
        ([1, 2], 3),
        ([10**30, 1], 10**30 + 1),
        ([0.1] * 10, 1.0),
        ([1, 0.5], 1.5),
        ([1, 0.0], 1.0),
        ([1e308, 1e308, -1e308], 1e308),
        ([1e308, 1e308], math.inf),
        ([-1e308, -1e308], -math.inf),
        ([10**400, 0.5], math.inf),
        ([10**400, 0.5, -(10**400)], 0.5),
        ([math.inf, -(10**400)], math.inf),
        ([-math.inf, 1e308, 1e308], -math.inf),
        ([-0.0, -0.0], 0.0),
        ([_LEAST, _LEAST], 1e-323),
        ([2**53, 1.0], 2.0**53),
        ([2**53, 1.0, _LEAST], 2.0**53 + 2),
    ],
)
def test_sums_by_example(numbers, total):
    """The corners: no values, mixed types, overflow on the way and at the end, ties."""
    assert _same(exact_sum(numbers), total)
    assert math.copysign(1, exact_sum(numbers)) == math.copysign(1, total)


def test_every_nan_sum_has_the_same_bits():
    """NaN among the values and infinity minus infinity give one NaN."""
    sums = [
        exact_sum([math.nan, 1]),
        exact_sum([-math.nan]),
        exact_sum([math.inf, -math.inf]),
        exact_sum([-math.inf, exact_partial([1.0, math.inf])]),
    ]

    assert {_bits(total) for total in sums} == {_bits(math.nan)}


def test_bools_and_numpy_scalars_are_numbers():
    """They count as the int or float they hold."""
    assert _same(exact_sum([True, np.int64(2), np.uint8(255), np.bool_(True)]), 259)
    assert _same(exact_sum([np.float64(0.5), np.float32(0.25), 1]), 1.75)
    assert type(exact_partial([np.int64(1)])) is int


def test_a_long_stream_is_added_in_bounded_memory():
    """Values are taken one at a time and not kept."""
    count = 100_000
    tracemalloc.start()

    total = exact_sum(0.1 * (-1) ** (n % 2) + n for n in range(count))
    peak_bytes = tracemalloc.get_traced_memory()[1]

    tracemalloc.stop()
    assert total == math.fsum(0.1 * (-1) ** (n % 2) + n for n in range(count))
    assert peak_bytes < 200_000  # the values alone would be 2.4 MB


# --- refusals ---


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1", "str"),
        (None, "NoneType"),
        (1j, "complex"),
        (Decimal(1), "decimal.Decimal"),
        ([1], "list"),
        (np.array([1.0]), "numpy.ndarray"),
    ],
)
def test_another_type_is_refused_by_name(value, name):
    """What is no number is named, not converted."""
    with pytest.raises(AnalysisError, match=f"cannot add a {name};"):
        exact_sum([1, value])


@pytest.mark.parametrize("partial", [(2, 0), (0, 1), (1,), (1, 2, 3), (1, -1075), (1.0, 0), ()])
def test_a_tuple_that_is_no_partial_is_refused(partial):
    """Tuples of an analysis's own are not mistaken for sums."""
    with pytest.raises(AnalysisError, match="that exact_partial did not make"):
        exact_sum([1.5, partial])
