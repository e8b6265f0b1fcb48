"""The order, equality and bytes of encoded keys."""

import enum
import math
import sys
from collections import Counter, namedtuple
from functools import cmp_to_key
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mr import keys
from mr.errors import AnalysisError, FormatError

# --- keys that hypothesis makes: many of them close together, where encodings go wrong ---

_MAX_DOUBLE_INT = int(sys.float_info.max)
_EDGES = [
    sign * (edge + step)
    for edge in (0, 2**53, 2**54, 2**63, 2**64, _MAX_DOUBLE_INT, 2**1024, 2**1100, 256**255)
    for step in (-1, 0, 1)
    for sign in (1, -1)
]
_FLOATS = st.one_of(
    st.floats(),
    st.sampled_from([2.0**53, -(2.0**53), 2.0**64, sys.float_info.max, -sys.float_info.max]),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.0, math.inf, -math.inf, math.nan, -math.nan]),
)
_INTS = st.one_of(
    st.integers(),
    st.integers(-3, 3),
    st.sampled_from(_EDGES),
    st.builds(
        lambda number, step: int(number) + step,
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-2, 2),
    ),
)
_TEXTS = st.one_of(
    st.text(st.characters(codec=None)),
    st.text(st.sampled_from("\0\1\2a\x7f\x80\xff\ud800\udc00\udfff\uffff\U00010000"), max_size=5),
)
_BYTES = st.one_of(st.binary(), st.lists(st.sampled_from([0, 1, 2, 255]), max_size=5).map(bytes))
_SCALARS = st.one_of(st.none(), st.booleans(), _INTS, _FLOATS, _TEXTS, _BYTES)
KEYS = st.recursive(_SCALARS, lambda items: st.lists(items, max_size=4).map(tuple), max_leaves=8)


# --- the slow, plain reference ---


def _compare(a: object, b: object) -> int:
    """-1, 0 or 1: key `a` comes before, equals, or comes after key `b` by the documented rules."""
    if _rank(a) != _rank(b):
        return -1 if _rank(a) < _rank(b) else 1
    if a is None:
        return 0
    if isinstance(a, tuple):
        for item_a, item_b in zip(a, b, strict=False):
            if _compare(item_a, item_b):
                return _compare(item_a, item_b)
        return (len(a) > len(b)) - (len(a) < len(b))
    if _rank(a) == 2:
        if a != a or b != b:  # NaN
            return (a != a) - (b != b)
        if a == b:  # Python compares ints with floats exactly
            return isinstance(a, float) - isinstance(b, float)
    return (a > b) - (a < b)


def _rank(key: object) -> int:
    for rank, kinds in enumerate((type(None), bool, (int, float), str, bytes, tuple)):
        if isinstance(key, kinds):
            return rank
    raise TypeError(key)


def _sign(a: bytes, b: bytes) -> int:
    return (a > b) - (a < b)


# --- laws ---


@given(KEYS, KEYS)
@example(2**53, 2.0**53)
@example(2**53 + 1, 2.0**53)
@example(2**53 + 1, 2.0**53 + 2)
@example(_MAX_DOUBLE_INT + 1, math.inf)
@example(-_MAX_DOUBLE_INT - 1, -math.inf)
@example(-(2**1100), -(2**1100) - 1)
@example(-(256**255), -(256**256))
@example("a", "a\0")
@example(("a",), ("a\0",))
@example((("a",), 1), (("a", None), 0))
def test_encoded_keys_sort_and_equal_as_keys_do(a, b):
    """The order of two encodings is the documented order of the keys, equality included."""
    assert _sign(keys.encode(a), keys.encode(b)) == _compare(a, b)


def test_the_edges_sort_in_exact_numeric_order():
    """Ints and floats around every boundary sort by exact value, each against every other."""
    numbers = [*_EDGES, 0.5, -0.5, 2.0**53, -(2.0**53), 2.0**53 + 2, 2.0**64, 1e300, -1e300]
    numbers += [math.inf, -math.inf, math.nan, sys.float_info.max, -sys.float_info.max, 5e-324]

    by_bytes = sorted(numbers, key=keys.encode)

    assert by_bytes == sorted(numbers, key=cmp_to_key(_compare))
    for a, b in permutations(numbers, 2):
        assert _sign(keys.encode(a), keys.encode(b)) == _compare(a, b), (a, b)


def test_the_documented_order_by_example():
    """One list shows the whole order: None, bools, numbers, texts, bytes, tuples."""
    in_order = [
        None, False, True,
        -math.inf, -(10**400), -1e300, -2, -1, -1.0, -0.5, 0, 0.0, 5e-324, 1, 1.0, 1.5, 2,
        2**53, 2.0**53, 2**53 + 1, 10**400, math.inf, math.nan,
        "", "\0", "\0\0", "\1", "A", "AB", "B", "a", "é", "\ud800", "\udc00", "\uffff", "😀",
        b"", b"\0", b"\0\1", b"\1", b"\1\0", b"a", b"\xff",
        (), (None,), (None, None), (1,), (1, "a"), (1.0,), ("a",), ("a", ()), ("a", (1,)), ("b",),
        ((),), ((), ()), ((None,),),
    ]  # fmt: skip

    for a, b in combinations(in_order, 2):
        assert keys.encode(a) < keys.encode(b), (a, b)


@given(KEYS)
@example("\1\1\2\0\1\0")
@example(b"\1\1\2\0\1\0")
@example(-(2**1100))
@example(-(10**2000))
def test_a_key_comes_back_with_its_types(key):
    """Decoding gives a key of the same types that equals the one encoded."""
    back = keys.decode(keys.encode(key))

    assert _compare(back, key) == 0
    assert _types(back) == _types(key)


def _types(key: object) -> object:
    return [_types(item) for item in key] if isinstance(key, tuple) else type(key)


@given(KEYS, KEYS)
@example("a", "a\0")
@example(b"", b"\0")
@example(("a",), ("a", None))
@example(("a",), ("a\0",))
@example(1, 2**53 + 1)
def test_no_encoding_begins_another(a, b):
    """An encoding is never empty, and the beginning of another only if the keys are equal."""
    encoded_a, encoded_b = keys.encode(a), keys.encode(b)

    assert encoded_a
    assert encoded_b.startswith(encoded_a) == (_compare(a, b) == 0)


@given(st.lists(KEYS, max_size=6))
def test_a_tuple_is_its_elements_in_a_frame(items):
    """The encoding of a tuple holds its elements' encodings one after the other."""
    assert keys.encode(tuple(items)) == b"\7" + b"".join(map(keys.encode, items)) + b"\0"


# --- equality ---


def test_true_one_and_one_point_zero_are_three_keys():
    """Python calls them equal; as keys they differ, also inside tuples."""
    assert len({keys.encode(key) for key in (True, 1, 1.0)}) == 3
    assert len({keys.encode((key,)) for key in (True, 1, 1.0)}) == 3


def test_negative_zero_is_zero_and_all_nans_are_one():
    """-0.0 decodes as 0.0, and NaNs of any bits have one encoding."""
    assert keys.encode(-0.0) == keys.encode(0.0)
    assert math.copysign(1, keys.decode(keys.encode(-0.0))) == 1
    assert keys.encode(math.nan) == keys.encode(-math.nan) == keys.encode(math.inf - math.inf)


class _Colour(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


class _Level(enum.IntEnum):
    HIGH = 3


class _Bytes(bytes):
    pass


_Point = namedtuple("_Point", "x y")


@pytest.mark.parametrize(
    ("key", "base"),
    [
        (_Colour.RED, "red"),
        (_Level.HIGH, 3),
        (_Bytes(b"\0a"), b"\0a"),
        (_Point(1, _Point("a", 2)), (1, ("a", 2))),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(-7), -7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("x\0"), "x\0"),
        (np.bytes_(b"x"), b"x"),
        ((np.int8(1), np.bool_(False)), (1, False)),
    ],
)
def test_subclasses_and_numpy_scalars_count_as_their_base(key, base):
    """They encode as the plain value does, and decode to it."""
    back = keys.decode(keys.encode(key))

    assert keys.encode(key) == keys.encode(base)
    assert (back, _types(back)) == (base, _types(base))


# --- refusals ---


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ([1], "list"),
        ({}, "dict"),
        (frozenset(), "frozenset"),
        (1j, "complex"),
        (bytearray(b"a"), "bytearray"),
        (np.array([1]), "numpy.ndarray"),
        (np.longdouble(1), "numpy.longdouble"),
        (np.datetime64("2020-01-01"), "numpy.datetime64"),
        (object(), "object"),
    ],
)
def test_another_type_is_refused_by_name(key, name):
    """A type that cannot be a key is named, at the top and within a tuple."""
    for refused in (key, ("a", (key,))):
        with pytest.raises(AnalysisError, match=f"cannot be or hold a {name}:"):
            keys.encode(refused)


def test_nesting_has_a_limit():
    """Tuples nested to the limit come back; one level more is refused, and in bytes too."""
    deepest = ()
    for _ in range(keys.MAX_NESTING - 1):
        deepest = (deepest,)

    assert keys.decode(keys.encode(deepest)) == deepest
    with pytest.raises(AnalysisError, match="nested more than 200"):
        keys.encode((deepest,))
    with pytest.raises(FormatError):
        keys.decode(b"\7" + keys.encode(deepest) + b"\0")
    with pytest.raises(FormatError):
        keys.decode(b"\7" * 100_000)


# --- hostile bytes ---


def _decode_or_none(data: bytes) -> None:
    """Decode `data`: whatever is no encoding must be a FormatError, so all else must be one."""
    try:
        key = keys.decode(data)
    except FormatError:
        return
    assert keys.encode(key) == data


@given(st.one_of(st.binary(), st.lists(st.sampled_from(b"\0\1\2\3\4\5\6\7\x80\xff")).map(bytes)))
def test_any_bytes_are_an_encoding_or_a_format_error(data):
    """Random bytes either decode to a key that encodes to them, or raise FormatError."""
    _decode_or_none(data)


@given(KEYS, st.data())
def test_damaged_encodings_are_a_format_error_or_another_key(key, data):
    """So do encodings that lost, gained or changed a byte."""
    encoded = keys.encode(key)
    at = data.draw(st.integers(0, len(encoded) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1))

    _decode_or_none(encoded[:at] + byte + encoded[at + 1 :])
    _decode_or_none(encoded[:at] + byte + encoded[at:])
    for damaged in (encoded[:at], encoded + byte):
        with pytest.raises(FormatError):
            keys.decode(damaged)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\x08",
        b"\5abc",  # no end
        b"\5\xff\0",  # not UTF-8
        b"\5\1\3\0",  # no such escape
        b"\5\1\0",  # half an escape
        b"\7\1",  # no end
        b"\4\x80",  # half a double
        keys.encode(1.5)[:-1] + b"\0",  # an int that is no int
        keys.encode(math.inf)[:-1] + b"\0",
        keys.encode(math.nan)[:-1] + b"\0",
        keys.encode(1)[:-1] + b"\2",  # no such type
        b"\4\x7f" + b"\xff" * 7 + b"\0\1",  # -0.0
        b"\4\xff\xf8" + b"\0" * 5 + b"\1\0\1",  # a NaN of other bits
        keys.encode(2.0**53)[:-2] + b"\1\1\1\1",  # a float with a rest
        keys.encode(2**53)[:-2] + b"\1\2\0\1\0",  # a rest with a leading zero
        keys.encode(2**53)[:-2] + b"\x08" + b"\xff" * 8 + b"\1\0",  # a rest of 2**64 bytes
    ],
)
def test_bytes_that_only_look_like_an_encoding_are_refused(data):
    """There is one encoding of each key; any other is a FormatError that shows the bytes."""
    with pytest.raises(FormatError, match="not an encoded key"):
        keys.decode(data)


# --- what is stored ---


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        (None, "01"),
        (False, "02"),
        (True, "03"),
        (0, "04 80 00 00 00 00 00 00 00 00 00"),
        (1, "04 bf f0 00 00 00 00 00 00 00 00"),
        (1.0, "04 bf f0 00 00 00 00 00 00 00 01"),
        (-1, "04 40 0f ff ff ff ff ff ff 00 00"),
        (2**53 + 1, "04 c3 40 00 00 00 00 00 00 01 01 01 00"),
        (-(2**1024), "04 00 0f ff ff ff ff ff ff fe 7e fe " + "ff " * 128 + "00"),
        ("a\0\1", "05 61 01 01 01 02 00"),
        (b"a", "06 61 00"),
        (("é", ()), "07 05 c3 a9 00 07 00 00"),
    ],
)
def test_the_bytes_stay_what_they_are(key, encoded):
    """Encodings are stored, so their bytes are fixed."""
    assert keys.encode(key) == bytes.fromhex(encoded)


def test_partitions_are_stable_and_even():
    """A key's partition never changes, and keys that differ little spread over all partitions."""
    counts = Counter(keys.partition(keys.encode(("WINNT", n)), 16) for n in range(16_000))

    assert [keys.partition(keys.encode(key), 7) for key in ("WINNT", "Linux", 1, None)] == [
        3,
        2,
        0,
        2,
    ]
    assert set(counts) == set(range(16))
    assert all(900 < count < 1100 for count in counts.values())


@given(st.lists(_TEXTS, max_size=5))
def test_texts_together_are_as_one_by_one(texts):
    """Encoding and decoding many at once gives what each alone gives."""
    encoded = keys.encode_texts(texts)

    assert encoded == list(map(keys.encode, texts))
    assert keys.decode_all(encoded) == texts


@given(st.lists(KEYS, max_size=5))
def test_keys_together_are_decoded_as_one_by_one(some):
    """Of all types, mixed."""
    encoded = list(map(keys.encode, some))

    assert list(map(repr, keys.decode_all(encoded))) == [repr(keys.decode(one)) for one in encoded]


_PARTS = st.sampled_from(
    [b"", b"\x00", b"\x05", b"\x05a\x00", b"\x00\x05", b"a", b"\x01", b"\xc3\xa9"]
)


@given(st.lists(st.lists(_PARTS, max_size=4).map(b"".join), max_size=4))
def test_any_bytes_together_are_what_they_are_one_by_one(encoded):
    """What is no encoding is refused, also where the bytes of all of them would be good."""
    try:
        expected = list(map(keys.decode, encoded))
    except FormatError:
        with pytest.raises(FormatError):
            keys.decode_all(encoded)
    else:
        assert keys.decode_all(encoded) == expected
