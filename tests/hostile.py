"""Lines that are good, and lines that are meant to fool whoever tells good from bad."""

import json

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
