"""Records: item access, chunks and samples give what the JSON holds, also when kept."""

import gc
import io
import sys

import pytest
import reading
import simdjson
from reading import DIMENSIONS, LINES, block_of, on_turn, read

from mr import records, scanned, validity
from mr.lines import BlockAccount
from mr.records import JsonObject, read_chunks, read_records
from mr.skimming import Skimmer
from mr.validity import PARSED_LINE_BYTES


@pytest.fixture(autouse=True, params=["plain", "skimmed"])
def way(request, monkeypatch):
    """All of this holds with the compiled scanner, and without."""
    if request.param == "skimmed":
        functions = request.getfixturevalue("functions")
        for name in ("read_records", "read_chunks"):
            for module in (sys.modules[__name__], reading):
                monkeypatch.setattr(
                    module, name, skimmed(getattr(records, name), functions), raising=False
                )
    return request.param


def skimmed(read_either, functions):
    """The same function of `mr.records`, with a scanner of its own for each call."""

    def read(*given, **options):
        skimmer = Skimmer(functions)
        return read_either(*given, **options, find_skimmer=lambda: skimmer)

    return read


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
    assert record["a"] is record["a"]
    assert record["a"]["b"] == on_turn(record.raw)["a"]["b"]
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


def test_one_parser_serves_a_block(monkeypatch, way):
    """Holding on to a record's parts does not make the reader set up a parser for each record."""
    made = []
    make = simdjson.Parser
    monkeypatch.setattr(simdjson, "Parser", lambda: made.append(1) or make())
    kept = []
    data = b'id\t{"a":{"b":[1]}}\n' * 100
    for record in read_records(block_of(data), lambda: io.BytesIO(data), BlockAccount()):
        kept += [record, record["a"], record["a"]["b"], iter(record["a"])]
    (chunk,) = read_chunks(block_of(data), lambda: io.BytesIO(data), BlockAccount())
    kept += [record["a"] for record in chunk.records()]
    # For the block, its chunks and the records of these; and for the one member that is looked at.
    assert len(made) == (3 if way == "plain" else 4)


def test_changing_a_plain_copy_does_not_change_the_record():
    """What to_dict gives is the caller's own."""
    for raw in (b'{"a":{"b":[1]}}', b'{"a":{"b":[0],"b":[1]}}', b'{"a":{"b":[1]},"n":%d}' % 10**30):
        record = on_turn(raw)
        record["a"].to_dict()["b"].append(2)
        assert record["a"]["b"] == [1]


#: Too much for simdjson by one integer, so that it is scanned.
SCANNED = b'{"a":{"b":{"c":1,"c":2}},"n":%b,"s":"\\u00e9","t":"\xc3\xa9","l":[{"m":1}]}' % (
    b"7" * 5000
)


def test_a_huge_integer_is_only_built_when_it_is_asked_for(monkeypatch):
    """Converting very many digits takes long, and other fields do not pay for it."""
    asked = []
    convert = validity._integer

    def note(digits: str) -> int:
        asked.append(len(digits))
        return convert(digits)

    monkeypatch.setattr(validity, "_integer", note)
    record = on_turn(SCANNED)
    assert record["a"]["b"]["c"] == 2
    assert (record["s"], record["t"]) == ("\u00e9", "\u00e9")
    assert "n" in record
    assert sorted(record["a"]) == ["b"]
    assert asked == [1]
    assert record["n"] == 7 * (10**5000 - 1) // 9
    assert 5000 in asked


@pytest.mark.parametrize("names_kept", [0, 2, 100])
def test_a_scanned_record_is_a_mapping_like_any(monkeypatch, names_kept):
    """Whether or not the names fit into memory, access, order and length are those of a dict."""
    monkeypatch.setattr(scanned, "NAMES_KEPT", names_kept)
    record = on_turn(SCANNED)
    assert list(record._root) == list(record.payload) == ["a", "n", "s", "t", "l"]
    assert len(record._root) == 5
    assert {name: record[name] for name in record._root} == record.payload
    assert record["a"] == {"b": {"c": 2}}
    assert record["l"] == [{"m": 1}]
    assert record.get("z", 1) == 1
    for name in ("z", "a\0", "\ud800", 5):
        with pytest.raises(KeyError):
            record[name]


def test_a_record_leaves_no_cyclic_garbage():
    """Nothing of it waits for the search for such, or large ones would add up."""
    data = b"".join(b'i%d\t{"a":{"b":[{"c":%d}]}}\n' % (n, n) for n in range(200))
    records = read_records(block_of(data), lambda: io.BytesIO(data), BlockAccount())
    gc.collect()
    gc.disable()
    try:
        found = sum(len(record["a"]["b"]) + len(record.payload) for record in records)
        left = gc.collect()
    finally:
        gc.enable()
    assert found == 400
    assert left < 200


def test_parts_of_a_long_record_outlive_their_turn():
    """A record too long to be parsed gives the same values later on."""
    filler = b"x" * PARSED_LINE_BYTES
    data = b"".join(b'%d\t{"o":{"n":{"m":[%d]}},"f":"%b"}\n' % (n, n, filler) for n in range(3))
    kept = []
    for record in read_records(block_of(data), lambda: io.BytesIO(data), BlockAccount()):
        kept.append((record, record["o"], record["o"]["n"]))
    for number, (record, part, inner) in enumerate(kept):
        assert record["o"]["n"]["m"] == part["n"]["m"] == inner["m"] == [number]
        assert part.to_dict() == {"n": {"m": [number]}}
        assert record["f"].encode() == filler


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


def test_a_value_is_found_by_the_names_above_it():
    """Or the default, where a name is missing or stands in what is no object."""
    raw = b'{"info": {"OS": "Linux", "none": null, "list": [{"x": 1}]}, "ver": 2}'
    record = on_turn(raw)

    assert record.find("info", "OS") == "Linux"
    assert record.find("ver") == 2
    assert dict(record.find("info")) == {"OS": "Linux", "none": None, "list": [{"x": 1}]}
    assert record.find("info", "none", default=5) is None
    for names in (("info", "os"), ("info", "OS", "x"), ("info", "none", "x"), ("x", "y"),
                  ("info", "list", "x"), ("ver", "x")):  # fmt: skip
        assert record.find(*names) is None
        assert record.find(*names, default=5) == 5
