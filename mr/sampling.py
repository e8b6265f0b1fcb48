"""Some records of an input, spread over its blocks: enough to try an analysis on."""

from collections.abc import Iterator, Sequence
from itertools import islice

from mr.blocks import Block
from mr.inline import RawRecord
from mr.lines import BlockAccount
from mr.listing import list_blocks
from mr.mapping import open_planned
from mr.records import read_records
from mr.schema import Schema


def sample_records(
    inputs: Sequence[str],
    schema: Schema,
    selection: Schema,
    *,
    most: int,
    listed: Sequence[str] = (),
) -> list[RawRecord]:
    """At most `most` records in the order of the input, about as many from each chosen block."""
    blocks = list_blocks(inputs, schema, selection, listed=listed).blocks
    chosen = list(blocks.every(max(1, -(-len(blocks) // most))))
    found: list[RawRecord] = []
    share = 1
    while len(found) < most:
        # Blocks differ much in size: take more of each until there are enough, or all are read.
        more = [record for block in chosen for record in _first(block, share)]
        if len(more) == len(found):
            break
        found, share = more, 4 * share
    number = min(most, len(found))
    return [found[place * len(found) // number] for place in range(number)]


def _first(block: Block, most: int) -> Iterator[RawRecord]:
    found = read_records(block, lambda: open_planned(block), BlockAccount())
    for record in islice(found, most):
        yield RawRecord(record.id, record.raw, block.dimensions)
