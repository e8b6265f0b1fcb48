"""The lower bounds of buckets, against the client's own and against the formulas' laws."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.histograms import bounds
from mr.histograms.definitions import MOST_BOUND, Definition, load_definitions

REAL = Path(__file__).parent.parent.parent / "shared" / "data" / "definitions"
RANGES = REAL / "bucket-ranges-ad0ae007aa9e.json"
SOURCES = REAL / "Histograms-firefox-25.json"


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    """Any low, high and number of buckets that a definition accepts, of moderate size."""
    low = draw(st.integers(1, MOST_BOUND - 1) | st.integers(1, 100))
    high = draw(st.integers(low + 1, MOST_BOUND) | st.integers(low + 1, min(low + 300, MOST_BOUND)))
    return low, high, draw(st.integers(3, min(high - low + 2, 300)))


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            Definition("exponential", 1, 10000, 10),
            [0, 1, 3, 10, 32, 101, 319, 1006, 3172, 10000],
        ),
        (Definition("linear", 1, 10, 5), [0, 1, 4, 7, 10]),
        (Definition("linear", 1, 32768, 3), [0, 1, 32768]),
        (Definition("enumerated", n_values=3), [0, 1, 2, 3]),
        (Definition("boolean"), [0, 1, 2]),
        (Definition("flag"), [0, 1, 2]),
    ],
)
def test_known_bounds(definition: Definition, expected: list[int]):
    """Each kind has the bounds that are known of it."""
    found = definition.bounds()

    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_bounds_of_simple_measures():
    """They end as the client's do."""
    found = bounds.exponential(1, 30000, 50)

    assert len(found) == 50
    assert found[-4:].tolist() == [16527, 20161, 24593, 30000]


@pytest.mark.skipif(not RANGES.exists(), reason="the real definitions are not beside the checkout")
@pytest.mark.parametrize("path", [SOURCES, RANGES, None], ids=["sources", "ranges", "package"])
def test_every_real_definition_has_the_clients_bounds(path: Path | None):
    """The formulas give the bounds that the client had, for every measure of every file."""
    listed = json.loads(RANGES.read_text())["histograms"]
    found = load_definitions(path).definitions

    assert len(found) in (622, 832)
    for measure, definition in found.items():
        assert definition.bounds().tolist() == listed[measure]["buckets"], measure
        assert definition.buckets == listed[measure]["bucket_count"]


@pytest.mark.parametrize("kind", ["exponential", "linear"])
@given(numbers=ranges())
def test_bounds_rise_from_0_by_way_of_low_to_high(kind: str, numbers: tuple[int, int, int]):
    """Whatever the numbers: as many bounds as buckets, each larger than the one before."""
    low, high, buckets = numbers

    found = Definition(kind, low, high, buckets).bounds()

    assert found.shape == (buckets,)
    assert (np.diff(found) > 0).all()
    assert (found[0], found[1], found[-1]) == (0, low, high)


@given(st.integers(1, 3000))
def test_a_bucket_for_each_value_is_what_the_linear_formula_gives(values: int):
    """An enumerated measure and a linear one of the same numbers have the same bounds."""
    found = bounds.enumerated(values)

    assert found.tolist() == list(range(values + 1))
    if values > 1:
        assert (found == bounds.linear(1, values, values + 1)).all()


def test_shared_bounds_cannot_be_changed():
    """The same array is given out again, so nobody may write to it."""
    found = bounds.exponential(1, 100, 10)

    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    assert bounds.exponential(1, 100, 10) is found
