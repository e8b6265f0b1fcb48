"""Runs: sorted sequences of keys with their values, framed, compressed, and merged.

A run is a sequence of frames. A frame is a 32-bit little-endian length and that many bytes of
zstd (with its checksum) over a MessagePack list of entries `[key, values, origins]`: the encoded
key, some of its values (encoded) in order of emission, and for a later step, one origin for each
value (else []). Entries are sorted by key; a key with many values spans frames.

Runs merge stably by (key, number of the run, order of emission), so that values come in the order
of the input. In a second step the order of the input is that of the first step's keys, whatever
parts these were in: so there each value carries its origin, and runs merge by (key, origin).
"""

import heapq
import itertools
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from mr.errors import FormatError, ShortRead
from mr.stopwatch import MERGE, READ, SPILL, WATCH, WRITE

#: A frame is closed at this many bytes, so that 128 runs being merged hold little memory each.
FRAME_BYTES = 64 * 1024
#: What an entry adds to its frame beyond its bytes, so that frames of tiny pairs stay small too.
ENTRY_BYTES = 32
#: How many runs are merged at a time; more are merged in passes over local disk.
MERGE_WIDTH = 128

#: Fast and still about a third of the size.
_ZSTD_LEVEL = 1
_LENGTH = struct.Struct("<I")

#: Encoded key, encoded values, origins.
Entry = tuple[bytes, Iterable[bytes], list[bytes]]
#: Told of each frame: what shows that a long merge moves.
OnFrame = Callable[[], None]


def unheard() -> None:
    """For those who need not know."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run's place in an object: bytes from `offset`."""

    offset: int
    length: int


class PackedSpans(Sequence[Span]):
    """Spans in little memory: a coordinator holds one for each partition of each map task."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._numbers = array("Q")
        for span in spans:
            self._numbers.extend((span.offset, span.length))

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        return Span(self._numbers[2 * number], self._numbers[2 * number + 1])


class RunWriter:
    """Writes entries, which come sorted, as frames to a binary stream."""

    def __init__(self, out: BinaryIO, on_frame: OnFrame = unheard, stage: int = WRITE) -> None:
        self._out = out
        self._on_frame = on_frame
        #: What its frames' time counts for.
        self._stage = stage
        self._compress = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress
        self._encode = msgspec.msgpack.Encoder().encode
        self._entries: list[Entry] = []
        self._size = 0
        #: Bytes written so far.
        self.written = 0

    def add(self, key: bytes, value: bytes, origin: bytes | None = None) -> None:
        """Append one value."""
        entries = self._entries
        if entries and entries[-1][0] == key:
            entry = entries[-1]
        else:
            entry = (key, [], [])
            entries.append(entry)
            self._size += len(key) + ENTRY_BYTES
        entry[1].append(value)
        if origin is not None:
            entry[2].append(origin)
            self._size += len(origin)
        self._size += len(value) + ENTRY_BYTES
        if self._size >= FRAME_BYTES:
            self.flush()

    def flush(self) -> None:
        """Close the frame at hand; called at the end of each run."""
        if not self._entries:
            return
        before = WATCH.enter(self._stage)
        frame = self._compress(self._encode(self._entries))
        self._out.write(_LENGTH.pack(len(frame)))
        self._out.write(frame)
        WATCH.enter(before)
        WATCH.add(self._stage, _LENGTH.size + len(frame))
        self.written += _LENGTH.size + len(frame)
        self._entries, self._size = [], 0
        self._on_frame()


def write_run(writer: RunWriter, entries: Iterable[Entry]) -> Span:
    """Write sorted entries as one run; returns its place."""
    start = writer.written
    for key, run_values, origins in entries:
        for value, origin in itertools.zip_longest(run_values, origins):
            writer.add(key, value, origin)
    writer.flush()
    return Span(start, writer.written - start)


def read_run(stream: BinaryIO, length: int, where: str) -> Iterator[Entry]:
    """The entries of a run of `length` bytes; `where` names it in errors.

    Raises ShortRead when the stream ends before that, FormatError when a frame is damaged.
    """
    decompress = zstandard.ZstdDecompressor().decompress
    decode = msgspec.msgpack.Decoder(list[tuple[bytes, list[bytes], list[bytes]]]).decode
    while length > 0:
        before = WATCH.enter(READ)
        (size,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size, where))
        length -= _LENGTH.size + size
        if length < 0:
            raise FormatError(f"{where}: a frame of the run is longer than the run.")
        frame = _read_exactly(stream, size, where)
        WATCH.enter(MERGE)
        try:
            data = decompress(frame, allow_extra_data=False)
            entries = decode(data)
        except (zstandard.ZstdError, msgspec.DecodeError, MemoryError) as error:
            raise FormatError(f"{where}: a frame of the run is damaged: {error}.") from error
        WATCH.enter(before)
        WATCH.add(READ, _LENGTH.size + size)
        WATCH.add(MERGE, len(data))
        del data
        yield from entries


def _read_exactly(stream: BinaryIO, size: int, where: str) -> bytes:
    data = stream.read(size)
    while 0 < len(data) < size and (more := stream.read(size - len(data))):
        data += more
    if len(data) < size:
        raise ShortRead(f"{where}: the run ends within a frame.")
    return data


# Merging


def _by_origin(run: Iterable[Entry]) -> Iterator[Entry]:
    """Entries with one value each, so that runs can be merged by (key, origin)."""
    for key, run_values, origins in run:
        for value, origin in zip(run_values, origins, strict=True):
            yield key, [value], [origin]


def merge_runs(runs: Sequence[Iterable[Entry]], *, ordered: bool = False) -> Iterator[Entry]:
    """Runs as one, stable by (key, place in `runs`), or with `ordered` by (key, origin)."""
    if len(runs) == 1:
        return iter(runs[0])
    if not ordered:
        return heapq.merge(*runs, key=itemgetter(0))
    return heapq.merge(*map(_by_origin, runs), key=itemgetter(0, 2))


def group(entries: Iterable[Entry]) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Each key of merged entries with the stream of its encoded values."""
    for key, same in itertools.groupby(entries, itemgetter(0)):
        yield key, itertools.chain.from_iterable(map(itemgetter(1), same))


def merge_in_passes(
    sources: Sequence[Callable[[], Iterable[Entry]]],
    folder: Path,
    *,
    ordered: bool = False,
    width: int = MERGE_WIDTH,
    on_frame: OnFrame = unheard,
) -> Iterator[Entry]:
    """Any number of runs as one, at most `width` open at a time.

    More than that are merged, neighbours first, into local files in `folder`.
    """
    sources = list(sources)
    for number in itertools.count():
        if len(sources) <= width:
            return merge_runs([source() for source in sources], ordered=ordered)
        before = WATCH.enter(MERGE)
        merged = []
        for start in range(0, len(sources), width):
            batch = [source() for source in sources[start : start + width]]
            path = folder / f"merge-{number}-{start}"
            with path.open("wb") as out:
                span = write_run(
                    RunWriter(out, on_frame, SPILL), merge_runs(batch, ordered=ordered)
                )
            merged.append(FileRun(path, span))
        if number:
            for source in sources:
                source.path.unlink()
        sources = merged
        WATCH.enter(before)
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class FileRun:
    """A run in a local file; calling it starts reading."""

    path: Path
    span: Span

    def __call__(self) -> Iterator[Entry]:
        """Start reading."""
        with self.path.open("rb") as stream:
            stream.seek(self.span.offset)
            yield from read_run(stream, self.span.length, str(self.path))
