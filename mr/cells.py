"""Keys and values as text: JSON, and the cells of a table."""

import base64
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import simplejson

from mr.text import is_utf8


def cell_text(cell: Any) -> str:
    """Return the text of a csv cell: numbers as Python writes them, containers as compact JSON."""
    if isinstance(cell, str):
        return str(cell)
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int):
        return int.__repr__(cell)
    if isinstance(cell, float):
        return float.__repr__(cell)
    if isinstance(cell, bytes):
        return _base64(cell)
    return json_text(cell)


def json_text(value: Any) -> str:
    """Return compact JSON, in ASCII when a string of the value cannot be UTF-8."""
    text = _COMPACT.encode(value)
    return text if is_utf8(text) else _COMPACT_ASCII.encode(value)


def json_line(value: Any) -> bytes:
    """Return JSON with spaces after its commas and colons, in ASCII where UTF-8 cannot be."""
    try:
        return _JSON.encode(value).encode()
    except UnicodeEncodeError:
        return _JSON_ASCII.encode(value).encode()


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return _base64(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def _encoder(*, ascii_only: bool, compact: bool) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(
        ensure_ascii=ascii_only,
        separators=(",", ":") if compact else (", ", ": "),
        ignore_nan=True,
        encoding=None,  # else bytes would pass as UTF-8 text instead of reaching _jsonable
        namedtuple_as_object=False,
        default=_jsonable,
    )


_JSON = _encoder(ascii_only=False, compact=False)
_JSON_ASCII = _encoder(ascii_only=True, compact=False)
_COMPACT = _encoder(ascii_only=False, compact=True)
_COMPACT_ASCII = _encoder(ascii_only=True, compact=True)


def unarrayed(value: Any) -> Any:
    """Return a list for a numpy array, and the value itself for anything else."""
    # Asks for the method, not for the type: numpy need not be imported to write a result.
    return value.tolist() if hasattr(value, "tolist") else value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@contextlib.contextmanager
def integers_of_any_length() -> Iterator[None]:
    """Lift Python's limit of 4300 digits, meant for parsing what strangers send."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)
