"""Blocks, and lists of any number of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import msgspec

from mr.schema import Dimensions, Schema
from mr.sorting import SORT_BYTES, SortedPairs, Sorter
from mr.store import Entry


@dataclass(frozen=True, slots=True)
class Block:
    """One compressed file of records.

    `key` is its path under the store at `store_url`, `size` its compressed bytes, `tag` what the
    store says of its version.
    """

    store_url: str
    key: str
    size: int
    tag: str
    dimensions: Dimensions
    #: Its number in the list that it comes from.
    place: int = field(default=-1, compare=False, repr=False)

    @property
    def path(self) -> str:
        """Where the block is, as a person would write it."""
        return f"{self.store_url.rstrip('/')}/{self.key}"


class BlockList:
    """Blocks in byte order of their keys: any number, of which few are in memory at a time.

    Iterating makes them anew, and can be done any number of times. `counts` are the numbers of
    blocks by store, and `bytes` the compressed bytes of all.
    """

    def __init__(
        self, read: Callable[[], Iterator[Block]], counts: Mapping[str, int], size: int
    ) -> None:
        self._read = read
        self.counts = counts
        self.bytes = size
        self._length = sum(counts.values())

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> "BlockList":
        """A list of blocks at hand, which are in order."""
        numbered = [replace(block, place=place) for place, block in enumerate(blocks)]
        return cls(lambda: iter(numbered), *_totals(numbered))

    def __iter__(self) -> Iterator[Block]:
        return self._read()

    def __len__(self) -> int:
        return self._length

    @property
    def stores(self) -> list[str]:
        """The URLs of the stores that the blocks lie in, sorted."""
        return sorted(self.counts)

    def first(self, most: int | None) -> "BlockList":
        """The first blocks, at most this many; None for all."""
        if most is None or most >= len(self):
            return self
        read = self._read
        return BlockList(lambda: islice(read(), most), *_totals(islice(read(), most)))

    def every(self, step: int) -> Iterator[Block]:
        """The first block, and every so-many-th after it."""
        return islice(self, 0, None, step)


def _totals(blocks: Iterable[Block]) -> tuple[Mapping[str, int], int]:
    counts: Counter[str] = Counter()
    size = 0
    for block in blocks:
        counts[block.store_url] += 1
        size += block.size
    return counts, size


#: A block in the sort: the number of its store, its size, its tag.
_Found = tuple[int, int, str]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Found).decode


class BlockSorter:
    """Brings the blocks of a listing into order, each once: the first that came of the same.

    They are sorted in bounded memory, and beyond it on disk in `folder` (see `Sorter`).
    """

    def __init__(
        self, schema: Schema, folder: Path | None = None, limit_bytes: int = SORT_BYTES
    ) -> None:
        self._schema = schema
        self._sorter = Sorter(limit_bytes, folder)
        #: By the stores' numbers.
        self._stores: list[str] = []
        self._counts: list[int] = []
        self._bytes = 0
        self._numbers: dict[str, int] = {}
        #: How many blocks were there already.
        self.repeated = 0

    def store_number(self, url: str) -> int:
        """The number that `add` takes for a store."""
        number = self._numbers.setdefault(url, len(self._stores))
        if number == len(self._stores):
            self._stores.append(url)
            self._counts.append(0)
        return number

    def add(self, store: int, entry: Entry, name: bytes, *, in_layout: bool) -> None:
        """Take the block of a listing's entry; `name` is the entry's as UTF-8, without a NUL."""
        # A file outside the layout has no dimension path, so its place is its identity.
        key = name if in_layout else b"%b\0%b" % (name, self._stores[store].encode())
        self._sorter.add(key, _encode((store, entry.size, entry.tag)))
        self._counts[store] += 1
        self._bytes += entry.size

    def finish(self) -> BlockList:
        """Return the blocks in order."""
        pairs = self._sorter.finish(self._drop)
        counts = {
            url: count for url, count in zip(self._stores, self._counts, strict=True) if count
        }
        stores, schema = self._stores, self._schema
        return BlockList(lambda: _blocks_of(pairs, stores, schema), counts, self._bytes)

    def _drop(self, value: bytes) -> None:
        store, size, _ = _decode(value)
        self._counts[store] -= 1
        self._bytes -= size
        self.repeated += 1


def _blocks_of(pairs: SortedPairs, stores: list[str], schema: Schema) -> Iterator[Block]:
    unknown = schema.dimensions("" for _ in schema.fields)
    dimensions_of = schema.dimensions_of
    for place, (key, value) in enumerate(pairs):
        store, size, tag = _decode(value)
        name = key.decode()
        if "\0" in name:
            name, _, _ = name.partition("\0")
        yield Block(stores[store], name, size, tag, dimensions_of(name) or unknown, place)
