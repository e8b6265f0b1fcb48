"""The shuffle: sorted runs by partition, spilled and merged in bounded memory.

A run is a sequence of frames. A frame is a 32-bit little-endian length and that many bytes of
zstd (with its checksum) over a MessagePack list of entries `[key, values, origins]`: the encoded
key, some of its values (encoded) in order of emission, and for a later step, one origin for each
value (else []). Entries are sorted by key; a key with many values spans frames. A map task's
object is its partitions' runs one after the other; its commit says where each begins.

Runs merge stably by (key, number of the run, order of emission), so that values come in the order
of the input. In a second step the order of the input is that of the first step's keys, whatever
parts these were in: so there each value carries its origin, and runs merge by (key, origin).
"""

import heapq
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import zstandard

from mr import keys, values
from mr.errors import AnalysisError, FormatError, ShortRead
from mr.items import as_pair

#: A frame is closed at this many bytes, so that 128 runs being merged hold little memory each.
FRAME_BYTES = 64 * 1024
#: What an entry adds to its frame beyond its bytes, so that frames of tiny pairs stay small too.
ENTRY_BYTES = 32
#: How many runs are merged at a time; more are merged in passes over local disk.
MERGE_WIDTH = 128
#: A key with this many uncombined values is combined at once, so that a frequent key stays small.
COMBINE_VALUES = 256
#: Rough memory of a new key (dict slot, list, bytes object) and of one more value in the buffer.
KEY_OVERHEAD_BYTES = 220
VALUE_OVERHEAD_BYTES = 48
#: What a map task's memory may hold before it spills.
DEFAULT_BUFFER_BYTES = 128_000_000

#: Fast and still about a third of the size.
_ZSTD_LEVEL = 1
_LENGTH = struct.Struct("<I")

#: Encoded key, encoded values, origins.
Entry = tuple[bytes, Iterable[bytes], list[bytes]]
#: Runs user code on one key's values: yields the combined values, encoded.
Combine = Callable[[bytes, Iterable[bytes]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Span:
    """A run's place in an object: bytes from `offset`."""

    offset: int
    length: int


class RunWriter:
    """Writes entries, which come sorted, as frames to a binary stream."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
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
        frame = self._compress(self._encode(self._entries))
        self._out.write(_LENGTH.pack(len(frame)))
        self._out.write(frame)
        self.written += _LENGTH.size + len(frame)
        self._entries, self._size = [], 0


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
        (size,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size, where))
        length -= _LENGTH.size + size
        if length < 0:
            raise FormatError(f"{where}: a frame of the run is longer than the run.")
        frame = _read_exactly(stream, size, where)
        try:
            entries = decode(decompress(frame, allow_extra_data=False))
        except (zstandard.ZstdError, msgspec.DecodeError, MemoryError) as error:
            raise FormatError(f"{where}: a frame of the run is damaged: {error}.") from error
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
) -> Iterator[Entry]:
    """Any number of runs as one, at most `width` open at a time.

    More than that are merged, neighbours first, into local files in `folder`.
    """
    sources = list(sources)
    for number in itertools.count():
        if len(sources) <= width:
            return merge_runs([source() for source in sources], ordered=ordered)
        merged = []
        for start in range(0, len(sources), width):
            batch = [source() for source in sources[start : start + width]]
            path = folder / f"merge-{number}-{start}"
            with path.open("wb") as out:
                span = write_run(RunWriter(out), merge_runs(batch, ordered=ordered))
            merged.append(FileRun(path, span))
        if number:
            for source in sources:
                source.path.unlink()
        sources = merged
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


# The map side


class MapBuffer:
    """Takes what a map task emits; writes its runs, sorted and by partition.

    `partition_of` maps an encoded key to a partition; `combine` (or None) shrinks one
    key's values; spills go to `folder`. With `ordered` every value keeps its `origin`.
    """

    def __init__(
        self,
        *,
        partitions: int,
        partition_of: Callable[[bytes], int],
        folder: Path,
        combine: Combine | None = None,
        ordered: bool = False,
        limit_bytes: int = DEFAULT_BUFFER_BYTES,
        combine_values: int = COMBINE_VALUES,
    ) -> None:
        self._partitions = partitions
        self._partition_of = partition_of
        self._folder = folder
        self._combine = combine
        self._ordered = ordered
        self._limit = limit_bytes
        self._combine_values = combine_values
        self._values: dict[bytes, list[bytes]] = {}
        self._origins: dict[bytes, list[bytes]] = {}
        self._patience: dict[bytes, int] = {}
        self._size = 0
        self._spills: list[tuple[Path, list[Span]]] = []
        #: The origin of what is emitted next (a later step's only).
        self.origin = b""
        #: How many pairs were emitted.
        self.pairs = 0

    @property
    def spills(self) -> int:
        """How often the buffer went to disk."""
        return len(self._spills)

    def emit(self, key: bytes, value: bytes) -> None:
        """Take one encoded pair."""
        self.pairs += 1
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = []
            self._size += len(key) + KEY_OVERHEAD_BYTES
            if self._ordered:
                self._origins[key] = []
        found.append(value)
        self._size += len(value) + VALUE_OVERHEAD_BYTES
        if self._ordered:
            self._origins[key].append(self.origin)
            self._size += len(self.origin)
        if self._combine is not None:
            most = self._patience.get(key, self._combine_values)
            if len(found) >= most:
                self._combine_key(key, found)
        if self._size > self._limit:
            self._shrink()

    def _combine_key(self, key: bytes, found: list[bytes]) -> None:
        before = sum(map(len, found)) + VALUE_OVERHEAD_BYTES * len(found)
        combined = list(self._combine(key, found)) if self._combine else found
        self._values[key] = combined
        # Where combining frees little, wait longer before the next try: else it is quadratic.
        if 2 * len(combined) > self._combine_values:
            self._patience[key] = 2 * len(combined)
        self._size += sum(map(len, combined)) + VALUE_OVERHEAD_BYTES * len(combined) - before

    def _combine_all(self) -> None:
        if self._combine is not None:
            for key, found in self._values.items():
                if len(found) > 1:
                    self._combine_key(key, found)

    def _shrink(self) -> None:
        self._combine_all()
        # Combining that frees little would be repeated at almost every pair.
        if self._size > self._limit // 2:
            self._spill()

    def _spill(self) -> None:
        path = self._folder / f"spill-{len(self._spills)}"
        with path.open("wb") as out:
            spans = self._write_partitions(out, self._sorted_memory())
        self._spills.append((path, spans))
        self._values, self._origins, self._patience, self._size = {}, {}, {}, 0

    def _sorted_memory(self) -> list[Iterator[Entry]]:
        by_partition: list[list[bytes]] = [[] for _ in range(self._partitions)]
        for key in self._values:
            by_partition[self._partition_of(key)].append(key)
        return [self._entries(sorted(chosen)) for chosen in by_partition]

    def _entries(self, chosen: list[bytes]) -> Iterator[Entry]:
        for key in chosen:
            yield key, self._values[key], self._origins.get(key, [])

    def _write_partitions(self, out: BinaryIO, runs: Iterable[Iterable[Entry]]) -> list[Span]:
        writer = RunWriter(out)
        return [write_run(writer, run) for run in runs]

    def write(self, out: BinaryIO) -> list[Span]:
        """Write everything to one object; returns each partition's place in it."""
        self._combine_all()
        if not self._spills:
            return self._write_partitions(out, self._sorted_memory())
        if self._values:
            self._spill()
        return self._write_partitions(
            out, (self._merged(number) for number in range(self._partitions))
        )

    def _merged(self, partition: int) -> Iterator[Entry]:
        sources = [
            FileRun(path, spans[partition])
            for path, spans in self._spills
            if spans[partition].length
        ]
        entries = merge_in_passes(sources, self._folder, ordered=self._ordered)
        if self._combine is None:
            yield from entries
            return
        for key, found in group(entries):
            yield key, self._combine(key, found), []


def combiner(combine: Callable[[Any, Iterator[Any]], Iterable[Any] | None], name: str) -> Combine:
    """An analysis's `combine` as a function of encoded values; errors name the analysis."""
    where = f"{name}.combine"

    def run(key: bytes, found: Iterable[bytes]) -> Iterator[bytes]:
        for pair in combine(keys.decode(key), map(values.decode, found)) or ():
            other, value = as_pair(pair, where)
            try:
                encoded, data = keys.encode(other), values.encode(value)
            except AnalysisError as error:
                raise AnalysisError(f"{where} yielded the key {other!r:.200}: {error}") from None
            if encoded != key:
                raise AnalysisError(
                    f"{where} yielded the key {other!r:.200} for {keys.decode(key)!r:.200}; it "
                    "must yield pairs of the key that it was given."
                )
            yield data

    return run
