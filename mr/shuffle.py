"""The map side of the shuffle: what a task emits, sorted by partition in bounded memory.

A map task's object is its partitions' runs one after the other; its commit says where each
begins. What does not fit into memory is combined first, then spilled to local disk as runs.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mr import items, keys, values
from mr.config import DEFAULT_BUFFER_BYTES
from mr.errors import AnalysisError
from mr.items import Item, ValueStream, as_pair, as_pairs
from mr.runs import (
    Entry,
    FileRun,
    OnFrame,
    RunWriter,
    Span,
    group,
    merge_in_passes,
    unheard,
    write_run,
)
from mr.stopwatch import COMBINE, MERGE, SPILL, WATCH, WRITE

#: A key with this many uncombined values is combined at once, so that a frequent key stays small.
COMBINE_VALUES = 256
#: Rough memory of a new key (dict slot, list, bytes object) and of one more value in the buffer.
KEY_OVERHEAD_BYTES = 220
VALUE_OVERHEAD_BYTES = 48

#: Runs user code on one key's values: yields the combined values, encoded.
Combine = Callable[[bytes, Iterable[bytes]], Iterable[bytes]]


class ItemSink:
    """Writes a map-only task's output as a result part, in order of emission.

    Each item lies under its origin. In a first step that is nothing, and the parts follow each
    other; after a reduce it is that reduce's key, and the parts merge by it.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        #: The origin of what is emitted next.
        self.origin = b""
        #: How many items were emitted.
        self.pairs = 0

    def emit(self, key: bytes, value: bytes) -> None:
        """Take one pair."""
        self.pairs += 1
        self._writer.add(self.origin, items.encode_pair(key, value))

    def add(self, item: Item) -> None:
        """Take one item of a script's."""
        self.pairs += 1
        self._writer.add(self.origin, items.encode(item))


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
        on_frame: OnFrame = unheard,
    ) -> None:
        self._partitions = partitions
        self._partition_of = partition_of
        self._folder = folder
        self._combine = combine
        self._ordered = ordered
        self._limit = limit_bytes
        self._combine_values = combine_values
        self._on_frame = on_frame
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
                before = WATCH.enter(COMBINE)
                self._combine_key(key, found)
                WATCH.enter(before)
        if self._size > self._limit:
            self._shrink()

    def add(self, item: Item) -> None:
        """Refuse an item that is no plain pair: it could not be reduced."""
        raise AnalysisError(f"{item!r:.200} cannot go to reduce; yield (key, value) pairs.")

    def _combine_key(self, key: bytes, found: list[bytes]) -> None:
        value_bytes = sum(map(len, found))
        WATCH.add(COMBINE, value_bytes)
        before = value_bytes + VALUE_OVERHEAD_BYTES * len(found)
        combined = list(self._combine(key, found)) if self._combine else found
        self._values[key] = combined
        # Where combining frees little, wait longer before the next try: else it is quadratic.
        if 2 * len(combined) > self._combine_values:
            self._patience[key] = 2 * len(combined)
        self._size += sum(map(len, combined)) + VALUE_OVERHEAD_BYTES * len(combined) - before

    def _combine_all(self) -> None:
        if self._combine is not None:
            before = WATCH.enter(COMBINE)
            for key, found in self._values.items():
                if len(found) > 1:
                    self._combine_key(key, found)
            WATCH.enter(before)

    def _shrink(self) -> None:
        self._combine_all()
        # Combining that frees little would be repeated at almost every pair.
        if self._size > self._limit // 2:
            self._spill()

    def _spill(self) -> None:
        before = WATCH.enter(SPILL)
        path = self._folder / f"spill-{len(self._spills)}"
        with path.open("wb") as out:
            spans = self._write_partitions(out, self._sorted_memory(), SPILL)
        self._spills.append((path, spans))
        self._values, self._origins, self._patience, self._size = {}, {}, {}, 0
        WATCH.enter(before)

    def _sorted_memory(self) -> list[Iterator[Entry]]:
        by_partition: list[list[bytes]] = [[] for _ in range(self._partitions)]
        for key in self._values:
            by_partition[self._partition_of(key)].append(key)
        return [self._entries(sorted(chosen)) for chosen in by_partition]

    def _entries(self, chosen: list[bytes]) -> Iterator[Entry]:
        for key in chosen:
            yield key, self._values[key], self._origins.get(key, [])

    def _write_partitions(
        self, out: BinaryIO, runs: Iterable[Iterable[Entry]], stage: int = WRITE
    ) -> list[Span]:
        writer = RunWriter(out, self._on_frame, stage)
        return [write_run(writer, run) for run in runs]

    def write(self, out: BinaryIO) -> list[Span]:
        """Write everything to one object; returns each partition's place in it."""
        WATCH.enter(WRITE)
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
        entries = merge_in_passes(
            sources, self._folder, ordered=self._ordered, on_frame=self._on_frame
        )
        if self._combine is None:
            yield from WATCH.turns(MERGE, WRITE, entries)
            return
        merged = WATCH.bytes_of(MERGE)
        for key, found in group(WATCH.turns(MERGE, COMBINE, entries)):
            yield key, self._combine(key, found), []
        WATCH.add(COMBINE, WATCH.bytes_of(MERGE) - merged)
        WATCH.enter(WRITE)


def combiner(combine: Callable[[Any, Iterator[Any]], Iterable[Any] | None], name: str) -> Combine:
    """An analysis's `combine` as a function of encoded values; errors name the analysis."""
    where = f"{name}.combine"

    def run(key: bytes, found: Iterable[bytes]) -> Iterator[bytes]:
        stream = ValueStream(map(values.decode, found))
        for pair in as_pairs(combine(keys.decode(key), stream), where):
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
