"""The items of a result: pairs, and lines of text that a script wrote."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from mr import keys, values
from mr.errors import AnalysisError, FormatError


@dataclass(frozen=True, slots=True)
class Pair:
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


def decode(data: bytes) -> Item:
    """The item of `encode`'s bytes; raises FormatError."""
    try:
        key, value, text = _decoder.decode(data)
        shown = None if text is None else text.decode("utf-8", "surrogatepass")
        if key is None:
            return Line(value.decode("utf-8", "surrogatepass"), shown or "")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"an item of a result is damaged: {error}.") from None
    return Pair(keys.decode(key), values.decode(value), shown)


def as_pairs(found: Any, where: str) -> Iterator[Any]:
    """What user code returned, to iterate; raises AnalysisError when it cannot be."""
    if found is None:
        return iter(())
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
