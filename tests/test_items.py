"""The items of a result: pairs and lines come back from their bytes, and damage is noticed."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr import items, keys, values
from mr.errors import AnalysisError, FormatError
from mr.items import Line, Pair, ValueStream, as_pair

TEXTS = st.text(st.characters(), max_size=8)  # lone surrogates among them

KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
VALUES = st.recursive(
    KEYS | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.one_of(st.builds(Pair, KEYS, VALUES, st.none() | TEXTS), st.builds(Line, TEXTS, TEXTS))


@given(item=ITEMS)
def test_an_item_comes_back_from_its_bytes(item):
    """A pair with key, value and text, or a line with its end; equal in value and in type."""
    found = items.decode(items.encode(item))

    assert found == item
    assert repr(found) == repr(item)


def test_a_value_may_be_nan():
    """Not a number is a value as any other."""
    assert math.isnan(items.decode(items.encode(Pair("k", math.nan))).value)


@given(key=KEYS, value=VALUES)
def test_an_encoded_pair_is_an_item(key, value):
    """The bytes of a pair can be made of its parts' bytes."""
    data = items.encode_pair(keys.encode(key), values.encode(value))

    assert data == items.encode(Pair(key, value))


@given(data=st.binary(max_size=60))
def test_random_bytes_are_refused(data):
    """Bytes that are no item are a FormatError, and nothing else."""
    try:
        found = items.decode(data)
    except FormatError:
        return
    assert isinstance(found, Pair | Line)


@given(item=ITEMS, at=st.integers(0, 200), change=st.integers(1, 255))
def test_damage_is_an_item_or_refused(item, at, change):
    """A changed byte is another item or a FormatError; cut bytes are always a FormatError."""
    data = bytearray(items.encode(item))
    with pytest.raises(FormatError):
        items.decode(bytes(data[: at % len(data)]))
    data[at % len(data)] ^= change

    try:
        found = items.decode(bytes(data))
    except FormatError:
        return
    assert isinstance(found, Pair | Line)


@pytest.mark.parametrize(
    "triple",
    [
        (b"", b"", None),
        (b"\xff", values.encode(1), None),
        (keys.encode("k"), b"\xc1", None),
        (keys.encode("k"), values.encode(1), b"\xff"),
        (None, b"\xff", b"\n"),
        (keys.encode("k"), values.encode(1), "text"),
        (keys.encode("k"), values.encode(1)),
        (keys.encode("k"), values.encode(1), None, None),
        (None, None, None),
        {"key": 1},
        [],
    ],
)
def test_a_damaged_part_is_refused(triple):
    """A key, value or text that is not what it should be is a FormatError."""
    with pytest.raises(FormatError):
        items.decode(msgspec.msgpack.encode(triple))


@pytest.mark.parametrize("pair", [Pair([], 1), Pair("k", object()), Pair({}, 1), Pair(1, {1: 2})])
def test_a_type_that_cannot_be_kept_is_refused(pair):
    """A key or value of another type is the analysis's error."""
    with pytest.raises(AnalysisError):
        items.encode(pair)


def test_a_pair_is_a_tuple_of_two():
    """What user code yields is a pair, or an error that shows it."""
    assert as_pair(("k", 1), "One.map") == ("k", 1)
    for wrong in (None, "kv", ["k", 1], ("k",), ("k", 1, 2), 5):
        with pytest.raises(AnalysisError, match=r"^One\.map yielded .*must yield \(key, value\)"):
            as_pair(wrong, "One.map")
    with pytest.raises(AnalysisError) as error:
        as_pair("x" * 10**6, "One.map")
    assert len(str(error.value)) < 400


@given(
    some=st.lists(st.tuples(KEYS, ITEMS | VALUES.map(lambda value: (value,))), max_size=6),
    plain=st.booleans(),
)
def test_items_under_their_keys_come_back(some, plain):
    """Pairs under their own key, which is not in their bytes, and others, mixed or not."""
    if plain:
        some = [(key, item if type(item) is tuple else (1,)) for key, item in some]
    under = [keys.encode(key) for key, _ in some]
    column = [
        items.encode_own(item[0]) if type(item) is tuple else items.encode(item) for _, item in some
    ]

    found = list(items.decode_all(under, column))

    expected = [Pair(key, item[0]) if type(item) is tuple else item for key, item in some]
    assert list(map(repr, found)) == list(map(repr, expected))
    assert list(map(repr, map(items.decode, column, under))) == list(map(repr, expected))


@given(st.integers())
def test_an_int_under_its_key_has_one_encoding(value):
    """The table of small ints says what encoding says."""
    assert items.encode_own_int(value) == items.encode_own(value)


def test_the_deepest_value_comes_back_under_its_key():
    """What stands around a value does not count as nesting."""
    deep = 1
    for _ in range(values.MAX_NESTING):
        deep = [deep]

    (found,) = items.decode_all([keys.encode("k")], [items.encode_own(deep)])

    assert found.key == "k"
    assert values.encode(found.value) == values.encode(deep)


def test_values_are_read_once():
    """Reading goes on where it stopped; after the end there is nothing more to read."""
    for source in ([1, 2], (1, 2), (number for number in (1, 2))):
        stream = ValueStream(source)
        assert next(stream) == 1
        assert next(iter(stream)) == 2
        assert list(stream) == []  # the end was not told yet
        with pytest.raises(AnalysisError, match="read only once"):
            list(stream)


def test_the_length_of_a_stream_is_not_known():
    """Whoever asks for it is told what to do; lists are made of it all the same."""
    values = ValueStream([1, 2])

    with pytest.raises(TypeError, match="make a list of them first"):
        len(values)
    assert values
    assert list(values) == [1, 2]
