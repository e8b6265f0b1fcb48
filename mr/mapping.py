"""One analysis over one split, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Protocol

from mr import keys
from mr.analysis import Analysis
from mr.blocks import Block
from mr.errors import (
    AnalysisError,
    BlockChanged,
    ObjectChanged,
    ObjectMissing,
    StoreError,
    StoreUnavailable,
)
from mr.items import Item, Line, as_pairs
from mr.kernel.building import Functions
from mr.lines import BlockAccount
from mr.masking import masked_pairs
from mr.records import Chunk, FindSkimmer, Record, Take, read_chunks, read_left, read_records
from mr.skimming import Skimmer
from mr.stopwatch import DECOMPRESS, MAP, MERGE, OTHER, PARSE, READ, SPLIT_LINES, WATCH
from mr.stores import open_store
from mr.tally import PLACES_KEPT, BadBlock, BadRecord, Tally

#: Sorts after every encoded key, for none begins with 255: the place of what a `finish` yields.
AFTER_ALL_KEYS = b"\xff"


@dataclass
class Position:
    """Where a task is: what a failure names, and what shows that it moves."""

    block: str = ""
    line: int = 0
    key: Any = None
    #: Goes up with each record, value and key.
    moves: int = 0
    #: The task's tally so far, without the block being read.
    tally: Tally = field(default_factory=Tally)
    #: The account of the block being read.
    account: BlockAccount | None = None


class Sink(Protocol):
    """Takes what a map task emits: the shuffle's `MapBuffer`, or its `ItemSink` for map-only."""

    #: The origin of what is emitted next (a later step's only).
    origin: bytes

    def take(self, pairs: Iterable[Any], where: str) -> None:
        """Take what user code yielded at `where`; raises AnalysisError for what cannot be taken."""


class TaskBlock:
    """A block as `map_block` sees it; it may be read more than once."""

    def __init__(
        self,
        block: Block,
        position: Position,
        open_block: Callable[[Block], BinaryIO],
        sample: float | None,
        compiled: Callable[[], Functions | None] = lambda: None,
    ) -> None:
        self._block = block
        self._open_block = open_block
        self._accounts: list[BlockAccount] = []
        self._position = position
        self._sample = sample
        self._compiled = compiled
        self.key = block.key
        self.dimensions = block.dimensions
        #: Compressed bytes, the store that the block lies in, and its version there.
        self.size, self.store_url, self.tag = block.size, block.store_url, block.tag

    def records(self) -> Iterator[Record]:
        """The block's good records, one after the other."""
        position = self._position
        account = self._begin()
        records = read_records(
            self._block, self._open, account, sample=self._sample, find_skimmer=self._finder()
        )
        for record in WATCH.turns(records, lambda record: len(record.raw)):
            position.line = record.line
            position.moves += 1
            yield record

    def records_left(self, take: Take) -> Iterator[Iterator[Record]]:
        """Chunk after chunk, the good records that `take` has left; see `records.read_left`."""
        account = self._begin()
        for records in read_left(self._block, self._open, account, take, sample=self._sample):
            self._position.moves += 1
            yield self._positioned(records)

    def _positioned(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            self._position.line = record.line
            self._position.moves += 1
            yield record

    def chunks(self) -> Iterator[Chunk]:
        """The same records, some megabytes at a time."""
        account = self._begin()
        chunks = read_chunks(
            self._block, self._open, account, sample=self._sample, find_skimmer=self._finder()
        )
        for chunk in WATCH.within(PARSE, chunks):
            if chunk.lines:
                self._position.line = chunk.lines[0]
            self._position.moves += 1
            yield chunk

    @property
    def compiled(self) -> Functions | None:
        """The compiled code, once it is ready; it only makes things faster."""
        return self._compiled()

    def _finder(self) -> FindSkimmer:
        """For one reading, whose chunks are skimmed one after the other, from some chunk on."""
        skimmer: Skimmer | None = None

        def find() -> Skimmer | None:
            nonlocal skimmer
            if skimmer is None and (functions := self.compiled) is not None:
                skimmer = Skimmer(functions)
            return skimmer

        return find

    def _begin(self) -> BlockAccount:
        """Open an account of its own for each reading, so that the block counts once."""
        account = self._position.account = BlockAccount()
        self._accounts.append(account)
        return account

    def _open(self) -> BinaryIO:
        return self._open_block(self._block)

    @property
    def good_records(self) -> int:
        """How many good records were found so far."""
        return self.fullest_account().records

    @property
    def bad_records(self) -> int:
        """How many bad records were found so far."""
        return self.fullest_account().bad.total()

    @property
    def damage(self) -> str | None:
        """Once the block was read to its end: why it could not be read whole, None if it was."""
        return self.fullest_account().damage

    def count_bytes(self) -> None:
        """Count for each stage what went through it, in each reading."""
        for account in self._accounts:
            WATCH.add(READ, account.compressed_bytes)
            for stage in (DECOMPRESS, SPLIT_LINES, PARSE, MAP):
                WATCH.add(stage, account.raw_bytes)

    def fullest_account(self) -> BlockAccount:
        """The account of the reading that went furthest."""

        def extent(account: BlockAccount) -> tuple[int, int, int, bool]:
            checked = account.records + account.bad.total()
            return account.raw_bytes, account.lines, checked, account.damage is not None

        return max(self._accounts, key=extent, default=BlockAccount())


def open_planned(block: Block) -> BinaryIO:
    """Open the version of a block that was planned; raises as `Store.open` does."""
    return open_store(block.store_url).open(block.key, tag=block.tag)


def map_blocks(
    analysis: Analysis,
    blocks: Iterable[Block],
    sink: Sink,
    position: Position,
    *,
    open_block: Callable[[Block], BinaryIO] = open_planned,
    sample: float | None = None,
    compiled: Callable[[], Functions | None] = lambda: None,
) -> None:
    """Run the analysis over the blocks of a split; the tally is in `position.tally`.

    A block that is missing or damaged is told there and does not end the task. Raises what the
    analysis raises, RetryElsewhere when a store fails, and BlockChanged when a block is replaced
    under the analysis: another attempt finds that out before it takes anything of it.
    """
    where = f"{type(analysis).__name__}.map"
    mask = analysis.mask_literals
    tally = position.tally
    for block in blocks:
        position.block, position.line = block.path, 0
        seen = TaskBlock(block, position, open_block, sample, compiled)
        WATCH.enter(MAP)
        try:
            _emit_all(analysis.map_block(seen), sink, where, mask=mask)
        except (ObjectMissing, ObjectChanged) as error:
            account = seen.fullest_account()
            if account.lines:
                raise BlockChanged(f"{block.path} was replaced while it was read") from error
            if isinstance(error, ObjectMissing):
                tally.missing.append(block.path)
            else:
                damage = "was replaced after the job was planned"
                _add_block(tally, block, account, damage, unread=True)
        except StoreError as error:
            account = seen.fullest_account()
            if account.lines:
                # What the analysis has yielded of it can not be taken back.
                raise StoreUnavailable(f"{block.path} cannot be read on: {error}") from error
            _add_block(tally, block, account, f"cannot be read: {error}", unread=True)
        else:
            account = seen.fullest_account()
            _add_block(tally, block, account, account.damage)
        position.account = None
        seen.count_bytes()
    _finish(analysis, sink, position, mask=mask)


def map_pairs(
    analysis: Analysis,
    pairs: Iterable[tuple[bytes, Item]],
    sink: Sink,
    position: Position,
) -> None:
    """Run a later step's analysis over results of the step before, each with its origin.

    The origin is the place in that step's result: the encoded key that its reduce was given.
    """
    where = f"{type(analysis).__name__}.map"
    before = WATCH.bytes_of(MERGE)
    for origin, item in WATCH.turns(pairs):
        if isinstance(item, Line):
            continue
        sink.origin = origin
        position.key = item.key
        position.moves += 1
        position.tally.records += 1
        _emit_all(analysis.map((item.key, item.value)), sink, where)
    for stage in (PARSE, MAP):
        WATCH.add(stage, WATCH.bytes_of(MERGE) - before)
    # What finish yields comes after all that map yielded.
    sink.origin = AFTER_ALL_KEYS
    _finish(analysis, sink, position)


def _finish(analysis: Analysis, sink: Sink, position: Position, *, mask: bool = False) -> None:
    position.line = 0
    WATCH.enter(MAP)
    _emit_all(analysis.finish(), sink, f"{type(analysis).__name__}.finish", mask=mask)
    WATCH.enter(OTHER)
    position.tally.counters = dict(analysis.counters)


def _emit_all(pairs: Iterable[Any] | None, sink: Sink, where: str, *, mask: bool = False) -> None:
    found = as_pairs(pairs, where)
    sink.take(masked_pairs(found, where) if mask else found, where)


def _add_block(
    tally: Tally,
    block: Block,
    account: BlockAccount,
    damage: str | None,
    *,
    unread: bool = False,
) -> None:
    tally.add(
        Tally(
            blocks=1,
            lines=account.lines,
            records=account.records,
            compressed_bytes=account.compressed_bytes,
            raw_bytes=account.raw_bytes,
            bad_records=dict(account.bad),
            bad_places=[BadRecord(block.path, line, reason) for line, reason in account.bad_places][
                :PLACES_KEPT
            ],
            bad_blocks=[BadBlock(block.path, damage, unread)] if damage else [],
        )
    )


def takes_function(analysis: Analysis, partitions: int, partition: int) -> Callable[[Any], bool]:
    """Whether a key belongs to a partition."""
    partitions_of = partition_function(analysis, partitions)
    return lambda key: [partition] == list(partitions_of([keys.encode(key)]))


def partition_function(
    analysis: Analysis, partitions: int
) -> Callable[[Iterable[bytes]], Iterable[int]]:
    """From encoded keys to their partitions, by the analysis's `partition_key`."""
    if type(analysis).partition_key is Analysis.partition_key:
        return partial(keys.partitions_of, partitions=partitions)

    def partition(encoded: bytes) -> int:
        key = keys.decode(encoded)
        try:
            chosen = keys.encode(analysis.partition_key(key))
        except AnalysisError as error:
            name = type(analysis).__name__
            raise AnalysisError(f"{name}.partition_key of the key {key!r:.200}: {error}") from None
        return keys.partition(chosen, partitions)

    return partial(map, partition)
