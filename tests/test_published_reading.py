"""A published folder read back, distributions, and the `show` command."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mr.analyses.histograms import Histograms
from published import DEFINITIONS, payload, versions, write_definitions

import mr.histograms
from mr.errors import UsageError
from mr.histograms.definitions import Definition
from mr.histograms.statistics import Histogram
from mr.testing import ping, run_analysis

EXPONENTIAL = Definition("exponential", 1, 10_000, 10)
LINEAR = Definition("linear", 1, 100, 12)
ENUMERATED = Definition("enumerated", n_values=5)


def row_of(definition: Definition, values: list[int], submissions: int = 1) -> list:
    """A published row of these values, as the client would have summed them."""
    bounds = definition.bounds().tolist()
    counts = [0] * len(bounds)
    for value in values:
        counts[max(place for place, bound in enumerate(bounds) if bound <= value)] += 1
    squares = sum(value * value for value in values)
    logs = [math.log(value + 1) for value in values]
    # The client's lower half is a signed number.
    low = (squares + 2**31) % 2**32 - 2**31
    statistics = [sum(values), -1, -1, low, squares // 2**32]
    if definition.kind == "exponential":
        statistics = [sum(values), math.fsum(logs), math.fsum(log * log for log in logs), -1, -1]
    return [*counts, *statistics, submissions, 4711]


VALUES = st.lists(st.integers(0, 20_000), min_size=1, max_size=50)


@given(VALUES)
def test_linear_statistics_are_those_of_the_values(values):
    """Count, mean and standard deviation are exact: sums and squares are."""
    histogram = Histogram.of_rows(LINEAR, [row_of(LINEAR, values)])

    assert histogram.count == len(values)
    assert histogram.mean == pytest.approx(np.mean(values))
    assert histogram.standard_deviation == pytest.approx(np.std(values), rel=1e-6, abs=1e-3)
    assert histogram.geometric_mean is None


@given(VALUES)
def test_exponential_statistics_are_those_of_the_values(values):
    """The geometric mean is of the values and one, less one."""
    histogram = Histogram.of_rows(EXPONENTIAL, [row_of(EXPONENTIAL, values)])
    logs = np.log(np.array(values) + 1)

    assert histogram.mean == pytest.approx(np.mean(values))
    assert histogram.standard_deviation is None
    assert histogram.geometric_mean == pytest.approx(math.exp(logs.mean()) - 1, abs=1e-9)
    spread = math.exp(logs.std())
    assert histogram.geometric_standard_deviation == pytest.approx(spread, rel=1e-5)


@given(VALUES, st.sampled_from([EXPONENTIAL, LINEAR]), st.floats(0, 100))
def test_percentiles_lie_in_the_right_bucket(values, definition, p):
    """An estimate is between the ends of the bucket that holds the value of that rank."""
    histogram = Histogram.of_rows(definition, [row_of(definition, values)])
    rank = max(math.ceil(len(values) * p / 100 - 1e-9), 1)
    value = sorted(values)[rank - 1]
    place = int(np.searchsorted(histogram.bounds, value, side="right")) - 1

    found = histogram.percentile(p)

    assert histogram.bounds[place] - 1e-6 <= found <= histogram.ends[place] + 1e-6
    assert histogram.percentile(0) <= found <= histogram.percentile(100)


@given(VALUES, VALUES)
def test_adding_is_as_good_as_summing_rows(one, other):
    """`+` gives what the rows of both give."""
    rows = [row_of(LINEAR, one, 2), row_of(LINEAR, other, 3)]
    whole = Histogram.of_rows(LINEAR, rows)
    parts = [Histogram.of_rows(LINEAR, [row]) for row in rows]

    assert (parts[0] + parts[1]).to_dict() == whole.to_dict()
    assert whole.submissions == 5


def test_squares_of_several_submissions_are_nearly_known():
    """What the signed lower halves leave out is estimated: here within one percent."""
    values = [[10_000 + 37 * n] * 40 for n in range(200)]
    rows = [row_of(LINEAR, one) for one in values]
    added = [sum(column) for column in zip(*rows, strict=True)]

    found = Histogram.of_rows(LINEAR, [added])

    flat = [value for one in values for value in one]
    assert found.sum_squares == pytest.approx(sum(value * value for value in flat), rel=0.15)
    assert Histogram.of_rows(LINEAR, rows).sum_squares == sum(value * value for value in flat)


def test_the_last_end_mirrors_the_mean_of_its_values():
    """Two values of 300 in a last bucket from 100: its end is 500."""
    histogram = Histogram.of_rows(LINEAR, [row_of(LINEAR, [300, 300])])

    assert histogram.ends[-1] == 500
    assert histogram.median == pytest.approx(300)


def test_what_is_not_known_is_none():
    """Empty, absent, or a logarithm that says 0 for absent: None, and never a warning."""
    empty = Histogram.of_rows(EXPONENTIAL, [])
    absent = Histogram.of_rows(ENUMERATED, [[1, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, 1, 7]])
    zero_logs = Histogram.of_rows(EXPONENTIAL, [[1, *[0] * 9, 50, 0, 0, -1, -1, 1, 7]])

    for found in (empty.mean, empty.median, empty.geometric_mean, empty.standard_deviation):
        assert found is None
    assert (absent.sum, absent.mean, absent.standard_deviation) == (None, None, None)
    assert absent.is_categorical
    assert absent.median == pytest.approx(0.5)
    assert zero_logs.geometric_mean is None
    assert zero_logs.geometric_standard_deviation is None
    with pytest.raises(UsageError, match="from 0 to 100"):
        empty.percentile(101)
    with pytest.raises(UsageError, match="different definitions"):
        _ = empty + absent


def test_tables_of_a_histogram():
    """Arrays, a data frame, JSON values."""
    histogram = Histogram.of_rows(LINEAR, [row_of(LINEAR, [1, 1, 50])])
    bounds, counts = histogram.to_numpy()
    frame = histogram.to_pandas()

    assert (bounds.shape, counts.sum()) == ((12,), 3)
    assert list(frame.columns) == ["start", "end", "count", "share"]
    assert frame["share"].sum() == pytest.approx(1)
    assert json.loads(json.dumps(histogram.to_dict()))["count"] == 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three records of one version, on two days and two systems, and one of another version."""

    def one(system: str, first: int, **dimensions: str):
        times = [first, *[0] * 9, first, 1.5, 2.25, -1, -1]
        states = [1, *[0] * 8]
        return ping(payload(system, TIMES=times, STATES=states), dimensions=dimensions)

    records = [
        one("WINNT", 1),
        one("Linux", 2),
        one("WINNT", 4, appBuildID="20130227031002"),
        one("WINNT", 8, appVersion="9.0"),
    ]
    definitions = write_definitions(tmp_path)
    run_analysis(Histograms, records, output=tmp_path / "out", definitions=[str(definitions)])
    return tmp_path / "out"


def test_reading_a_published_folder(folder):
    """Versions in their order, measures, filters, dates; sums over what is chosen."""
    published = mr.histograms.open(folder)
    version = published["nightly/22"]

    assert list(published) == ["nightly/9", "nightly/22"]
    assert version.measures == ["SIMPLE_MEASURES_UPTIME", "STATES", "TIMES"]
    assert version.filters["OS"] == ["Linux", "WINNT"]
    assert version.dates("TIMES") == ["20130226", "20130227"]
    assert version.dates("TIMES", by="submission") == ["20130301"]
    assert version.coverage["records"]["read"] == 3
    assert version.histogram("TIMES").count == 7
    assert version.histogram("TIMES").submissions == 3
    assert version.histogram("TIMES", OS="WINNT").count == 5
    assert version.histogram("TIMES", OS=["WINNT", "Linux"], arch="x86").count == 7
    assert version.histogram("TIMES", start="2013-02-27").count == 4
    assert version.histogram("TIMES", end="20130226", OS="Linux").count == 2
    assert version.histogram("TIMES", end="20000101").count == 0
    evolution = version.evolution("TIMES")
    assert {day: one.count for day, one in evolution.items()} == {"20130226": 3, "20130227": 4}
    frame = version.to_pandas("TIMES")
    assert list(frame["count"]) == [2, 1, 4]
    assert list(frame["OS"]) == ["Linux", "WINNT", "WINNT"]
    assert version.definition("STATES").n_values == DEFINITIONS["STATES"]["n_values"]


def test_gzipped_bodies_are_read_too(folder):
    """As they lie in a bucket."""
    before = mr.histograms.open(folder)["nightly/22"].histogram("TIMES").to_dict()
    for path in folder.rglob("*.json"):
        path.write_bytes(gzip.compress(path.read_bytes()))

    assert mr.histograms.open(folder)["nightly/22"].histogram("TIMES").to_dict() == before


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda p: p["nightly/23"], "has no nightly/23; did you mean nightly/22"),
        (lambda p: p["nightly/22"].histogram("TIME"), "no measure TIME; did you mean TIMES"),
        (lambda p: p["nightly/22"].histogram("TIMES", by="x"), "by build or by submission"),
        (lambda p: p["nightly/22"].histogram("TIMES", os="x"), "there is no filter os"),
        (lambda p: p["nightly/22"].histogram("TIMES", OS="x"), "no OS 'x'; it has Linux, WINNT"),
        (lambda p: p["nightly/22"].histogram("TIMES", start="x"), "'x' is no date"),
    ],
)
def test_what_is_not_there_is_told(folder, ask, sentence):
    """What, and what there is instead."""
    with pytest.raises(UsageError, match=sentence):
        ask(mr.histograms.open(folder))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("histograms.json", b"{", "histograms.json is broken"),
        ("histograms.json", b"[]", "is no JSON object"),
        ("histograms.json", b'{"TIMES": {"kind": "x"}}', "the definition of TIMES is broken"),
        ("filter-tree.json", b"{}", "filter tree is damaged"),
        ("filter-tree.json", b'{"_id": 0, "name": "reason"}', "does not have the filter"),
        ("TIMES-by-build-date.json", b'{"20130226": [[1, 2]]}', "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", None, "is missing: publish the folder anew"),
    ],
)
def test_broken_files_are_told(folder, name, text, sentence):
    """Which file, and what to do."""
    path = folder / versions(folder)["nightly/22"] / name
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text)

    with pytest.raises(UsageError, match=sentence):
        mr.histograms.open(folder)["nightly/22"].histogram("TIMES")


def test_no_published_folder(tmp_path):
    """A folder without versions.json, or one whose names lead elsewhere."""
    with pytest.raises(UsageError, match="this is no published folder"):
        mr.histograms.open(tmp_path)
    (tmp_path / "versions.json").write_text('{"nightly/22": "../elsewhere"}')
    with pytest.raises(UsageError, match="names no folder"):
        mr.histograms.open(tmp_path)


def test_show(command, folder):
    """Versions, measures, a measure; as a table, as csv and as JSON."""
    table = command("show", folder)
    measures = command("show", folder, "nightly/22")
    bars = command("show", folder, "nightly/22", "TIMES", "--filter", "OS=WINNT")
    rows = command("show", folder, "nightly/22", "TIMES", "--by", "submission", "--format", "csv")
    whole = command("show", folder, "nightly/22", "TIMES", "--format", "json", "--to", "20130226")

    assert [line.split()[0] for line in table.out.decode().splitlines()[1:]] == [
        "nightly/9",
        "nightly/22",
    ]
    assert b"TIMES" in measures.out
    assert "OS: Linux, WINNT" in measures.err
    assert "2 submissions, 5 values" in bars.out.decode()
    assert "percentiles (estimates)" in bars.out.decode()
    assert "█" in bars.out.decode()
    assert rows.out.decode().splitlines()[:2] == ["start,end,count", "0,1.0,7"]
    assert json.loads(whole.out)["count"] == 3
    assert json.loads(command("show", folder, "--format", "json").out)[0]["version"] == "nightly/9"


def test_show_without_blocks_in_the_encoding(command, folder, environment):
    """Bars of number signs where the terminal knows ASCII only."""
    environment["PYTHONIOENCODING"] = "ascii"

    answer = command("show", folder, "nightly/22", "TIMES")

    assert answer.code == 0
    assert b"####" in answer.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "this is no published folder"),
        (["nightly/23"], "has no nightly/23"),
        (["nightly/22", "TIMES", "--filter", "OS"], "must be LEVEL=VALUE"),
        (["nightly/22", "--filter", "OS=WINNT"], "choose rows of a measure: name one"),
    ],
)
def test_show_refuses_in_one_sentence(command, folder, arguments, sentence):
    """Exit code 2, and no traceback."""
    places = [] if arguments == ["nowhere"] else [folder]

    answer = command("show", *places, *arguments)

    assert answer.code == 2
    assert sentence in answer.err
    assert "Traceback" not in answer.err
