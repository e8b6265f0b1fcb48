"""What a record is: definition, fast path and scan agree, and nothing readable is lost."""

import json

import pytest
from hostile import GOOD_JSON, HOSTILE, TOKENS, nested
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reading import exact, on_turn, read

from mr import validity
from mr.records import JsonObject, Record
from mr.scanned import ScannedObject
from mr.validity import PARSED_LINE_BYTES, check_line, check_long_line, parse_plain

#: Stands before and after a line under test.
GOOD = b"00\t{}"


def read_line(line: bytes) -> tuple[Record | None, str | None]:
    """A line's record, which has had its turn; else why it is bad."""
    found, account = read(b"\n".join([GOOD, line, GOOD, b""]))
    assert (account.lines, account.damage) == (3, None)
    assert account.records == len(found) == 3 - account.bad.total()
    if account.bad:
        ((place, reason),) = account.bad_places
        assert place == 2
        return None, reason
    return found[1], None


def scanned(line: bytes) -> str | None:
    """The verdict on a line as on a long one, among others."""
    chunk = b'1\t{"a":[1' + line + b',2]}"'
    return check_long_line(chunk, 9, 9 + len(line))


def looked_up(raw: bytes) -> object:
    """A record's JSON as item access to a long one gives it."""
    begin = raw.index(b"{")
    return exact(JsonObject(Record("", raw, 1, None), (), ScannedObject(raw, begin, len(raw))))


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' \t\r{"a" : [ ] }\r ',
        b'{"a":123456789012345678901234567890}',
        b'{"a":-9223372036854775809,"b":18446744073709551616,"c":18446744073709551615}',
        b'{"a":' + b"9" * 5000 + b',"b":-' + b"1" * 700 + b"}",
        b'{"a":-0,"b":-0.0,"c":1e-400,"d":0.1e1,"e":1E+2}',
        b'{"a":1.7976931348623157e308,"b":5e-324}',
        b'{"a":"\\ud83d\\ude00\\u0000\\/\\"\\\\ \\\\ud800"}',
        '{"é":"\ufeff\U0001f600"}'.encode(),
        b'{"a":1,"a":{"b":1,"b":2},"c":{"d":[{"e":1,"e":2}]}}',
        b'{"a\\u0062":1,"ab":2}',
        b'{"a\\u0000b":1,"a":2,"a\\u0000":3}',
        b'{"":{"":null}}',
        b'{"a":true,"b":false,"c":null}',
        b'{"a":"[[[{{{","b":"]","c":"\\"["}',
        b'{"a":[' + b",".join([b"[{}]"] * 600) + b"]}",
        b'{"a":"' + b"[" * 600 + b'"}',
        b'{"\\\\":"' + b'\\"[' * 600 + b'","b":"\\\\"}',
    ],
)
def test_good_records(raw):
    """A good record has the payload that the definition gives, by item access as well."""
    record, reason = read_line(b"id\t" + raw)
    assert reason is None
    assert check_line(b"id\t" + raw) is None
    assert scanned(b"id\t" + raw) is None
    assert (record.id, record.raw, record.line) == ("id", raw, 2)
    expected = exact(parse_plain(raw))
    assert exact(record.payload) == expected
    now = on_turn(raw)
    assert exact(now._root) == expected
    assert exact(now.payload) == expected
    assert exact(record._root) == expected
    assert looked_up(raw) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "no tab"),
        (b"{}", "no tab"),
        (b"id\t", "not JSON"),
        (b"id\t{", "not JSON"),
        (b"id\t{}\t{}", "not JSON"),
        (b'id\t{"a":1,}', "not JSON"),
        (b'id\t{"a":01}', "not JSON"),
        (b'id\t{"a":1.}', "not JSON"),
        (b'id\t{"a":+1}', "not JSON"),
        (b"id\t{'a':1}", "not JSON"),
        (b'id\t{"a":"\x01"}', "not JSON"),
        (b'id\t{"a":"\\x"}', "not JSON"),
        (b'id\t{"a":"\\u12"}', "not JSON"),
        ('id\t{"a":\u0661}'.encode(), "not JSON"),
        (b"id\t\xc2\xa0{}", "not JSON"),
        (b'id\t{"a":NaN}', "NaN or Infinity"),
        (b'id\t{"a":[-Infinity]}', "NaN or Infinity"),
        (b'id\t{"a":1e309}', "number out of range"),
        (b'id\t{"a":-1e999}', "number out of range"),
        (b'id\t{"a":' + b"9" * 400 + b".0}", "number out of range"),
        (b'id\t{"a":"\\ud800"}', "lone surrogate"),
        (b'id\t{"\\udc00\\ud800":1}', "lone surrogate"),
        (b'id\t{"a":"\\ud800\\u0041"}', "lone surrogate"),
        (b'id\t{"a":"\\uDBFF","a":1}', "lone surrogate"),
        (b'id\t{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'id\t{"a":"\xff"}', "not UTF-8"),
        (b"i\xffd\t{}", "not UTF-8"),
        (b"id\xff", "not UTF-8"),
        (b"id\t\xef\xbb\xbf{}", "byte-order mark"),
        (b"\xef\xbb\xbfid\t{}", "byte-order mark"),
        (b"id\t[]", "not an object"),
        (b"id\t null", "not an object"),
        (b"id\t12345678901234567890123", "not an object"),
        (b"id\t" + nested(513), "nested deeper than 512"),
        (b"id\t" + nested(513, b"{"), "nested deeper than 512"),
        (b"id\t" + b"[" * 100_000, "nested deeper than 512"),
        (b"id\t" + b'{"a":' * 400, "not JSON"),
    ],
)
def test_bad_records(line, reason):
    """A bad record is counted with its line and reason, and its neighbours are read."""
    assert check_line(line) == scanned(line) == reason
    assert read_line(line) == (None, reason)


def test_a_record_nested_to_the_limit():
    """All of 512 levels can be reached, in arrays and in objects."""
    record, reason = read_line(b"id\t" + nested(512))
    assert reason is None
    level = record["a"]
    for _ in range(510):
        (level,) = level
    assert level == []
    record, reason = read_line(b"id\t" + nested(512, b"{"))
    assert reason is None
    for level in (record, record.payload, on_turn(record.raw)):
        for _ in range(511):
            level = level["a"]
        assert level == {}


def test_only_the_first_tab_splits():
    """A tab after the first one is white space of the JSON."""
    record, _ = read_line(b'id\t\t{"a":\t1}')
    assert (record.id, record.payload) == ("id", {"a": 1})


@settings(max_examples=1500, deadline=None)
@given(HOSTILE, st.sampled_from([b"id\t", b"", b"\t", b"\xc3\xa9\t", b"\xef\xbb\xbf\t", b"\xff\t"]))
@example(b'{"a":"\\ud83d\\ud83d\\ude00"}', b"id\t")
def test_definition_fast_path_and_scan_agree_on_hostile_bytes(raw, start):
    """Whatever the bytes, the verdict is the definition's, and so is every value."""
    line = (start + raw).replace(b"\n", b" ")
    record, reason = read_line(line)
    assert reason == check_line(line) == scanned(line)
    if record is not None:
        expected = exact(parse_plain(record.raw))
        assert looked_up(record.raw) == expected
        assert exact(record.payload) == expected
        assert exact(on_turn(record.raw)._root) == expected


@settings(max_examples=150, deadline=None)
@given(GOOD_JSON)
def test_no_good_record_is_lost(raw):
    """Whatever the json module writes is a good record, and comes back equal."""
    record, reason = read_line(b"id\t" + raw)
    assert reason is None
    assert exact(record.payload) == exact(json.loads(raw))
    assert exact(on_turn(raw)._root) == looked_up(raw) == exact(json.loads(raw))


NUMBER_PARTS = st.sampled_from(["0", "1", "9" * 17, "9" * 310, "123456789" * 90, ""])


@settings(max_examples=500, deadline=None)
@given(
    sign=st.sampled_from(["", "-"]),
    whole=NUMBER_PARTS,
    fraction=NUMBER_PARTS | st.integers(0).map(str),
    exponent=st.integers(-1200, 400) | st.none(),
)
def test_numbers_are_those_of_the_definition(sign, whole, fraction, exponent):
    """Numbers of any form and length give the same verdict and the same value."""
    number = sign + whole + ("." + fraction if fraction else "")
    number += "" if exponent is None else f"e{exponent}"
    raw = b'{"a":%s}' % number.encode()
    record, reason = read_line(b"id\t" + raw)
    assert reason == check_line(b"id\t" + raw) == scanned(b"id\t" + raw)
    if record is not None:
        assert exact(on_turn(raw)["a"]) == exact(parse_plain(raw)["a"])


@settings(max_examples=200, deadline=None)
@given(
    levels=st.integers(500, 525),
    opening=st.sampled_from([b"[", b"{"]),
    filler=st.sampled_from([b"1", b"[]", b'"]"', b'"[[["', b'"\\"["', b'"{\\\\"', b"[[[]]]"]),
    times=st.integers(1, 300),
)
def test_depth_is_exact_around_its_limit(levels, opening, filler, times):
    """The limit is 512 levels whatever stands beside, brackets in strings included."""
    deep = nested(levels, opening)
    raw = b'{"b":[' + b",".join([filler] * times) + b'],"c":' + deep + b',"d":"[]"}'
    _, reason = read_line(b"id\t" + raw)
    assert reason == check_line(b"id\t" + raw) == scanned(b"id\t" + raw)
    assert reason == (None if levels + 1 <= 512 else "nested deeper than 512")


@settings(max_examples=300, deadline=None)
@given(st.lists(TOKENS, max_size=8).map(b"".join), st.integers(1, 7))
def test_the_scan_tells_utf_8_whatever_its_pieces(line, piece_bytes):
    """A character that is cut between two pieces is still one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validity, "_DECODED_BYTES", piece_bytes)
        assert scanned(line) == check_line(line)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (b'{"a":"', b'"}', None),
        (b'{"a":"', b'","b":NaN}', "NaN or Infinity"),
        (b'{"a":"', b"", "not JSON"),
        (b'{"a":"\\ud800', b'"}', "lone surrogate"),
        (b'{"a":"', b'\xff"}', "not UTF-8"),
        (b'["', b'"]', "not an object"),
    ],
)
def test_long_lines_have_the_verdict_of_the_definition(start, end, reason):
    """A line that is too long to be parsed is good or bad as any, and so are its neighbours."""
    line = "\uff49d\t".encode() + start + b"x" * PARSED_LINE_BYTES + end
    record, found = read_line(line)
    assert found == check_line(line) == reason
    assert reason is not None or record.id == "\uff49d"


def test_verdicts_take_no_longer_for_hostile_lines():
    """Quotes without end, and digits without end, are passed once."""
    size = PARSED_LINE_BYTES // 2
    for raw in (b'{"a":"' + b'\\"' * size, b'{"a":' + b"7" * size + b',"b":}'):
        assert check_line(b"id\t" + raw + b"[{") == scanned(b"id\t" + raw) == "not JSON"
