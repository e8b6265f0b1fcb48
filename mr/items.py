"""The items of a result: pairs, and lines of text that a script wrote."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from types import GeneratorType
from typing import Any

import msgspec

from mr import keys, values
from mr.errors import AnalysisError, FormatError


class Pair(msgspec.Struct, frozen=True, gc=False):  # made in a fifth of a dataclass's time
    """A key and its value; `text` is the whole line, separators included, if a script chose it."""

    key: Any
    value: Any
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text that a script wrote, and the separator that ends it in the text format."""

    text: str
    end: str = "\n"


Item = Pair | Line

#: Starts a stream of items anew at each call.
Items = Callable[[], Iterable[Item]]

_decoder = msgspec.msgpack.Decoder(tuple[bytes | None, bytes, bytes | None])
_encoder = msgspec.msgpack.Encoder()
#: Begins the bytes of a pair whose key is the one that it lies under: a list of its value alone.
_OWN = b"\x91"


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def encode(item: Item) -> bytes:
    """An item as bytes: a triple of key, value and text. Raises AnalysisError for bad types."""
    if isinstance(item, Line):
        return _encoder.encode((None, _text(item.text), _text(item.end)))
    text = None if item.text is None else _text(item.text)
    return _encoder.encode((keys.encode(item.key), values.encode(item.value), text))


def encode_pair(key: bytes, value: bytes) -> bytes:
    """The bytes of a plain pair whose key and value are encoded already."""
    return _encoder.encode((key, value, None))


def encode_own(value: Any) -> bytes:
    """The bytes of a plain pair that lies under its own key; raises AnalysisError for bad types."""
    return _OWN + values.encode(value)


class _OwnInts(dict[int, bytes]):
    def __missing__(self, value: int) -> bytes:
        return _OWN + values.encode(value)


#: `encode_own` of what is exactly an int: for small ones a look into a table.
encode_own_int = _OwnInts((n, _OWN + values.encode(n)) for n in range(1024)).__getitem__


class Pairs:
    """Pairs as a column of keys and one of values, which are faster than each for itself."""

    def __init__(self, keys: list[Any], values: list[Any]) -> None:
        self.keys = keys
        self.values = values

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Pair]:
        return map(Pair, self.keys, self.values)


class ItemStream:
    """Items, one by one (`iter`) or as they come, many at a time (`many`); to be read once."""

    def __init__(self, many: Iterable[Pairs | list[Item]]) -> None:
        self.many = many

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self.many)


def decode_all(under: Sequence[bytes], column: Sequence[bytes]) -> Pairs | list[Item]:
    """The items that lie under these keys: at a sixth of the time of decoding one by one."""
    if b"".join([data[:1] for data in column]) == _OWN * len(column):
        found = values.decode_all(column)
        return Pairs(keys.decode_all(under), list(map(itemgetter(0), found)))
    return list(map(decode, column, under))


def decode(data: bytes, under: bytes = b"") -> Item:
    """The item of `encode`'s bytes, which lies under a key; raises FormatError."""
    if data[:1] == _OWN:
        return Pair(keys.decode(under), values.decode(data[1:]))
    try:
        key, value, text = _decoder.decode(data)
        shown = None if text is None else text.decode("utf-8", "surrogatepass")
        if key is None:
            return Line(value.decode("utf-8", "surrogatepass"), shown or "")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"an item of a result is damaged: {error}.") from None
    return Pair(keys.decode(key), values.decode(value), shown)


class ValueStream:
    """The values of one key, as `reduce` and `combine` get them: a stream that is read once."""

    __slots__ = ("_begun", "_values")

    def __init__(self, values: list[Any] | tuple[Any, ...] | Generator[Any, None, None]) -> None:
        self._values = iter(values)
        self._begun = False

    def __iter__(self) -> Iterator[Any]:
        """Go on where the last reading stopped; raises AnalysisError at the end of the stream."""
        if self._begun and _is_spent(self._values):
            raise AnalysisError(
                "values can be read only once, and were read to their end; keep what is needed "
                "of them as they come, or make a list of them first."
            )
        self._begun = True
        return self._values

    def __next__(self) -> Any:
        self._begun = True
        return next(self._values)

    def __bool__(self) -> bool:
        """A key has a value."""
        return True

    def __len__(self) -> int:
        """Raises TypeError, with what to do: how many there are shows at the end of the stream."""
        raise TypeError(
            "values are a stream, whose length is not known before it is read: count them as they "
            "come, or make a list of them first."
        )


def _is_spent(iterator: Iterator[Any]) -> bool:
    """Whether the iterator of a list, a tuple or a generator has told its end."""
    if isinstance(iterator, GeneratorType):
        return iterator.gi_frame is None
    return len(iterator.__reduce__()) == 2  # as it is pickled: then without a place in its list


def as_pairs(found: Any, where: str) -> Iterator[Any]:
    """What user code returned, to iterate; raises AnalysisError when it cannot be."""
    if type(found) is GeneratorType:
        return found
    if found is None:
        return iter(())
    if isinstance(found, str | bytes) or (isinstance(found, tuple) and len(found) == 2):
        raise AnalysisError(f"{where} returned {found!r:.200}: use yield instead of return.")
    try:
        return iter(found)
    except TypeError:
        raise AnalysisError(
            f"{where} returned {found!r:.200}; it must yield (key, value) pairs."
        ) from None


def as_pair(found: Any, where: str) -> tuple[Any, Any]:
    """What user code yielded, as key and value; raises AnalysisError when it is no pair."""
    if isinstance(found, tuple) and len(found) == 2:
        return found
    raise AnalysisError(f"{where} yielded {found!r:.200}; it must yield (key, value) pairs.")
