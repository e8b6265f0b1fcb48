"""What an analysis that publishes files works with, before the job's tasks and after them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mr.blocks import Block
from mr.items import Item, Line
from mr.schema import Dimensions

#: Blocks that an analysis set aside whose places are kept; all are counted.
SET_ASIDE_KEPT = 1_000


@dataclass
class InputBlocks:
    """The blocks that a job is to read, as `prepare` sees them: in byte order of their keys.

    A block has `key`, `size` (compressed bytes), `tag` (its version), `store_url` and
    `dimensions`.
    """

    found: Sequence[Block]
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
    _left_out: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[Block]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def leave_out(self, block: Block, reason: str, *, covered: bool = False) -> None:
        """Do not read a block: because the output covers it already, or for another reason."""
        if id(block) in self._left_out:
            return
        self._left_out.add(id(block))
        if covered:
            self.covered += 1
            return
        self.set_aside += 1
        if len(self.set_aside_examples) < SET_ASIDE_KEPT:
            self.set_aside_examples.append({"block": block.path, "reason": reason})

    @property
    def chosen(self) -> list[Block]:
        """The blocks that are left."""
        return [block for block in self.found if id(block) not in self._left_out]


@dataclass(frozen=True, slots=True)
class UnreadBlock:
    """A block of which nothing was read; its dimensions as far as its key tells them."""

    key: str
    dimensions: Dimensions | None


@dataclass(frozen=True)
class Commits:
    """What the job's tasks have done, as `publish` sees it."""

    #: What was read and what was not: the job's report, but for how the job went.
    report: Mapping[str, Any]
    #: The blocks of which nothing was read: they were missing, or could not be opened.
    unread: Sequence[UnreadBlock]
    _items: Callable[[], Iterable[Item]]

    def results(self) -> Iterator[tuple[Any, Any]]:
        """The pairs that the reduces yielded, by the key that each was given."""
        return ((one.key, one.value) for one in self._items() if not isinstance(one, Line))
