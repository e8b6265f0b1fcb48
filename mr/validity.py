"""What a good line is: the definition, a fast path and a scan that agree with it.

A line is `<uuid> TAB <json> NEWLINE`. `check_line` is the definition of a good one, written
plainly. The fast path asks simdjson, takes only verdicts that are certain, and leaves every other
line to the definition. Both build what they check, at up to thirty times its size; so a long line
is scanned instead, token by token.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import simdjson

#: A longer line is a bad record, and is read past without keeping it.
MAX_LINE_BYTES = 64 * 1024 * 1024
#: Objects and arrays within each other; the outermost object counts.
MAX_DEPTH = 512
#: A longer line is scanned, and never parsed as a whole unless an analysis asks for all of it.
PARSED_LINE_BYTES = 4 * 1024 * 1024

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
#: What stands between brackets, strings included, and the next brackets: opening or closing ones.
_NEXT_BRACKETS = re.compile(
    rb'[^\[\]{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?[^\[\]{}"]*+)*+([\[{]++|[\]}]++)', re.DOTALL
)
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
    """Say why a line (without its newline) is a bad record; None when it is good.

    Takes up to thirty times the line's bytes: `check_long_line` says the same of any.
    """
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
    if _is_too_deep(line, len(record_id.encode("utf-8")) + 1, len(line)):
        return TOO_DEEP
    try:
        # The verdict does not need the value of integers, which takes long for very long ones.
        value = _load(payload, parse_int=len)
    except BadLine as error:
        return str(error)
    if any(escape[1] for escape in _ESCAPE.finditer(payload)):
        return LONE_SURROGATE
    return None if isinstance(value, dict) else NOT_AN_OBJECT


def parse_plain(raw: bytes) -> Any:
    """Return the value of JSON of a good record; of equal names in an object the last counts.

    Building an integer of n digits takes about n^1.6 steps (a million: half a second).
    """
    return _load(raw.decode("utf-8"), parse_int=_integer)


def _load(text: str, *, parse_int: Callable[[str], int]) -> Any:
    try:
        return json.loads(
            text, parse_int=parse_int, parse_float=_finite, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError:
        raise BadLine(NOT_JSON) from None


def _finite(digits: str | bytes) -> float:
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


def _is_too_deep(line: bytes, begin: int, end: int) -> bool:
    """Scan the brackets outside strings; exact up to the first error, if there is one."""
    if line.count(b"[", begin, end) + line.count(b"{", begin, end) <= MAX_DEPTH:
        return False
    depth = 0
    for brackets in _NEXT_BRACKETS.finditer(line, begin, end):
        depth += _levels(brackets[1])
        if depth > MAX_DEPTH:
            return True
    return False


def _levels(brackets: bytes) -> int:
    return len(brackets) if brackets[0] in b"[{" else -len(brackets)


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

        The last is None for a long line, and when simdjson cannot read it. Raises BadLine.
        """
        tab = chunk.find(b"\t", begin, end)
        if end - begin > PARSED_LINE_BYTES:
            reason = check_long_line(chunk, begin, end)
            if reason is not None:
                raise BadLine(reason)
            return chunk[begin:tab].decode("utf-8"), chunk[tab + 1 : end], None
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
        """Return the object of `raw`, None when it is long, or simdjson not certain of it."""
        # simdjson reads past a byte-order mark, and keeps ten times the longest JSON it has met.
        if raw[:1] != b"{" or len(raw) > PARSED_LINE_BYTES:
            return None
        try:
            return self._parser.parse(raw)
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


# The scan, for long lines.

#: Bytes of a long line that are decoded at a time to see whether they are UTF-8.
_DECODED_BYTES = 1024 * 1024

# Possessive quantifiers keep nothing to come back to: memory does not grow with the line.
_SPACE = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
#: A number that needs no conversion to be good: an integer, or surely none too large for a float.
_SURE_NUMBER = (
    rb"-?(?:0|[1-9][0-9]*+)(?![0-9.eE])"
    rb"|-?(?:0|[1-9][0-9]{0,99}+)(?:\.[0-9]++)?+"
    rb"(?:[eE](?:-[0-9]++|\+?[0-9]{1,2}+))?+(?![0-9.eE])"
)
_SCALAR = rb"(?:%b|%b|true|false|null)" % (_STRING, _SURE_NUMBER)
_NAME = _SPACE + _STRING + _SPACE + b":" + _SPACE
#: A value that is surely good, in one match: a scalar, or a container of scalars.
_FLAT = rb"(?:%b|\[(?:%b(?:,(?!%b\])|(?=\])))*+%b\]|\{(?:%b(?:,(?!%b\})|(?=\})))*+%b\})" % (
    *(_SCALAR, _SPACE + _SCALAR + _SPACE, _SPACE, _SPACE),
    *(_NAME + _SCALAR + _SPACE, _SPACE, _SPACE),
)
#: By the bracket that closes what a value stands in: flat values, and all up to the next value.
_BEFORE_VALUE = {
    b"": re.compile(_SPACE),
    b"]": re.compile(b"(?:%b%b%b,)*+%b" % (_SPACE, _FLAT, _SPACE, _SPACE)),
    b"}": re.compile(b"(?:%b%b%b,)*+%b" % (_NAME, _FLAT, _SPACE, _NAME)),
}
#: A value that is surely good; an opening bracket; another number; a constant that JSON has not.
_VALUE = re.compile(rb"%b|([\[{])|(%b)|(NaN|-?Infinity)" % (_FLAT, _NUMBER))
_AFTER_VALUE = re.compile(rb"%b([,\]}]?)" % _SPACE)
_MEMBER = re.compile(rb"%b(%b)%b:%b(%b|%b)?" % (_SPACE, _STRING, _SPACE, _SPACE, _FLAT, _NUMBER))
_CLOSING = {b"[": b"]", b"{": b"}"}
#: Valid JSON up to its first lone surrogate.
_NO_LONE_SURROGATE = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\(?!u[dD][89a-fA-F]).)*+", re.DOTALL
)


def check_long_line(chunk: bytes, begin: int, end: int) -> str | None:
    """Say of the line `chunk[begin:end]` what `check_line` says, without copying or building it."""
    if end - begin > MAX_LINE_BYTES:
        return TOO_LONG
    if not _is_utf8(chunk, begin, end):
        return NOT_UTF8
    start = chunk.find(b"\t", begin, end) + 1
    if not start:
        return NO_TAB
    if any(chunk.startswith(codecs.BOM_UTF8, place, end) for place in (begin, start)):
        return BYTE_ORDER_MARK
    if _is_too_deep(chunk, start, end):
        return TOO_DEEP
    try:
        _scan_json(chunk, start, end)
    except BadLine as error:
        return str(error)
    if _NO_LONE_SURROGATE.match(chunk, start, end).end() < end:
        return LONE_SURROGATE
    top = _BEFORE_VALUE[b""].match(chunk, start).end()
    return None if chunk[top] == ord("{") else NOT_AN_OBJECT


def _is_utf8(chunk: bytes, begin: int, end: int) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(begin, end, _DECODED_BYTES):
            decoder.decode(chunk[start : min(start + _DECODED_BYTES, end)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _scan_json(chunk: bytes, begin: int, end: int) -> None:
    """Raise BadLine for the first error, in the order of the text, as json.loads would."""
    inside = [b""]  # the brackets that are to come; a valid value ends with nothing to come
    place = begin
    while True:
        before = _BEFORE_VALUE[inside[-1]].match(chunk, place, end)
        value = before and _VALUE.match(chunk, before.end(), end)
        if not value:
            raise BadLine(NOT_JSON)
        opening, number, constant = value.groups()
        place = value.end()
        if opening:  # of no empty container, which is flat
            inside.append(_CLOSING[opening])
            continue
        if number:
            _finite(number)
        if constant:
            raise BadLine(NOT_A_NUMBER)
        while True:
            after = _AFTER_VALUE.match(chunk, place, end)
            place = after.end()
            if after[1] == b"," and len(inside) > 1:
                break
            if after[1] != inside.pop():
                raise BadLine(NOT_JSON)
            if not inside:
                if place < end:
                    raise BadLine(NOT_JSON)
                return


def find_members(raw: bytes, begin: int) -> Iterator[tuple[str, int, int]]:
    """Yield (name, start, end of its value) in the object of valid JSON that begins at `begin`."""
    place = begin + 1
    while member := _MEMBER.match(raw, place):
        name = member[1]
        start, end = member.span(2)
        if start < 0:
            start = member.end()
            end = _end_of_container(raw, start)
        yield json.loads(name) if b"\\" in name else name[1:-1].decode("utf-8"), start, end
        after = _AFTER_VALUE.match(raw, end)
        if after[1] == b"}":
            return
        place = after.end()


def _end_of_container(raw: bytes, start: int) -> int:
    depth = 0
    for brackets in _NEXT_BRACKETS.finditer(raw, start):
        depth += _levels(brackets[1])
        if depth <= 0:  # below 0 by the closing brackets of what it stands in
            return brackets.end() + depth
    raise AssertionError("valid JSON closes what it opens")
