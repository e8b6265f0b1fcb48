"""The `Result` that Python and notebooks get."""

import json
import sys

import numpy as np
import pytest

from mr.errors import UsageError
from mr.items import Line, Pair
from mr.notebook import CELL_CHARACTERS, ROWS_SHOWN, Result

REPORT = {
    "records": {"read": 12345, "bad": 3, "lines": 12348},
    "blocks": {
        "selected": 8,
        "read": 7,
        "bad": 1,
        "missing": 1,
        "filtered": 0,
        "left_out": 0,
        "covered": 0,
        "set_aside": 0,
        "not_of_the_layout": 0,
    },
    "bytes": {"raw": 2_500_000, "compressed": 250_000},
    "why_empty": "",
    "states": [],
    "counters": {},
    "receipt": {"usd": None},
    "pairs_mapped": 12345,
    "sample": None,
    "seconds": 2.0,
    "raw_mb_per_s": 1.25,
}
SUMMARY = (
    "Read 12,345 records of 7 blocks (2.5 MB raw) in 2.0 s, 1 MB/s. Not covered: 3 bad records "
    "skipped, 1 bad block read as far as possible, 1 block missing."
)


def result(*items, report=None):
    """A result of these items."""
    return Result(lambda: iter(items), REPORT if report is None else report)


def test_it_iterates_pairs_and_lines_again_and_again():
    """Each iteration gives all pairs, and lines as strings, in their order."""
    answer = result(Line("head"), Pair("a", 1, text="a=1"), Pair("b", None))

    expected = ["head", ("a", 1), ("b", None)]
    assert [list(answer), list(answer), answer.to_list()] == [expected] * 3
    assert len(answer) == 3


def test_an_empty_result_is_empty():
    """No rows are no pairs anywhere."""
    answer = result()

    assert (list(answer), len(answer), answer.to_dict()) == ([], 0, {})
    assert "(no rows)" in repr(answer)
    assert list(answer.to_pandas().columns) == ["key", "value"]


def test_to_dict_gives_values_by_key():
    """Distinct keys make a dict in the order of the keys."""
    answer = result(Pair(("a", 1), 1), Pair(("b", 2), 2)).to_dict()

    assert list(answer.items()) == [(("a", 1), 1), (("b", 2), 2)]


@pytest.mark.parametrize(("first", "second"), [("x", "x"), (True, 1), (1, 1.0)])
def test_to_dict_loses_no_value(first, second):
    """Keys that are one key to a dict are refused, and the key is named."""
    with pytest.raises(UsageError, match=f"the key {second!r} comes more than once.*to_list"):
        result(Pair(first, 1), Pair(second, 2)).to_dict()


def test_to_dict_refuses_lines():
    """A line of text has no key."""
    with pytest.raises(UsageError, match=r"lines of text.*'head'.*to_list"):
        result(Line("head"), Pair("a", 1)).to_dict()


def test_to_pandas_has_the_columns_of_parquet():
    """Tuples become columns with the types of their cells."""
    frame = result(Pair(("a", 1), (1, 0.5)), Pair(("b", 2), (2, 1))).to_pandas()

    assert frame.to_dict("list") == {
        "key_0": ["a", "b"],
        "key_1": [1, 2],
        "value_0": [1, 2],
        "value_1": [0.5, 1.0],
    }
    assert [frame[name].dtype.kind for name in ("key_1", "value_0", "value_1")] == ["i", "i", "f"]


@pytest.mark.parametrize(
    "values",
    [
        [None, 2**53 + 1],
        [2**70, 1],
        ["a", 1],
        ["\ud800", "b"],
        [{"a": 1}, [1]],
        [[1, 2], [3, 4]],
        [b"\xff", None],
        [True, None],
    ],
    ids=str,
)
def test_to_pandas_keeps_values_exactly(values):
    """No value is rounded or changed by the type of its column."""
    column = result(*(Pair(i, v) for i, v in enumerate(values))).to_pandas()["value"]

    read = [None if found is None or str(found) == "<NA>" else found for found in column]
    assert read == values


def test_to_pandas_keeps_arrays():
    """An array stays one array in one cell."""
    column = result(Pair(1, np.arange(2)), Pair(2, np.arange(2))).to_pandas()["value"]

    assert [list(cell) for cell in column] == [[0, 1], [0, 1]]


def test_to_pandas_without_pandas_says_what_to_install(monkeypatch):
    """A missing library is one clear sentence."""
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(UsageError, match=r"mr-telemetry\[notebook\]"):
        result(Pair(1, 1)).to_pandas()


def test_save_takes_the_format_from_the_ending(tmp_path):
    """Saving writes the file and gives the number of rows."""
    answer = result(Pair(("a", 1), 2), Pair(("b", 1), 3))

    assert answer.save(tmp_path / "out.csv") == 2
    assert answer.save(str(tmp_path / "out"), format="json") == 2

    assert (tmp_path / "out.csv").read_text() == "a,1,2\nb,1,3\n"
    assert json.loads((tmp_path / "out").read_text()) == [[["a", 1], 2], [["b", 1], 3]]


def test_it_shows_a_table_and_what_was_read():
    """The text form aligns the columns and ends with a line of the report."""
    shown = repr(result(Pair("Linux", 1), Pair("WINNT", 20)))

    assert shown.splitlines() == [
        "key    value",
        "Linux  1",
        "WINNT  20",
        SUMMARY,
    ]


def test_it_shows_only_the_first_rows():
    """A long result says that there is more, and only what is shown is read."""
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield Pair(number, 0)

    shown = repr(Result(items, {}))

    assert len(shown.splitlines()) == ROWS_SHOWN + 2
    assert shown.splitlines()[-1] == f"(the first {ROWS_SHOWN} rows of more)"
    assert len(taken) == ROWS_SHOWN + 1


def test_exactly_the_rows_shown_are_all():
    """A result that fits says nothing of more."""
    shown = repr(result(*(Pair(i, 0) for i in range(ROWS_SHOWN)), report={}))

    assert len(shown.splitlines()) == ROWS_SHOWN + 1
    assert "more" not in shown


def test_html_is_escaped():
    """What telemetry says never becomes markup, in cells or elsewhere."""
    shown = result(Pair("<script>alert('x')</script>", "a & b"), Line("<b>"))._repr_html_()

    assert "<td>&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;</td><td>a &amp; b</td>" in shown
    assert "<td>&lt;b&gt;</td>" in shown
    assert f"<p>{SUMMARY}</p>" in shown


def test_cells_are_one_short_line():
    """Line breaks and control characters show as escapes, and long cells are cut."""
    shown = repr(result(Pair("a\nb\x1b[31m", "x" * 1000), Pair(1, 10**5000), report={}))

    head, first, second = shown.splitlines()
    assert head.startswith("key")
    assert first == "a\\nb\\x1b[31m  " + "x" * (CELL_CHARACTERS - 1) + "…"
    assert second.endswith("0" * 50 + "…")
