"""JSON as the dataclasses that it was written from, in any thread.

msgspec learns what a dataclass consists of when it first meets it. Another thread that meets the
same one meanwhile sees the half of it, and the process ends by a segmentation fault (0.22; one run
of a job in some hundreds, on a busy machine). So each class is learnt by one thread at a time.
"""

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_learning = threading.Lock()
_decoders: dict[Any, msgspec.json.Decoder] = {}


def from_json(data: bytes, kind: type[T]) -> T:
    """The value; raises msgspec.DecodeError (and RecursionError, UnicodeDecodeError)."""
    return _decoder_of(kind).decode(data)


def from_plain(value: Any, kind: type[T]) -> T:
    """The same of a value as `json.loads` gives it; raises msgspec.ValidationError."""
    _decoder_of(kind)
    return msgspec.convert(value, kind)


def _decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    decoder = _decoders.get(kind)
    if decoder is None:
        with _learning:
            decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder
