"""Schemas and filters: what they allow, what they refuse, and how a path holds dimensions."""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.errors import SchemaError
from mr.schema import (
    OTHER,
    Allowed,
    Dimensions,
    clean,
    load_filter,
    load_schema,
    parse_filter,
    parse_schema,
    read_json,
)

#: The dimensions of the pipeline, in order.
FIELDS = ["reason", "appName", "appUpdateChannel", "appVersion", "appBuildID", "submission_date"]

#: Where the one real block lies.
REAL_KEY = (
    "saved_session/Firefox/nightly/22.0a1/"
    "20130226031002.20131011.v2.log.e28a4032eb744f089a1828ac7399e5d8.lzma"
)

TEXTS = st.text("aB1_-./ é\n", max_size=4)
ALLOWED = st.one_of(
    st.just("*"),
    TEXTS,
    st.lists(TEXTS, max_size=3),
    st.dictionaries(st.sampled_from(["min", "max"]), TEXTS, min_size=1),
)


def in_json(*allowed, fields=FIELDS):
    """The JSON form of a schema or filter."""
    return {
        "version": 1,
        "dimensions": [
            {"field_name": field, "allowed_values": value}
            for field, value in zip(fields, allowed, strict=False)
        ],
    }


def allows(value, allowed):
    """Whether a filter's allowed values allow a value."""
    return parse_filter({"reason": allowed}, load_schema()).allowed[0].matches(value)


def test_the_bundled_schema_has_the_dimensions_of_the_pipeline():
    """Without a file the schema is the pipeline's."""
    assert list(load_schema().fields) == FIELDS


def test_a_path_holds_its_dimensions():
    """Folders come first; the file's name begins with the last two."""
    found = load_schema().dimensions_of(REAL_KEY)

    assert tuple(found) == (
        "saved_session", "Firefox", "nightly", "22.0a1", "20130226031002", "20131011"
    )  # fmt: skip


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "a/b/c/20130101.20130102.log",
        "a/b/c/d/e/20130101.20130102.log",
        "a/b/c/d/20130101.20130102",
        "a/b/c/d/20130101",
        "a/b/c/d/.20130102.log",
        "a/b/c/d/20130101..log",
        "a/b//d/20130101.20130102.log",
        "/a/b/c/20130101.20130102.log",
        "a/b/c/d/",
    ],
)
def test_a_path_of_another_form_holds_none(key):
    """Too few or too many folders, or an empty dimension, is not of the layout."""
    assert load_schema().dimensions_of(key) is None


def test_dimensions_are_a_tuple_with_names():
    """Items can be had by place, by attribute and as a mapping."""
    found = Dimensions(("reason", "appName"), ["idle", "Firefox"])

    assert found == ("idle", "Firefox")
    assert (found[1], found.appName, found["appName"]) == ("Firefox",) * 3
    assert dict(found) == {"reason": "idle", "appName": "Firefox"}
    assert found[:1] == ("idle",)


def test_an_unknown_dimension_is_named_with_those_that_are_known():
    """A slip in a name is a KeyError or AttributeError that lists the fields."""
    found = Dimensions(("reason", "appName"), ["idle", "Firefox"])

    with pytest.raises(KeyError, match="no dimension 'os'; the schema has reason, appName"):
        found["os"]
    with pytest.raises(AttributeError, match="no dimension 'os'; the schema has reason, appName"):
        found.os  # noqa: B018
    assert not hasattr(found, "to_dict")


def test_dimensions_can_be_copied_and_pickled():
    """A copy has the same values and names."""
    found = Dimensions(("reason", "appName"), ["idle", "Firefox"])

    for other in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found
        assert other.appName == "Firefox"


def test_allowed_values_have_four_forms():
    """Any, one, some, or a range with both ends in it."""
    assert allows("x", "*")
    assert allows("x", "x")
    assert not allows("y", "x")
    assert allows("y", ["x", "y"])
    assert not allows("z", ["x", "y"])
    assert not allows("x", [])
    assert allows("anything", ["x", "*"])
    assert allows("20130607", {"min": "20130600", "max": "20130607"})
    assert allows("20130600", {"min": "20130600", "max": "20130607"})
    assert not allows("20130608", {"max": "20130607"})
    assert not allows("20130599", {"min": "20130600"})


def test_a_range_compares_text():
    """A maximum that is a day leaves out the 14-digit builds of that day."""
    assert not allows("20130607031002", {"max": "20130607"})
    assert allows("20130606031002", {"max": "20130607"})


@pytest.mark.parametrize("value", ["saved-session", "saved_session", "saved session"])
def test_both_sides_of_a_comparison_are_cleaned(value):
    """A value and its spelling in a path are the same value, on either side."""
    assert allows("saved_session", value)
    assert allows(value, "saved-session")
    assert allows(value, {"min": "saved-session", "max": "saved-session"})


def test_cleaning_keeps_what_paths_keep():
    """Everything outside letters, digits, `_`, `/` and `.` becomes `_`, letter by letter."""
    assert clean("aZ09_/.") == "aZ09_/."
    assert clean("a-b c\u00e9\n\U0001f600") == "a_b_c___"


@given(value=TEXTS, allowed=ALLOWED)
def test_what_is_allowed_survives_its_json_form(value, allowed):
    """A filter written and read again allows the same."""
    schema = load_schema()
    first = parse_filter({"appName": allowed}, schema)

    again = parse_filter(json.loads(json.dumps(first.to_dict())), schema)

    assert again == first
    assert again.matches(["r", value, "c", "v", "b", "d"]) == first.allowed[1].matches(value)


@given(value=TEXTS, allowed=ALLOWED)
def test_spellings_are_every_name_that_is_allowed(value, allowed):
    """Where an allowed value's spellings are known, a name is one of them or is not allowed."""
    found = parse_filter({"reason": allowed}, load_schema()).allowed[0]

    is_name = value not in ("", ".", "..") and "/" not in value
    if found.spellings is not None and is_name:
        assert (value in found.spellings) == found.matches(value)


@given(values=st.lists(st.sampled_from(["idle-daily", "x y", "Firefox"]), min_size=6, max_size=6))
def test_a_schema_places_records(values):
    """A value that is not allowed becomes OTHER; the rest is cleaned."""
    allowed = [["idle-daily"], ["Firefox"], "*", "*", "*", "*"]

    place = parse_schema(in_json(*allowed)).place(values)

    assert place.reason == ("idle_daily" if values[0] == "idle-daily" else OTHER)
    assert place.appName == ("Firefox" if values[1] == "Firefox" else OTHER)
    assert place[2:] == tuple(clean(value) for value in values[2:])


def test_a_filter_names_what_it_wants_in_any_order():
    """Both forms of a filter may leave dimensions out, which then allow everything."""
    schema = load_schema()
    long_form = in_json("nightly", fields=["appUpdateChannel"])

    assert parse_filter(long_form, schema) == parse_filter({"appUpdateChannel": "nightly"}, schema)
    found = parse_filter(in_json("9", "main", fields=["appVersion", "reason"]), schema)
    assert found.allowed[0] == Allowed(("main",))
    assert found.allowed[3] == Allowed(("9",))
    assert found.allowed[1].any


def test_no_filter_allows_everything():
    """Nothing at all is a filter too."""
    assert load_filter(None, load_schema()).matches(["a", "", "c", "d", "e", "f"])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], 'must be an object with a list "dimensions"'),
        ({"version": 1}, 'must be an object with a list "dimensions"'),
        ({"version": 1, "dimensions": {}}, 'must be an object with a list "dimensions"'),
        ({"version": 2, "dimensions": []}, "version is 2; only 1 is known"),
        ({"dimensions": []}, "version is None; only 1 is known"),
        ({"version": 1, "dimensions": []}, "needs at least 2 dimensions"),
        (in_json("*"), "needs at least 2 dimensions"),
        ({"version": 1, "dimensions": ["reason"]}, 'dimension 1 has no "field_name"'),
        ({"version": 1, "dimensions": [{"field_name": 3}]}, 'dimension 1 has no "field_name"'),
        ({"version": 1, "dimensions": [{"field_name": "a"}]}, 'a has no "allowed_values"'),
        (in_json("*", "*", fields=["a", "a"]), "a stands there twice"),
        (in_json(3), "reason: allowed_values is 3; it must be"),
        (in_json(None), "reason: allowed_values is None; it must be"),
        (in_json(["a", 1]), "reason: allowed_values is"),
        (in_json({}), "reason: allowed_values is {}"),
        (in_json({"min": 20130101}), "reason: allowed_values is"),
        (in_json({"from": "a"}), "reason: allowed_values is"),
    ],
)
def test_a_wrong_schema_is_one_sentence(data, sentence):
    """The error names the file and says what is wrong in it."""
    with pytest.raises(SchemaError) as error:
        parse_schema(data, "F.json")

    assert str(error.value).startswith("F.json: ")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "must be a JSON object, not list"),
        ("nightly", "must be a JSON object, not str"),
        ({"channel": "nightly"}, "no dimension channel; the schema has reason, appName"),
        ({3: "nightly"}, "no dimension 3; the schema has"),
        (in_json("*", fields=["channel"]), "no dimension channel; the schema has"),
        ({"reason": 3}, "reason: allowed_values is 3"),
        ({"version": 3, "dimensions": []}, "version is 3"),
    ],
)
def test_a_wrong_filter_is_one_sentence(data, sentence):
    """The error says what is wrong, and what the schema has."""
    with pytest.raises(SchemaError) as error:
        parse_filter(data, load_schema(), "F.json")

    assert str(error.value).startswith("F.json: ")
    assert sentence in str(error.value)


def test_a_filter_of_a_wrong_type_is_refused():
    """What an analysis has as its filter may be a mapping or a file, and nothing else."""
    with pytest.raises(SchemaError, match="must be a JSON object, not list"):
        load_filter(["nightly"], load_schema())


def test_files_are_read(tmp_path):
    """A schema and a filter can be files."""
    path = tmp_path / "f.json"
    path.write_text(json.dumps(in_json("*", "Firefox", "x", "*", "*", "*")))

    assert load_schema(path).allowed[1] == Allowed(("Firefox",))
    assert load_filter(path, load_schema()).allowed[2] == Allowed(("x",))
    assert load_filter(str(path), load_schema()).allowed[2] == Allowed(("x",))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"version": 1,\n  dimensions}', "not JSON: .* at line 2, column 3"),
        (b"", "not JSON: .* at line 1, column 1"),
        (b"\xff", "cannot be read"),
        (b"[" * 200_000, "cannot be read"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, content, sentence):
    """The error names the file and the place."""
    path = tmp_path / "f.json"
    path.write_bytes(content)

    with pytest.raises(SchemaError, match=f"f.json: {sentence}"):
        read_json(path)


@pytest.mark.parametrize("name", ["absent.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name):
    """A missing file, a folder and an impossible name are SchemaErrors."""
    with pytest.raises(SchemaError, match="cannot be read"):
        load_filter(tmp_path / name, load_schema())


PRERELEASE = [["saved-session"], ["Firefox", "Fennec"], ["nightly", "aurora"], "*"]
NIGHTLY = [["saved-session", "idle-daily"], ["Firefox"], ["nightly"], "*"]


@pytest.mark.parametrize(
    ("allowed", "matches"),
    [
        (["*"] * 6, True),
        ([*PRERELEASE, {"max": "20130607"}, "*"], True),
        ([*PRERELEASE, {"min": "20130600"}, "*"], False),
        ([*PRERELEASE, {"min": "20130600", "max": "20130607"}, "*"], False),
        ([*PRERELEASE, "*", {"min": "20131101", "max": "20131103"}], False),
        ([*NIGHTLY, {"min": "20140228"}, {"min": "20140308", "max": "20140309"}], False),
    ],
)
def test_the_pipelines_filters_choose_as_they_did(allowed, matches):
    """The filters that the pipeline used match its one real block, or not, as they did then."""
    schema = load_schema()

    found = parse_filter(in_json(*allowed), schema).matches(schema.dimensions_of(REAL_KEY))

    assert found is matches
    assert schema.matches(schema.dimensions_of(REAL_KEY))
