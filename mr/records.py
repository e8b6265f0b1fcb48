"""Records: the good lines of a block, and JSON whose values are built when they are asked for."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import simdjson

from mr.lines import BlockAccount, lines_of, read_lines
from mr.scanned import ScannedObject
from mr.skimming import Members, Skimmer
from mr.validity import PARSED_LINE_BYTES, BadLine, Parser

if TYPE_CHECKING:
    from mr.blocks import Block
    from mr.schema import Dimensions

#: JSON bytes of the records in one chunk, about.
CHUNK_BYTES = 4 * 1024 * 1024


class JsonObject(Mapping[str, Any]):
    """An object inside a record, read-only, whose values are built when they are asked for.

    Objects come as `JsonObject`, everything else as plain Python. It stays valid when its record's
    turn is over, but is slower then: its record is parsed again.
    """

    __slots__ = ("_checked", "_path", "_record", "_source")

    def __init__(self, record: "Record", path: tuple[str, ...], source: "_Source | None") -> None:
        self._record = record
        self._path = path
        #: None when the turn is over: to be found again in the record.
        self._source = source
        self._checked = False

    def __getitem__(self, name: str) -> Any:
        value = _item(self._open(), name)
        kind = type(value)
        if kind is simdjson.Object or kind is dict or kind is ScannedObject:
            return self._record._lend((*self._path, name), value)
        return value.as_list() if kind is simdjson.Array else value

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._open()))

    def __len__(self) -> int:
        return len(self._open())

    def __contains__(self, name: object) -> bool:
        source = self._open()
        if type(source) is not simdjson.Object:
            return isinstance(name, str) and name in source
        try:
            _item(source, name)
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
        if type(source) is Members:
            source = source.parse(self._record.raw)
        if source is None or type(source) is dict:
            source = self._record._find(self._path)
        return source if type(source) is dict else source.as_dict()

    def _open(self) -> "_Source":
        """Return the object to look names up in."""
        if self._checked and self._source is not None:
            return self._source
        found = self._record._find(self._path) if self._source is None else self._source
        found = _with_last_names(found)
        # A proxy of a parser that only serves this access is not kept.
        if self._source is not None or type(found) is not simdjson.Object:
            self._source = found
            self._checked = True
        return found


class Record:
    """One good record: its id, its JSON in `raw`, and where it stands.

    `record["info"]["OS"]` builds only what is asked for; `payload` builds everything, which may
    take thirty times the bytes of `raw`.
    """

    __slots__ = ("_lent", "_payload", "_root", "block", "id", "line", "raw")

    def __init__(
        self,
        record_id: str,
        raw: bytes,
        line: int,
        block: "Block",
        parsed: "simdjson.Object | Members | None" = None,
    ) -> None:
        self.id = record_id
        #: The JSON as it stands in the block.
        self.raw = raw
        #: Counted from 1.
        self.line = line
        self.block = block
        self._payload: dict[str, Any] | None = None
        #: All of it; dropped at the end of its turn, for the two hold each other.
        self._root: JsonObject | None = JsonObject(self, (), parsed)
        #: Objects whose parser is used again after this record's turn; None when it is over.
        self._lent: dict[tuple[str, ...], JsonObject] | None = None if parsed is None else {}

    @property
    def dimensions(self) -> "Dimensions":
        """The dimensions of the record's block."""
        return self.block.dimensions

    @property
    def payload(self) -> dict[str, Any]:
        """All of the JSON as plain Python; built once."""
        if self._payload is None:
            self._payload = self._object().to_dict()
        return self._payload

    def find(self, *names: str, default: Any = None) -> Any:
        """The value at these names, each in the object before: `find("info", "OS")`.

        The default where one of them is missing, or stands in what is no object.
        """
        found: Any = self._object()
        for name in names:
            if not isinstance(found, JsonObject):
                return default
            try:
                found = found[name]
            except KeyError:
                return default
        return found

    def __getitem__(self, name: str) -> Any:
        return self._object()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._object()

    def __repr__(self) -> str:
        return f"<Record {self.id} at line {self.line} of {self.block.key}>"

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, `default` when there is none."""
        return self._object().get(name, default)

    def _object(self) -> JsonObject:
        if self._root is None:
            self._root = JsonObject(self, (), None)
        return self._root

    def _lend(self, path: tuple[str, ...], source: "_Source") -> JsonObject:
        if self._lent is None:
            return JsonObject(self, path, source)
        # Asked for again, it is the same one, whose names have been checked.
        found = self._lent.get(path)
        if found is None:
            found = self._lent[path] = JsonObject(self, path, source)
        return found

    def _end_turn(self) -> None:
        """Let go of the parser, which cannot parse another record while this one holds on."""
        if self._lent is not None:
            self._root._source = None
            for lent in self._lent.values():
                lent._source = None
            self._lent = None
        self._root = None

    def _find(self, path: tuple[str, ...]) -> "_Source":
        """Parse the record again, apart from all others, and return the object at `path`."""
        found = Parser().parse(self.raw)
        if found is None:
            found = ScannedObject(self.raw, self.raw.index(b"{"), len(self.raw))
        for name in path:
            found = _item(_with_last_names(found), name)
        return found


#: What the names of a `JsonObject` are looked up in.
_Source = simdjson.Object | dict[str, Any] | ScannedObject | Members


def _with_last_names(source: _Source) -> _Source:
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
        parser = Parser()
        for line, record_id, raw in zip(self.lines, self.ids, self.raws, strict=True):
            record = Record(record_id, raw, line, self.block, parser.parse(raw))
            yield record
            record._end_turn()


# Reading.


#: Gives a reader's skimmer, once there is one: it is asked before each chunk.
FindSkimmer = Callable[[], Skimmer | None]


def read_records(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    *,
    sample: float | None = None,
    find_skimmer: FindSkimmer = lambda: None,
) -> Iterator[Record]:
    """Yield the good records of a block, in order; the rest goes into `account`.

    `open_block` opens the block from its start, more than once if the block is damaged. With
    `sample`, a share from 0 to 1, the other lines are neither validated nor yielded. A skimmer
    makes it faster, and nothing else.

    Raises ShortRead when fewer bytes come than `block.size`, and what `open_block` raises.
    """
    lines = _good_lines(block, open_block, account, sample, find_skimmer)
    for line, record_id, raw, parsed in lines:
        record = Record(record_id, raw, line, block, parsed)
        del parsed  # or the parser could not be used again
        yield record
        record._end_turn()


def read_chunks(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    *,
    sample: float | None = None,
    find_skimmer: FindSkimmer = lambda: None,
) -> Iterator[Chunk]:
    """Yield the records of `read_records`, about `CHUNK_BYTES` at a time; raises the same."""
    lines: list[int] = []
    ids: list[str] = []
    raws: list[bytes] = []
    size = 0
    for line, record_id, raw, parsed in _good_lines(
        block, open_block, account, sample, find_skimmer
    ):
        del parsed  # or the parser could not be used again
        lines.append(line)
        ids.append(record_id)
        raws.append(raw)
        size += len(raw)
        if size >= CHUNK_BYTES:
            yield Chunk(block, lines, ids, raws)
            lines, ids, raws, size = [], [], [], 0
    if lines:
        yield Chunk(block, lines, ids, raws)


#: Given a chunk of whole lines, looks at what is in them: returns how many are good records that
#: need no further look; and of each other line its place among them, its begin and its newline.
Take = Callable[[bytes], tuple[int, Iterable[tuple[int, int, int]]]]


def read_left(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    take: Take,
    *,
    sample: float | None = None,
) -> Iterator[Iterator[Record]]:
    """Yield, chunk after chunk, the good records that `take` has left; raises as `read_records`.

    Chunks are of whole lines. The records of a chunk are read through before the next one is. With
    `sample` nothing is taken, since a chunk holds other lines as well.
    """
    parser = Parser()
    is_kept = None if sample is None else _sampler(block.key, sample)
    for first, chunk in read_lines(block, open_block, account):
        taken = 0
        left: Iterable[tuple[int, int, int]]
        if len(chunk) > PARSED_LINE_BYTES:  # one long line
            left = [(0, 0, len(chunk) - 1)]
        elif is_kept is not None:
            left = lines_of(chunk)
        else:
            taken, left = take(chunk)
        account.records += taken
        records = _left(block, chunk, first, left, parser, account, is_kept)
        del chunk  # or a long line would be held twice
        yield records
        for _ in records:
            pass


def _left(
    block: "Block",
    chunk: bytes,
    first: int,
    left: Iterable[tuple[int, int, int]],
    parser: Parser,
    account: BlockAccount,
    is_kept: Callable[[int], bool] | None,
) -> Iterator[Record]:
    for line, begin, end in left:
        if is_kept is not None and not is_kept(first + line):
            continue
        good = _parsed_line(chunk, first + line, begin, end, parser, account)
        if end + 1 == len(chunk):
            chunk = b""
        if good is None:
            continue
        number, record_id, raw, parsed = good
        record = Record(record_id, raw, number, block, parsed)
        del good, parsed  # or the parser could not be used again
        yield record
        record._end_turn()


#: A good line: its number, its id, its JSON, and what its values are looked up in, unless only the
#: definition can read it.
_GoodLine = tuple[int, str, bytes, simdjson.Object | Members | None]


def _good_lines(
    block: "Block",
    open_block: Callable[[], BinaryIO],
    account: BlockAccount,
    sample: float | None,
    find_skimmer: FindSkimmer,
) -> Iterator[_GoodLine]:
    parser = Parser()
    is_kept = None if sample is None else _sampler(block.key, sample)
    for first, chunk in read_lines(block, open_block, account):
        # A longer chunk is one long line.
        is_skimmed = is_kept is None and len(chunk) <= PARSED_LINE_BYTES
        if is_skimmed and (skimmer := find_skimmer()) is not None:
            yield from _skimmed_lines(chunk, first, skimmer, parser, account)
            continue
        start = 0
        for line in itertools.count(first):
            end = chunk.find(b"\n", start)
            if end < 0:
                break
            begin, start = start, end + 1
            if is_kept is not None and not is_kept(line):
                continue
            good = _parsed_line(chunk, line, begin, end, parser, account)
            if start == len(chunk):
                chunk = b""  # or a long line would be held twice
            if good is not None:
                yield good
            del good  # or the parser could not be used again


def _skimmed_lines(
    chunk: bytes, first: int, skimmer: Skimmer, parser: Parser, account: BlockAccount
) -> Iterator[_GoodLine]:
    """Yield the good lines of a chunk that begins with the line `first`."""
    for line, (begin, start, end, members) in enumerate(skimmer.skim(chunk), first):
        if members is not None:
            account.records += 1
            yield line, str(chunk[begin : start - 1], "ascii"), chunk[start:end], members
            continue
        good = _parsed_line(chunk, line, begin, end, parser, account)
        if good is not None:
            yield good
        del good  # or the parser could not be used again


def _parsed_line(
    chunk: bytes, line: int, begin: int, end: int, parser: Parser, account: BlockAccount
) -> _GoodLine | None:
    """The line `chunk[begin:end]` as the plain code sees it; None, and counted, if it is bad."""
    try:
        good = line, *parser.parse_line(chunk, begin, end)
    except BadLine as bad:
        account.add_bad(line, str(bad))
        return None
    account.records += 1
    return good


def _sampler(key: str, share: float) -> Callable[[int], bool]:
    """Return whether a line of a block is in the sample: a hash, the same in every run."""
    block_hash = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8)
    limit = int(share * 2**64)

    def is_kept(line: int) -> bool:
        line_hash = block_hash.copy()
        line_hash.update(b"\0%d" % line)
        return int.from_bytes(line_hash.digest(), "big") < limit

    return is_kept
