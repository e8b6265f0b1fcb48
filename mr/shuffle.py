"""The map side of the shuffle: what a task emits, sorted by partition in bounded memory.

A map task's object is its partitions' runs one after the other; its commit says where each
begins. What does not fit into memory is combined first, then spilled to local disk as runs.
"""

import sys
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise, repeat, zip_longest
from pathlib import Path
from types import GeneratorType
from typing import Any, BinaryIO

from mr import items, keys, values
from mr.config import DEFAULT_BUFFER_BYTES
from mr.errors import AnalysisError
from mr.items import Line, Pair, ValueStream, as_pair, as_pairs
from mr.runs import (
    MERGE_WIDTH,
    FileRun,
    OnFrame,
    Rest,
    Rows,
    RunWriter,
    Span,
    merge_in_passes,
    repeated,
    unheard,
    write_run,
)
from mr.stopwatch import COMBINE, MERGE, SPILL, WATCH, WRITE

#: A key with this many uncombined values is combined at once, so that a frequent key stays small.
COMBINE_VALUES = 256
#: Rough memory of a new key with one value in the buffer (a str or bytes object, a place in a dict,
#: and what sorting takes), of its list once it has more, and of each value that is no int.
KEY_OVERHEAD_BYTES = 220
LIST_OVERHEAD_BYTES = 88
VALUE_OVERHEAD_BYTES = 48
#: With so many keys the buffer is spilled although there is room: while all of it is in the
#: processor's cache, a pair takes 0.2 us and sorting a key 0.1; with a million keys 0.5 and 0.5.
#: If half of a spill's keys were in an earlier one, it holds twice as many from there on.
CACHED_KEYS = 64_000
#: Spills in which that is looked for: of more keys than these hold there is no room in memory.
SAMPLED_SPILLS = 16
#: Values that are brought into the form of a run at a time.
ROWS_AT_A_TIME = 768
#: From so many keys on numpy helps to sort them, which for fewer is not worth importing it.
NUMPY_KEYS = 20_000

#: The size of a buffer that has too many keys.
_FULL = sys.maxsize

#: A key as the buffer holds it: a text as it is, which saves encoding it at each pair (0.2 us);
#: any other key, for which equality is not that of Python, encoded.
Place = str | bytes
#: A value as the buffer holds it: an int as it is, which costs nothing; any other encoded.
Held = int | bytes


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

    def take(self, pairs: Iterable[Any], where: str) -> None:
        """Take what user code yielded at `where`: pairs, or a script's items."""
        for pair in pairs:
            if isinstance(pair, (Line, Pair)):
                data = items.encode(pair)
            else:
                key, value = as_pair(pair, where)
                data = items.encode_pair(
                    _encoded_key(key, where), _encoded_value(key, value, where)
                )
            self.pairs += 1
            self._writer.add(self.origin, data)


class MapBuffer:
    """Takes what a map task emits; writes its runs, sorted and by partition.

    `partitions_of` maps encoded keys to their partitions; `combine` (or None) shrinks one
    key's values; spills go to `folder`. With `ordered` every value keeps its `origin`.
    """

    def __init__(
        self,
        *,
        partitions: int,
        partitions_of: Callable[[list[bytes]], Iterable[int]],
        folder: Path,
        combine: "Combiner | None" = None,
        ordered: bool = False,
        limit_bytes: int = DEFAULT_BUFFER_BYTES,
        combine_values: int = COMBINE_VALUES,
        on_frame: OnFrame = unheard,
    ) -> None:
        self._partitions = partitions
        self._partitions_of = partitions_of
        self._folder = folder
        self._combine = combine
        self._ordered = ordered
        self._limit = limit_bytes
        self._combine_values = combine_values
        self._on_frame = on_frame
        #: Of each key its one value, or a list of none or more.
        self._held: dict[Place, Held | list[Held]] = {}
        #: Keys that have had a list of values; some are in it more than once.
        self._several: list[Place] = []
        #: Of each of its values the origin (a later step's only).
        self._origins: dict[Place, list[bytes]] = {}
        self._most_keys = CACHED_KEYS
        #: A sample of the keys that were spilled.
        self._spilled: set[bytes] = set()
        self._patience: dict[Place, int] = {}
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

    def take(self, pairs: Iterable[Any], where: str) -> None:
        """Take the pairs that user code yielded at `where`.

        All is done in this one loop, since each call costs as much as the rest of it.
        """
        held, size, number = self._held, self._size, 0
        limit, most_keys, ordered = self._limit, self._most_keys, self._ordered
        most_values = sys.maxsize if self._combine is None else self._combine_values
        try:
            for pair in pairs:
                if type(pair) is not tuple or len(pair) != 2:
                    pair = _checked(pair, where)
                key, value = pair
                if type(key) is not str:
                    key = _place(key, where)
                if type(value) is not int:
                    value = _encoded_value(pair[0], value, where)
                    size += len(value) + VALUE_OVERHEAD_BYTES
                number += 1
                found = held.get(key)
                if found is None:
                    held[key] = value
                    size += len(key) + KEY_OVERHEAD_BYTES
                    if len(held) > most_keys:
                        size = _FULL
                    if most_values < 2:
                        self._several.append(key)
                        size += self._combine_long(key, [value])
                else:
                    if type(found) is list:
                        found.append(value)
                        size += VALUE_OVERHEAD_BYTES
                    else:
                        held[key] = found = [found, value]
                        self._several.append(key)
                        size += LIST_OVERHEAD_BYTES
                    if len(found) >= most_values:
                        size += self._combine_long(key, found)
                if ordered:
                    self._origins.setdefault(key, []).append(self.origin)
                    size += len(self.origin) + VALUE_OVERHEAD_BYTES
                if size > limit:
                    self._size = size
                    self._shrink()
                    size, most_keys = self._size, self._most_keys
        finally:  # an analysis may go on after a block that is not there
            self._size = size
            self.pairs += number

    def _combine_long(self, key: Place, found: list[Held]) -> int:
        """Combine a long list, unless that was of little use lately; returns what it adds."""
        if len(found) < self._patience.get(key, 0):
            return 0
        before = WATCH.enter(COMBINE)
        added = self._combine_key(key, found)
        WATCH.enter(before)
        return added

    def _combine_key(self, key: Place, found: list[Held]) -> int:
        """Combine the values of a key; returns what that adds to the size."""
        value_bytes = _size_of_values(found)
        WATCH.add(COMBINE, value_bytes)
        (combined,) = self._combine.held([_named(key, found)])
        self._keep(key, combined)
        return _size_of_values(combined) - value_bytes

    def _keep(self, place: Place, combined: list[Held]) -> None:
        self._held[place] = combined[0] if len(combined) == 1 else combined
        # Where combining frees little, wait longer before the next try: else it is quadratic.
        if 2 * len(combined) > self._combine_values:
            self._patience[place] = 2 * len(combined)

    def _combine_all(self) -> None:
        if self._combine is None:
            return
        before = WATCH.enter(COMBINE)
        held = self._held
        several = [
            place
            for place in dict.fromkeys(self._several)
            if type(found := held[place]) is list and len(found) > 1
        ]
        WATCH.add(COMBINE, sum([_size_of_values(held[place]) for place in several]))
        # Looked up one by one, so that no values are held twice.
        columns = self._combine.held(_named(place, held[place]) for place in several)
        for place, combined in zip(several, columns, strict=True):
            self._keep(place, combined)
        WATCH.enter(before)

    def _shrink(self) -> None:
        if self._size < _FULL and self._combine is not None:
            self._several = list(dict.fromkeys(self._several))
            self._size -= self._size_of_lists()
            self._combine_all()
            self._size += self._size_of_lists()
        # Combining that frees little would be repeated at almost every pair.
        if self._size > self._limit // 2:
            self._spill()

    def _size_of_lists(self) -> int:
        found = map(self._held.__getitem__, self._several)
        return sum([_size_of_values(one if type(one) is list else [one]) for one in found])

    def _spill(self) -> None:
        before = WATCH.enter(SPILL)
        path = self._folder / f"spill-{len(self._spills)}"
        with path.open("wb") as out:
            spans = self._write_partitions(out, self._sorted(), SPILL)
        self._spills.append((path, spans))
        for memory in (self._held, self._several, self._origins, self._patience):
            memory.clear()
        self._size = 0
        WATCH.enter(before)

    def _sorted(self) -> Iterator[Iterator[Rows]]:
        """Of each partition the rows in memory, in order."""
        self._combine_all()
        places = list(self._held)
        encoded = _encoded_places(places)
        if len(places) > self._most_keys:
            self._look_for_repetition(encoded)
        found = list(self._held.values())
        origins = list(map(self._origins.__getitem__, places)) if self._ordered else []
        for chosen in _by_partition(encoded, self._partitions, self._partitions_of):
            columns = (encoded, found, origins)
            yield _rows([column and list(map(column.__getitem__, chosen)) for column in columns])

    def _look_for_repetition(self, encoded: list[bytes]) -> None:
        """Hold more keys if they come again: by one key in 64, at 0.1 us for each."""
        if len(self._spills) >= SAMPLED_SPILLS:
            if len(self._spills) % (MERGE_WIDTH // 2) == 0:
                self._most_keys *= 2  # so that the spills of a long task merge in one pass
            return
        checks = zip(encoded, map(zlib.crc32, encoded), strict=True)
        sample = [key for key, check in checks if not check & 0xFC0]
        if 2 * len(self._spilled.intersection(sample)) > len(sample):
            self._most_keys *= 2
        self._spilled.update(sample)

    def _write_partitions(
        self, out: BinaryIO, runs: Iterable[Iterable[Rows]], stage: int = WRITE
    ) -> list[Span]:
        writer = RunWriter(out, self._on_frame, stage)
        return [write_run(writer, run) for run in runs]

    def write(self, out: BinaryIO) -> list[Span]:
        """Write everything to one object; returns each partition's place in it."""
        WATCH.enter(WRITE)
        parts = self._sorted()
        if self._spills:
            parts = (self._merged(number, part) for number, part in enumerate(parts))
        return self._write_partitions(out, parts)

    def _merged(self, partition: int, last: Iterator[Rows]) -> Iterator[Rows]:
        """The rows of all spills of a partition, and the last ones, which are in memory."""
        sources: list[Callable[[], Iterator[Rows]]] = [
            FileRun(path, spans[partition])
            for path, spans in self._spills
            if spans[partition].length
        ]
        merged = merge_in_passes(
            [*sources, lambda: last], self._folder, ordered=self._ordered, on_frame=self._on_frame
        )
        merged = WATCH.within(MERGE, merged)
        if self._combine is None:
            return merged
        return WATCH.within(COMBINE, combined_rows(merged, self._combine))


def _checked(pair: Any, where: str) -> tuple[Any, Any]:
    """A pair of another type; raises AnalysisError where it is none, or could not be reduced."""
    if isinstance(pair, (Line, Pair)):
        raise AnalysisError(f"{pair!r:.200} cannot go to reduce; yield (key, value) pairs.")
    return as_pair(pair, where)


def _encoded_key(key: Any, where: str) -> bytes:
    try:
        return keys.encode(key)
    except AnalysisError as error:
        raise AnalysisError(f"{where} yielded the key {key!r:.200}: {error}") from None


def _encoded_value(key: Any, value: Any, where: str) -> bytes:
    try:
        return values.encode(value)
    except AnalysisError as error:
        raise AnalysisError(f"{where} yielded the key {key!r:.200}: {error}") from None


def _place(key: Any, where: str) -> Place:
    encoded = _encoded_key(key, where)
    return keys.decode(encoded) if isinstance(key, str) else encoded


# From what is held to rows


def _encoded_places(places: list[Place]) -> list[bytes]:
    if set(map(type, places)) == {str}:
        return keys.encode_texts(places)
    return [place if type(place) is bytes else keys.encode(place) for place in places]


def _size_of_values(found: list[Held]) -> int:
    data = 0
    if bytes in map(type, found):
        data = sum([len(value) for value in found if type(value) is bytes])
    return data + VALUE_OVERHEAD_BYTES * len(found)


def _named(place: Place, found: list[Held]) -> tuple[Any, list[Any]]:
    """A key and its values as user code has them."""
    if bytes in map(type, found):
        found = [value if type(value) is int else values.decode(value) for value in found]
    return place if type(place) is str else keys.decode(place), found


def _rows(part: Sequence[list[Any]]) -> Iterator[Rows]:
    """Rows of keys, the values of each, and, for a later step, the origins of each value."""
    for start in range(0, len(part[0]), ROWS_AT_A_TIME):
        names, found, origins = (column[start : start + ROWS_AT_A_TIME] for column in part)
        if not origins and list not in set(map(type, found)):
            yield names, _encoded(found), []
        else:
            for name, one, whence in zip_longest(names, found, origins, fillvalue=[]):
                yield from _rows_of(name, one if type(one) is list else [one], whence)


def _rows_of(name: bytes, found: list[Held], origins: list[bytes]) -> Iterator[Rows]:
    """The rows of one key."""
    for start in range(0, len(found), ROWS_AT_A_TIME):
        few = _encoded(found[start : start + ROWS_AT_A_TIME])
        yield [name] * len(few), few, origins[start : start + ROWS_AT_A_TIME]


def _encoded(found: list[Held]) -> list[bytes]:
    if set(map(type, found)) == {int}:
        return list(map(values.encode_int, found))
    return [value if type(value) is bytes else values.encode_int(value) for value in found]


def _by_partition(
    encoded: list[bytes], partitions: int, partitions_of: Callable[[list[bytes]], Iterable[int]]
) -> Iterator[list[int]]:
    """Of each partition where its keys stand in `encoded`, in order of the keys."""
    numbers = partitions_of(encoded) if partitions > 1 else repeat(0, len(encoded))
    if len(encoded) < NUMPY_KEYS:
        chosen: list[list[int]] = [[] for _ in range(partitions)]
        for place, number in enumerate(numbers):
            chosen[number].append(place)
        for places in chosen:
            places.sort(key=encoded.__getitem__)
            yield places
        return
    import numpy as np  # here, since it is slow to import, and most tasks emit few keys

    # The first eight bytes as a number sort in a fifth of the time of the keys themselves, and
    # leave few keys whose order they do not decide.
    heads = np.array(encoded, "S8").view(">u8").astype("u8")
    parts = np.fromiter(numbers, np.intp, len(encoded))
    by_part = np.argsort(parts, kind="stable")
    ends = np.cumsum(np.bincount(parts, minlength=partitions))
    for start, end in pairwise([0, *ends.tolist()]):
        chosen_heads = heads[by_part[start:end]]
        order = np.argsort(chosen_heads)
        places = by_part[start:end][order].tolist()
        chosen_heads = chosen_heads[order]
        if (chosen_heads[1:] == chosen_heads[:-1]).any():
            places.sort(key=encoded.__getitem__)
        yield places


# Combining


class Combiner:
    """An analysis's `combine`, for encoded values and for those that a buffer holds.

    Errors name the analysis.
    """

    def __init__(
        self, combine: Callable[[Any, Iterator[Any]], Iterable[Any] | None], name: str
    ) -> None:
        self._combine = combine
        self._where = f"{name}.combine"

    def __call__(self, encoded: bytes, found: Iterable[bytes]) -> Iterator[bytes]:
        """Combine a key's values, of which there may be more than memory holds."""
        key = keys.decode(encoded)
        stream = ValueStream(value for value in map(values.decode, found))
        for pair in as_pairs(self._combine(key, stream), self._where):
            other, value = as_pair(pair, self._where)
            if other is not key:
                self._check_key(other, key)
            yield self._encoded(key, value)

    def held(self, columns: Iterable[tuple[Any, list[Any]]]) -> Iterator[list[Held]]:
        """Combine the values of each key, as a buffer holds them then.

        All is done in this one loop, since each call costs as much as adding up a few numbers.
        """
        combine, where = self._combine, self._where
        for key, found in columns:
            pairs = combine(key, ValueStream(found))
            if type(pairs) is not GeneratorType:
                pairs = as_pairs(pairs, where)
            combined = []
            for pair in pairs:
                if type(pair) is not tuple or len(pair) != 2:
                    pair = as_pair(pair, where)
                other, value = pair
                if other is not key:
                    self._check_key(other, key)
                combined.append(value if type(value) is int else self._encoded(key, value))
            yield combined

    def _check_key(self, other: Any, key: Any) -> None:
        if _encoded_key(other, self._where) != keys.encode(key):
            raise AnalysisError(
                f"{self._where} yielded the key {other!r:.200} for {key!r:.200}; it "
                "must yield pairs of the key that it was given."
            )

    def _encoded(self, key: Any, value: Any) -> bytes:
        return _encoded_value(key, value, self._where)


def combined_rows(merged: Iterable[Rows], combine: Combiner) -> Iterator[Rows]:
    """Merged rows with the values of each key combined where it has several."""
    rest = Rest((names, column) for names, column, _ in merged)
    while rest.advance():
        names, column = rest.keys, rest.values
        last = names[-1]
        cut = bisect_left(names, last)
        stream = rest.values_of(last, column[cut:])  # the last key may go on
        yield _combined_rows(names[:cut], column[:cut], combine)
        combined = combine(last, stream)
        while few := list(islice(combined, ROWS_AT_A_TIME)):
            yield [last] * len(few), few, []
        for _ in stream:
            pass


def _combined_rows(names: list[bytes], column: list[bytes], combine: Combiner) -> Rows:
    """Of rows the most are alone with their key, and stay as they are."""
    bounds = repeated(names)
    found = combine.held(
        (key, values.decode_all(column[start:end]))
        for key, (start, end) in zip(
            keys.decode_all([names[start] for start, _ in bounds]), bounds, strict=True
        )
    )
    rows: Rows = ([], [], [])
    at = 0
    for (start, end), combined in zip(bounds, found, strict=True):
        rows[0].extend(names[at:start] + [names[start]] * len(combined))
        rows[1].extend(column[at:start] + _encoded(combined))
        at = end
    rows[0].extend(names[at:])
    rows[1].extend(column[at:])
    return rows
