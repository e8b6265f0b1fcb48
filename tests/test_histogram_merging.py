"""Adding histograms up: any order and any grouping, the same bits."""

import itertools
import json
import math
import struct
from collections import Counter
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read

from mr import values
from mr.errors import FormatError
from mr.histograms import gathering
from mr.histograms.extraction import FilterPath, Statistics, simple_histogram
from mr.histograms.gathering import Gathering
from mr.histograms.merging import (
    Cell,
    Layout,
    from_json,
    from_state,
    layouts,
    merge,
    mismatch,
    published,
    sums_of,
    to_json,
    to_state,
)
from mr.histograms.placing import Place
from mr.histograms.sheets import Sheet, cells_of

_MAX = 1.7976931348623157e308
_COUNTS = st.one_of(
    st.integers(-3, 1000),
    st.sampled_from([2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63), 2**63, 10**30, -(10**30)]),
)
_NUMBERS = st.one_of(
    st.none(),
    st.integers(-3, 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-1, 0.1, 1e16, -1e16, _MAX, 5e-324, 2**64, -(10**30)]),
)
_NEWEST = st.tuples(st.sampled_from(["2013", "201306", "2014", "0"]), st.sampled_from("abc"))


@st.composite
def histogram(draw, buckets=None):
    """One histogram: (build, revision), counts, statistics."""
    length = draw(st.integers(1, 3)) if buckets is None else buckets
    counts = draw(st.lists(_COUNTS, min_size=length, max_size=length))
    return draw(_NEWEST), counts, Statistics(*draw(st.tuples(*[_NUMBERS] * 5)))


def array(counts):
    """Counts as extraction gives them."""
    wide = any(not -(2**63) <= count < 2**63 for count in counts)
    return np.array(counts, object if wide else np.int64)


def cell_of(*items):
    """The cell of single histograms, added one after the other."""
    cell = Cell()
    for newest, counts, statistics in items:
        cell.add_sums(sums_of(array(counts).reshape(1, -1), [statistics], *newest))
    return cell


def state_bytes(cell):
    """A cell as it goes through a store; the JSON says the same."""
    data = values.encode(to_state(cell))
    assert to_json(from_state(values.decode(data))) == to_json(cell)
    assert values.encode(to_state(from_json(to_json(cell)))) == data
    return data


def total_of(numbers):
    """The published sum of a statistic, by fractions."""
    present = [number for number in numbers if number is not None]
    if not present:
        return -1
    total = sum(map(Fraction, present))
    if all(isinstance(number, int) for number in present):
        return int(total)
    try:
        return float(total)
    except OverflowError:
        return _MAX if total > 0 else -_MAX


def expected(items, buckets):
    """What is published of histograms, slowly."""
    these = [item for item in items if len(item[1]) == buckets]
    counts = [sum(column) for column in zip(*(counts for _, counts, _ in these), strict=True)]
    statistics = map(total_of, zip(*(numbers for *_, numbers in these), strict=True))
    return [*counts, *statistics, len(these)]


def bits(numbers):
    """Numbers such that 1 and 1.0, 0.0 and -0.0 differ."""
    return [struct.pack(">d", one) if isinstance(one, float) else one for one in numbers]


# --- laws ---


@given(st.lists(histogram(), max_size=6), st.lists(histogram(), max_size=6))
def test_merging_is_commutative(a, b):
    """To the last bit, and it changes neither side."""
    one, other = cell_of(*a), cell_of(*b)
    before = state_bytes(one), state_bytes(other)

    assert state_bytes(merge(one, other)) == state_bytes(merge(other, one))
    assert (state_bytes(one), state_bytes(other)) == before


@given(*[st.lists(histogram(buckets=2), max_size=3)] * 3)
def test_merging_is_associative(a, b, c):
    """To the last bit."""
    a, b, c = cell_of(*a), cell_of(*b), cell_of(*c)

    assert state_bytes(merge(merge(a, b), c)) == state_bytes(merge(a, merge(b, c)))
    assert merge(a, Cell()) == a == merge(Cell(), a)


@given(st.lists(histogram(), min_size=1, max_size=10), st.data())
@example(
    [(("2013", "a"), [2**62], Statistics(1e16, 1.0, -1e16, None, 0))] * 4, None
)  # sums that leave 64 bits
def test_any_grouping_gives_the_same_bytes(items, data):
    """Cells of any chunks, in any order, through any store, add up to the same state."""
    cells = [cell_of(item) for item in items]
    while data is not None and len(cells) > 1:
        cells = data.draw(st.permutations(cells))
        size = data.draw(st.integers(2, 4))
        chunks = [cells[start : start + size] for start in range(0, len(cells), size)]
        cells = [from_state(values.decode(state_bytes(reduce(merge, one)))) for one in chunks]
    total = reduce(merge, cells)

    assert state_bytes(total) == state_bytes(cell_of(*items))


@given(st.lists(histogram(), min_size=1, max_size=10))
def test_sums_are_those_of_a_plain_reference(items):
    """Counts and ints exactly, floats as the exact sum rounded once, absent as -1."""
    cell = cell_of(*items)

    for buckets in {len(counts) for _, counts, _ in items}:
        assert bits(published(cell, buckets)) == bits(expected(items, buckets))
    assert published(cell, 4) is None


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_floats_agree_with_plain_addition(numbers):
    """To a relative 1e-9."""
    items = [(("1", ""), [1], Statistics(number, *[None] * 4)) for number in numbers]

    assert published(cell_of(*items), 1)[1] == pytest.approx(sum(numbers), rel=1e-9)


@given(st.lists(histogram(), min_size=1, max_size=10))
def test_the_newest_build_chooses_the_layout(items):
    """Its number of buckets is published, of two the larger; its greatest revision stands by it."""
    build, buckets = max((newest[0], len(counts)) for newest, counts, _ in items)
    revision = max(n[1] for n, counts, _ in items if (n[0], len(counts)) == (build, buckets))
    submissions = Counter(len(counts) for _, counts, _ in items)

    for cells in ([cell_of(*items)], [cell_of(item) for item in items]):
        found = layouts(cells)
        assert found[0] == (build, buckets, revision, submissions[buckets])
        assert {layout.buckets: layout.submissions for layout in found} == submissions


# --- examples ---


def test_absent_statistics_stay_absent():
    """Absent and absent is -1, absent and x is x, and a sum of -1 is no absence."""
    absent = (("1", ""), [1], Statistics(None, None, None, None, None))
    minus_one = (("1", ""), [1], Statistics(-1, None, 0, 0.0, 7))

    assert published(cell_of(absent, absent), 1) == [2, -1, -1, -1, -1, -1, 2]
    assert published(cell_of(absent, minus_one), 1) == [2, -1, -1, 0, 0.0, 7, 2]
    assert published(cell_of(minus_one, minus_one, absent), 1) == [3, -2, -1, 0, 0.0, 14, 3]


def test_a_negative_simple_measure():
    """It is in no bucket and counts in the sum and the submissions."""
    cell = Cell()
    for value in (-1, -1, 0):
        counts, statistics = simple_histogram(value)
        cell.add_sums(sums_of(counts.reshape(1, -1), [statistics], "0", "simple-measures"))

    array = published(cell, 50)
    assert array[:50] == [1, *[0] * 49]
    assert array[50] == -2
    assert array[51] == pytest.approx(2 * math.log(2))
    assert array[53:] == [-1, -1, 3]


def test_counts_that_leave_64_bits_and_come_back():
    """No sum wraps around, on either side, and what fits again is stored as before."""
    large = (("1", ""), [2**62, -(2**62)], Statistics(*[None] * 5))
    back = (("1", ""), [-(2**63), 2**63 - 1], Statistics(*[None] * 5))

    up = cell_of(*[large] * 4)
    assert published(up, 2)[:2] == [2**64, -(2**64)]
    assert type(to_state(up)[0][4]) is list
    down = cell_of(*[large] * 4, back, back)
    assert published(down, 2)[:2] == [0, -2]
    assert to_state(down)[0][4].dtype == np.int32
    rows = np.array([[2**62]] * 3)
    assert sums_of(rows, [Statistics(*[None] * 5)] * 3, "1", "").counts.tolist() == [3 * 2**62]


def test_adding_leaves_what_was_added():
    """A cell shares no array with the cells that were added to it."""
    item = (("1", ""), [1, 2], Statistics(1, 2.5, None, None, None))
    first, total = cell_of(item), Cell()

    total.add(first)
    total.add(first)

    assert first == cell_of(item)
    assert total == cell_of(item, item)


def test_a_mismatch_is_named():
    """Measure, numbers of buckets and builds of what is left out."""
    none = Statistics(*[None] * 5)
    cells = [
        cell_of((("20130101", "r1"), [1, 1], none), (("20130303", "r3"), [1], none)),
        cell_of((("20130202", "r2"), [1, 1], none)),
    ]

    found = layouts(cells)

    assert found == [Layout("20130303", 1, "r3", 1), Layout("20130202", 2, "r2", 2)]
    assert str(mismatch("GC_MS", found)) == (
        "GC_MS is published with 1 buckets, as in its newest build 20130303;"
        " left out: 2 buckets (newest build 20130202, submissions: 2)"
    )
    assert mismatch("GC_MS", found[:1]) is None
    assert layouts([]) == layouts([Cell()]) == []


def test_states_are_small_and_plain():
    """The form of a state, in a store and in a file."""
    cell = cell_of((("20130101", "r"), [1, 2], Statistics(-26, -3.25, None, 10**30, 0)))

    ((build, revision, submissions, statistics, counts),) = to_state(cell)
    assert (build, revision, submissions) == ("20130101", "r", 1)
    assert statistics == (-26, (-13, -2), None, 10**30, 0)
    assert counts.dtype == np.int32
    assert to_json(cell) == f'[["20130101","r",1,[-26,"-dp-2",null,{10**30},0],[1,2]]]'


_GOOD_ROW = ["1", "r", 1, [1, None, None, None, "1p0"], [1, 2]]


@pytest.mark.parametrize(
    ("place", "bad"),
    [
        *((0, bad) for bad in (1, None)),
        *((1, bad) for bad in (1, None)),
        *((2, bad) for bad in ("1", 1.5, None, True)),
        *((3, bad) for bad in ([], [1], None, 5, [1.5] * 5, ["x"] * 5, ["2p0"] * 5, ["1"] * 5)),
        *((4, bad) for bad in ([], None, 5, "12", [1.5], ["1"], [[1]], {"1": 1}, [True])),
    ],
)
def test_damaged_states_are_refused(place, bad):
    """With one sentence, whatever is wrong."""
    row = list(_GOOD_ROW)
    assert from_json(json.dumps([row]))
    row[place] = bad

    with pytest.raises(FormatError, match="is not the JSON of a histogram's sums"):
        from_json(json.dumps([row]))


@pytest.mark.parametrize("text", ["", "{", "1", "[1]", "[[]]", '{"a": 1}', "null"])
def test_what_is_no_state_is_refused(text):
    """As JSON and as a value."""
    with pytest.raises(FormatError, match="is not the JSON"):
        from_json(text)


@pytest.mark.parametrize(
    "counts", [np.array([1.5]), np.array([[1]]), np.array([True]), np.array([], np.int64), b"12"]
)
def test_damaged_counts_are_refused(counts):
    """Arrays of another type or shape."""
    with pytest.raises(FormatError, match="is not the state of a histogram's sums"):
        from_state((("1", "r", 1, (None,) * 5, counts),))


def test_a_state_with_one_layout_twice_is_refused():
    """Nothing is counted twice in silence."""
    with pytest.raises(FormatError, match="one number of buckets twice"):
        from_json(json.dumps([_GOOD_ROW, _GOOD_ROW]))


# --- gathering ---

_PATHS = [FilterPath("WINNT", "6.1", "x86"), FilterPath("Linux", "3.8", "x86")]


def place(build="20130601030201", submitted="20130602", channel="nightly"):
    """Where the records of a block belong."""
    return Place(
        channel, "22", build, build[:8], submitted, submitted or "", "saved_session", "Firefox"
    )


_PLACES = [place(), place(submitted=None), place("20130602030201"), place(channel="beta")]


def gathered(gathering):
    """What was gathered, as cells by measure and all of their place."""
    found = {}
    for key, value in gathering.drain():
        for path, built, submitted, cell in cells_of(value) if type(value) is Sheet else [value]:
            found.setdefault((*key, path, built, submitted), Cell()).add(cell)
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B"]),
            st.sampled_from(_PLACES),
            st.sampled_from(_PATHS),
            histogram(),
        ),
        max_size=12,
    ),
    st.sampled_from([1, 100, 10**6]),
)
def test_blocks_add_up_as_one_by_one(items, pending):
    """Whenever it looks at what has come so far."""
    one_by_one = {}
    for measure, where, path, item in items:
        full = (where.reason, where.app, *path)
        dates = where.build_date, where.submission_date
        key = (where.channel, where.major, measure, full, *dates)
        one_by_one.setdefault(key, Cell()).add(cell_of(item))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "PENDING_NUMBERS", pending)
        blocks = Gathering(print)
        for measure, where, path, (newest, counts, statistics) in items:
            spot = blocks.spot(where, path)
            blocks.add(measure, spot, newest, array(counts), statistics)
        found = gathered(blocks)

    assert found.keys() == one_by_one.keys()
    for key, cell in found.items():
        assert state_bytes(cell) == state_bytes(one_by_one[key])
    assert list(blocks.drain()) == []


def test_keys_come_in_order():
    """Those of one version together, and of one measure."""
    blocks = Gathering(print)
    for measure, where in itertools.product("BA", _PLACES):
        item = np.array([1]), Statistics(*[None] * 5)
        blocks.add(measure, blocks.spot(where, _PATHS[0]), ("1", ""), *item)

    keys = [key for key, _ in blocks.drain()]

    assert keys == sorted(keys)
    assert len(keys) == len(set(keys)) == 4


def test_a_record_of_a_block():
    """Histograms under the block's build and the record's revision, simple measures under "0"."""
    skipped = []
    block = Gathering(lambda *left_out: skipped.append(left_out))
    info = {"OS": "WINNT", "version": 6.1, "arch": "x86", "revision": "r"}
    sections = {
        "histograms": {"A": [1, 2, 2, -1, -1, 4, 0], "B": [1]},
        "simpleMeasurements": {"uptime": 2},
    }

    block.begin_block(place())
    block.add_record({"info": info, **sections})
    block.add_record({"info": info, "simpleMeasurements": {"uptime": 4}})
    assert block.end_block() == 0
    block.add_record({"info": {**info, "arch": None}, **sections})
    block.add_record({})
    assert block.end_block() == 2

    path = ("saved_session", "Firefox", *_PATHS[0])
    found = {
        measure: cell
        for (_, _, measure, where, *_), cell in gathered(block).items()
        if where == path
    }
    assert published(found["A"], 2) == [1, 2, 2, -1, -1, 4, 0, 1]
    assert layouts([found["A"]]) == [Layout("20130601030201", 2, "r", 1)]
    assert published(found["SIMPLE_MEASURES_UPTIME"], 50)[50] == 6
    assert layouts([found["SIMPLE_MEASURES_UPTIME"]]) == [Layout("0", 50, "simple-measures", 2)]
    assert [name for _, name in skipped] == ["B", "", ""]


def test_records_of_the_real_shape(tree):
    """The blocks of a tree add up to what adding number by number, by fractions, gives."""
    plain = {}
    blocks = Gathering(print)
    blocks.begin_block(place())
    for file in sorted(tree.path.rglob("*.lzma")):
        for record in read(file.read_bytes(), file.name)[0]:
            blocks.add_record(record.payload)
            info = record.payload["info"]
            if "arch" in info:
                version = str(info["version"])[: 3 if info["OS"] == "Linux" else None]
                path = info["OS"], version, info["arch"]
                for name, numbers in record.payload["histograms"].items():
                    plain.setdefault((name, path), []).append(numbers)
    cells = {
        (measure, path[2:]): cell
        for (_, _, measure, path, *_), cell in gathered(blocks).items()
        if not measure.startswith("SIMPLE_MEASURES_")
    }

    assert len(plain) > 1000
    assert plain.keys() == cells.keys()
    for key, rows in plain.items():
        items = [
            (None, row[:-5], [None if number == -1 else number for number in row[-5:]])
            for row in rows
        ]
        buckets = len(rows[0]) - 5
        assert bits(published(cells[key], buckets)) == bits(expected(items, buckets))
