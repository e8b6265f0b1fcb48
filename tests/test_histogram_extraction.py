"""From a record to its filter path, its histograms and its simple measures."""

import json
import lzma
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.histograms import extraction
from mr.histograms.extraction import (
    Statistics,
    filter_path,
    histograms,
    revision_of,
    simple_histogram,
    simple_measures,
)

_DATA = Path(__file__).parent.parent.parent / "shared" / "data"
_ABSENT = Statistics(None, None, None, None, None)


def refuse(reason: str, name: str) -> None:
    """Fail where nothing should be left out."""
    raise AssertionError(f"{name} was left out: {reason}")


def extract(found, payload):
    """What `histograms` or `simple_measures` give of a payload, and what they leave out."""
    skipped = []
    return list(found(payload, lambda *left_out: skipped.append(left_out))), skipped


def read_one(histogram):
    """The counts and statistics of one histogram; the reason if it is left out."""
    found, skipped = extract(histograms, {"histograms": {"H": histogram}})
    assert len(found) + len(skipped) == 1
    if skipped:
        assert skipped[0][1] == "H"
        return skipped[0][0]
    name, counts, statistics = found[0]
    assert name == "H"
    return counts.tolist(), statistics


# --- filter paths ---


@pytest.mark.parametrize(
    ("info", "path"),
    [
        ({"OS": "WINNT", "version": "6.1", "arch": "x86"}, ("WINNT", "6.1", "x86")),
        ({"OS": "WINNT", "version": 6.1, "arch": "x86"}, ("WINNT", "6.1", "x86")),
        ({"OS": "WINNT", "version": 5, "arch": "x86"}, ("WINNT", "5", "x86")),
        ({"OS": "Linux", "version": "3.8.0-27", "arch": "arm"}, ("Linux", "3.8", "arm")),
        ({"OS": "Linux", "version": 3.125, "arch": "arm"}, ("Linux", "3.1", "arm")),
        ({"OS": "linux", "version": "3.8.0-27", "arch": "arm"}, ("linux", "3.8.0-27", "arm")),
        ({"OS": "", "version": "", "arch": ""}, ("", "", "")),
    ],
)
def test_a_filter_path(info, path):
    """It is OS, its version as text (of Linux three characters) and arch."""
    assert filter_path(info) == path


_GOOD_INFO = {"OS": "WINNT", "version": "6.1", "arch": "x86"}


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (None, extraction.NO_INFO),
        ([], extraction.NO_INFO),
        ("WINNT", extraction.NO_INFO),
        *(({**_GOOD_INFO, "OS": bad}, extraction.NO_OS) for bad in (None, 1, ["WINNT"])),
        *(({**_GOOD_INFO, "arch": bad}, extraction.NO_ARCH) for bad in (None, 86, {})),
        *(
            ({**_GOOD_INFO, "version": bad}, extraction.NO_VERSION)
            for bad in (None, True, [6], {}, math.nan, math.inf, 10**5000)
        ),
        ({"version": "6.1", "arch": "x86"}, extraction.NO_OS),
    ],
)
def test_a_record_without_a_filter_path(info, reason):
    """The answer is the reason."""
    assert filter_path(info) == reason


def test_the_revision_may_be_missing():
    """It is "" then, or when it is no text."""
    assert revision_of({"revision": "http://hg/rev/1"}) == "http://hg/rev/1"
    assert revision_of({}) == revision_of({"revision": 1}) == ""


# --- packed histograms ---


def test_a_packed_histogram():
    """Five statistics are behind the counts; -1 is an absent one."""
    assert read_one([1, 0, 2, 7, 1.5, 2.25, -1, -1]) == ([1, 0, 2], (7, 1.5, 2.25, None, None))
    assert read_one([4, -1, -1, -1, -1, -1.0]) == ([4], _ABSENT)
    assert read_one([4, 0, 0.0, -2, -2147129692, 23]) == ([4], (0, 0.0, -2, -2147129692, 23))


def test_whole_counts_of_any_kind_and_size_are_taken():
    """Floats that are whole become ints, and ints may need more than 64 bits."""
    assert read_one([1.0, 2, -3, 0, 0, 0, 0, 0])[0] == [1, 2, -3]
    assert read_one([10**30, 1, 0, 0, 0, 0, 0])[0] == [10**30, 1]
    assert read_one([2**63 - 1, -(2**63), 0, 0, 0, 0, 0])[0] == [2**63 - 1, -(2**63)]
    assert read_one([1e300, 0, 0, 0, 0, 0])[0] == [int(1e300)]
    assert read_one([1, 10**300, 0, 0, 0, 0])[1].sum == 10**300


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        ([], extraction.TOO_SHORT),
        ([1, 2, 3, 4, 5], extraction.TOO_SHORT),
        *(
            ([*([0] * place), bad, *([0] * (9 - place))], extraction.NOT_NUMBERS)
            for bad in ("1", None, True, False, [1], {}, {"a": 1}, math.nan, math.inf, -math.inf)
            for place in (0, 4, 5, 9)
        ),
        ([0.5, 0, 0, 0, 0, 0], extraction.FRACTION),
        ([10**400, 0, 0, 0, 0, 0], extraction.TOO_LARGE),
        ([1, -(10**400), 0, 0, 0, 0, 0], extraction.TOO_LARGE),
        ([1, 0, 0, 0, 0, 10**400], extraction.TOO_LARGE),
    ],
)
def test_an_array_that_is_left_out(array, reason):
    """Something other than numbers at any place, too few, and numbers that nobody can read."""
    assert read_one(array) == reason


def test_one_bad_measure_leaves_the_others():
    """What is good comes; what is not is named with its reason."""
    good = [1, 0, 0, 0, 0, 0]
    found, skipped = extract(
        histograms,
        {"histograms": {"A": good, "B": ["x"] * 9, "C.c-1_": good, "ö": good, "a/b": good, "": []}},
    )

    assert [name for name, _, _ in found] == ["A", "C.c-1_"]
    assert skipped == [
        ("something other than numbers", "B"),
        *((extraction.BAD_NAME, name) for name in ("ö", "a/b", "")),
    ]


def test_a_section_may_be_missing_but_must_be_an_object():
    """No histograms are no fault, a list of them is."""
    assert extract(histograms, {}) == ([], [])
    assert extract(histograms, {"histograms": None}) == ([], [])
    assert extract(histograms, {"histograms": [1]}) == ([], [(extraction.NO_SECTION, "")])
    assert extract(simple_measures, {"simpleMeasurements": 1}) == (
        [],
        [(extraction.NO_SECTION, "")],
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(
            st.sampled_from(["values", "range", "bucket_count", "histogram_type", "sum", "0", "1"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=3), _JSON, max_size=4))
def test_whatever_a_record_holds_is_counted_or_named(section):
    """No record stops the job: each histogram comes or is left out, and what comes is sound."""
    found, skipped = extract(histograms, {"histograms": section})

    assert len(found) + len(skipped) == len(section)
    for _, counts, statistics in found:
        assert all(type(count) is int for count in counts.tolist())
        assert all(number is None or math.isfinite(number) for number in statistics)
    values, _ = extract(simple_measures, {"simpleMeasurements": section})
    assert all(math.isfinite(value) for _, value in values)


# --- the older form ---


def older(**changes):
    """A histogram of the older form, a good one but for the changes."""
    good = {
        "range": [1, 10000],
        "bucket_count": 10,
        "histogram_type": 0,
        "values": {"0": 2, "3": 1, "10000": 4},
        "sum": 40_003,
    }
    return {**good, **changes}


def test_an_older_histogram():
    """Values are keyed by lower bounds, other statistics are absent unless they are there."""
    assert read_one(older()) == ([2, 0, 1, 0, 0, 0, 0, 0, 0, 4], _ABSENT._replace(sum=40_003))
    assert read_one(older(values={}, sum=-1)) == ([0] * 10, _ABSENT)
    named = dict(zip(Statistics._fields, (1, 2.5, 3, 4, 5), strict=True))
    assert read_one(older(**named))[1] == (1, 2.5, 3, 4, 5)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"histogram_type": 1, "range": [1, 5], "bucket_count": 6, "values": {"3": 7}},
         [0, 0, 0, 7, 0, 0]),
        ({"histogram_type": 1, "range": [0, 5], "bucket_count": 6, "values": {"5": 7}},
         [0, 0, 0, 0, 0, 7]),
        ({"histogram_type": 2, "range": [1, 2], "bucket_count": 3, "values": {"1": 7}}, [0, 7, 0]),
        ({"histogram_type": 3, "range": None, "values": {"0": 1, "2": 0}}, [1, 0, 0]),
        ({"histogram_type": 4, "values": {"0": 9}}, [9, 0, 0]),
    ],
)  # fmt: skip
def test_an_older_histogram_of_each_type(changes, counts):
    """Linear and exponential by their range, the others have three buckets."""
    assert read_one(older(**changes))[0] == counts


@pytest.mark.parametrize(
    ("histogram", "reason"),
    [
        *((bad, extraction.NO_HISTOGRAM) for bad in (None, 1, "text", True, {}, {"values": []})),
        *((older(histogram_type=bad), extraction.NO_HISTOGRAM) for bad in (5, -1, True, "0", None)),
        *((older(range=bad), extraction.NO_HISTOGRAM) for bad in (None, 5, "12", {})),
        *(
            (older(range=bad), extraction.BAD_BUCKETS)
            for bad in ([], [1], [1, 2, 3], [5, 5], [9, 2], [-1, 100], [1, 2], [1, 10**30],
                        ["1", "2"], [1, True], [1.0, 100.0])
        ),
        *(
            (older(bucket_count=bad, range=[1, 10**9]), extraction.BAD_BUCKETS)
            for bad in (2, 0, -1, 10**9, None, "10", True, 10.0)
        ),
        *((older(values={bad: 1}), extraction.NO_BUCKET) for bad in ("2", "-1", "", "x", "00")),
        (older(values={"0": "1"}), extraction.NOT_NUMBERS),
        (older(values={"0": True}), extraction.NOT_NUMBERS),
        (older(values={"0": 0.5}), extraction.FRACTION),
        (older(sum="1"), extraction.NOT_NUMBERS),
        (older(sum=None), extraction.NOT_NUMBERS),
    ],
)  # fmt: skip
def test_an_older_histogram_that_is_left_out(histogram, reason):
    """Buckets that cannot be known, values in none of them, and what is no number."""
    assert read_one(histogram) == reason


# --- simple measures ---


def test_simple_measures():
    """Numbers, also one level below, under upper-cased names; nothing else."""
    found, skipped = extract(
        simple_measures,
        {
            "simpleMeasurements": {
                "uptime": 3,
                "half": 0.5,
                "js": {"setProto": 1, "deep": {"er": 1}, "flag": True},
                "nothing": {},
                "yes": True,
                "text": "1",
                "none": None,
                "list": [1],
                "bad name": 1,
                "bad text": "x",
                "large": 10**400,
                "nan": math.nan,
                "infinite": -math.inf,
            }
        },
    )

    assert found == [
        ("SIMPLE_MEASURES_UPTIME", 3),
        ("SIMPLE_MEASURES_HALF", 0.5),
        ("SIMPLE_MEASURES_JS_SETPROTO", 1),
    ]
    assert skipped == [
        (extraction.BAD_NAME, "SIMPLE_MEASURES_BAD NAME"),
        (extraction.TOO_LARGE, "SIMPLE_MEASURES_LARGE"),
        (extraction.NOT_NUMBERS, "SIMPLE_MEASURES_NAN"),
        (extraction.TOO_LARGE, "SIMPLE_MEASURES_INFINITE"),
    ]


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0, 0), (0.5, 0), (1, 1), (29_999, 48), (24_593, 48), (24_592, 47), (30_000, 49),
     (10**30, 49), (-1, None), (-0.5, None), (-(10**30), None)],
)  # fmt: skip
def test_the_histogram_of_a_simple_measure(value, bucket):
    """One count in the last bucket whose bound is at most the value, and three sums."""
    counts, statistics = simple_histogram(value)

    assert np.flatnonzero(counts).tolist() == ([] if bucket is None else [bucket])
    assert counts.tolist().count(1) == (bucket is not None)
    assert len(counts) == 50
    log = math.log(abs(value) + 1)
    assert statistics == (value, log, log * log, None, None)


def test_a_simple_measure_of_minus_one_has_a_sum():
    """Its sum is -1, which is not absent."""
    assert simple_histogram(-1)[1].sum == -1


# --- the real thing ---


def test_the_real_block():
    """Its one record has 312 histograms and 30 simple measures, all of them sound."""
    blocks = sorted((_DATA / "telemetry").rglob("*.lzma"))
    if not blocks:
        pytest.skip("the real block is not beside this checkout")
    payload = json.loads(lzma.decompress(blocks[0].read_bytes()).partition(b"\t")[2])

    found = list(histograms(payload, refuse))

    assert filter_path(payload["info"]) == ("WINNT", "6.1", "x86")
    assert len(found) == 312
    assert len(list(simple_measures(payload, refuse))) == 30
    for name, counts, statistics in found:
        numbers = [-1 if number is None else number for number in statistics]
        assert [*counts.tolist(), *numbers] == payload["histograms"][name]
