"""Blocks to input splits (pure).

A split is a contiguous run of blocks in byte order of their keys. So the splits, taken one after
the other, are the input in its one order, and a reducer that merges their runs stably sees its
values in that order, whatever the splits.
"""

from collections.abc import Iterable, Iterator

from mr.blocks import Block
from mr.config import MOST_REDUCERS
from mr.runs import MERGE_WIDTH

#: Compressed bytes of a split, unless told otherwise.
DEFAULT_SPLIT_BYTES = 500_000_000
#: More blocks than this are not put into one split, so that a plan's line stays about a megabyte.
MAX_BLOCKS = 5_000
#: When the input is small each worker still gets about this many splits, so that all finish
#: together.
SPLITS_PER_WORKER = 4
#: An input that would have more splits than this has larger ones, so that a reduce, which reads a
#: run of each, merges them in two passes.
MOST_SPLITS = MERGE_WIDTH**2
#: Compressed input for which a cluster's job has one reducer, if it has no more workers than that:
#: workers may come once it is planned.
INPUT_PER_REDUCER_BYTES = 5 * 10**9
#: A cluster's job has no more pieces of map output than this, one for each split and reducer. Each
#: takes memory and time of the coordinator, and is a GET if the map has something for the reducer.
MOST_PIECES = 2 * 10**7
#: The same of a job that has more reducers only because it has many workers: five minutes of the
#: 5,500 GETs a second that S3 answers below one prefix.
MOST_PIECES_FOR_WORKERS = 300 * 5_500


def fitting_reducers(total_bytes: int, workers: int, split_bytes: int) -> int:
    """How many reducers a cluster's job has, unless told otherwise."""
    splits = max(1, -(-total_bytes // split_bytes))
    for_workers = min(workers, MOST_PIECES_FOR_WORKERS // splits)
    for_input = min(-(-total_bytes // INPUT_PER_REDUCER_BYTES), MOST_PIECES // splits)
    return max(1, min(MOST_REDUCERS, max(for_workers, for_input)))


def fitting_size(total_bytes: int, workers: int, most_bytes: int = 0) -> int:
    """The split size for an input: `most_bytes`, or less when the input is small.

    If `most_bytes` is 0: 500 MB, or more when the input has terabytes.
    """
    most_bytes = most_bytes or max(DEFAULT_SPLIT_BYTES, -(-total_bytes // MOST_SPLITS))
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
