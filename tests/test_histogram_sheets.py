"""Sheets: whatever way cells go, as arrays or one by one, the same sums to the last bit."""

import json
import math
import random
import tempfile
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr.errors import FormatError
from mr.exact import exact_partial
from mr.histograms import ledger as ledgers
from mr.histograms.extraction import STATISTICS, Statistics
from mr.histograms.ledger import Catalog, Chunk, Ledger, as_cell, odd_of, odd_value
from mr.histograms.merging import Cell, layouts, sums_of, to_json
from mr.histograms.rendering import line_of, rounded
from mr.histograms.sheets import (
    COUNT_LIMIT,
    FRACTION_BITS,
    LIMBS,
    Placed,
    Sheet,
    carry,
    cells_of,
    limbs_of,
    numbers_of,
    partial_of,
    scaled,
    settled,
    sheets_of,
)
from mr.histograms.shelves import COUNTS_AT, SHELVES, pack, shelf_of, unpack

#: Most fit into a sheet; some do not, or only just.
NUMBERS = st.one_of(
    st.none(),
    st.integers(-3, 10**6),
    st.floats(-1e6, 1e6).filter(lambda x: not 0 < abs(x) < 1e-9),
    st.sampled_from([0.0, 0.1, -0.1, 1e16, 2**64, -(2**93), 2**94, 2.0**-96, 2.0**-97]),
    st.sampled_from([5e-324, 1e308, -(10**30), 2**53 + 1, float(2**53)]),
)
COUNTS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([-1, 255, 256, 2**32, COUNT_LIMIT - 1, COUNT_LIMIT, 2**63 - 1, -(2**63)]),
)
DATES = st.sampled_from(["20140601", "20140602", "20140603"])


@st.composite
def placed_cell(draw, nice=False):
    """(measure, Placed) of one histogram."""
    buckets = draw(st.sampled_from([2, 2, 2, 3]))
    counts = draw(
        st.lists(st.integers(0, 300) if nice else COUNTS, min_size=buckets, max_size=buckets)
    )
    numbers = st.one_of(st.none(), st.integers(0, 99), st.floats(0.01, 99)) if nice else NUMBERS
    statistics = Statistics(*draw(st.tuples(*[numbers] * STATISTICS)))
    newest = draw(st.tuples(st.sampled_from(["2013", "2014"]), st.sampled_from("abé")))
    cell = Cell()
    cell.add_sums(sums_of(np.array([counts], np.int64), [statistics], *newest))
    path = (draw(st.sampled_from("xy")), "Firefox", draw(st.sampled_from(["L", 'W"'])), "6", "x86")
    where = draw(DATES), draw(st.one_of(st.none(), DATES))
    return draw(st.sampled_from(["A", "B"])), Placed(path, *where, cell)


def one_by_one(items):
    """Cells by measure and suffix, added as `merging` adds."""
    found = {}
    for measure, one in items:
        for kind, date in ((0, one.built), (1, one.submitted)):
            if date is not None:
                found.setdefault((measure, (kind, date, *one.path)), Cell()).add(one.cell)
    return found


def shuffled_values(items):
    """The values of the shuffle of some cells, each of which is a row of its own."""
    sheets, odd = [], []
    for measure in sorted({measure for measure, _ in items}):
        fitting, others = sheets_of(one for name, one in items if name == measure)
        sheets += [(measure, sheet) for sheet in fitting]
        odd += [odd_value(measure, one) for one in others]
    return [*pack(sheets), *odd]


def added_up(values, most_bytes=10**9):
    """Cells and layouts that a ledger makes of values; its lines are what `line_of` says."""
    cells, found_layouts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Catalog(), Path(folder), most_bytes)
        for value in values:
            ledger.add(value)
        for measure, found, some in ledger.close():
            found_layouts[measure] = found
            each = chain.from_iterable(one if type(one) is Chunk else (one,) for one in some)
            suffixes = []
            for suffix, value in each:
                suffixes.append(suffix)
                cells[measure, suffix] = as_cell(value)
                if not isinstance(value, Cell):
                    assert value == line_of(as_cell(value), value.buckets)
                    assert json.loads(b"[%s]" % value.row)
            assert suffixes == sorted(set(suffixes))
        assert list(Path(folder).iterdir()) == []
    return cells, found_layouts


def check(values, items, **options):
    """A ledger of values holds what the items add up to."""
    cells, found_layouts = added_up(values, **options)
    expected = one_by_one(items)
    assert {key: to_json(cell) for key, cell in cells.items()} == {
        key: to_json(cell) for key, cell in expected.items()
    }
    for measure in {measure for measure, _ in expected}:
        built = [cell for key, cell in expected.items() if key[0] == measure and key[1][0] == 0]
        assert found_layouts[measure] == layouts(built)


# --- sums in limbs ---


@given(st.lists(NUMBERS.filter(lambda x: x is not None), min_size=1))
def test_a_sum_comes_back_from_limbs(numbers):
    """Or is said not to fit."""
    partial = exact_partial(numbers)
    number = scaled(partial)

    if number is not None:
        assert numbers_of(limbs_of([number])) == [number]
        assert partial_of(1 if type(partial) is int else 2, number) == partial
    else:
        small = type(partial) is tuple and partial[1] < -FRACTION_BITS
        assert small or abs(_value(partial)) >= 2**94


def _value(partial):
    if type(partial) is int:
        return Fraction(partial)
    mantissa, exponent = partial
    return Fraction(mantissa) * Fraction(2) ** exponent


@given(st.lists(st.lists(st.integers(-(2**61), 2**61), min_size=LIMBS, max_size=LIMBS), min_size=1))
def test_carrying_keeps_the_sum(rows):
    """And makes one form of it, of numbers of any sign."""
    limbs = np.array(rows, np.int64)
    before = [sum(limb << 32 * place for place, limb in enumerate(row)) for row in rows]

    carry(limbs)

    assert numbers_of(limbs) == before
    assert ((limbs[:, :-1] >= 0) & (limbs[:, :-1] < 2**32)).all()


def test_doubles_are_rounded_correctly():
    """Where that is said to be sure: at random, near and at ties, of either sign."""
    drawing = random.Random(7)
    numbers = [0, 1, -1]
    for _ in range(20_000):
        number = drawing.getrandbits(drawing.randint(1, 150))
        if drawing.random() < 0.3:
            number = ((drawing.getrandbits(53) | 1 << 52) * 2 + 1) << drawing.randint(0, 60)
            number += drawing.choice([0, 0, 1, -1])
        numbers.append(drawing.choice([number, -number]))

    found, sure = rounded(limbs_of(numbers))

    assert sure.mean() > 0.9
    for number, value, is_sure in zip(numbers, found.tolist(), sure.tolist(), strict=True):
        if is_sure:
            assert value == number / 2**FRACTION_BITS
            assert math.copysign(1, value) == (-1 if number < 0 else 1)


# --- sheets ---


@given(st.lists(placed_cell(), max_size=8))
def test_cells_come_back_from_sheets(items):
    """Each of them, in a sheet or as an odd one."""
    placed = [one for _, one in items]
    sheets, odd = sheets_of(placed)
    found = [*odd, *chain.from_iterable(map(cells_of, sheets))]

    def shown(cells):
        return sorted((one[:2], one[2] or "", to_json(one.cell)) for one in cells)

    assert shown(found) == shown(placed)


@given(st.lists(placed_cell(), min_size=1, max_size=6), st.integers(1, 2**20))
def test_sheets_may_be_added_up_in_place(items, times):
    """Limbs that were not carried, kinds of both: settling gives what adding gives."""
    for sheet in sheets_of(one for _, one in items)[0]:
        raw = Sheet(
            **{name: getattr(sheet, name) for name in Sheet.__slots__}
            | {
                "limbs": sheet.limbs * 2,
                "kinds": sheet.kinds * np.uint8(1),
                "counts": sheet.counts * times,
            }
        )
        raw.kinds[raw.kinds == 2] = 3

        kept, odd = settled(raw)

        found = {(one.path, one.built, one.submitted): one.cell for one in (*cells_of(kept), *odd)}
        for one in cells_of(sheet):
            cell = found.pop((one.path, one.built, one.submitted), None)
            if cell is None:
                continue  # rows of one place: the last is looked at
            (sums,), (before,) = cell.by_buckets.values(), one.cell.by_buckets.values()
            if len(sheet) == 1:
                assert sums.counts.tolist() == [n * times for n in before.counts.tolist()]
                twice = [None if p is None else exact_partial([p, p]) for p in before.statistics]
                assert sums.statistics == twice


@given(st.lists(placed_cell(), max_size=8), st.randoms(use_true_random=False))
def test_equal_sheets_have_equal_bytes(items, drawing):
    """Whatever the order of rows, of sheets, and of their tables."""

    def packed(cells):
        sheets = []
        for measure in ("A", "B"):
            fitting, _ = sheets_of(one for name, one in cells if name == measure)
            sheets += [(measure, _mixed(sheet, drawing)) for sheet in fitting]
        return list(pack(drawing.sample(sheets, len(sheets))))

    unique = {(name, *one[:3], *one.cell.by_buckets): (name, one) for name, one in items}
    kept = list(unique.values())

    assert packed(kept) == packed(drawing.sample(kept, len(kept)))


def _mixed(sheet, drawing):
    """The same sheet with its tables in another order, and with more in them."""
    paths, path_of = _reordered(sheet.paths, sheet.path_of, drawing, ("q",) * 5)
    dates = drawing.sample([*sheet.dates, "20990101"], len(sheet.dates) + 1)
    place_of = np.array([*map(dates.index, sheet.dates), -1])
    newest, newest_of = _reordered(sheet.newest, sheet.newest_of, drawing, ("9", "9"))
    changed = {
        "paths": paths, "path_of": path_of, "dates": dates, "newest": newest,
        "newest_of": newest_of, "built": place_of[sheet.built],
        "submitted": place_of[sheet.submitted],
    }  # fmt: skip
    return Sheet(**{name: getattr(sheet, name) for name in Sheet.__slots__} | changed)


def _reordered(table, indexes, drawing, more):
    other = drawing.sample([*table, more], len(table) + 1)
    return other, np.array([*map(other.index, table)])[indexes]


def test_measures_spread_over_the_shelves():
    """And each has one."""
    found = [shelf_of(f"MEASURE_{number}") for number in range(1000)]

    assert set(found) == set(range(SHELVES))
    assert max(map(found.count, set(found))) < 3 * 1000 / SHELVES


# --- the ledger ---


@given(
    st.lists(st.lists(placed_cell(), max_size=6), max_size=5),
    st.randoms(use_true_random=False),
    st.sampled_from([1, 50, 10**6]),
)
def test_a_ledger_adds_as_cells_do(tasks, drawing, pending):
    """In any grouping and any order, whenever it adds what waits."""
    items = list(chain.from_iterable(tasks))
    values = [value for task in tasks for value in shuffled_values(task)]
    drawing.shuffle(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "PENDING_NUMBERS", pending)

        check(values, items)
        check(shuffled_values(items), items)


@given(
    st.lists(st.lists(placed_cell(), max_size=6), max_size=5),
    st.sampled_from([1, 1000]),
)
def test_a_ledger_that_spills_says_the_same(tasks, most_bytes):
    """Sheets, odd cells, and cells that have become too large meanwhile."""
    items = list(chain.from_iterable(tasks))
    values = [value for task in tasks for value in shuffled_values(task)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "PENDING_NUMBERS", 1)
        patch.setattr(ledgers, "MOST_ODD_NUMBERS", 250)

        check(values, items, most_bytes=most_bytes)


@settings(max_examples=20)
@given(st.lists(placed_cell(nice=True), min_size=1, max_size=4))
def test_the_same_values_many_times(items):
    """As from a thousand maps: sums that leave one limb, one byte, one width."""
    values = shuffled_values(items)

    check(values * 300, items * 300)


def test_sums_that_become_too_large_for_a_sheet():
    """Many sums of almost 2**94, and counts of almost 2**40, through spills."""
    cell = Cell()
    statistics = Statistics(2**93, 1.5, -(2**93), 2.0**93, None)
    cell.add_sums(sums_of(np.array([[COUNT_LIMIT - 1, 0]]), [statistics], "1", "r"))
    items = [("A", Placed(("a",) * 5, "20140601", None, cell))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "PENDING_NUMBERS", 1)
        patch.setattr(ledgers, "MOST_ADDED", 16)

        check(shuffled_values(items) * 100, items * 100)


def test_a_large_array_is_an_odd_cell():
    """It would make every row of a sheet as long."""
    cell = Cell()
    cell.add_sums(sums_of(np.ones((1, 20_000), np.int64), [Statistics(*[None] * 5)], "1", "r"))
    items = [("A", Placed(("a",) * 5, "20140601", None, cell))]

    (value,) = shuffled_values(items)

    assert type(value) is tuple
    check([value, value], items * 2)


# --- damage ---


@given(st.lists(placed_cell(nice=True), min_size=1, max_size=4), st.data())
def test_damaged_bytes_raise_one_error(items, data):
    """Wherever they are changed, cut or lengthened: FormatError, or other sums."""
    (value,) = pack(
        [(measure, sheet) for measure, one in items[:1] for sheet in sheets_of([one])[0]]
    )
    damaged = bytearray(value)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        end = data.draw(st.integers(0, len(value)))
        damaged = damaged[:end] + data.draw(st.binary(max_size=9))
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Catalog(), Path(folder))
        try:
            ledger.add(bytes(damaged))
            for _, _, cells in ledger.close():
                list(cells)
        except FormatError:
            pass


@given(st.binary(max_size=200))
def test_any_bytes_raise_one_error(data):
    """None is a sheet by chance."""
    with pytest.raises(FormatError, match="is no sheet of histograms"):
        unpack(data)


@pytest.mark.parametrize(
    "value",
    [None, 5, "x", [], (), ("A", "2014", None, ("a",) * 4, ()), ("A", 5, None, ("a",) * 5, ()),
     ("A", "2014", 5, ("a",) * 5, ()), ("A", "2014", None, ("a",) * 5, 7),
     ("A", "2014", None, "aaaaa", ())],
)  # fmt: skip
def test_damaged_odd_cells_are_refused(value):
    """With the same error."""
    with pytest.raises(FormatError):
        odd_of(value)


def test_columns_of_a_row():
    """Submissions and all limbs stand before the counts."""
    assert COUNTS_AT == 1 + STATISTICS * LIMBS
