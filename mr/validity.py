"""What a good line is: the definition, and a fast path that agrees with it.

A line is `<uuid> TAB <json> NEWLINE`. `check_line` is the definition of a good one, written
plainly. The fast path asks simdjson, takes only verdicts that are certain, and leaves every other
line to the definition.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import simdjson

#: A longer line is a bad record, and is read past without keeping it.
MAX_LINE_BYTES = 64 * 1024 * 1024
#: Objects and arrays within each other; the outermost object counts.
MAX_DEPTH = 512
#: A parser keeps memory for the longest JSON it has met, about ten times its size: above this
#: many bytes one is made for that line alone.
PARSER_KEPT_BYTES = 4 * 1024 * 1024

NO_TAB = "no tab"
NOT_UTF8 = "not UTF-8"
BYTE_ORDER_MARK = "byte-order mark"
TOO_LONG = "line over 64 MB"
TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
NOT_JSON = "not JSON"
NOT_A_NUMBER = "NaN or Infinity"
OUT_OF_RANGE = "number out of range"
LONE_SURROGATE = "lone surrogate"
NOT_AN_OBJECT = "not an object"

_BOM = "\ufeff"
_BOM_FIRST_BYTE = 0xEF
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
#: An escaped character: a pair of surrogates; or a lone one, as the group; or any other.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
#: Python refuses to convert longer digits (the lowest limit that can be set is 640).
_INT_DIGITS = 600
_NOT_OPENING = bytes(set(range(256)) - set(b"[{"))
_NOT_BRACKETS_OR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


class BadLine(ValueError):
    """Raised for a bad record; the text is the reason."""


# The definition: slow and plain.


def check_line(line: bytes) -> str | None:
    """Say why a line (without its newline) is a bad record; None when it is good."""
    if len(line) > MAX_LINE_BYTES:
        return TOO_LONG
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    record_id, tab, payload = text.partition("\t")
    if not tab:
        return NO_TAB
    if record_id.startswith(_BOM) or payload.startswith(_BOM):
        return BYTE_ORDER_MARK
    if _is_too_deep(payload.encode("utf-8")):
        return TOO_DEEP
    try:
        # The verdict does not need the value of integers, which takes long for very long ones.
        value = _load(payload, parse_int=len)
    except BadLine as error:
        return str(error)
    if any(escape[1] for escape in _ESCAPE.finditer(payload)):
        return LONE_SURROGATE
    return None if isinstance(value, dict) else NOT_AN_OBJECT


def parse_plain(raw: bytes) -> dict[str, Any]:
    """Return the payload of a good record's JSON; of equal names in an object the last counts."""
    return _load(raw.decode("utf-8"), parse_int=_integer)


def _load(text: str, *, parse_int: Callable[[str], int]) -> Any:
    try:
        return json.loads(
            text, parse_int=parse_int, parse_float=_finite, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError:
        raise BadLine(NOT_JSON) from None


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise BadLine(OUT_OF_RANGE)
    return value


def _refuse_constant(token: str) -> None:
    raise BadLine(NOT_A_NUMBER)


def _integer(digits: str) -> int:
    if len(digits) <= _INT_DIGITS:
        return int(digits)
    if digits[0] == "-":
        return -_integer(digits[1:])
    low = len(digits) // 2
    return _integer(digits[:-low]) * 10**low + _integer(digits[-low:])


def _is_too_deep(raw: bytes) -> bool:
    """Scan the brackets outside strings; exact up to the first error, if there is one."""
    depth = 0
    for bracket in re.finditer(rb"[\[{]|[\]}]", _STRING.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


# The fast path.


class Parser:
    """A simdjson parser that is used again and again.

    It can parse again only when nobody holds on to what it parsed before; else it is made anew.
    """

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

    def parse_line(
        self, chunk: bytes, begin: int, end: int
    ) -> tuple[str, bytes, simdjson.Object | None]:
        """Return the id and the JSON of the line `chunk[begin:end]`, and its parsed form.

        The last is None when only the definition can read it. Raises BadLine.
        """
        tab = chunk.find(b"\t", begin, end)
        record_id = _decode_id(chunk, begin, tab)
        raw = chunk[tab + 1 : end]
        parsed = None if record_id is None else self.parse(raw)
        if parsed is None or not _is_surely_shallow(raw):
            line = chunk[begin:end]
            reason = check_line(line)
            if reason is not None:
                raise BadLine(reason)
            record_id = line.partition(b"\t")[0].decode("utf-8")
        return record_id, raw, parsed

    def parse(self, raw: bytes) -> simdjson.Object | None:
        """Return the object of `raw`, None when simdjson is not certain of its verdict."""
        if raw[:1] != b"{":  # simdjson reads past a byte-order mark
            return None
        parser = self._parser if len(raw) <= PARSER_KEPT_BYTES else simdjson.Parser()
        try:
            return parser.parse(raw)
        except ValueError:
            return None
        except RuntimeError:
            # Integers over 64 bits, or somebody holds on to what was parsed before.
            self._parser = simdjson.Parser()
        try:
            return self._parser.parse(raw)
        except (ValueError, RuntimeError):
            return None


def _decode_id(chunk: bytes, begin: int, tab: int) -> str | None:
    """Return the id before `tab`, None when the definition must have a look at the line."""
    if tab < 0 or chunk[begin] == _BOM_FIRST_BYTE:
        return None
    try:
        return chunk[begin:tab].decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_surely_shallow(raw: bytes) -> bool:
    """Return whether valid JSON is certainly nested no deeper than `MAX_DEPTH`."""
    # Twice as fast as two counts; seldom is there more to do.
    if len(raw.translate(None, _NOT_OPENING)) <= MAX_DEPTH:
        return True
    if b"\\" in raw:
        raw = _ESCAPED.sub(b"", raw)
    brackets = raw.translate(None, _NOT_BRACKETS_OR_QUOTES).replace(b'""', b"")
    if b'"' in brackets:
        brackets = re.sub(rb'"[^"]*"', b"", brackets)
    levels = 0
    for empty in (b"[]", b"{}") * 3:  # each turn takes away no more than the innermost level
        brackets = brackets.replace(empty, b"")
        levels += 1
    return len(brackets) // 2 + levels <= MAX_DEPTH
