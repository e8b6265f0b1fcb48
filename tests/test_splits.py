"""Splits: every block once, in order, and none larger than asked for."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr.blocks import Block
from mr.schema import Dimensions
from mr.splits import (
    MAX_BLOCKS,
    MOST_PIECES,
    SPLITS_PER_WORKER,
    fitting_reducers,
    fitting_size,
    split_blocks,
)

NONE = Dimensions((), ())


def blocks_of(sizes):
    """Blocks of these sizes, in order."""
    return [Block("/in", f"{number:06d}", size, "t", NONE) for number, size in enumerate(sizes)]


SIZES = st.lists(st.one_of(st.integers(0, 50), st.integers(0, 2000)), max_size=60)


@given(sizes=SIZES, most=st.integers(1, 300))
def test_splits_are_the_blocks_in_order(sizes, most):
    """One after the other, the splits are the input: each block once, none empty of blocks."""
    blocks = blocks_of(sizes)

    splits = list(split_blocks(iter(blocks), most))

    assert [block for split in splits for block in split] == blocks
    assert all(splits)


@given(sizes=SIZES, most=st.integers(1, 300))
def test_a_split_is_as_large_as_allowed_and_no_larger(sizes, most):
    """A split holds what fits; only a block that is larger by itself is over it, alone."""
    splits = list(split_blocks(blocks_of(sizes), most))

    for split in splits:
        assert sum(block.size for block in split) <= most or len(split) == 1
    for split, following in itertools.pairwise(splits):
        assert sum(block.size for block in [*split, following[0]]) > most


@given(sizes=SIZES, most=st.integers(1, 300))
def test_splits_are_the_same_every_time(sizes, most):
    """The same blocks give the same splits, wherever they come from."""
    blocks = blocks_of(sizes)

    assert list(split_blocks(blocks, most)) == list(split_blocks(iter(blocks), most))


def test_very_many_small_blocks_are_cut_by_number():
    """Empty blocks would all fit into one split: a plan's line has a limit too."""
    splits = list(split_blocks(blocks_of([0] * (2 * MAX_BLOCKS + 1)), 10))

    assert [len(split) for split in splits] == [MAX_BLOCKS, MAX_BLOCKS, 1]


def test_no_blocks_are_no_splits():
    """An empty input has nothing to do."""
    assert list(split_blocks([], 10)) == []


@pytest.mark.parametrize(
    ("total", "workers", "most", "size"),
    [
        (10**12, 8, 500_000_000, 500_000_000),
        (80_000_000, 2, 500_000_000, 10_000_000),
        (80_000_001, 2, 500_000_000, 10_000_001),
        (0, 2, 500_000_000, 1),
        (1, 100, 500_000_000, 1),
        (10**12, 8, 1000, 1000),
        (10**12, 8, 0, 500_000_000),
        (80_000_000, 2, 0, 10_000_000),
        (2**14 * 10**10, 1_000, 0, 10_000_000_000),
        (2**14 * 10**10, 1_000, 500_000_000, 500_000_000),
    ],
)
def test_the_size_fits_the_workers_and_the_input(total, workers, most, size):
    """The size is the one asked for, or less, so that each worker gets a few splits."""
    assert fitting_size(total, workers, most) == size


@settings(max_examples=50)
@given(total=st.integers(0, 10**6), workers=st.integers(1, 64), most=st.integers(1, 10**6))
def test_a_fitting_size_is_enough_for_all(total, workers, most):
    """As many splits as were meant for each worker hold the input, unless they would be too big."""
    size = fitting_size(total, workers, most)

    assert 1 <= size <= most
    assert size == most or size * SPLITS_PER_WORKER * workers >= total


HALF_GB = 500_000_000


@pytest.mark.parametrize(
    ("total_bytes", "workers", "split_bytes", "reducers"),
    [(0, 1, 1, 1), (0, 7, 1, 7), (5 * 10**9, 1, HALF_GB, 1), (2 * 10**12, 1, HALF_GB, 400),
     (2 * 10**12, 405, HALF_GB, 405), (2 * 10**12, 500, HALF_GB, 412),
     (5 * 10**11, 1600, 78_125_000, 257), (10**18, 1, 10**15, 10_000)],
)  # fmt: skip
def test_reducers_fit_the_workers_and_the_input(total_bytes, workers, split_bytes, reducers):
    """One for each worker that is there, more for an input that needs more workers."""
    assert fitting_reducers(total_bytes, workers, split_bytes) == reducers


@settings(max_examples=50)
@given(
    total=st.integers(0, 10**16),
    workers=st.integers(1, 100_000),
    most=st.integers(HALF_GB, 10**11) | st.just(0),
)
def test_reducers_leave_few_pieces_of_map_output(total, workers, most):
    """A large fleet or input has fewer: each reducer asks for a piece of each map."""
    split_bytes = fitting_size(total, workers, most)
    splits = -(-total // split_bytes)

    reducers = fitting_reducers(total, workers, split_bytes)

    assert reducers == 1 or splits * reducers <= MOST_PIECES
