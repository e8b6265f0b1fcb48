"""What a record is: the fast path and the definition agree, and nothing readable is lost."""

import gzip
import io
import itertools
import json
import lzma
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mr import records
from mr.blocks import Block
from mr.errors import ObjectMissing, ShortRead
from mr.records import (
    BlockAccount,
    JsonObject,
    Record,
    check_line,
    parse_plain,
    read_chunks,
    read_lines,
    read_records,
    split_lines,
)
from mr.schema import load_schema

DIMENSIONS = load_schema().dimensions(["idle_daily", "Firefox", "nightly", "22", "2013", "2014"])
#: Stands before and after a line under test.
GOOD = b"00\t{}"


def block_of(data: bytes, name: str = "a/b.log", *, size: int | None = None) -> Block:
    """A block of these bytes; `size` is what was planned."""
    return Block("memory:", name, len(data) if size is None else size, "", DIMENSIONS)


def read(data: bytes, name: str = "a/b.log", **options) -> tuple[list[Record], BlockAccount]:
    """The records of a block, which are read through to the end, and its account."""
    account = BlockAccount()
    block = block_of(data, name)
    return list(read_records(block, lambda: io.BytesIO(data), account, **options)), account


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


def on_turn(raw: bytes) -> Record:
    """A record while it has its turn."""
    data = b"id\t" + raw + b"\n"
    return next(read_records(block_of(data), lambda: io.BytesIO(data), BlockAccount()))


def exact(value: object) -> object:
    """A form that tells 1 from 1.0 and True, and 0.0 from -0.0; order of names does not count."""
    if isinstance(value, JsonObject):
        value = {name: value[name] for name in value}
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return (type(value).__name__, value, math.copysign(1, value) if value == 0.0 else 0)


def nested(levels: int, opening: bytes = b"[") -> bytes:
    """A record's JSON nested so deep, in arrays or in objects."""
    if opening == b"[":
        return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


# What a record is


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
    assert (record.id, record.raw, record.line) == ("id", raw, 2)
    expected = exact(parse_plain(raw))
    assert exact(record.payload) == expected
    now = on_turn(raw)
    assert exact(now._root) == expected
    assert exact(now.payload) == expected
    assert exact(record._root) == expected


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
    assert check_line(line) == reason
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


TOKENS = st.sampled_from(
    [
        *b'{}[]:," \\\t\r\x00\x7f/01-+.eE',
        *(b"309", b"99999999999999999999", b"1e400", b"1e-400", b"0.1", b"-0"),
        *(b"NaN", b"Infinity", b"true", b"false", b"null"),
        *(b'"a"', b'"b":', b'"a":1', b"[]", b"{}"),
        *(b"\\u", b"d800", b"\\ud83d", b"\\ude00", b"\\u0000", b'\\"'),
        *(b"\xff", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xc0\x80"),
        *(b"[" * 256, b"]" * 256, b'{"a":' * 300, b"}" * 300),
    ]
).map(lambda token: token if isinstance(token, bytes) else bytes([token]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
NAMES = st.sampled_from(["a", "b", "é", ""]) | st.text(st.characters(exclude_categories=["Cs"]))
PAYLOADS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5),
        max_leaves=20,
    ),
)
GOOD_JSON = st.builds(
    lambda value, ascii_only, spaced: json.dumps(
        value, ensure_ascii=ascii_only, separators=None if spaced else (",", ":")
    ).encode(),
    PAYLOADS,
    st.booleans(),
    st.booleans(),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good record's JSON, in which some bytes are replaced by tokens."""
    raw = draw(GOOD_JSON)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(start + 3, len(raw))))
        raw = raw[:start] + draw(TOKENS) + raw[end:]
    return raw


HOSTILE = (
    mutated()
    | st.lists(TOKENS, max_size=12).map(b"".join)
    | st.lists(TOKENS, max_size=8).map(lambda tokens: b'{"a":' + b"".join(tokens) + b"}")
    | st.lists(TOKENS, max_size=8).map(lambda tokens: b'{"a":"' + b"".join(tokens) + b'"}')
    | st.binary(max_size=40)
)


@settings(max_examples=1500, deadline=None)
@given(HOSTILE, st.sampled_from([b"id\t", b"", b"\t", b"\xc3\xa9\t", b"\xef\xbb\xbf\t", b"\xff\t"]))
@example(b'{"a":"\\ud83d\\ud83d\\ude00"}', b"id\t")
def test_fast_path_and_definition_agree_on_hostile_bytes(raw, start):
    """Whatever the bytes, the verdict is the definition's, and so is every value."""
    line = (start + raw).replace(b"\n", b" ")
    record, reason = read_line(line)
    assert reason == check_line(line)
    if record is not None:
        expected = exact(parse_plain(record.raw))
        assert exact(record.payload) == expected
        assert exact(on_turn(record.raw)._root) == expected


@settings(max_examples=150, deadline=None)
@given(GOOD_JSON)
def test_no_good_record_is_lost(raw):
    """Whatever the json module writes is a good record, and comes back equal."""
    record, reason = read_line(b"id\t" + raw)
    assert reason is None
    assert exact(record.payload) == exact(json.loads(raw))
    assert exact(on_turn(raw)._root) == exact(json.loads(raw))


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
    assert reason == check_line(b"id\t" + raw)
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
    raw = b'{"b":[' + b",".join([filler] * times) + b'],"c":' + deep + b"}"
    _, reason = read_line(b"id\t" + raw)
    assert reason == check_line(b"id\t" + raw)
    assert reason == (None if levels + 1 <= 512 else "nested deeper than 512")


# Access


def test_item_access():
    """Objects come as read-only mappings, everything else as plain Python."""
    record = on_turn(b'{"a":{"b":{"c":[1,{"d":2}]}},"e":[],"f":null}')
    assert isinstance(record["a"], JsonObject)
    assert record["a"]["b"]["c"] == [1, {"d": 2}]
    assert record["e"] == []
    assert record["a"].to_dict() == {"b": {"c": [1, {"d": 2}]}}
    assert record["a"] == {"b": {"c": [1, {"d": 2}]}}
    assert record["a"] != {"b": 1}
    assert record["a"] == record["a"]
    assert dict(record["a"]["b"].items()) == {"c": [1, {"d": 2}]}
    assert (len(record["a"]), list(record["a"])) == (1, ["b"])
    assert repr(record["a"]["b"]) == "JsonObject({'c': [1, {'d': 2}]})"
    assert record.get("f", 1) is None
    assert record.get("g", 1) == 1
    assert record["a"].get("g") is None
    assert ("a" in record, "g" in record, "b" in record["a"]) == (True, False, True)
    assert record.payload is record.payload
    assert record.dimensions is DIMENSIONS


@pytest.mark.parametrize("name", ["z", "a\0", "a\0b", "\ud800", "", "A", 5, None, b"a", ("a",)])
def test_a_missing_name_is_a_key_error(name):
    """A name that is not there raises KeyError with that name, whatever it is, as a dict does."""
    record = on_turn(b'{"a":{"a":1}}')
    for holder in (record, record["a"]):
        with pytest.raises(KeyError) as caught:
            holder[name]
        assert caught.value.args == (name,)
        assert name not in holder
        assert holder.get(name, 7) == 7


def test_the_last_of_equal_names_counts_everywhere():
    """Payload, item access, nested access and iteration agree."""
    record = on_turn(b'{"a":1,"b":{"c":1,"d":{"e":1,"e":2},"c":3},"a":2}')
    assert record.payload == {"a": 2, "b": {"c": 3, "d": {"e": 2}}}
    assert record["a"] == 2
    assert record["b"]["c"] == 3
    assert record["b"]["d"]["e"] == 2
    assert sorted(record["b"]) == ["c", "d"]
    assert len(record["b"]) == 2


@pytest.mark.parametrize("extra", ["", ',"big":123456789012345678901234567890', ',"o":1'])
def test_what_is_kept_outlives_its_turn(extra):
    """Records and their parts, kept while others are read, still give their own values."""
    data = b"".join(
        b'%d\t{"o":{"n":%d,"deep":{"m":[%d]}}%s}\n' % (n, n, n, extra.encode()) for n in range(50)
    )
    data = data.replace(b',"o":1', b',"o":{"n":-1,"deep":{"m":[-1]}}')
    kept = []
    for record in read_records(block_of(data), lambda: io.BytesIO(data), BlockAccount()):
        kept.append((record, record["o"], record["o"]["deep"], iter(record["o"])))
    for number, (record, part, deep, names) in enumerate(kept):
        expected = -1 if extra == ',"o":1' else number
        assert record.id == str(number)
        assert record["o"]["n"] == part["n"] == expected
        assert deep["m"] == record["o"]["deep"]["m"] == part["deep"]["m"] == [expected]
        assert part.to_dict() == record.payload["o"] == {"n": expected, "deep": {"m": [expected]}}
        assert sorted(names) == ["deep", "n"]


def test_changing_a_plain_copy_does_not_change_the_record():
    """What to_dict gives is the caller's own."""
    for raw in (b'{"a":{"b":[1]}}', b'{"a":{"b":[0],"b":[1]}}', b'{"a":{"b":[1]},"n":%d}' % 10**30):
        record = on_turn(raw)
        record["a"].to_dict()["b"].append(2)
        assert record["a"]["b"] == [1]


# Lines and blocks


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    ends_whole=st.booleans(),
    cuts=st.lists(st.integers(0, 150), max_size=12),
    damage=st.sampled_from([None, "truncated"]),
)
def test_lines_do_not_depend_on_the_pieces(lines, ends_whole, cuts, damage):
    """However a block is cut into pieces, the same lines come under the same numbers."""
    data = b"".join(line + b"\n" for line in lines)
    data = data if ends_whole else data[:-1]
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    account = BlockAccount(damage=damage)
    found = {}
    for number, chunk in split_lines(pieces, account, max_line_bytes=8):
        assert chunk.endswith(b"\n")
        for offset, line in enumerate(chunk[:-1].split(b"\n")):
            found[number + offset] = line
    whole = data.split(b"\n")
    if not whole[-1] or damage:
        whole.pop()
    assert account.lines == len(whole)
    long = dict.fromkeys(n for n in range(1, len(whole) + 1) if n not in found)
    assert all(len(whole[n - 1]) > 8 for n in long)
    assert account.bad_places == [(n, "line over 64 MB") for n in long]
    assert found == {n: line for n, line in enumerate(whole, 1) if n not in long}


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_a_line_over_the_limit_is_skipped(pieces):
    """A line of just the limit is kept, a longer one is bad whatever the pieces."""
    data = b"a" * 8 + b"\n" + b"b" * 9 + b"\n" + b"c" * 3000 + b"\nd"
    cut = [data[start : start + pieces] for start in range(0, len(data), pieces)]
    account = BlockAccount()
    chunks = list(split_lines(cut, account, max_line_bytes=8))
    text = b"".join(chunk for _, chunk in chunks)
    assert b"a" * 8 + b"\n" in text
    assert text.endswith(b"d\n")
    assert b"c" not in text or pieces >= 1000
    assert account.lines == 4


def test_a_long_record_is_a_record():
    """A line of 20 MB is read whole."""
    data = b'1\t{}\n2\t{"a":"' + b"x" * 20_000_000 + b'"}\n3\t{}\n'
    found, account = read(lzma.compress(data, preset=0), "a.xz")
    assert [len(record.raw) for record in found] == [2, 20_000_008, 2]
    assert len(found[1]["a"]) == 20_000_000
    assert (account.records, account.raw_bytes) == (3, len(data))


def test_a_line_over_64_mb_is_read_past():
    """A line of 65 MB is a bad record, and the lines around it are read."""
    line = b'2\t{"a":"' + b"x" * (65 << 20) + b'"}\n'
    found, account = read(gzip.compress(b"1\t{}\n" + line + b"3\t{}\n", 1), "a.gz")
    assert [(record.id, record.line) for record in found] == [("1", 1), ("3", 3)]
    assert account.bad_places == [(2, "line over 64 MB")]
    assert account.lines == 3


def test_a_last_line_without_newline_counts():
    """In a whole block the last line needs no newline."""
    found, account = read(b'1\t{}\n2\t{"a":1}')
    assert [record.id for record in found] == ["1", "2"]
    assert (account.lines, account.damage) == (2, None)


LINES = b"".join(b'%032x\t{"a":[%d]}\n' % (n * n, n) for n in range(3000))


@pytest.mark.parametrize("name", ["a.lzma", "a.xz", "a.gz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_truncated_block_keeps_its_whole_lines(name, share):
    """Every whole line before the end is a record; the rest is part of the block's damage."""
    data = {
        "a.lzma": lzma.compress(LINES, format=lzma.FORMAT_ALONE),
        "a.xz": lzma.compress(LINES),
        "a.gz": gzip.compress(LINES),
    }[name]
    data = data[: int(len(data) * share)]
    found, account = read(data, name)
    assert found
    assert (
        b"".join(b"%s\t%s\n" % (r.id.encode(), r.raw) for r in found)
        == (LINES[: LINES.rindex(b"\n", 0, account.raw_bytes) + 1])
    )
    assert account.damage == f"truncated at compressed byte {len(data):,}"
    assert (account.lines, account.bad) == (len(found), {})


def test_a_whole_record_at_the_end_of_a_damaged_block_counts():
    """Damage after the last record, which lacks only its newline, costs no record."""
    whole = lzma.compress(b'1\t{"a":1}\n2\t{"b":2}')
    found, account = read(whole + b"garbage", "a.xz")
    assert [record.payload for record in found] == [{"a": 1}, {"b": 2}]
    assert account.damage == f"trailing garbage at compressed byte {len(whole)}"
    found, account = read(lzma.compress(b"1\t{}\n2\t{} 3\t{") + b"garbage", "a.xz")
    assert [record.id for record in found] == ["1"]
    assert (account.lines, account.bad) == (1, {})


def test_empty_and_unknown_blocks_are_damage():
    """An empty block, and bytes that are nothing that the name says, give only damage."""
    assert read(b"", "a.lzma")[1].damage == "empty"
    assert read(bytes(99), "a.lzma")[1].damage == "not LZMA data"
    found, account = read(lzma.compress(b""), "a.xz")
    assert (found, account.lines, account.damage) == ([], 0, None)


@pytest.mark.parametrize("name", ["a.xz", "a.log"])
@pytest.mark.parametrize("kept", [0, 10, -1])
def test_fewer_bytes_than_planned_is_a_short_read(name, kept):
    """What the network cut off is no damage: it is to be read again."""
    data = lzma.compress(LINES) if name == "a.xz" else LINES
    block = block_of(data, name)
    with pytest.raises(ShortRead, match=f"{name}: only"):
        list(read_records(block, lambda: io.BytesIO(data[:kept]), BlockAccount()))


def test_an_unknown_size_is_not_checked():
    """A negative planned size means that nobody knows it."""
    block = block_of(LINES, size=-1)
    account = BlockAccount()
    assert len(list(read_records(block, lambda: io.BytesIO(LINES), account))) == 3000


def test_errors_of_the_store_pass():
    """What opening the block raises comes out as it is."""

    def open_block():
        raise ObjectMissing("gone")

    with pytest.raises(ObjectMissing, match="gone"):
        list(read_records(block_of(b""), open_block, BlockAccount()))


def test_the_account():
    """Lines, records, bytes and bad records add up, and only some places are kept."""
    text = b"1\t{}\n" + b"bad\n" * 150 + b"2\t{\n" + b"3\t{}\n"
    data = lzma.compress(text)
    _, account = read(data, "a.xz")
    assert (account.lines, account.records) == (153, 2)
    assert account.bad == {"no tab": 150, "not JSON": 1}
    assert account.bad_places == [(line, "no tab") for line in range(2, 102)]
    assert (account.raw_bytes, account.compressed_bytes) == (len(text), len(data))


def test_bytes_of_a_corrupt_block_are_counted_once():
    """A block that is decoded again is not longer for it."""
    data = bytearray(lzma.compress(LINES))
    data[len(data) // 2] ^= 255
    found, account = read(bytes(data), "a.xz")
    assert account.damage.startswith("corrupt at compressed byte")
    assert account.compressed_bytes <= len(data)
    assert account.raw_bytes <= len(LINES)
    assert [r.line for r in found] == sorted({r.line for r in found})


# Chunks


def test_chunks_hold_the_same_records(monkeypatch):
    """Chunks together are the records, in order, of limited size and with the same account."""
    monkeypatch.setattr(records, "CHUNK_BYTES", 1000)
    data = LINES.replace(b'"a":[7]', b'"a":[7')
    expected, expected_account = read(data)
    account = BlockAccount()
    chunks = list(read_chunks(block_of(data), lambda: io.BytesIO(data), account))
    assert account == expected_account
    assert account.bad == {"not JSON": 1}
    found = [record for chunk in chunks for record in chunk.records()]
    assert [(r.id, r.line, r.raw, r.block.key) for r in found] == [
        (r.id, r.line, r.raw, r.block.key) for r in expected
    ]
    assert [r["a"] for r in found] == [r["a"] for r in expected]
    assert sum(map(len, chunks)) == len(expected)
    assert all(sum(map(len, chunk.raws)) < 1020 for chunk in chunks)


def test_a_chunks_records_can_be_kept():
    """Records of a chunk outlive their turn like any."""
    data = b'1\t{"a":{"b":1}}\n2\t{"a":{"b":2}}\n'
    (chunk,) = read_chunks(block_of(data), lambda: io.BytesIO(data), BlockAccount())
    kept = [(record, record["a"]) for record in chunk.records()]
    assert [(record["a"]["b"], part["b"]) for record, part in kept] == [(1, 1), (2, 2)]


def test_read_lines_gives_whole_lines():
    """The raw way to read a block: numbered chunks of whole lines, and their account."""
    data = lzma.compress(LINES)
    account = BlockAccount()
    chunks = list(read_lines(block_of(data, "a.xz"), lambda: io.BytesIO(data), account))
    assert b"".join(chunk for _, chunk in chunks) == LINES
    assert chunks[0][0] == 1
    assert (account.lines, account.raw_bytes) == (3000, len(LINES))


# Samples


def test_a_sample_is_a_share_of_the_lines_and_always_the_same():
    """Samples of a block are about as large as asked for, repeat, and grow with their share."""
    small = {record.line for record in read(LINES, sample=0.1)[0]}
    again = {record.line for record in read(LINES, sample=0.1)[0]}
    large = {record.line for record in read(LINES, sample=0.5)[0]}
    other = {record.line for record in read(LINES, "other.log", sample=0.1)[0]}
    assert small == again
    assert small < large
    assert small != other
    assert 200 < len(small) < 400
    assert 1350 < len(large) < 1650
    assert len(read(LINES, sample=1.0)[0]) == 3000
    assert len(read(LINES, sample=0.0)[0]) == 0


def test_lines_left_out_are_not_validated():
    """Lines out of the sample count as lines only."""
    account = read(b"bad\n" * 2000, sample=0.25)[1]
    assert account.lines == 2000
    assert account.records == 0
    assert 400 < account.bad["no tab"] < 600
