"""Definition files of both forms, what is unusable in them, and choosing among revisions."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.errors import UsageError
from mr.histograms.definitions import (
    SIMPLE,
    Definition,
    Definitions,
    DefinitionSet,
    load_definitions,
    parse_definition,
    parse_definitions,
    parse_option,
)
from mr.histograms.expressions import whole_number

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
SOURCES = SHARED / "definitions" / "Histograms-firefox-25.json"
RANGES = SHARED / "definitions" / "bucket-ranges-ad0ae007aa9e.json"
REVISION = "http://hg.mozilla.org/mozilla-central/rev/73f0c5b00572"

needs_real_data = pytest.mark.skipif(
    not SHARED.exists(), reason="the real data is not beside the checkout"
)


def one_of(path: Path, entries: Any) -> Path:
    """The path of a definition file with these entries."""
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


def enumerated(**values: int) -> DefinitionSet:
    """A set of enumerated measures, told apart by how many values they have."""
    return DefinitionSet({name: Definition("enumerated", n_values=n) for name, n in values.items()})


# --- one definition ---


def test_the_numbers_of_a_definition():
    """A range starts at 1 unless it says otherwise; lengths follow from the buckets."""
    exponential = Definition("exponential", high=10000, n_buckets=50)

    assert (
        exponential
        == Definition("exponential", 1, 10000, 50)
        == SIMPLE.__class__(
            "exponential", 0, 10000, 50, description="text does not make another definition"
        )
    )
    assert (exponential.low, exponential.buckets, exponential.length) == (1, 50, 55)
    assert Definition("enumerated", n_values=7).buckets == 8
    assert Definition("boolean").buckets == Definition("flag").buckets == 3


def test_a_definition_as_it_is_published():
    """The published form has the kind, a description, and the numbers that the kind needs."""
    assert Definition("linear", None, 10, 5, description="Five").to_json() == {
        "kind": "linear",
        "description": "Five",
        "low": 1,
        "high": 10,
        "n_buckets": 5,
    }
    assert Definition("enumerated", n_values=3).to_json() == {
        "kind": "enumerated",
        "description": "",
        "n_values": 3,
    }
    assert Definition("flag").to_json() == {"kind": "flag", "description": ""}


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"kind": "count"}, "kind is 'count'"),
        ({"kind": "exponential", "n_buckets": 5}, "needs high"),
        ({"kind": "exponential", "high": 10}, "needs n_buckets"),
        ({"kind": "exponential", "high": 10.0, "n_buckets": 5}, "needs high, a whole number"),
        ({"kind": "linear", "high": 1, "n_buckets": 5}, "low 1 and high 1"),
        ({"kind": "linear", "low": -3, "high": 10, "n_buckets": 5}, "low -3"),
        ({"kind": "linear", "high": 2**62, "n_buckets": 5}, "at most"),
        ({"kind": "linear", "high": 10, "n_buckets": 2}, "not from 3 to 11"),
        ({"kind": "exponential", "high": 10, "n_buckets": 12}, "not from 3 to 11"),
        ({"kind": "exponential", "high": 10**9, "n_buckets": 10**8}, "not from 3 to 10000"),
        ({"kind": "enumerated"}, "needs n_values"),
        ({"kind": "enumerated", "n_values": 0}, "n_values is 0"),
        ({"kind": "enumerated", "n_values": 10**9}, "n_values is 1000000000"),
        ({"kind": "boolean", "n_values": 2}, "has no n_values"),
    ],
)
def test_numbers_that_give_no_buckets_are_refused(numbers: dict, says: str):
    """The reason names the number that is wrong."""
    with pytest.raises(UsageError, match=says):
        Definition(**numbers)


# --- numbers and expressions ---


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (50, 50),
        (50.0, 50),
        ("10000", 10000),
        (" 4 * 1024 * 1024 ", 4 * 1024 * 1024),
        ("80 + 1", 81),
        ("(1 << 10) - 2 ** 3", 1016),
        ("-(3 - 10) * +2", 14),
        ("7 / 2 + 9 // 2", 7),
        ("0x10", 16),
    ],
)
def test_expressions_have_values(text: Any, number: int):
    """Ints, text of ints, and arithmetic of ints."""
    found = whole_number(text)

    assert found == number
    assert type(found) is int


@given(st.integers(-(2**62), 2**62), st.integers(1, 1000), st.integers(-(2**40), 2**40))
def test_expressions_agree_with_arithmetic(a: int, b: int, c: int):
    """An expression gives what the arithmetic gives."""
    assert whole_number(f"({a}) // {b} - ({c}) * {b}") == a // b - c * b


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("JS::gcreason::NUM_TELEMETRY_REASONS", "JS::gcreason::NUM_TELEMETRY_REASONS has no value"),
        ("mozilla::MAX_ID + 1", "mozilla::MAX_ID has no value"),
        ("__import__('os').system('true')", "__import__ has no value"),
        ("abc", "abc has no value"),
        ("10**10**10", "too large"),
        ("2 ** 64", "too large"),
        ("3 ** 63", "too large"),
        ("1 << 10000000000", "too large"),
        ("(1 << 62) * 4", "too large"),
        ("9" * 99, "too large"),
        ("9" * 5000, "more than 100 characters"),
        ("(" * 5000 + "1" + ")" * 5000, "more than 100 characters"),
        ("(" * 99 + "1", "no arithmetic"),
        ("2 ** -1", "no arithmetic"),
        ("1 << -1", "no arithmetic"),
        ("1e5", "no arithmetic|has no value"),
        ("1.5", "no arithmetic"),
        ("1, 2", "no arithmetic"),
        ("1 (2)", "no arithmetic"),
        ("1 < 2", "no arithmetic"),
        ("1 >> 2", "no arithmetic"),
        ("010", "no arithmetic"),
        ("", "no arithmetic"),
        ("1\n2", "no arithmetic"),
        ("1\x00", "no arithmetic"),
        ("1 // (2 - 2)", "divides by zero"),
        (1.5, "no whole number"),
        (float("nan"), "no whole number"),
        (True, "no whole number"),
        ([1], "no whole number"),
        ({}, "no whole number"),
        (10**400, "too large"),
    ],
)
def test_what_is_no_number_is_refused(value: Any, says: str):
    """Names, calls, other operators and huge numbers have no value, and nothing is executed."""
    with pytest.raises(ValueError, match=says):
        whole_number(value)


@given(st.text("0123456789 +-*/<()xXafAF", max_size=110))
def test_every_text_has_a_small_value_or_a_reason(text: str):
    """No text of such characters takes long, or fails in another way."""
    try:
        number = whole_number(text)
    except ValueError:
        number = 0

    assert type(number) is int
    assert number.bit_length() <= 63


def test_a_hostile_expression_stands_with_its_measure(tmp_path: Path):
    """Unusable definitions are kept by name with their reason, and the others are used."""
    path = one_of(
        tmp_path / "definitions.json",
        {
            "GOOD": {"kind": "enumerated", "n_values": "2 * 5"},
            "CONSTANT": {"kind": "enumerated", "n_values": "JS::gcreason::NUM_TELEMETRY_REASONS"},
            "CALL": {"kind": "enumerated", "n_values": "__import__('os').getpid()"},
            "HUGE": {"kind": "exponential", "high": "10**10**10", "n_buckets": 5},
            "DEEP": {"kind": "exponential", "high": "(" * 2000 + "9" + ")" * 2000, "n_buckets": 5},
            "NOT_AN_OBJECT": [1, 2],
            "NO_KIND": {"high": 5},
            "LIST_KIND": {"kind": ["flag"]},
        },
    )

    found = load_definitions(path)

    assert found.definitions == {"GOOD": Definition("enumerated", n_values=10)}
    assert found.unusable == {
        "CONSTANT": "n_values is 'JS::gcreason::NUM_TELEMETRY_REASONS', and "
        "JS::gcreason::NUM_TELEMETRY_REASONS has no value here",
        "CALL": "n_values is \"__import__('os').getpid()\", and __import__ has no value here",
        "HUGE": "high is too large a number",
        "DEEP": "high has more than 100 characters",
        "NOT_AN_OBJECT": "the entry is no JSON object",
        "NO_KIND": "kind is None, which is none of exponential, linear, enumerated, boolean, flag",
        "LIST_KIND": "kind is ['flag'], which is none of exponential, linear, enumerated, "
        "boolean, flag",
    }


# --- files ---


def bucket_range(kind: Any, low: int, high: int, count: int, **more: Any) -> dict[str, Any]:
    """An entry of the second form."""
    return {"kind": kind, "min": low, "max": high, "bucket_count": count} | more


@pytest.mark.parametrize(
    ("entry", "definition"),
    [
        (bucket_range("0", 1, 10000, 50), Definition("exponential", 1, 10000, 50)),
        (bucket_range(0, 1, "10 * 1000", 50), Definition("exponential", 1, 10000, 50)),
        (bucket_range("1", 1, 10, 5), Definition("linear", 1, 10, 5)),
        (bucket_range("1", 1, 10, 11), Definition("enumerated", n_values=10)),
        (bucket_range("1", 2, 11, 11), Definition("linear", 2, 11, 11)),
        (bucket_range("2", 1, 2, 3), Definition("boolean")),
        (bucket_range("3", 1, 2, 3), Definition("flag")),
        (bucket_range("3", 1, 5, 6), Definition("enumerated", n_values=5)),
        (bucket_range("3", 1, 50, 6), Definition("linear", 1, 50, 6)),
        (bucket_range("1", 1, 10, 5, buckets=[0, 1, 4, 7, 10]), Definition("linear", 1, 10, 5)),
    ],
)
def test_bucket_ranges_are_definitions(entry: dict, definition: Definition):
    """Kinds are numbers; whether a linear one is enumerated is told by its numbers."""
    assert parse_definition(entry) == definition


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (bucket_range("4", 1, 2, 3), "kind is '4'"),
        (bucket_range(True, 1, 2, 3), "kind is True"),
        (bucket_range("1", 1, 10, 5, buckets=[0, 1, 2, 3, 4]), "buckets are not those"),
        (bucket_range("2", 1, 10, 5, buckets=[0, 1, 4, 7, 10]), "buckets are not those"),
        ({"kind": "0", "min": 1, "max": 10}, "needs n_buckets"),
        ({"kind": "1", "min": 1}, "needs high"),
    ],
)
def test_bucket_ranges_that_contradict_themselves_are_unusable(entry: dict, says: str):
    """Pages calculate the bounds from the numbers, so listed ones must be the same."""
    with pytest.raises(UsageError, match=says):
        parse_definition(entry)


@needs_real_data
def test_real_definitions_of_both_forms_agree():
    """What a release and the bucket ranges say of a measure is the same; two are unusable."""
    sources, ranges = load_definitions(SOURCES), load_definitions(RANGES)

    assert sources.unusable.keys() == {"GC_REASON_2", "STARTUP_MEASUREMENT_ERRORS"}
    assert "JS::gcreason::NUM_TELEMETRY_REASONS" in sources.unusable["GC_REASON_2"]
    assert (len(sources.definitions), len(ranges.definitions)) == (622, 832)
    assert ranges.unusable == {}
    assert {name: ranges.definitions[name] for name in sources.definitions} == sources.definitions
    assert sources.definitions["GC_MS"].description


@needs_real_data
def test_the_packages_definitions_are_the_releases():
    """They hold every usable definition of the real release."""
    package = load_definitions()

    assert package.definitions == load_definitions(SOURCES).definitions
    assert package.unusable == {}


def test_the_packages_definitions_need_nothing_of_this_reader():
    """Each has its kind and plain numbers, sorted by name."""
    needed = {
        "exponential": {"high", "n_buckets"},
        "linear": {"high", "n_buckets"},
        "enumerated": {"n_values"},
        "boolean": set(),
        "flag": set(),
    }
    path = Path(__file__).parent.parent / "conf" / "definitions.json"
    known = json.loads(path.read_text("utf-8"))

    for definition in known.values():
        numbers = {name: value for name, value in definition.items() if name != "kind"}
        assert needed[definition["kind"]] <= numbers.keys() <= needed[definition["kind"]] | {"low"}
        assert all(type(value) is int for value in numbers.values())

    assert len(known) == 622
    assert list(known) == sorted(known)


def test_published_definitions_can_be_read_again():
    """A published histograms.json is a definition file."""
    found = load_definitions()
    published = {name: one.to_json() for name, one in found.definitions.items()}

    assert parse_definitions(published) == found
    assert parse_definitions({}) == DefinitionSet({}, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "no JSON object"),
        ('{"a": 1}', "none is usable; of 'a', the entry is no JSON object"),
    ],
)
def test_a_file_of_no_definitions_is_refused(tmp_path: Path, text: str, says: str):
    """The sentence names the file and what is wrong."""
    path = one_of(tmp_path / "definitions.json", text)

    with pytest.raises(UsageError, match=says) as refused:
        load_definitions(path)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    """So is one that is missing, or a folder."""
    with pytest.raises(UsageError, match=r"Cannot read .*missing\.json: No such file"):
        load_definitions(tmp_path / "missing.json")
    with pytest.raises(UsageError, match=r"Cannot read .*directory"):
        load_definitions(tmp_path)


def test_a_description_can_always_be_published():
    """Half a surrogate pair in a description is replaced; what is no text is none."""
    broken = {"kind": "flag", "description": "half \ud800"}

    assert parse_definition(broken).description == "half ?"
    assert parse_definition({"kind": "flag", "description": 5}).description == ""


# --- several revisions ---


def test_options_name_a_file_and_perhaps_a_revision():
    """The first equals sign ends the revision."""
    assert parse_option("some/file.json") == (None, "some/file.json")
    assert parse_option(f"{REVISION}=file.json") == (REVISION, "file.json")
    assert parse_option("73f0c5b00572=a=b.json") == ("73f0c5b00572", "a=b.json")
    assert parse_option("=a=b.json") == (None, "a=b.json")
    for wrong, says in {"": "names no file", "73f0c5b=": "names no file", "a=b": "'=a=b'"}.items():
        with pytest.raises(UsageError, match=says):
            parse_option(wrong)


def test_a_measure_has_fallbacks():
    """Its own definition, else that of X for STARTUP_X, else that of all simple measures."""
    definitions = Definitions(
        [(None, enumerated(X=3, STARTUP_Y=4, Y=5, STARTUP_STARTUP_Y=6, SIMPLE_MEASURES_OWN=7))]
    )

    assert definitions.lookup("X").n_values == 3
    assert definitions.lookup("STARTUP_X").n_values == 3
    assert definitions.lookup("STARTUP_Y").n_values == 4
    assert definitions.lookup("STARTUP_STARTUP_X") is None
    assert definitions.lookup("Z") is None
    assert definitions.lookup("SIMPLE_MEASURES_UPTIME") == SIMPLE
    assert definitions.lookup("SIMPLE_MEASURES_OWN").n_values == 7
    assert definitions.with_length("STARTUP_Y", 5).n_values == 4
    assert definitions.with_length("SIMPLE_MEASURES_OWN", 50) == SIMPLE


@pytest.mark.parametrize(
    ("revision", "values"),
    [
        (REVISION, 1),
        (REVISION + "/", 2),
        ("http://example.org/other/rev/73f0c5b00572", 2),
        ("73F0C5B00572", 2),
        ("73f0c5b00572aaaaaaaa0123456789aaaaaaaaaa", 2),
        ("73f0c5b", 2),
        ("73f0c5", 4),
        ("aaaaaaaaaaaa", 3),
        ("http://hg.mozilla.org/mozilla-central/rev/aaaaaaaabbbb", 3),
        ("aaaaaaa", 3),
        ("no hash at all", 4),
        ("a tag of ours", 5),
        (None, 4),
        ("", 4),
    ],
)
def test_the_set_of_the_revision_is_chosen(revision: str | None, values: int):
    """By full name, else by the hash at its end (of equals the last), else the one without any."""
    definitions = Definitions(
        [
            (REVISION, enumerated(X=1)),
            ("a tag of ours", enumerated(X=5)),
            ("73f0c5b00572", enumerated(X=2)),
            (None, enumerated(X=4)),
            ("aaaaaaaa", enumerated(X=3)),
        ]
    )

    assert definitions.lookup("X", revision).n_values == values


def test_without_a_set_for_all_the_last_one_given_is_chosen():
    """Also among sets of the same name, and for measures that better sets do not have."""
    definitions = Definitions(
        [
            ("aaaaaaaaaaaa", enumerated(X=1, ONLY_HERE=9)),
            ("bbbbbbbbbbbb", enumerated(X=2)),
            ("bbbbbbbbbbbb", enumerated(X=3)),
        ]
    )

    assert definitions.lookup("X").n_values == 3
    assert definitions.lookup("X", "bbbbbbb").n_values == 3
    assert definitions.lookup("X", "aaaaaaa").n_values == 1
    assert definitions.lookup("ONLY_HERE", "bbbbbbb").n_values == 9


def test_a_length_chooses_among_all_revisions():
    """The one of the revision if it has that number of buckets, else another that has."""
    definitions = Definitions(
        [("aaaaaaaaaaaa", enumerated(X=10)), ("bbbbbbbbbbbb", enumerated(X=12, STARTUP_X=10))]
    )

    assert definitions.with_length("X", 11, "bbbbbbbbbbbb").n_values == 10
    assert definitions.with_length("X", 13, "aaaaaaaaaaaa").n_values == 12
    assert definitions.with_length("STARTUP_X", 11, "bbbbbbbbbbbb").n_values == 10
    assert definitions.with_length("X", 12) is None
    assert definitions.with_length("SIMPLE_MEASURES_UPTIME", 50) == SIMPLE
    assert definitions.with_length("SIMPLE_MEASURES_UPTIME", 49) is None


def test_an_unusable_definition_is_replaced_by_another_files(tmp_path: Path):
    """A second file can give the number that a release's file has as a constant."""
    release = one_of(
        tmp_path / "release.json",
        {"X": {"kind": "enumerated", "n_values": "A::B"}, "Y": {"kind": "flag"}},
    )
    mine = one_of(tmp_path / "mine.json", {"X": {"kind": "enumerated", "n_values": 101}})

    alone = Definitions.load([str(release)])
    both = Definitions.load([f"{REVISION}={release}", str(mine)])

    assert alone.lookup("X") is None
    for measure in ("X", "STARTUP_X"):
        assert alone.why_missing(measure) == (
            "its definition is unusable: n_values is 'A::B', and A::B has no value here"
        )
    assert alone.why_missing("Z") == "it has no definition"
    assert both.lookup("X", REVISION).n_values == 101


def test_without_options_the_packages_definitions_are_used():
    """The default needs no file."""
    assert Definitions.load().lookup("GC_MS", REVISION) == Definition("exponential", 1, 10000, 50)


def test_definitions_travel_as_json():
    """What was read in one process is the same in another."""
    definitions = Definitions(
        [
            (None, load_definitions()),
            (REVISION, DefinitionSet(enumerated(X=3).definitions, {"Y": "reason"})),
        ]
    )

    again = Definitions.from_json(json.loads(json.dumps(definitions.to_json())))

    assert again.to_json() == definitions.to_json()
    assert again.lookup("X", REVISION).n_values == 3
    assert again.why_missing("Y") == definitions.why_missing("Y")


@needs_real_data
@pytest.mark.parametrize("path", [SOURCES, RANGES])
def test_the_real_block_has_300_histograms_with_a_definition_of_their_length(path: Path):
    """Of its 312 histograms, 12 have no usable definition; every other has the right length."""
    (block,) = (SHARED / "telemetry").rglob("*.lzma")
    record = json.loads(lzma.decompress(block.read_bytes()).split(b"\t", 1)[1])
    definitions = Definitions.load([str(path)])
    revision = record["info"]["revision"]
    lengths = {name: len(array) for name, array in record["histograms"].items()}

    found = {name: definitions.lookup(name, revision) for name in lengths}
    without = sorted(name for name, definition in found.items() if definition is None)

    if path == SOURCES:
        assert without == [
            "FX_KEYWORD_URL_USERSET",
            "GC_REASON_2",
            "HEALTHREPORT_SAVE_LAST_PAYLOAD_MS",
            "LOCALDOMSTORAGE_FETCH_DOMAIN_MS",
            "LOCALDOMSTORAGE_FETCH_QUOTA_USE_MS",
            "LOCALDOMSTORAGE_TIMER_FLUSH_MS",
            "MEMORY_EXPLICIT",
            "MULTIPART_XHR_RESPONSE",
            "STARTUP_WORD_CACHE_HITS",
            "STARTUP_WORD_CACHE_MISSES",
            "WORD_CACHE_HITS",
            "WORD_CACHE_MISSES",
        ]
    assert (len(lengths), len(without)) == (312, 12)
    for name, definition in found.items():
        if definition is not None:
            assert definition.length == lengths[name], name
            assert definitions.with_length(name, lengths[name] - 5, revision) == definition
