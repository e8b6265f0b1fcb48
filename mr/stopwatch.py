"""Where the time of an attempt goes: seconds and bytes of each stage of the work.

A clock is in one stage at a time. Whoever begins something enters its stage, and returns to the
one before when it is done, so that what is done within a stage for another one counts for that one
alone: `map` does not hold the reading of the records that it asks for. Seconds are of the wall
clock: waiting for a disk or a network counts where it happens.

Two readings of the clock take about as long as parsing a tiny record, so what comes in large pieces
(reads, chunks, frames) is measured exactly, and what comes by the record only at every sixteenth
one, or every 16 KB where records are large. What lies between is shared out as it is in those.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

#: The stages in the order of the work, by the names that a report has.
STAGES = (
    "read",
    "decompress",
    "split_lines",
    "parse",
    "map",
    "combine",
    "spill",
    "merge",
    "reduce",
    "write",
    "other",
)
READ, DECOMPRESS, SPLIT_LINES, PARSE, MAP, COMBINE, SPILL, MERGE, REDUCE, WRITE, OTHER = range(
    len(STAGES)
)

#: Where time counts while records come one by one: for getting one and for using it, as measured,
#: and for both, unmeasured.
_GET, _USE, _BOTH = range(len(STAGES), len(STAGES) + 3)
#: So many, or so many bytes, go unmeasured after one that was measured.
UNMEASURED, UNMEASURED_BYTES = 15, 16 * 1024

_END: Any = object()


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent in one stage: seconds, and the bytes that went through it."""

    seconds: float = 0.0
    bytes: int = 0


class Stopwatch:
    """Adds up seconds and bytes by stage, from one thread; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        #: By stage, then `_GET`, `_USE` and `_BOTH`.
        self._seconds: list[float] = []
        self._bytes: list[int] = []
        self.start()

    def start(self) -> None:
        """Begin anew, in the stage `OTHER`."""
        self._seconds = [0.0] * (_BOTH + 1)
        self._bytes = [0] * len(STAGES)
        self._stage = OTHER
        self._since = self._clock()

    def enter(self, stage: int) -> int:
        """From now on time counts for this stage; returns the one before, to be entered again.

        Where an exception may pass, whoever catches it enters a stage anew.
        """
        now = self._clock()
        before = self._stage
        self._seconds[before] += now - self._since
        self._since = now
        self._stage = stage
        return before

    def add(self, stage: int, size: int) -> None:
        """Count bytes that went through a stage."""
        self._bytes[stage] += size

    def bytes_of(self, stage: int) -> int:
        """The bytes of a stage so far."""
        return self._bytes[stage]

    def within(self, stage: int, items: Iterable[T]) -> Iterator[T]:
        """The same items, none of which is kept; getting each of them counts for the stage."""
        coming = iter(items)

        def get() -> T:
            before = self.enter(stage)
            item = next(coming, _END)
            self.enter(before)
            return item

        return iter(get, _END)

    def turns(self, items: Iterable[T], size: Callable[[T], int] | None = None) -> Iterator[T]:
        """The same items: getting them counts as PARSE, and what is done with them as MAP.

        Measured of some; `size` gives the bytes of one, where it may be large.
        """
        coming = iter(items)
        while True:
            self.enter(_GET)
            item = next(coming, _END)
            if item is _END:
                self.enter(MAP)
                return
            self.enter(_USE)
            left = UNMEASURED
            if size is not None:
                left = min(left, UNMEASURED_BYTES // max(1, size(item)))
            yield item
            del item  # it may be large
            if left:
                self.enter(_BOTH)
                yield from islice(coming, left)

    def stop(self) -> dict[str, Spent]:
        """What was spent since `start`, by the names of the stages that were entered."""
        self.enter(OTHER)
        *seconds, get, use, both = self._seconds
        share = get / (get + use) if get + use else 0.5
        seconds[PARSE] += get + share * both
        seconds[MAP] += use + (1 - share) * both
        return {
            name: Spent(round(spent, 6), size)
            for name, spent, size in zip(STAGES, seconds, self._bytes, strict=True)
            if spent or size
        }


def add_spent(into: dict[str, Spent], more: Mapping[str, Spent]) -> None:
    """Add what was spent elsewhere."""
    for name, spent in more.items():
        known = into.get(name, Spent())
        into[name] = Spent(known.seconds + spent.seconds, known.bytes + spent.bytes)


#: The one of this process, which runs one attempt at a time, in its main thread.
WATCH = Stopwatch()
