"""Blocks to input splits (pure).

A split is a contiguous run of blocks in byte order of their keys. So the splits, taken one after
the other, are the input in its one order, and a reducer that merges their runs stably sees its
values in that order, whatever the splits.
"""

from collections.abc import Iterable, Iterator

from mr.blocks import Block
from mr.config import DEFAULT_SPLIT_BYTES, MOST_REDUCERS

#: More blocks than this are not put into one split, so that a plan's line stays about a megabyte.
MAX_BLOCKS = 5_000
#: When the input is small each worker still gets about this many splits, so that all finish
#: together.
SPLITS_PER_WORKER = 4


#: Compressed input for which a cluster's job has one reducer, if it has no more workers than that:
#: workers may come once it is planned.
INPUT_PER_REDUCER_BYTES = 5 * 10**9


def fitting_reducers(total_bytes: int, workers: int) -> int:
    """How many reducers a cluster's job has, unless told otherwise."""
    return min(MOST_REDUCERS, max(workers, -(-total_bytes // INPUT_PER_REDUCER_BYTES)))


def fitting_size(total_bytes: int, workers: int, most_bytes: int = DEFAULT_SPLIT_BYTES) -> int:
    """The split size for an input: `most_bytes`, or less when the input is small."""
    return max(1, min(most_bytes, -(-total_bytes // (SPLITS_PER_WORKER * workers))))


def split_blocks(blocks: Iterable[Block], most_bytes: int) -> Iterator[list[Block]]:
    """Pack blocks, which come in byte order of their keys, into splits of at most `most_bytes`.

    Every block is in exactly one split; a block larger than that is alone in its own.
    """
    split: list[Block] = []
    size = 0
    for block in blocks:
        if split and (size + block.size > most_bytes or len(split) == MAX_BLOCKS):
            yield split
            split, size = [], 0
        split.append(block)
        size += block.size
    if split:
        yield split
