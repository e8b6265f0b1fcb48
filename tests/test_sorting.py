"""Sorting more than memory holds: as Python sorts, and nothing is left on disk."""

import gc
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr.errors import StoreUnavailable
from mr.sorting import PAIR_BYTES, Sorter

PAIRS = st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=3)), max_size=60)


def open_in(folder):
    """How many files of a folder this process has open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    names = [os.readlink(link) for link in links if os.path.islink(link)]
    return sum(name.startswith(f"{folder}/") for name in names)


@settings(deadline=None, max_examples=200)
@given(pairs=PAIRS, limit=st.integers(0, 12 * PAIR_BYTES), width=st.integers(2, 5))
def test_the_first_pair_of_each_key_in_order(pairs, limit, width):
    """Whatever is held in memory, and however many runs there are; every other pair is told of."""
    sorter, dropped = Sorter(limit, width=width), []
    for key, value in pairs:
        sorter.add(key, value)
    found = sorter.finish(dropped.append)

    first, repeated = {}, []
    for key, value in pairs:
        if key in first:
            repeated.append(value)
        first.setdefault(key, value)
    assert list(found) == list(found) == sorted(first.items())
    assert sorted(dropped) == sorted(repeated)


def test_readers_do_not_disturb_each_other(tmp_path):
    """Two iterations at once, one of them given up, give the same."""
    sorter = Sorter(20 * PAIR_BYTES, tmp_path)
    for number in range(500):
        sorter.add(b"%03d" % (number * 7 % 500), b"v" * 1000)
    found = sorter.finish(lambda value: None)
    given_up = iter(found)
    next(given_up)

    assert [one for one, _ in zip(found, found, strict=True)] == list(found)
    assert next(given_up)[0] == b"001"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")
def test_the_files_have_no_names_and_are_closed(tmp_path):
    """A process that is killed leaves nothing; the space is free once nobody holds the pairs."""
    sorter = Sorter(0, tmp_path)
    for number in range(300):
        sorter.add(b"%d" % number, b"")
    found = sorter.finish(lambda value: None)
    del sorter
    gc.collect()

    assert os.listdir(tmp_path) == []
    assert open_in(tmp_path) == 1
    assert len(list(found)) == 300
    del found
    gc.collect()
    assert open_in(tmp_path) == 0


def test_a_full_disk_is_one_sentence(tmp_path):
    """It names the folder; the same may work later."""
    sorter = Sorter(0, tmp_path / "gone")

    with pytest.raises(StoreUnavailable, match=r"cannot keep a listing in .*gone"):
        sorter.add(b"", b"")
