"""What an analysis that publishes files works with, before the job's tasks and after them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mr.blocks import Block, BlockList
from mr.items import Item, Line
from mr.schema import Dimensions

#: Blocks that an analysis set aside whose places are kept; all are counted.
SET_ASIDE_KEPT = 1_000


@dataclass
class InputBlocks:
    """The blocks that a job is to read, as `prepare` sees them: in byte order of their keys.

    There may be millions: iterate, as often as needed, and keep none that need not be kept.

    A block has `key`, `size` (compressed bytes), `tag` (its version), `store_url` and
    `dimensions`.
    """

    found: BlockList
    #: The filter in force in its JSON form.
    filter: Mapping[str, Any] = field(default_factory=dict)
    #: The share of records that is read, and the number of blocks; None for all.
    sample: float | None = None
    limit: int | None = None
    #: How many blocks were left out because the output holds their records, and otherwise.
    covered: int = 0
    set_aside: int = 0
    #: The first of the latter, each with its reason.
    set_aside_examples: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        #: By the blocks' places.
        self._left_out = bytearray(len(self.found))
        self._left_out_bytes = 0
        self._left_out_counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Block]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def leave_out(self, block: Block, reason: str, *, covered: bool = False) -> None:
        """Do not read one of these blocks: the output covers it already, or for another reason."""
        if not 0 <= block.place < len(self._left_out):
            raise ValueError(f"{block.path} is none of the job's blocks.")
        if self._left_out[block.place]:
            return
        self._left_out[block.place] = True
        self._left_out_bytes += block.size
        self._left_out_counts[block.store_url] += 1
        if covered:
            self.covered += 1
            return
        self.set_aside += 1
        if len(self.set_aside_examples) < SET_ASIDE_KEPT:
            self.set_aside_examples.append({"block": block.path, "reason": reason})

    @property
    def chosen(self) -> BlockList:
        """The blocks that are left."""
        left_out = self._left_out
        return BlockList(
            lambda: (block for block in self.found if not left_out[block.place]),
            Counter(self.found.counts) - self._left_out_counts,
            self.found.bytes - self._left_out_bytes,
        )


@dataclass(frozen=True, slots=True)
class UnreadBlock:
    """A block of which nothing was read; its dimensions as far as its key tells them."""

    key: str
    dimensions: Dimensions | None


def unwatched() -> None:
    """Show nobody that it goes on."""


@dataclass(frozen=True)
class Commits:
    """What the job's tasks have done, as `publish` sees it."""

    #: What was read and what was not: the job's report, but for how the job went.
    report: Mapping[str, Any]
    #: The blocks of which nothing was read: they were missing, or could not be opened.
    unread: Sequence[UnreadBlock]
    _items: Callable[[], Iterable[Item]]
    #: For a `publish` that takes long to call now and then: shows that it goes on, as reading
    #: `results` does. What shows nothing for the job's hang limit is ended, and has failed.
    moved: Callable[[], None] = unwatched

    def results(self) -> Iterator[tuple[Any, Any]]:
        """The pairs that the reduces yielded, by the key that each was given."""
        return ((one.key, one.value) for one in self._items() if not isinstance(one, Line))
