"""Lists of blocks of any length, and what `prepare` may do with them."""

import itertools
from dataclasses import replace

import pytest
from buckets import Service
from hypothesis import given, settings
from hypothesis import strategies as st
from test_blocks import SCHEMA

from mr.blocks import Block, BlockList
from mr.inputs import resolve_input
from mr.listing import list_blocks
from mr.publishing import InputBlocks
from mr.schema import load_filter

#: Keys of the layout, some of them of strange letters, and names of lone files.
KEYS = st.sampled_from(
    [f"{a}/b/c/d/{build}.2.v2.log.x" for a in ("r", "ä", "r-") for build in (1, 11, "\U0001f600")]
)
LONE = st.sampled_from(["x.txt", "x", "y.txt", "1.2"])
URLS = ["s3://one/tree", "s3://one/tree/r", "s3://two", "s3://two/a/b"]


@st.composite
def worlds(draw):
    """A service of some trees that overlap, and inputs: trees and files, some of them repeated."""
    service = Service(is_remote=draw(st.booleans()))
    trees = []
    for url in URLS:
        names = [*draw(st.sets(KEYS, max_size=9)), *draw(st.sets(LONE, max_size=3))]
        service.put(url, *names)
        trees += [url] if names else []
    texts = [*trees, *sorted(service.objects)]
    inputs = draw(st.lists(st.sampled_from(texts), max_size=12)) if texts else []
    return service, inputs


def by_dictionary(inputs, selection):
    """What a listing is to find: the first block of each identity, sorted; and the rest's count."""
    found, repeated = {}, 0
    for text in inputs:
        source = resolve_input(text, SCHEMA)
        url = source.store.url
        for entry in source.store.list() if source.file is None else [source.file]:
            dimensions = SCHEMA.dimensions_of(entry.name)
            if dimensions is None and source.file is None:
                continue
            identity = entry.name if dimensions else (entry.name, url)
            dimensions = dimensions or SCHEMA.dimensions("" for _ in SCHEMA.fields)
            if not selection.matches(dimensions):
                continue
            if identity in found:
                repeated += 1
            else:
                found[identity] = Block(url, entry.name, entry.size, entry.tag, dimensions)
    return sorted(found.values(), key=lambda one: (one.key.encode(), one.store_url)), repeated


@settings(deadline=None, max_examples=200)
@given(world=worlds(), limit=st.integers(0, 3000), data=st.data())
def test_a_listing_is_what_a_dictionary_and_a_sort_would_give(world, limit, data):
    """Any inputs that overlap, whatever is held in memory: the same blocks, each once."""
    service, inputs = world
    filter = {"appBuildID": ["1", "11"]} if data.draw(st.booleans()) else None
    # A tree of strays alone is an error without a filter, which `test_blocks` tests.
    filter = filter or {"appBuildID": {"min": ""}}
    selection = load_filter(filter, SCHEMA)
    with service.used():
        expected, repeated = by_dictionary(inputs, selection)
        listing = list_blocks(inputs, SCHEMA, selection, limit_bytes=limit)

    blocks = listing.blocks
    assert list(blocks) == list(blocks) == expected
    assert [block.place for block in blocks] == list(range(len(expected)))
    assert (len(blocks), listing.repeated) == (len(expected), repeated)
    assert blocks.bytes == listing.bytes == sum(block.size for block in expected)
    assert blocks.stores == sorted({block.store_url for block in expected})
    most = data.draw(st.integers(0, 12))
    first = blocks.first(most)
    assert list(first) == expected[:most]
    assert (len(first), first.bytes) == (len(expected[:most]), sum(b.size for b in first))
    assert first.stores == sorted({block.store_url for block in expected[:most]})
    assert list(blocks.every(most + 1)) == expected[:: most + 1]
    assert blocks.first(None) is blocks


def some_blocks(count):
    """Blocks at hand, in two stores."""
    empty = SCHEMA.dimensions("" for _ in SCHEMA.fields)
    return [Block(f"/{n % 2}", f"{n:03}", n, "t", empty) for n in range(count)]


@settings(deadline=None)
@given(count=st.integers(0, 20), left_out=st.lists(st.tuples(st.integers(0, 19), st.booleans())))
def test_blocks_that_are_left_out(count, left_out):
    """What is left is a list like any; each block counts once, by its first reason."""
    at_hand = some_blocks(count)
    offered = InputBlocks(BlockList.of(at_hand))
    first = {}
    for number, covered in left_out:
        for block in itertools.islice(offered, number, number + 1):
            offered.leave_out(block, "a reason", covered=covered)
            first.setdefault(number, covered)

    expected = [block for number, block in enumerate(at_hand) if number not in first]
    chosen = offered.chosen
    assert list(chosen) == list(chosen) == expected
    assert (len(chosen), chosen.bytes) == (len(expected), sum(block.size for block in expected))
    assert chosen.stores == sorted({block.store_url for block in expected})
    assert offered.covered == sum(first.values())
    assert offered.set_aside == len(first) - offered.covered
    assert [one["block"] for one in offered.set_aside_examples] == [
        at_hand[number].path for number, covered in first.items() if not covered
    ]
    assert list(offered) == at_hand
    assert len(offered) == count


def test_leaving_out_while_iterating():
    """A block may be left out while the blocks that are left are iterated."""
    offered = InputBlocks(BlockList.of(some_blocks(10)))
    for block in offered.chosen:
        if block.size % 3 == 0:
            offered.leave_out(block, "a third")

    assert [block.size for block in offered.chosen] == [1, 2, 4, 5, 7, 8]


def test_a_strange_block_cannot_be_left_out():
    """One that does not come from these blocks is refused."""
    at_hand = some_blocks(3)
    offered = InputBlocks(BlockList.of(at_hand[:2]))

    for strange in (at_hand[0], replace(at_hand[2], place=2)):
        with pytest.raises(ValueError, match="none of the job's blocks"):
            offered.leave_out(strange, "")
