"""Distributions, against a direct computation over the values that fell into their buckets."""

import builtins
import json
import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.errors import UsageError
from mr.histograms.definitions import Definition
from mr.histograms.statistics import BUCKETS_SHOWN, Histogram

EXPONENTIAL = Definition("exponential", 1, 10_000, 10)
LINEAR = Definition("linear", 1, 10, 5)
ENUMERATED = Definition("enumerated", n_values=4)
BOOLEAN = Definition("boolean")

#: What follows the buckets of a row if all five statistics are absent.
ABSENT = [-1] * 5
#: Percentages whose rank needs no rounding that floats could do otherwise.
PERCENTAGES = st.integers(0, 100)

DEFINITIONS = st.sampled_from(
    [
        EXPONENTIAL,
        Definition("exponential", 1, 30_000, 50),
        Definition("exponential", 7, 1000, 3),
        LINEAR,
        Definition("linear", 1, 2000, 30),
        ENUMERATED,
        BOOLEAN,
        Definition("flag"),
    ]
)
VALUES = st.lists(st.integers(0, 12) | st.integers(0, 40_000), max_size=60)
FILLED = st.lists(st.integers(0, 12) | st.integers(0, 40_000), min_size=1, max_size=60)


def row(definition: Definition, values: Sequence[int], submissions: int = 1) -> list:
    """What a client would send of these values, all of it summed; submissions and an id follow."""
    bounds = definition.bounds().tolist()
    counts = [0] * len(bounds)
    for value in values:
        counts[sum(bound <= value for bound in bounds) - 1] += 1
    logs = [math.log(value + 1) for value in values]
    high, low = divmod(sum(value * value for value in values), 2**32)
    squares = math.fsum(log * log for log in logs)
    return [*counts, sum(values), math.fsum(logs), squares, low, high, submissions, 4711]


def histogram(definition: Definition, *groups: Sequence[int], name: str = "") -> Histogram:
    """The distribution of some groups of values, each of which is a row."""
    return Histogram.of_rows(definition, [row(definition, values) for values in groups], name)


def place(found: Histogram, value: float) -> int:
    """The bucket of a value."""
    return int(np.searchsorted(found.bounds, value, side="right")) - 1


def assert_same(one: Histogram, other: Histogram) -> None:
    """Everything is equal; sums of floats but for rounding."""
    assert one.definition == other.definition
    assert one.counts.tolist() == other.counts.tolist()
    assert (one.submissions, one.sum, one.sum_squares) == (
        other.submissions,
        other.sum,
        other.sum_squares,
    )
    assert one.log_sum == pytest.approx(other.log_sum)
    assert one.log_sum_squares == pytest.approx(other.log_sum_squares)


@given(DEFINITIONS, st.lists(VALUES, max_size=4))
def test_counts_are_those_of_the_values(definition: Definition, groups: list[list[int]]):
    """Each value is in the last bucket whose bound is at most the value, and none is lost."""
    found = histogram(definition, *groups)
    values = [value for group in groups for value in group]
    expected = np.bincount([place(found, value) for value in values], minlength=definition.buckets)

    assert found.counts.tolist() == expected.tolist()
    assert found.counts.shape == found.bounds.shape == found.ends.shape
    assert found.count == len(values)
    assert found.submissions == len(groups)
    assert found.kind == definition.kind


@given(DEFINITIONS, FILLED, FILLED)
def test_means_and_deviations_are_those_of_the_values(
    definition: Definition, one: list[int], other: list[int]
):
    """They come from sums over the values, so buckets do not blur them."""
    found = histogram(definition, one, other)
    values = [*one, *other]
    logs = [math.log(value + 1) for value in values]
    # Squares of up to 40,000 cancel out in the last of 53 bits.
    blur = max(values) * 1e-6

    assert found.sum == sum(values)
    assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-12)
    assert found.standard_deviation == pytest.approx(statistics.pstdev(values), abs=blur)
    assert found.geometric_mean == pytest.approx(math.expm1(statistics.fmean(logs)), abs=1e-9)
    spread = math.exp(statistics.pstdev(logs))
    assert found.geometric_standard_deviation == pytest.approx(spread, rel=1e-5)


@given(DEFINITIONS, FILLED, PERCENTAGES)
def test_a_percentile_is_in_the_bucket_of_its_value(
    definition: Definition, values: list[int], p: int
):
    """The estimate lies between the ends of the bucket that holds the value of that rank."""
    found = histogram(definition, values)
    rank = max(-(-len(values) * p // 100), 1)
    bucket = place(found, sorted(values)[rank - 1])

    estimate = found.percentile(p)

    assert found.bounds[bucket] * (1 - 1e-12) <= estimate <= found.ends[bucket] * (1 + 1e-12)


@given(DEFINITIONS, FILLED, st.lists(st.floats(0, 100), min_size=2, max_size=20))
def test_percentiles_never_fall(definition: Definition, values: list[int], ps: list[float]):
    """A greater percentage gives no smaller value, whatever the estimate of the last end."""
    found = histogram(definition, values)
    estimates = [found.percentile(p) for p in sorted(ps)]

    for lower, higher in pairwise(estimates):
        assert lower <= higher * (1 + 1e-12)


@given(DEFINITIONS, FILLED)
def test_percentiles_0_and_100_are_the_ends_of_what_is_filled(
    definition: Definition, values: list[int]
):
    """They are the start of the first filled bucket and the end of the last."""
    found = histogram(definition, values)
    filled = np.flatnonzero(found.counts)

    assert found.percentile(0) == found.bounds[filled[0]]
    assert found.percentile(100) == pytest.approx(found.ends[filled[-1]])
    assert found.median == found.percentile(50)


@given(DEFINITIONS, st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_addition_is_the_histogram_of_all_rows(
    definition: Definition, one: list[list[int]], other: list[list[int]]
):
    """`a + b` is what the rows of both give, in either order."""
    first, second = histogram(definition, *one), histogram(definition, *other)
    whole = histogram(definition, *one, *other)

    assert_same(first + second, whole)
    assert_same(second + first, whole)


@pytest.mark.parametrize(
    ("definition", "counts", "total", "p", "expected"),
    [
        (LINEAR, [0, 4, 0, 0, 0], 8, 50, 2.5),
        (LINEAR, [0, 4, 0, 0, 0], 8, 100, 4),
        (LINEAR, [1, 0, 0, 1, 0], 8, 50, 1),
        (LINEAR, [1, 0, 0, 1, 0], 8, 75, 8.5),
        (EXPONENTIAL, [4] + [0] * 9, 0, 25, 0.25),
        (EXPONENTIAL, [0, 0, 0, 4] + [0] * 6, 80, 0, 10),
        (EXPONENTIAL, [0, 0, 0, 4] + [0] * 6, 80, 50, 10 * math.sqrt(3.2)),
        (EXPONENTIAL, [0] * 9 + [2], 25_000, 100, 15_000),
        (EXPONENTIAL, [0] * 9 + [2], 25_000, 50, 10_000 * math.sqrt(1.5)),
        (BOOLEAN, [3, 1, 0], 1, 100, 2),
    ],
)
def test_percentiles_by_hand(
    definition: Definition, counts: list[int], total: int, p: float, expected: float
):
    """Evenly within a bucket; evenly in logarithms for exponential kinds, but for the first one."""
    found = Histogram.of_rows(definition, [[*counts, total, -1, -1, -1, -1, 1]])

    assert found.percentile(p) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "total", "end"),
    [
        # Others lie in the middles of their buckets: 0.5 and 5.5 are not the last one's.
        ([1, 0, 1, 0, 2], 0.5 + 5.5 + 30, 20),
        ([0, 0, 0, 0, 1], 13, 16),
        # The mean is below the last bucket: nothing is to be mirrored.
        ([0, 0, 0, 0, 1], 4, 10),
        # Nothing is known of the last bucket: as wide as the one before.
        ([0, 0, 0, 1, 0], 8, 13),
        ([0, 0, 0, 0, 1], -1, 13),
    ],
)
def test_the_end_of_the_last_bucket(counts: list[int], total: float, end: float):
    """It mirrors the start about the mean of what fell in; the other ends are the next bounds."""
    found = Histogram.of_rows(LINEAR, [[*counts, total, -1, -1, -1, -1, 1]])

    assert found.bounds.tolist() == [0, 1, 4, 7, 10]
    assert found.ends.tolist() == pytest.approx([1, 4, 7, 10, end])


@pytest.mark.parametrize("definition", [EXPONENTIAL, LINEAR, ENUMERATED, BOOLEAN])
@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_can_be_said_of_no_values(definition: Definition, rows: int):
    """Without rows, or with rows that hold no value, all is None but the counts."""
    found = Histogram.of_rows(definition, [row(definition, [])] * rows)

    assert found.counts.tolist() == [0] * definition.buckets
    assert (found.count, found.submissions) == (0, rows)
    assert [
        found.mean,
        found.median,
        found.standard_deviation,
        found.geometric_mean,
        found.geometric_standard_deviation,
    ] == [None] * 5
    assert found.percentiles() == dict.fromkeys((5, 25, 50, 75, 95))
    assert found.to_dict()["buckets"][0] == {"start": 0, "end": 1, "count": 0, "share": 0}


def test_absent_statistics_are_none():
    """A statistic that all rows call -1 is not known, nor what follows from it."""
    found = Histogram.of_rows(LINEAR, [[1, 0, 2, 0, 0, *ABSENT, 1], [0, 1, 0, 0, 0, *ABSENT, 2]])

    assert (found.count, found.submissions) == (4, 3)
    assert [found.sum, found.log_sum, found.log_sum_squares, found.sum_squares] == [None] * 4
    assert [found.mean, found.standard_deviation] == [None, None]
    assert [found.geometric_mean, found.geometric_standard_deviation] == [None, None]
    assert found.percentile(100) == 7


def test_absent_and_present_is_present():
    """A row that says -1 adds nothing to what the others tell."""
    rows = [[1, 0, 0, 0, 0, *ABSENT, 1], [0, 1, 0, 0, 0, 3, 1.5, 2.25, 9, 2, 1]]
    found = Histogram.of_rows(LINEAR, rows)
    parts = [Histogram.of_rows(LINEAR, [one]) for one in rows]

    for one in (found, parts[0] + parts[1], parts[1] + parts[0]):
        assert (one.sum, one.log_sum, one.log_sum_squares) == (3, 1.5, 2.25)
        assert one.sum_squares == 9 + 2 * 2**32
    assert (parts[0] + parts[0]).sum is None


@given(
    st.lists(st.tuples(FILLED, st.sampled_from(["all", "sum", "logs", "nothing"])), max_size=6),
    st.sampled_from([EXPONENTIAL, LINEAR]),
)
def test_what_some_rows_tell_is_of_their_values(groups: list, definition: Definition):
    """A mean or deviation is that of the values of the rows that tell the sums, not of all."""
    size = definition.buckets
    hidden = {
        "all": [],
        "sum": [size + 1, size + 2, size + 3, size + 4],
        "logs": [size, size + 3, size + 4],
        "nothing": range(size, size + 5),
    }
    rows = []
    for values, what in groups:
        one = row(definition, values)
        for number in hidden[what]:
            one[number] = -1
        rows.append(one)
    found = Histogram.of_rows(definition, rows)
    parts = [Histogram.of_rows(definition, [one]) for one in rows]
    summed = sum(parts[1:], parts[0]) if parts else found

    def of(*told: str) -> list[int]:
        return [value for values, what in groups if what in told for value in values]

    def close(number: float | None):
        return number if number is None else pytest.approx(number, rel=1e-6, abs=1e-3)

    summing, logging, whole = of("all", "sum"), of("all", "logs"), of("all")
    logs = [math.log(value + 1) for value in logging]
    for one in (found, summed):
        assert one.mean == close(statistics.fmean(summing) if summing else None)
        assert one.standard_deviation == close(statistics.pstdev(whole) if whole else None)
        geometric = math.exp(statistics.fmean(logs)) - 1 if logs else None
        assert one.geometric_mean == close(geometric)
        geometric = math.exp(statistics.pstdev(logs)) if logs else None
        assert one.geometric_standard_deviation == close(geometric)


def test_a_sum_of_some_values_stands_for_all_in_the_last_bucket():
    """Its end is the same whether a second row like the first tells its sum or not."""
    rows = [[0, 0, 0, 0, 2, 26, *ABSENT[1:], 1], [0, 0, 0, 0, 2, *ABSENT, 1]]

    assert Histogram.of_rows(LINEAR, rows).ends.tolist() == [1, 4, 7, 10, 16]
    assert Histogram.of_rows(LINEAR, rows).mean == 13


def test_sums_that_no_float_can_hold_are_none():
    """Of floats and of whole numbers; what the counts tell stays."""
    counts = [0, 0, 0, 0, 2]
    for total in (1.7e308, 10**400):
        rows = [[*counts, total, 1.7e308, 1.7e308, -1, 10**400, 1]] * 2
        found = Histogram.of_rows(LINEAR, rows)

        assert [found.mean, found.standard_deviation] == [None, None]
        assert [found.geometric_mean, found.geometric_standard_deviation] == [None, None]
        assert found.median == 11.5


def test_half_a_sum_of_squares_is_one():
    """The lower half alone is told by clients that count small values."""
    found = Histogram.of_rows(LINEAR, [[0, 2, 0, 0, 0, 4, -1, -1, 10, -1, 1]])

    assert found.sum_squares == 10
    assert found.standard_deviation == 1


def test_logarithms_of_zero_for_a_sum_that_is_not_zero_are_absent():
    """Some measures say 0 where they have not summed: that is no geometric mean of 0."""
    absent = Histogram.of_rows(LINEAR, [[0, 2, 0, 0, 0, 4, 0, 0, -1, -1, 1]])
    zeros = Histogram.of_rows(LINEAR, [[2, 0, 0, 0, 0, 0, 0, 0, -1, -1, 1]])

    assert (absent.geometric_mean, absent.geometric_standard_deviation) == (None, None)
    assert (zeros.geometric_mean, zeros.geometric_standard_deviation) == (0, 1)


def test_what_no_float_can_hold_is_none():
    """Sums of logarithms that no values can have do not end in an error."""
    found = Histogram.of_rows(LINEAR, [[1, 0, 0, 0, 0, 1, 1e9, 1e300, -1, -1, 1]])

    assert found.geometric_mean is None
    assert found.geometric_standard_deviation is None


def test_a_deviation_is_never_of_a_negative_number():
    """Squares that are less than the mean's (a client's error) give 0."""
    found = Histogram.of_rows(LINEAR, [[0, 0, 2, 0, 0, 10, 3, 1, 1, 0, 1]])

    assert found.standard_deviation == 0
    assert found.geometric_standard_deviation == 1


@pytest.mark.parametrize("p", [-0.1, 100.1, math.nan, math.inf])
def test_a_percentile_is_from_0_to_100(p: float):
    """Anything else is refused, also where there is nothing."""
    with pytest.raises(UsageError, match="a percentile is from 0 to 100, not"):
        histogram(LINEAR).percentile(p)


def test_percentiles_by_their_numbers():
    """Those that were asked for, in that order."""
    found = histogram(LINEAR, [1, 2, 3, 8])

    assert found.percentiles((90, 10)) == {90: found.percentile(90), 10: found.percentile(10)}
    assert list(found.percentiles()) == [5, 25, 50, 75, 95]


def test_histograms_of_different_definitions_do_not_add_up():
    """Their buckets are not the same; what is no histogram does not add at all."""
    with pytest.raises(UsageError, match="different definitions cannot be added up"):
        histogram(LINEAR) + histogram(Definition("linear", 1, 11, 5))
    with pytest.raises(TypeError):
        histogram(LINEAR) + 1


def test_descriptions_do_not_matter_to_addition():
    """A definition is its kind and its numbers."""
    told = Definition("linear", 1, 10, 5, description="Lines")

    assert (histogram(LINEAR, [2]) + histogram(told, [3])).count == 2


def test_a_histogram_does_not_change():
    """Neither by assignment, nor through its arrays, nor by addition."""
    found = histogram(LINEAR, [2])
    whole = found + found

    for one in (found, whole):
        with pytest.raises(ValueError, match="read-only"):
            one.counts[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            one.bounds[0] = 1
    with pytest.raises(AttributeError):
        found.submissions = 3
    assert found.counts.tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("definition", "categorical"),
    [
        (EXPONENTIAL, False),
        (LINEAR, False),
        (ENUMERATED, True),
        (BOOLEAN, True),
        (Definition("flag"), True),
    ],
)
def test_categories_are_told(definition: Definition, categorical: bool):
    """So that a reader knows which means mean nothing."""
    assert histogram(definition).is_categorical is categorical


def test_arrays_tables_and_json_say_the_same():
    """`to_numpy`, `to_pandas` and `to_dict` have the buckets in order."""
    found = histogram(LINEAR, [1, 3, 8, 8])
    starts, counts = found.to_numpy()
    frame = found.to_pandas()
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert starts.tolist() == [0, 1, 4, 7, 10]
    assert counts.tolist() == [0, 2, 0, 2, 0]
    assert list(frame.columns) == ["start", "end", "count", "share"]
    assert frame["start"].tolist() == starts.tolist()
    assert frame["end"].tolist() == [1, 4, 7, 10, 13]
    assert frame["count"].tolist() == counts.tolist()
    assert frame["share"].tolist() == [0, 0.5, 0, 0.5, 0]
    assert document["buckets"] == frame.to_dict("records")
    assert document["definition"] == LINEAR.to_json()
    assert (document["submissions"], document["count"], document["sum"]) == (1, 4, 20)
    assert (document["mean"], document["standard_deviation"]) == (5, pytest.approx(9.5**0.5))
    assert document["percentiles"]["50"] == found.median == 4


def test_tables_need_pandas(monkeypatch: pytest.MonkeyPatch):
    """Without it the sentence says what to install."""
    real = builtins.__import__

    def without_pandas(name: str, *arguments, **options):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(UsageError, match=r"pip install 'mr-telemetry\[notebook\]'"):
        histogram(LINEAR).to_pandas()


def test_it_shows_itself_as_a_table_with_bars():
    """From its first value to its last, with what can be said of it below."""
    found = histogram(LINEAR, [1, 1, 5, 9, 9, 9], name="nightly/31 LINES, by build date")

    assert repr(found).splitlines() == [
        "from  count  share",
        f"   1      2  33.3%  {27 * '█'}",
        f"   4      1  16.7%  {13 * '█'}",
        f"   7      3  50.0%  {40 * '█'}",
        "nightly/31 LINES, by build date",
        "linear, 1 submission, 6 values",
        f"mean 5.67, standard deviation {found.standard_deviation:.2f}, "
        f"geometric mean {found.geometric_mean:.2f}",
        "percentiles (estimates): 5%: 1.4, 25%: 3.2, 50%: 7.0, 75%: 8.5, 95%: 9.7",
    ]


def test_an_empty_one_shows_that_it_is():
    """No rows, no mean, no percentile, and no failure."""
    assert repr(histogram(LINEAR)).splitlines() == [
        "from  count  share",
        "(no values)",
        "linear, 0 submissions, 0 values",
    ]


def test_categories_show_no_mean():
    """The mean of states means nothing."""
    shown = repr(histogram(Definition("enumerated", n_values=3), [0, 2, 2]))

    assert shown.splitlines()[-1] == "enumerated, 1 submission, 3 values"
    assert "mean" not in shown


def test_one_of_many_buckets_shows_the_first():
    """A notebook is not flooded, and the table says that there are more."""
    found = histogram(Definition("enumerated", n_values=900), [100, 102, 800])
    lines = repr(found).splitlines()

    assert lines[1].split()[:2] == ["100", "1"]
    assert lines[BUCKETS_SHOWN].split()[0] == str(100 + BUCKETS_SHOWN - 1)
    assert lines[BUCKETS_SHOWN + 1] == f"(the first {BUCKETS_SHOWN} buckets of more)"


def test_html_has_the_same_rows_and_is_escaped():
    """The same cells as in the text, and a name from a filter is never markup."""
    shown = histogram(LINEAR, [1, 5], name="x OS <b>&")._repr_html_()

    bar = '<td style="text-align:left;color:#0072B2">'
    assert f"<td>1</td><td>1</td><td>50.0%</td>{bar}{40 * '█'}</td>" in shown
    assert shown.count("<tr>") == 1 + 2
    assert "<p>x OS &lt;b&gt;&amp;</p>" in shown
    assert "<p>linear, 1 submission, 2 values</p>" in shown


def test_a_sum_keeps_a_name_that_both_have():
    """Of two names neither is that of the sum."""
    one, other = (histogram(LINEAR, [1], name=name) for name in ("one", "other"))

    assert ((one + one).name, (one + other).name) == ("one", "")
