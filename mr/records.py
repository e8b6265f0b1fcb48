"""What a record is: from a block's bytes to validated records, and an account of the rest.

A line is `<uuid> TAB <json> NEWLINE`. `check_line` is the definition of a good one, written
plainly. The fast path asks simdjson, takes only verdicts that are certain, and leaves every other
line to the definition.
"""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import simdjson

from mr.codecs import Damage, decompress
from mr.errors import ShortRead

if TYPE_CHECKING:
    from mr.blocks import Block
    from mr.schema import Dimensions

#: A longer line is a bad record, and is read past without keeping it.
MAX_LINE_BYTES = 64 * 1024 * 1024
#: Objects and arrays within each other; the outermost object counts.
MAX_DEPTH = 512
#: JSON bytes of the records in one chunk, about.
CHUNK_BYTES = 4 * 1024 * 1024
#: Bad records of one block whose places are kept; all are counted.
BAD_PLACES_KEPT = 100
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


@dataclass
class BlockAccount:
    """What one block held: grows as the block is read."""

    #: Lines, good, bad and left out by sampling.
    lines: int = 0
    #: Good records.
    records: int = 0
    #: Bytes after decompression.
    raw_bytes: int = 0
    compressed_bytes: int = 0
    #: Bad records: reason to number.
    bad: Counter[str] = field(default_factory=Counter)
    #: (line, reason) of the first `BAD_PLACES_KEPT` bad records; lines count from 1.
    bad_places: list[tuple[int, str]] = field(default_factory=list)
    #: Why the block could not be read whole, None if it was.
    damage: str | None = None

    def add_bad(self, line: int, reason: str) -> None:
        """Count a bad record."""
        self.bad[reason] += 1
        if len(self.bad_places) < BAD_PLACES_KEPT:
            self.bad_places.append((line, reason))


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
    except _BadJsonError as error:
        return str(error)
    if any(escape[1] for escape in _ESCAPE.finditer(payload)):
        return LONE_SURROGATE
    return None if isinstance(value, dict) else NOT_AN_OBJECT


def parse_plain(raw: bytes) -> dict[str, Any]:
    """Return the payload of a good record's JSON; of equal names in an object the last counts."""
    return _load(raw.decode("utf-8"), parse_int=_integer)


class _BadJsonError(ValueError):
    """Raised for what is not JSON; the text is the reason."""


def _load(text: str, *, parse_int: Callable[[str], int]) -> Any:
    try:
        return json.loads(
            text, parse_int=parse_int, parse_float=_finite, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError:
        raise _BadJsonError(NOT_JSON) from None


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _BadJsonError(OUT_OF_RANGE)
    return value


def _refuse_constant(token: str) -> None:
    raise _BadJsonError(NOT_A_NUMBER)


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


class _Parser:
    """A simdjson parser that is used again and again."""

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

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


# Records.


class JsonObject(Mapping[str, Any]):
    """An object inside a record, read-only, whose values are built when they are asked for.

    Objects come as `JsonObject`, everything else as plain Python. It stays valid when its record's
    turn is over, but is slower then: its record is parsed again.
    """

    __slots__ = ("_checked", "_path", "_record", "_source")

    def __init__(
        self, record: "Record", path: tuple[str, ...], source: simdjson.Object | dict | None
    ) -> None:
        self._record = record
        self._path = path
        #: None when the turn is over: to be found again in the record.
        self._source = source
        self._checked = False

    def __getitem__(self, name: str) -> Any:
        value = _item(self._open(), name)
        kind = type(value)
        if kind is simdjson.Object or kind is dict:
            return self._record._lend((*self._path, name), value)
        return value.as_list() if kind is simdjson.Array else value

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._open()))

    def __len__(self) -> int:
        return len(self._open())

    def __contains__(self, name: object) -> bool:
        try:
            _item(self._open(), name)
        except KeyError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, JsonObject):
            return self.to_dict() == other.to_dict()
        return self.to_dict() == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None

    def __repr__(self) -> str:
        return f"JsonObject({self.to_dict()!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return a new plain dict of all of it."""
        source = self._source
        if type(source) is not simdjson.Object:
            source = self._record._find(self._path)
        return source.as_dict() if type(source) is simdjson.Object else source

    def _open(self) -> simdjson.Object | dict:
        """Return the object to look names up in."""
        if self._checked and self._source is not None:
            return self._source
        found = self._record._find(self._path) if self._source is None else self._source
        found = _with_last_names(found)
        # A proxy of a parser that only serves this access is not kept.
        if self._source is not None or type(found) is dict:
            self._source = found
            self._checked = True
        return found


class Record:
    """One good record: its id, its JSON in `raw`, and where it stands.

    `record["info"]["OS"]` builds only what is asked for; `payload` builds everything.
    """

    __slots__ = ("_lent", "_payload", "_root", "block", "id", "line", "raw")

    def __init__(
        self,
        record_id: str,
        raw: bytes,
        line: int,
        block: "Block",
        parsed: simdjson.Object | None = None,
    ) -> None:
        self.id = record_id
        #: The JSON as it stands in the block.
        self.raw = raw
        #: Counted from 1.
        self.line = line
        self.block = block
        self._payload: dict[str, Any] | None = None
        self._root = JsonObject(self, (), parsed)
        #: Objects whose parser is used again after this record's turn; None when it is over.
        self._lent: list[JsonObject] | None = [] if parsed is not None else None

    @property
    def dimensions(self) -> "Dimensions":
        """The dimensions of the record's block."""
        return self.block.dimensions

    @property
    def payload(self) -> dict[str, Any]:
        """All of the JSON as plain Python; built once."""
        if self._payload is None:
            self._payload = self._root.to_dict()
        return self._payload

    def __getitem__(self, name: str) -> Any:
        return self._root[name]

    def __contains__(self, name: object) -> bool:
        return name in self._root

    def __repr__(self) -> str:
        return f"<Record {self.id} at line {self.line} of {self.block.key}>"

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, `default` when there is none."""
        return self._root.get(name, default)

    def _lend(self, path: tuple[str, ...], source: simdjson.Object | dict) -> JsonObject:
        found = JsonObject(self, path, source)
        if self._lent is not None:
            self._lent.append(found)
        return found

    def _end_turn(self) -> None:
        """Let go of the parser, which cannot parse another record while this one holds on."""
        if self._lent is not None:
            self._root._source = None
            for lent in self._lent:
                lent._source = None
            self._lent = None

    def _find(self, path: tuple[str, ...]) -> simdjson.Object | dict:
        """Parse the record again, apart from all others, and return the object at `path`."""
        found = _Parser().parse(self.raw)
        if found is None:
            found = parse_plain(self.raw)
        for name in path:
            found = _item(_with_last_names(found), name)
        return found


def _with_last_names(source: simdjson.Object | dict) -> simdjson.Object | dict:
    """Return a dict for a proxy with equal names: it would give the first where the last counts."""
    if type(source) is simdjson.Object and len(set(source)) != len(source):
        return source.as_dict()
    return source


def _item(source: simdjson.Object | dict, name: object) -> Any:
    """Look a name up as a dict does, whatever is asked."""
    if not isinstance(name, str):
        raise KeyError(name)
    if "\0" in name and type(source) is simdjson.Object:  # simdjson reads names up to a NUL
        source = source.as_dict()
    try:
        return source[name]
    except (KeyError, UnicodeEncodeError):
        raise KeyError(name) from None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Good records of a block, some megabytes of them: their lines, ids and JSON, in order."""

    block: "Block"
    lines: list[int]
    ids: list[str]
    raws: list[bytes]

    def __len__(self) -> int:
        return len(self.lines)

    def records(self) -> Iterator[Record]:
        """Yield them as records."""
        parser = _Parser()
        for line, record_id, raw in zip(self.lines, self.ids, self.raws, strict=True):
            record = Record(record_id, raw, line, self.block, parser.parse(raw))
            yield record
            record._end_turn()


# Reading.


def read_records(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    *,
    sample: float | None = None,
) -> Iterator[Record]:
    """Yield the good records of a block, in order; the rest goes into `account`.

    `open_block` opens the block from its start, more than once if the block is damaged. With
    `sample`, a share from 0 to 1, the other lines are neither validated nor yielded.

    Raises ShortRead when fewer bytes come than `block.size`, and what `open_block` raises.
    """
    for line, record_id, raw, parsed in _good_lines(block, open_block, account, sample):
        record = Record(record_id, raw, line, block, parsed)
        del parsed
        yield record
        record._end_turn()


def read_chunks(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    *,
    sample: float | None = None,
) -> Iterator[Chunk]:
    """Yield the records of `read_records`, about `CHUNK_BYTES` at a time; raises the same."""
    lines: list[int] = []
    ids: list[str] = []
    raws: list[bytes] = []
    size = 0
    for line, record_id, raw, _ in _good_lines(block, open_block, account, sample):
        lines.append(line)
        ids.append(record_id)
        raws.append(raw)
        size += len(raw)
        if size >= CHUNK_BYTES:
            yield Chunk(block, lines, ids, raws)
            lines, ids, raws, size = [], [], [], 0
    if lines:
        yield Chunk(block, lines, ids, raws)


def read_lines(
    block: "Block", open_block: Callable[[], BinaryIO], account: BlockAccount
) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, bytes) of chunks of whole lines, about 1 MB each.

    Every line ends with a newline, and none is validated; raises as `read_records` does.
    """
    return split_lines(_decompressed(block, open_block, account), account)


def split_lines(
    pieces: Iterable[bytes], account: BlockAccount, *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes]]:
    """Cut pieces of a block at newlines, as `read_lines` does.

    A line over `max_line_bytes` is skipped and counted as bad. A last line without a newline
    counts unless the block is damaged: then it counts only if it is good, so surely whole.
    """
    number = 1
    tail: list[bytes] = []  # the start of a line, in pieces
    tail_bytes = 0
    for piece in pieces:
        start = 0
        end = piece.rfind(b"\n") + 1
        if end:
            start = piece.find(b"\n") + 1
            if tail_bytes + start - 1 > max_line_bytes:
                account.lines += 1
                account.add_bad(number, TOO_LONG)
                number += 1
            else:
                start = 0
            if start < end:
                chunk = b"".join([*tail, piece[start:end]]) if not start else piece[start:end]
                lines = chunk.count(b"\n")
                account.lines += lines
                yield number, chunk
                number += lines
            tail, tail_bytes = [], 0
        tail_bytes += len(piece) - end
        if tail_bytes > max_line_bytes:
            tail.clear()
        elif end < len(piece):
            tail.append(piece[end:])
    last = b"".join(tail)
    if account.damage is not None and (not last or check_line(last) is not None):
        return
    if tail_bytes:
        account.lines += 1
    if tail_bytes > max_line_bytes:
        account.add_bad(number, TOO_LONG)
    elif tail_bytes:
        yield number, last + b"\n"


def _good_lines(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    sample: float | None,
) -> Iterator[tuple[int, str, bytes, simdjson.Object | None]]:
    """Yield (line, id, JSON, its parsed form unless only the definition can read it)."""
    parse = _Parser().parse
    is_kept = None if sample is None else _sampler(block.key, sample)
    for first, chunk in read_lines(block, open_block, account):
        start = 0
        for line in itertools.count(first):
            end = chunk.find(b"\n", start)
            if end < 0:
                break
            begin, start = start, end + 1
            if is_kept is not None and not is_kept(line):
                continue
            tab = chunk.find(b"\t", begin, end)
            record_id = _decode_id(chunk, begin, tab)
            raw = chunk[tab + 1 : end]
            parsed = None if record_id is None else parse(raw)
            if parsed is None or not _is_surely_shallow(raw) or end - begin > MAX_LINE_BYTES:
                whole = chunk[begin:end]
                reason = check_line(whole)
                if reason is not None:
                    account.add_bad(line, reason)
                    continue
                record_id = whole.partition(b"\t")[0].decode("utf-8")
            account.records += 1
            yield line, record_id, raw, parsed
            del parsed


def _decode_id(chunk: bytes, begin: int, tab: int) -> str | None:
    """Return the id before `tab`, None when the definition must have a look at the line."""
    if tab < 0 or chunk[begin] == _BOM_FIRST_BYTE:
        return None
    try:
        return chunk[begin:tab].decode("utf-8")
    except UnicodeDecodeError:
        return None


def _sampler(key: str, share: float) -> Callable[[int], bool]:
    """Return whether a line of a block is in the sample: a hash, the same in every run."""
    block_hash = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8)
    limit = int(share * 2**64)

    def is_kept(line: int) -> bool:
        line_hash = block_hash.copy()
        line_hash.update(b"\0%d" % line)
        return int.from_bytes(line_hash.digest(), "big") < limit

    return is_kept


def _decompressed(
    block: "Block", open_block: Callable[[], BinaryIO], account: BlockAccount
) -> Iterator[bytes]:
    """Yield the block's decompressed bytes; keep account of sizes and damage."""
    streams: list[_CountingStream] = []

    def reopen() -> BinaryIO:
        streams.append(_CountingStream(open_block(), account))
        return streams[-1]

    def report(damage: Damage) -> None:
        account.damage = str(damage)

    for piece in decompress(reopen, block.key, report=report):
        account.raw_bytes += len(piece)
        yield piece
    if streams[-1].is_at_end and streams[-1].read_bytes < block.size:
        raise ShortRead(
            f"{block.key}: only {streams[-1].read_bytes:,} of {block.size:,} bytes came; "
            "the block is read again."
        )


class _CountingStream:
    """A block's stream that counts what is read of it."""

    def __init__(self, stream: BinaryIO, account: BlockAccount) -> None:
        self._stream = stream
        self._account = account
        self.read_bytes = 0
        self.is_at_end = False

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.is_at_end = not data
        self.read_bytes += len(data)
        self._account.compressed_bytes = max(self._account.compressed_bytes, self.read_bytes)
        return data

    def __enter__(self) -> "_CountingStream":
        self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)
