"""What was written, exactly: the truth that a reader of the tree is held to."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Counts:
    """What stands in some of the blocks; `records` is `good` plus the sum of `bad`."""

    blocks: int = 0
    records: int = 0
    good: int = 0
    #: Good records whose id an earlier good record of the same block has.
    repeated_ids: int = 0
    #: Bad records by kind (see `BAD_RECORD_KINDS`).
    bad: dict[str, int] = field(default_factory=dict)
    #: Good records by `info.OS`.
    by_os: dict[str, int] = field(default_factory=dict)
    #: Good records by the six dimensions as in the path, joined by "/".
    by_dimensions: dict[str, int] = field(default_factory=dict)


def total_of(parts: Iterable[Counts]) -> Counts:
    """The parts added up, names in order."""
    total = Counts()
    bad: Counter[str] = Counter()
    by_os: Counter[str] = Counter()
    by_dimensions: Counter[str] = Counter()
    for part in parts:
        total.blocks += part.blocks
        total.records += part.records
        total.good += part.good
        total.repeated_ids += part.repeated_ids
        bad.update(part.bad)
        by_os.update(part.by_os)
        by_dimensions.update(part.by_dimensions)
    total.bad = dict(sorted(bad.items()))
    total.by_os = dict(sorted(by_os.items()))
    total.by_dimensions = dict(sorted(by_dimensions.items()))
    return total


@dataclass(frozen=True, slots=True)
class BadBlock:
    """A damaged block: its path under the tree, how it is damaged, what was put in, what is left.

    `records_left` complete lines come out of it unchanged, and before anything damaged does.
    """

    path: str
    kind: str
    records: int
    records_left: int


@dataclass(frozen=True, slots=True)
class GenerateReport:
    """What was written, exactly. A reader must find every good record of `readable`."""

    directory: str
    seed: int
    #: Bytes of lines, before compression and damage.
    raw_bytes: int
    #: Bytes of files, as they now lie on disk.
    compressed_bytes: int
    #: All lines that were generated, in all blocks.
    written: Counts
    #: The undamaged blocks.
    whole: Counts
    #: All blocks: the undamaged, and of the damaged those lines that come out before the damage.
    readable: Counts
    #: The damaged blocks, in order of their paths.
    bad_blocks: list[BadBlock]

    @property
    def bad_blocks_by_kind(self) -> dict[str, int]:
        """How many blocks are damaged in each way."""
        return dict(sorted(Counter(block.kind for block in self.bad_blocks).items()))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        return {**asdict(self), "bad_blocks_by_kind": self.bad_blocks_by_kind}
