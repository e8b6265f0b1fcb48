"""The bytes of values, and that they come back as they were."""

import contextlib
import enum
import math
import struct
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mr import values
from mr.errors import AnalysisError, FormatError

_DTYPES = ["?", "i1", "u1", "<i2", ">i2", "<u4", ">i4", "<i8", "<u8", "<f2", "<f4", ">f4", "<f8"]


def _array_of(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """An array of random bits (of 0 and 1 for bools)."""
    bits = np.random.default_rng(seed).integers(0, 256, (math.prod(shape), 8), np.uint8)
    if dtype == "?":
        return (bits[:, 0] > 127).reshape(shape)
    return np.frombuffer(bits[:, : np.dtype(dtype).itemsize].tobytes(), dtype).reshape(shape)


_ARRAYS = st.builds(
    _array_of,
    st.sampled_from(_DTYPES),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.integers(0, 2**32),
)
_TEXTS = st.one_of(st.text(), st.text(st.characters(codec=None)))
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]),
    st.floats(),
    _TEXTS,
    st.binary(),
    _ARRAYS,
)
VALUES = st.recursive(
    _SCALARS,
    lambda items: st.one_of(
        st.lists(items, max_size=4),
        st.lists(items, max_size=4).map(tuple),
        st.dictionaries(_TEXTS, items, max_size=4),
    ),
    max_leaves=10,
)


def _same(a: object, b: object) -> bool:
    """Whether two values are equal in type, in order and in every bit of their floats."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return _same(list(a.items()), list(b.items()))
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, np.ndarray):
        return (a.dtype.str, a.shape, a.tobytes()) == (b.dtype.str, b.shape, b.tobytes())
    return a == b


# --- laws ---


@given(VALUES)
@example([(1, [2, (3, [])]), {"a": ({"b": ()},)}])
@example({"\ud800": (1, {"\udfff": [2**64]}), "a": b"\xff"})
@example([1, 2**64, "a"])
@example(["a", "\ud800"])
@example({"a": 2**64, "b": 1})
@example((-0.0, math.inf, -math.inf, math.nan))
def test_a_value_comes_back_as_it_was(value):
    """Types at every depth, the order of a dict, and every bit of a float are kept."""
    assert _same(values.decode(values.encode(value)), value)


@given(VALUES)
def test_equal_values_give_equal_bytes(value):
    """Encoding what was decoded gives the same bytes."""
    encoded = values.encode(value)

    assert values.encode(values.decode(encoded)) == encoded


# --- arrays ---


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (1,) * 20])
def test_an_array_keeps_dtype_and_shape(dtype, shape):
    """Byte order, empty arrays and arrays without dimensions included."""
    array = (np.arange(math.prod(shape)) % 2).astype(dtype).reshape(shape)

    back = values.decode(values.encode({"deep": [(array,)]}))["deep"][0][0]

    assert _same(back, array)


def test_an_array_that_is_a_view_comes_back_whole():
    """Strides and column order do not change what an array holds."""
    array = np.arange(24.0).reshape(2, 3, 4)

    for view in (array[:, ::2, ::-1], array.T, np.asfortranarray(array)):
        back = values.decode(values.encode(view))

        assert np.array_equal(back, view)
        assert back.shape == view.shape


def test_a_decoded_array_is_ones_own():
    """A reduce may add to the array it was given."""
    back = values.decode(values.encode(np.arange(3)))

    back += 1

    assert back.tolist() == [1, 2, 3]


# --- what stands for a plain value ---


class _Text(str):
    pass


class _Colour(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


class _Level(enum.IntEnum):
    HIGH = 3


class _Lines(list):
    pass


class _Part(Mapping):
    """A read-only mapping that can say what it holds, as the parts of a record can."""

    def __init__(self, inner):
        self._inner = inner

    def __getitem__(self, name):
        raise AssertionError("to_dict is there so that nobody needs this")

    def __len__(self):
        return len(self._inner)

    def __iter__(self):
        return iter(self._inner)

    def to_dict(self):
        return self._inner


_Point = namedtuple("_Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (_Text("é"), "é"),
        (_Colour.RED, "red"),
        ({_Colour.RED: _Colour.RED}, {"red": "red"}),
        (_Level.HIGH, 3),
        (_Lines([1, "a"]), [1, "a"]),
        (_Lines([1, (2,)]), [1, (2,)]),
        (_Point(1, 2), (1, 2)),
        (_Point(1, _Point([], 2)), (1, ([], 2))),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[(1,)]), {"a": [(1,)]}),
        ({_Text("k"): _Text("v")}, {"k": "v"}),
        (_Part({"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int16(-7), -7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.bytes_(b"x"), b"x"),
    ],
)
def test_what_stands_for_a_plain_value_comes_back_as_that(value, plain):
    """Subclasses, numpy scalars and mappings with to_dict, alone and within other values."""
    assert _same(values.decode(values.encode(value)), plain)
    assert _same(
        values.decode(values.encode([(value, 1), {"a": value}])), [(plain, 1), {"a": plain}]
    )


# --- refusals ---


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({1, 2}, "set"),
        (1j, "complex"),
        (bytearray(b"a"), "bytearray"),
        (object(), "object"),
        (np.datetime64("2020-01-01"), "numpy.datetime64"),
        (np.longdouble(1), "numpy.longdouble"),
        (np.ma.masked_array([1, 2], [True, False]), "numpy.ma.MaskedArray"),
        ((n for n in ()), "generator"),
    ],
)
def test_another_type_is_refused_by_name(value, name):
    """A type that cannot be stored is named, wherever it stands."""
    for refused in (value, [value], (1, {"a": value}), [[1], (value,)]):
        with pytest.raises(AnalysisError, match=f"cannot be or hold a {name}:"):
            values.encode(refused)


@pytest.mark.parametrize("dtype", ["O", "S3", "U3", "c16", "M8[s]", "i4,f8", "longdouble"])
def test_an_array_of_another_dtype_is_refused(dtype):
    """Only bools, ints and floats up to 64 bits are stored."""
    with pytest.raises(AnalysisError, match="numpy array of dtype"):
        values.encode([np.zeros(2, dtype)])


@pytest.mark.parametrize("key", [1, None, ("a",), b"a", 1.5, True])
def test_a_dict_with_other_keys_is_refused(key):
    """Keys would change their type on the way, so the sentence says what to use."""
    for refused in ({key: 1}, [{"a": 1, key: [2]}], {key: (1,)}):
        with pytest.raises(AnalysisError, match=f"key of type {type(key).__name__}: use str"):
            values.encode(refused)


@pytest.mark.parametrize(
    ("wrap", "levels"),
    [
        (lambda value: [value], values.MAX_NESTING),
        (lambda value: {"a": value}, values.MAX_NESTING),
        (lambda value: (value,), values.MAX_NESTING // values.TUPLE_LEVELS),
        (lambda value: {"\ud800": value}, values.MAX_NESTING // values.TUPLE_LEVELS),
    ],
)
def test_nesting_to_the_limit_comes_back_and_beyond_is_refused(wrap, levels):
    """What can be encoded can be decoded, however deep."""
    value = 1
    for _ in range(levels):
        value = wrap(value)

    assert repr(values.decode(values.encode(value))) == repr(value)
    with pytest.raises(AnalysisError, match="nested more than"):
        values.encode(wrap(value))


def test_a_list_that_holds_itself_is_refused():
    """A cycle is nesting without end."""
    cycle = []
    cycle.append(cycle)

    with pytest.raises(AnalysisError, match="or holds itself"):
        values.encode(cycle)


# --- hostile bytes ---


def _ext(code: int, data: bytes) -> bytes:
    return b"\xc7" + bytes([len(data), code]) + data


def _array(dtype, shape, data) -> bytes:
    return _ext(5, values.encode([dtype, shape, data]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # msgpack's unused byte
        b"\x01\x01",  # more than one value
        b"\xa3ab",  # a short str
        b"\xa1\xff",  # not UTF-8
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million items
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 100_000 + b"\xc0",  # deeper than any stack
        b"\x81\x81\x01\x01\x01",  # a dict as a key
        _ext(99, b"a"),  # no such extension
        _ext(1, b"\x01"),  # a tuple of no array
        _ext(1, b""),
        _ext(3, b"\xff"),
        _ext(4, b"\x92\x91\x01\x90"),  # a key without its value
        _ext(4, b"\x92\x91\x90\x91\x01"),  # a list as a key
        _array("|O8", [1], bytes(8)),
        _array("f8,f8", [1], bytes(16)),
        _array("<f3", [1], bytes(3)),
        _array("<f8", [2], bytes(8)),
        _array("<f8", [1], bytes(16)),
        _array("<f8", [-1], bytes(8)),
        _array("<f8", [2**62], b""),
        _array("<f8", [2**64 - 1], b""),
        _array("<f8", [1.5], bytes(8)),
        _array("<f8", [1] * 100, bytes(8)),
        _array("<f8", [1], "text"),
        _array(1, [1], bytes(8)),
    ],
)
def test_bytes_that_are_no_value_are_refused(data):
    """One sentence, whatever is wrong with them."""
    with pytest.raises(FormatError, match="not an encoded value"):
        values.decode(data)


def _decode_or_none(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        values.decode(data)


@given(st.binary())
def test_random_bytes_give_a_value_or_a_format_error(data):
    """No other exception comes out of decode."""
    _decode_or_none(data)
    for code in range(1, 6):
        _decode_or_none(_ext(code, data[:255]))


@given(VALUES, st.data())
def test_damaged_encodings_give_a_value_or_a_format_error(value, data):
    """No other exception comes out of decode, whichever byte is lost, added or changed."""
    encoded = values.encode(value)
    at = data.draw(st.integers(0, len(encoded) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1))

    _decode_or_none(encoded[:at] + byte + encoded[at + 1 :])
    _decode_or_none(encoded[:at] + byte + encoded[at:])
    for damaged in (encoded[:at], encoded + byte):
        with pytest.raises(FormatError):
            values.decode(damaged)


@given(st.lists(VALUES, max_size=5))
def test_values_together_are_decoded_as_one_by_one(some):
    """Decoding many at once gives what each alone gives."""
    column = list(map(values.encode, some))

    assert list(map(repr, values.decode_all(column))) == [
        repr(values.decode(one)) for one in column
    ]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01"])
def test_a_damaged_value_among_others_is_refused(data):
    """One value that is none makes all of them a FormatError."""
    with pytest.raises(FormatError, match=f"^these {len(data)} bytes are not an encoded value"):
        values.decode_all([values.encode(1), data, values.encode(2)])


@given(st.integers())
def test_an_int_has_one_encoding(value):
    """The table of small ints says what encoding says."""
    assert values.encode_int(value) == values.encode(value)


def test_small_ints_have_one_encoding():
    """At the ends of the table, too."""
    for value in range(-300, 1100):
        assert values.encode_int(value) == values.encode(value)
