"""Lines that are good, and lines that are meant to fool whoever tells good from bad."""

import json
from collections.abc import Iterable, Iterator

from hypothesis import strategies as st


def nested(levels: int, opening: bytes = b"[") -> bytes:
    """A record's JSON nested so deep, in arrays or in objects."""
    if opening == b"[":
        return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


TOKENS = st.sampled_from(
    [
        *b'{}[]:," \\\t\r\x00\x7f/01-+.eE',
        *(b"309", b"99999999999999999999", b"1e400", b"1e-400", b"0.1", b"-0"),
        *(b"1.5e200", b"1" * 120 + b"e250", b"NaN", b"Infinity", b"true", b"false", b"null"),
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


# --- by hand ---

#: A record as they usually are, with a little of everything.
ORDINARY = b"""1f0e\t{"ver": 2, "info": {"reason": "idle-daily", "OS": "WINNT", "version": "6.1", \
"arch": "x86", "revision": "http://example.org/rev/12ab", "isWow64": false, "memsize": 2046}, \
"simpleMeasurements": {"uptime": 17, "start": 265, "js": {"setProto": 0, "customIter": 12}}, \
"histograms": {"READ_MS": [6090, 1, 5, 7, 0, 0, 407, 50.968602538108826, 153.15068654087116, -1, \
-1], "LONG": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1], \
"FLAG": [1, 0, 0, 0, -1, -1, 0, 0]}, "slowSQL": {"mainThread": {"SELECT \\"a\\"": [1, 100]}}, \
"lateWrites": {"memoryMap": [], "stacks": [[[0, 1], [-1, 20]]]}, "x": [null, 1e-3, "\xc3\xa9"]}"""

#: Values, of which some are good.
VALUES = [
    *(
        b"0",
        b"-0",
        b"-",
        b"--1",
        b"+1",
        b"01",
        b"-01",
        b"00",
        b"1.",
        b".5",
        b"-.5",
        b"1.e1",
        b"0x1",
    ),
    *(b"1e", b"1E+", b"1e-", b"1e5", b"1E+05", b"1e-05", b"1e99", b"1e100", b"1e308", b"1e400"),
    *(b"-1e400", b"1e-400", b"1e0000000001", b"1e0000000400", b"0e400", b"0.0e999", b"1_0", b"1,"),
    *(b"9" * 99 + b"e99", b"9" * 100 + b"e99", b"9" * 101 + b"e99", b"9" * 300 + b"e99"),
    *(b"9" * 310, b"9" * 310 + b".0", b"9" * 5000, b"0." + b"0" * 400 + b"1", b"1.5.5", b"1e5e5"),
    *(b"-9223372036854775809", b"18446744073709551616", b"1 2", b"1-2", b"- 1", b"1 .5", b"1. 5"),
    *(b"NaN", b"-NaN", b"nan", b"Infinity", b"-Infinity", b"[NaN]", b"inf", b"None", b"True"),
    *(b"true", b"false", b"null", b"tru", b"fals", b"nul", b"truee", b"nulll", b"t", b"f", b"n"),
    *(b"tRue", b"trux", b"falsx", b"nulx", b"true false", b"'a'", b'"', b'"a', b'a"', b'"a""b"'),
    *(b"[]", b"[ ]", b"{}", b"{ }", b"[", b"]", b"{", b"}", b"[}", b"{]", b"[[]", b"[]]", b"[1}"),
    *(b'{"b":1]', b"[,]", b"[1,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[1;2]", b"{,}", b'{"b":1,}'),
    *(
        b'{"b"}',
        b'{"b":}',
        b'{"b",1}',
        b'{"b" 1}',
        b'{"b"::1}',
        b"{b:1}",
        b"{1:1}",
        b'{"b":1 "c":2}',
    ),
    *(b'{"b":1,,"c":2}', b"{:1}", b'{"":1}', b'{"b":1,"b":2}', b'{"\\u0062":1,"b":2}', b"", b" "),
    *(
        b"/**/1",
        b"1//",
        b"#1",
        b"[1, 2, [3, {}], {}, []]",
        b'{"b":{"c":{}},"d":[]}',
        b"1\x00",
        b"\x001",
    ),
]
#: Pieces of strings, of which some are good.
PIECES = [
    *(b"", b"a", b"\x7f", b"/", b"'", b"\t", b"\r", b"\x00", b"\x1f", b"\x0b", b'"', b"\\", b'""'),
    *(b"\\" + bytes([escaped]) for escaped in b"\"\\/bfnrtuUxavs0'\x00 \xc3"),
    *(
        b"\\u",
        b"\\u0",
        b"\\u00",
        b"\\u004",
        b"\\u0041",
        b"\\u00e9",
        b"\\uFFFF",
        b"\\u00g1",
        b"\\u00/1",
    ),
    *(
        b"\\u00:1",
        b"\\u00@1",
        b"\\u00`1",
        b"\\u00G1",
        b"\\u 041",
        b"\\u+041",
        b"\\u-041",
        b"\\U0041",
    ),
    *(b"\\u%b" % half for half in (b"d7ff", b"D7FF", b"d800", b"D800", b"dBfF", b"dc00", b"DfFf")),
    *(b"\\u%b" % half for half in (b"e000", b"E000", b"d799", b"d899", b"d9aa", b"dabb", b"debb")),
    *(
        b"\\ud83d\\ude00",
        b"\\ude00\\ud83d",
        b"\\ud83d\\u0041",
        b"\\ud83dx",
        b"\\ud83d\\n",
        b"\\\\ud800",
    ),
    *(b"\xef\xbb\xbf", b"\xef\xbf\xbf", b"\xe2\x80\xa8", b"\xc2\x85", b"\xc2\xa0"),
]
#: Characters at the ends of what UTF-8 allows, and just beyond.
CHARACTERS = """
    7f 80 bf c080 c0af c180 c1bf c280 dfbf e08080 e09fbf e0a080 e0bfbf e18080 ecbfbf ed8080 ed9fbf
    eda080 edbfbf ee8080 efbfbf f0808080 f08fbfbf f0908080 f0bfbfbf f1808080 f3bfbfbf f4808080
    f48fbfbf f4908080 f4bfbfbf f5808080 f7bfbfbf f888808080 fc8480808080 fe ff
"""
CHARACTERS = [bytes.fromhex(character) for character in CHARACTERS.split()]
#: A small record with one of everything.
SMALL = b'i\t{"a" : "b\xc3\xa9\\n", "c":[0, 0,1.5e3,-2],"d":{"e":true,"f":null},"g":[false,{}]}'
#: What may be drawn out of a record, put in, or doubled, so that something is wrong.
STRUCTURE = [*(bytes([one]) for one in b'{}[]:," \t\r\\'), b'"a":1', b',"a":1', b"[0, 0]", b"{}"]


def all_bytes() -> Iterator[bytes]:
    """A small record with each byte there is in each place, instead of another and beside it."""
    for place in range(len(SMALL) + 1):
        for byte in range(256):
            yield SMALL[:place] + bytes([byte]) + SMALL[place + 1 :]
            yield SMALL[:place] + bytes([byte]) + SMALL[place:]


def cut_and_spliced() -> Iterator[bytes]:
    """A small record without a part, with a part twice, and with something put in."""
    for place in range(len(SMALL) + 1):
        for end in range(place + 1, min(place + 12, len(SMALL)) + 1):
            yield SMALL[:place] + SMALL[end:]
            yield SMALL[:end] + SMALL[place:]
        for piece in STRUCTURE:
            yield SMALL[:place] + piece + SMALL[place:]
        yield SMALL[:place]
        yield SMALL[place:]


def by_hand() -> Iterator[bytes]:
    """Lines for every rule of what a record is, on both of its sides."""
    yield from whole_lines()
    for value in VALUES:
        for around in (b'{"a":%b}', b'{"a":[%b]}', b'{"a":[1,%b,2]}', b'{"a":{"b":%b},"c":1}'):
            yield b"id\t" + around % value
        yield b'id\t{"a" : \t %b \r, "b":0 }' % value
        yield b'id\t{"z":[0, 0, 0, 0, 0, 0, 0, 0, %b]}' % value
    for piece in (*PIECES, *CHARACTERS, *cut_characters()):
        for before in range(17):
            for after in (0, 9):
                string = b"x" * before + piece + b"y" * after
                yield b'i\t{"a":"%b"}' % string
                yield b'i\t{"%b":1}' % string
        yield b'i\t{"a":{"%b":1}}' % piece
        yield b'i%b\t{"a":1}' % piece
    yield from zeros()
    yield from deep()


def whole_lines() -> Iterator[bytes]:
    """Lines that are strange as a whole."""
    good = b'{"a":1}'
    yield from (
        b"",
        b"\t",
        b"\t\t",
        b"id",
        b"id\t",
        good,
        b"\t" + good,
        b"id " + good,
        b"id\t\t" + good,
    )
    for before in (
        b"",
        b" ",
        b"\r",
        b"\t \r",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\x0b",
        b"\xc2\xa0",
        b",",
        b"[",
    ):
        yield b"id\t" + before + good
        yield before + b"id\t" + good
        yield b"id\t" + good + before
        yield b"id" + before + b"\t" + good
    for after in (b"{}", b"1", b"}", b"]", b"\tx", b"\t{}", b"\x00", b"x", b'"', b" ]"):
        yield b"id\t" + good + after
        yield b"id\t{}" + after
    yield from (
        b"id\t" + top for top in (b"[]", b"1", b'"a"', b"null", b"true", b"[{}]", b'"{}"', b"NaN")
    )
    yield from (
        b"\xff\t" + good,
        b"\xc3\xa9\t" + good,
        b"\xed\xa0\x80\t" + good,
        b"a\x00b\t" + good,
    )
    yield b"id\t{" + b",".join(b'"%d":%d' % (n, n) for n in range(200)) + b"}"
    yield b"id\t{" + b",".join(b'"n":%d' % n for n in range(19)) + b"}"


def cut_characters() -> Iterator[bytes]:
    """Characters without their last bytes, and with one byte that does not go on with them."""
    for character in CHARACTERS:
        for end in range(1, len(character)):
            yield character[:end]
            yield from (
                character[:end] + one + character[end + 1 :] for one in (b"\x7f", b"\xc0", b'"')
            )


def zeros() -> Iterator[bytes]:
    """Runs of empty buckets of each length, spaced and dense, and what may follow one."""
    ends = (
        b"]",
        b" ]",
        b",]",
        b", ]",
        b",1]",
        b", 1]",
        b",  1]",
        b", 00]",
        b",0.5]",
        b", -0]",
        b",a]",
    )
    for length in range(41):
        for comma in (b", ", b","):
            run = comma.join([b"0"] * length)
            for end in (
                *ends,
                b"0]",
                b"1]",
                b"}",
                b",",
                b"",
                b"\\",
                b"\xff",
                b"e1]",
                b".]",
                b" 0]",
            ):
                yield b'i\t{"a":[%b%b}' % (run, end)
        for byte in (b"x", b"\t", b" ", b"1", b"\r", b'"'):
            spaced = b", ".join([b"0"] * 40)
            yield b'i\t{"a":[%b]}' % (spaced[: 3 * length] + byte + spaced[3 * length + 1 :])
            yield b'i\t{"a":[%b]}' % (spaced[:length] + byte + spaced[length:])


def deep() -> Iterator[bytes]:
    """Levels around the most that a record may have."""
    for levels in (500, 510, 511, 512, 513, 514, 600):
        for opening in (b"[", b"{"):
            yield b"id\t" + nested(levels, opening)
            yield b'id\t{"b":' + nested(levels - 1, opening) + b',"c":[[]]}'
        pairs = (levels - 1) // 2
        yield b'id\t{"a":' + b'[{"b":' * pairs + b"1" + b"}]" * pairs + b"}"
        yield b'id\t{"a":' + b'[{"b":' * pairs + b"[]" + b"}]" * pairs + b"}"
        yield b'id\t{"a":' + b"[0, 0, " * levels + b"1" + b"]" * levels + b"}"
        yield b'id\t{"a":' + b"[" * levels
        yield b'id\t{"a":' + b'{"a":' * levels


def joined(lines: Iterable[bytes]) -> bytes:
    """A text of lines."""
    return b"".join(line + b"\n" for line in lines)
