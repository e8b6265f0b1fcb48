"""The output formats: what they print, that they stream, and that files appear whole or not."""

import csv
import errno
import io
import itertools
import json
import math
import os
import re
import stat
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr.cells import json_line
from mr.columns import columns_of
from mr.errors import StoreUnavailable, UsageError
from mr.items import Line, Pair
from mr.results import FORMATS, format_of, write_file, write_items

DOCUMENT = Path(__file__).parents[1] / "docs" / "output-formats.md"

#: The values of the document's table, by the text of its first column.
DOCUMENTED = {
    "None": None,
    "True": True,
    "1": 1,
    "2 ** 64": 2**64,
    "0.1": 0.1,
    "1e300": 1e300,
    "nan": math.nan,
    "inf": math.inf,
    '"é"': "é",
    "'say \"hi\", you'": 'say "hi", you',
    'b"\\x00\\xff"': b"\x00\xff",
    "(1, 2.5)": (1, 2.5),
    "[1, 2]": [1, 2],
    '["a", [1, 2]]': ["a", [1, 2]],
    '{"a": 1}': {"a": 1},
    "array([1, 2])": np.array([1, 2]),
    "array([[1, 2], [3, 4]])": np.array([[1, 2], [3, 4]]),
}

ARROW_NAMES = {
    "null": "null",
    "bool": "bool",
    "int64": "int64",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "JSON text": "string",
    "int64, double": "int64, double",
    "list of int64": "list<element: int64>",
    "list of list of int64": "list<element: list<element: int64>>",
}


def written(items, format):
    """The bytes of the items in a format."""
    out = io.BytesIO()
    count = write_items(lambda: iter(items), format, out)
    assert count == len(items)
    return out.getvalue()


def lines(items, format):
    """The lines of the items in a format of text."""
    return written(items, format).decode().splitlines()


def parquet(items):
    """The schema and rows of the items' parquet file.

    Without threads: pyarrow's threads may outlive the reading of a file object, and abort the
    interpreter at its end.
    """
    file = pyarrow.parquet.ParquetFile(io.BytesIO(written(items, "parquet")), pre_buffer=False)
    table = file.read(use_threads=False)
    return {field.name: str(field.type) for field in table.schema}, table.to_pylist()


def documented_rows():
    """The rows of the table of values in the document, as lists of cells."""
    table = DOCUMENT.read_text().split("## How each kind of value prints")[1].split("\n\n")[2]
    for line in table.splitlines()[2:]:
        cells = [re.sub(r"^`(.*)`$", r"\1", c.strip()) for c in line.strip("|").split("|")]
        yield cells


def test_the_document_lists_every_documented_value():
    """The document's table and the test's values are the same list."""
    assert [row[0] for row in documented_rows()] == list(DOCUMENTED)


@pytest.mark.parametrize("row", list(documented_rows()), ids=lambda row: row[0])
def test_each_value_prints_as_documented(row):
    """Each format writes each kind of value as the document's table says."""
    name, text, json_form, csv_form, column = row
    items = [Pair("k", DOCUMENTED[name])]

    assert lines(items, "text") == [f"k\t{text}"]
    assert lines(items, "jsonl") == [f'["k", {json_form}]']
    assert lines(items, "json") == ["[", f'["k", {json_form}]', "]"]
    assert lines(items, "csv") == ["k," + csv_form.replace("(empty)", "")]
    types = dict(parquet(items)[0])
    del types["key"]
    assert ", ".join(types.values()) == ARROW_NAMES[column]


@pytest.mark.parametrize("format", FORMATS)
def test_no_items_are_a_valid_file(format):
    """An empty answer can be read back as an empty answer in each format."""
    data = written([], format)

    if format == "parquet":
        assert parquet([]) == ({"key": "null", "value": "null"}, [])
    elif format == "json":
        assert json.loads(data) == []
    else:
        assert data == b""


@pytest.mark.parametrize("format", FORMATS)
def test_integers_of_any_length_are_written(format):
    """Integers beyond Python's digit limit are written whole, and the limit stands afterwards."""
    digits = "1" + "0" * 5000
    limit = sys.get_int_max_str_digits()

    if format == "parquet":
        assert parquet([Pair(1, 10**5000)])[1] == [{"key": 1, "value": digits}]
    else:
        assert digits in written([Pair(1, 10**5000)], format).decode()

    assert sys.get_int_max_str_digits() == limit


@pytest.mark.parametrize("format", FORMATS)
def test_values_as_deep_as_records_may_be_are_written(format):
    """A value nested 512 deep, as deep as a good record, is written."""
    deep = []
    for _ in range(511):
        deep = [deep]

    if format == "parquet":
        assert parquet([Pair("k", deep)])[1] == [{"key": "k", "value": "[" * 512 + "]" * 512}]
    else:
        assert b"[" * 500 in written([Pair("k", deep)], format)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters()), json_values), max_size=5))
def test_json_gives_back_what_went_in(pairs):
    """Reading jsonl and json back gives the pairs, lone surrogates and all."""
    items = [Pair(key, value) for key, value in pairs]
    expected = [[key, value] for key, value in pairs]

    data = written(items, "jsonl")

    data.decode("utf-8")  # valid even where a string is not
    assert [json.loads(line) for line in data.split(b"\n")[:-1]] == expected
    assert json.loads(written(items, "json")) == expected


counted = st.text('ab é"\\\u2028\x7f\n\ud800', max_size=4) | st.text(st.characters())


@settings(deadline=None)
@given(st.lists(st.tuples(counted, st.integers() | st.booleans() | st.floats()), max_size=40))
def test_many_json_lines_are_the_same_as_one_by_one(pairs):
    """Lines that are written together, the quick way or not, have the bytes that each has alone."""
    items = [Pair(key, value) for key, value in pairs]

    assert written(items, "jsonl") == b"".join(json_line(pair) + b"\n" for pair in pairs)


cells = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(cells, cells, cells), max_size=5), st.sampled_from(["csv", "tsv"]))
def test_csv_gives_back_what_went_in(rows, format):
    """Reading csv and tsv back gives the cells, whatever delimiters and line breaks they hold."""
    items = [Pair((a, b), c) for a, b, c in rows]

    text = written(items, format).decode()

    read = csv.reader(io.StringIO(text, newline=""), delimiter=",\t"[format == "tsv"], strict=True)
    assert [tuple(row) for row in read] == rows


def test_surrogates_become_escapes_outside_json():
    """A lone surrogate is written as its escape, so that the file stays UTF-8."""
    items = [Pair("\ud800", "é"), Pair("é", 1)]

    assert lines(items, "text") == ["\\ud800\té", "é\t1"]
    assert lines(items, "csv") == ["\\ud800,é", "é,1"]
    assert lines(items, "jsonl") == ['["\\ud800", "\\u00e9"]', '["é", 1]']
    assert parquet(items[:1])[1] == [{"key": "\\ud800", "value": "é"}]


def test_long_arrays_are_not_shortened_in_text():
    """An array in a value prints all its elements on one line, at any depth."""
    value = {"a": (np.arange(5000),)}

    (line,) = lines([Pair("k", value)], "text")

    assert line == "k\t" + str({"a": (list(range(5000)),)})


def test_tuples_are_json_arrays_and_namedtuples_too():
    """Tuple keys become arrays, nested tuples too."""
    assert lines([Pair(("a", (1, None)), ())], "jsonl") == ['[["a", [1, null]], []]']


def test_bytes_that_are_utf8_are_base64_all_the_same():
    """Bytes never pass as text by accident."""
    assert lines([Pair(b"abc", [b"abc"])], "jsonl") == ['["YWJj", ["YWJj"]]']


def test_a_script_chooses_its_own_text():
    """In text a pair's own text and a line's own end are kept; elsewhere the pair counts."""
    items = [Line("h1;h2", end="|"), Pair("k", 1, text="k=1|")]

    assert written(items, "text") == b"h1;h2|k=1|"
    assert lines(items, "jsonl") == ['"h1;h2"', '["k", 1]']
    assert lines(items, "csv") == ["h1;h2", "k,1"]
    assert json.loads(written(items, "json")) == ["h1;h2", ["k", 1]]
    assert parquet(items)[1] == [
        {"key": None, "value": None, "line": "h1;h2"},
        {"key": "k", "value": 1, "line": None},
    ]


@pytest.mark.parametrize(
    ("values", "type", "read"),
    [
        ([1, 2.5], "double", [1.0, 2.5]),
        ([1, None], "int64", [1, None]),
        ([2**63 - 1, -(2**63)], "int64", [2**63 - 1, -(2**63)]),
        ([2**63, 1], "string", ["9223372036854775808", "1"]),
        ([2**53 + 1, 0.5], "double", [2.0**53, 0.5]),
        ([1, "a", None], "string", ["1", '"a"', None]),
        ([True, 1], "string", ["true", "1"]),
        (["a", b"a"], "string", ['"a"', '"YQ=="']),
        ([[1], [2.5, None], None, []], "list<element: double>", [[1.0], [2.5, None], None, []]),
        ([[1], 1], "string", ["[1]", "1"]),
        ([[2**64], [1]], "string", ["[18446744073709551616]", "[1]"]),
        ([["a"], ["b"]], "string", ['["a"]', '["b"]']),
        ([(1,), (1, 2)], "list<element: int64>", [[1], [1, 2]]),
        ([(1,), ("a", 2)], "string", ["[1]", '["a",2]']),
        ([(1,), [2]], "list<element: int64>", [[1], [2]]),
        ([None, (1,)], "list<element: int64>", [None, [1]]),
        ([(), ()], "list<element: null>", [[], []]),
        ([np.array([1]), np.array([0.5])], "list<element: double>", [[1.0], [0.5]]),
        ([np.array([2**64 - 1], "u8")], "string", ["[18446744073709551615]"]),
        ([[np.array([1]), (2,)]], "list<element: list<element: int64>>", [[[1], [2]]]),
    ],
)
def test_a_parquet_column_has_the_narrowest_type_for_all_cells(values, type, read):
    """Types are unified over all rows; what has no common type is JSON text."""
    types, rows = parquet([Pair(i, value) for i, value in enumerate(values)])

    assert types == {"key": "int64", "value": type}
    assert [row["value"] for row in rows] == read


def test_parquet_splits_tuples_of_one_length():
    """Tuples of one length become columns, each with its own type."""
    items = [Pair(("a", 1), (1, [1], "x")), Pair((None, 2), (0.5, [2], 3))]

    types, rows = parquet(items)

    assert types == {
        "key_0": "string",
        "key_1": "int64",
        "value_0": "double",
        "value_1": "list<element: int64>",
        "value_2": "string",
    }
    assert list(rows[0].values()) == ["a", 1, 1.0, [1], '"x"']
    assert list(rows[1].values()) == [None, 2, 0.5, [2], "3"]


def test_parquet_of_lines_alone_has_one_column():
    """Lines without pairs need no key and no value."""
    assert parquet([Line("a")]) == ({"line": "string"}, [{"line": "a"}])


parquet_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(parquet_values, min_size=1, max_size=6))
def test_column_types_do_not_depend_on_the_order_of_rows(values):
    """Unifying the cells forwards and backwards gives the same columns, and they can be written."""
    items = [Pair("k", value) for value in values]

    assert columns_of(items) == columns_of(reversed(items))
    assert len(parquet(items)[1]) == len(items)


def test_parquet_bytes_are_the_same_each_time():
    """The same items give the same bytes."""
    items = [Pair(i, (i / 3, [i])) for i in range(100)]

    assert written(items, "parquet") == written(items, "parquet")


def test_parquet_row_groups_are_bounded(monkeypatch):
    """Row groups end at their number of rows or of bytes, and lose nothing between them."""
    monkeypatch.setattr("mr.parquet.ROW_GROUP_ROWS", 10)
    monkeypatch.setattr("mr.parquet.ROW_GROUP_BYTES", 1000)
    items = [Pair(i, "x" * (0 if i < 25 else 600)) for i in range(30)]

    file = pyarrow.parquet.ParquetFile(io.BytesIO(written(items, "parquet")), pre_buffer=False)

    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [10, 10, 7, 2, 1]
    assert file.read(use_threads=False).column("key").to_pylist() == list(range(30))


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "parquet"])
def test_items_are_written_as_they_come(format):
    """An item is asked for only after the one before it is written."""
    out = io.BytesIO()
    seen = []

    def items():
        for number in range(3):
            seen.append(len(out.getvalue()))
            yield Pair(number, 0)

    write_items(items, format, out)

    assert all(a < b for a, b in itertools.pairwise(seen))


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch, tmp_path):
    """A missing library is one clear sentence, before anything is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(UsageError, match=r"pip install 'mr-telemetry\[parquet\]'"):
        write_file(lambda: [Pair(1, 1)], str(tmp_path / "out.parquet"), "parquet")

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused():
    """The error names the formats that there are."""
    with pytest.raises(UsageError, match="text, jsonl, json, csv, tsv, parquet"):
        write_items(lambda: [], "xml", io.BytesIO())


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("out.jsonl", "jsonl"),
        ("a.b/out.JSON", "json"),
        ("out.csv", "csv"),
        ("out.tsv", "tsv"),
        ("out.txt", "text"),
        ("out.parquet", "parquet"),
        ("-", "text"),
        ("a.b/out", "text"),
        ("/dev/stdout", "text"),
    ],
)
def test_the_ending_chooses_the_format(path, format):
    """A known ending chooses; a path without one takes the default."""
    assert format_of(path, "text") == format


def test_an_unknown_ending_is_refused():
    """The error names the ending and those that are known."""
    with pytest.raises(UsageError, match=r"'\.xlsx'.*out\.xlsx.*\.jsonl.*\.parquet"):
        format_of("out.xlsx", "jsonl")


def test_a_file_replaces_the_older_one_when_complete(tmp_path):
    """The old file stands until the new one is complete, and no other file is left."""
    path = tmp_path / "out.jsonl"
    path.write_text("old")

    def items():
        assert path.read_text() == "old"
        yield Pair("k", 1)

    assert write_file(items, str(path), "jsonl") == 1

    assert path.read_text() == '["k", 1]\n'
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_failure_leaves_the_older_file(tmp_path):
    """When the items fail midway nothing is replaced and nothing is left behind."""
    path = tmp_path / "out.csv"
    path.write_text("old")

    def items():
        yield Pair("k", 1)
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        write_file(items, str(path), "csv")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    """The file is as readable as any other that the person creates."""
    (tmp_path / "usual").touch()

    write_file(lambda: [], str(tmp_path / "out.txt"), "text")

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "out.txt")]
    assert modes[0] == modes[1]


def test_a_link_is_followed(tmp_path):
    """Writing to a symbolic link replaces the file it points to, not the link."""
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "out.txt").symlink_to("real.txt")

    write_file(lambda: [Line("new")], str(tmp_path / "out.txt"), "text")

    assert (tmp_path / "out.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new\n"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    """A pipe, and so a device, is written straight through, and no file takes its place."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    assert write_file(lambda: [Pair("k", 1)], str(path), "jsonl") == 1

    assert os.read(reader, 100) == b'["k", 1]\n'
    os.close(reader)
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    """The error names the file and what is wrong, and nothing is left behind."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StoreUnavailable, match=r"cannot write .*out\.txt: No space left"):
        write_file(lambda: [Pair("k", 1)], str(tmp_path / "out.txt"), "text")

    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    """The error names the folder to create."""
    with pytest.raises(UsageError, match=f"there is no folder {tmp_path}/none; create it"):
        write_file(lambda: [], str(tmp_path / "none" / "out.txt"), "text")


def test_a_folder_is_no_file(tmp_path):
    """A folder given as the file is refused."""
    with pytest.raises(UsageError, match="it is a folder"):
        write_file(lambda: [], str(tmp_path), "text")


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    """A folder that cannot be written to is refused before anything is done."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))

    with pytest.raises(UsageError, match=f"no permission to write to {tmp_path}"):
        write_file(lambda: [], str(tmp_path / "out.txt"), "text")
