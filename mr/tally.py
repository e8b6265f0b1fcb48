"""What was read and what was not: one task's tally, and the sum of many."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

#: How many bad records' places are kept, of one task and of a job: the counts are always whole.
PLACES_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read: its block's path, line (from 1), and why."""

    block: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class BadBlock:
    """A block that could not be read whole, and why; the lines before the damage were read."""

    block: str
    reason: str
    #: Whether nothing of it was read.
    unread: bool = False


@dataclass
class Tally:
    """Counts over some blocks; sizes are bytes, `raw_bytes` after decompression."""

    blocks: int = 0
    lines: int = 0
    records: int = 0
    compressed_bytes: int = 0
    raw_bytes: int = 0
    #: Reason to number.
    bad_records: dict[str, int] = field(default_factory=dict)
    bad_places: list[BadRecord] = field(default_factory=list)
    bad_blocks: list[BadBlock] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    #: The analysis's own counters.
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        """How many records are bad."""
        return sum(self.bad_records.values())

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        self.blocks += other.blocks
        self.lines += other.lines
        self.records += other.records
        self.compressed_bytes += other.compressed_bytes
        self.raw_bytes += other.raw_bytes
        add_counts(self.bad_records, other.bad_records)
        add_counts(self.counters, other.counters)
        self.bad_places += other.bad_places[: PLACES_KEPT - len(self.bad_places)]
        self.bad_blocks += other.bad_blocks
        self.missing += other.missing


def add_counts(into: dict[str, int], more: dict[str, int]) -> None:
    """Add counts by name."""
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def to_json(tally: Tally) -> dict[str, Any]:
    """The tally as JSON values."""
    return msgspec.to_builtins(tally)
