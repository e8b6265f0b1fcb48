"""Some records of an input, spread over its blocks: enough to try an analysis on."""

from collections.abc import Sequence
from itertools import islice

from mr.blocks import list_blocks
from mr.inline import RawRecord
from mr.lines import BlockAccount
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
    chosen = blocks[:: max(1, len(blocks) // most)]
    records: list[RawRecord] = []
    for number, block in enumerate(chosen):
        fair = -(-(most - len(records)) // (len(chosen) - number))
        if fair <= 0:
            break
        found = read_records(block, lambda block=block: open_planned(block), BlockAccount())
        records += [
            RawRecord(record.id, record.raw, block.dimensions) for record in islice(found, fair)
        ]
    return records
