"""Mapping a split: what its tally says of blocks that are read twice, or change in between."""

import lzma

import pytest

from mr import Analysis
from mr.errors import BlockChanged
from mr.listing import list_blocks
from mr.mapping import Position, map_blocks
from mr.schema import load_filter, load_schema

KEY = "main/Firefox/nightly/22/1.2.v2.log.aa"
RECORDS = 20_000


class Kept:
    """A sink that keeps the number of pairs."""

    origin = b""

    def __init__(self):
        self.pairs = 0

    def take(self, pairs, where):
        """Count pairs."""
        self.pairs += sum(1 for _ in pairs)


def lines(name, bad=0):
    """A block's lines: records of this name, and some bad ones at the end."""
    good = b"".join(b'%d\t{"name": "%s"}\n' % (n, name) for n in range(RECORDS))
    return good + b"bad\n" * bad


def planned(tmp_path, data):
    """The one block of a tree."""
    path = tmp_path / KEY
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    schema = load_schema()
    return list(list_blocks([str(tmp_path)], schema, load_filter(None, schema)).blocks)


def mapped(analysis, blocks):
    """The tally of a split, and how many pairs were emitted."""
    sink, position = Kept(), Position()
    map_blocks(analysis, blocks, sink, position)
    return position.tally, sink.pairs


class Twice(Analysis):
    """Reads each block as often, and as far, as it is told."""

    chunks = 1
    records = 1
    first_only = False

    def map_block(self, block):
        """Yield a pair for each record of each reading."""
        for _ in range(self.chunks):
            for chunk in block.chunks():
                yield from ((identity, 1) for identity in chunk.ids)
        for _ in range(self.records):
            for record in block.records():
                yield record.id, 1
                if self.first_only:
                    break


@pytest.mark.parametrize(
    ("chunks", "records", "first_only"),
    [(1, 0, False), (0, 1, False), (1, 1, False), (0, 3, False), (1, 1, True)],
)
def test_a_block_counts_once_however_often_it_is_read(tmp_path, chunks, records, first_only):
    """The tally is that of the reading that went furthest; bad records and damage count once."""
    whole = lzma.compress(lines(b"a", bad=3), format=lzma.FORMAT_XZ)
    blocks = planned(tmp_path, whole + b"garbage")
    analysis = Twice()
    analysis.chunks, analysis.records, analysis.first_only = chunks, records, first_only

    tally, pairs = mapped(analysis, blocks)

    assert pairs == RECORDS * (chunks + (0 if first_only else records)) + first_only
    assert (tally.blocks, tally.lines, tally.records) == (1, RECORDS + 3, RECORDS)
    assert tally.bad_records == {"no tab": 3}
    assert len(tally.bad_places) == 3
    assert tally.raw_bytes == len(lines(b"a", bad=3))
    assert tally.compressed_bytes <= len(whole) + len(b"garbage")
    assert [bad.block for bad in tally.bad_blocks] == [blocks[0].path]


def test_a_block_that_is_not_read_counts_as_a_block(tmp_path):
    """An analysis that only looks at a block's name has read no line of it."""
    analysis = Twice()
    analysis.chunks = analysis.records = 0

    tally, pairs = mapped(analysis, planned(tmp_path, lines(b"a")))

    assert (pairs, tally.blocks, tally.lines, tally.raw_bytes) == (0, 1, 0, 0)


def test_a_block_replaced_in_mid_read_gives_nothing(tmp_path):
    """The attempt is given up, counted as nobody's failure; the next one leaves the block out."""
    blocks = planned(tmp_path, lines(b"a"))

    class Replaced(Analysis):
        """Rewrites its own block, in place and with the same size, after the first record."""

        def map(self, record):
            """Yield what the record holds."""
            if record.line == 1:
                (tmp_path / KEY).write_bytes(lines(b"b"))
            yield record["name"], 1

    with pytest.raises(BlockChanged, match="was replaced while it was read"):
        mapped(Replaced(), blocks)
    tally, pairs = mapped(Replaced(), blocks)

    assert pairs == 0
    assert (tally.blocks, tally.records) == (1, 0)
    assert [bad.reason for bad in tally.bad_blocks] == ["was replaced after the job was planned"]
