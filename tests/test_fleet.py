"""Signs of workers: who lives, what they are at, and how much they can do."""

from dataclasses import replace

import pytest

from mr import layout
from mr.compatibility import Platform
from mr.directory import DirectoryStore
from mr.fleet import (
    DEAD_AFTER_S,
    FORGOTTEN_AFTER_S,
    Running,
    Sign,
    capacity,
    read_fleet,
    remove_sign,
    write_sign,
)

SIGN = Sign(
    worker="w-1",
    host="h",
    pid=7,
    started=1.0,
    time=1000.0,
    processes=4,
    platform=Platform("3.11.7", "0.1.0", {"numpy": "2.0"}),
    running=[Running("job", "1-map-0000001", "a" * 32, 990.0, 5, 10, 100)],
    committed=3,
)


@pytest.fixture
def store(tmp_path):
    """A store without files."""
    return DirectoryStore(tmp_path / "store")


def test_a_sign_comes_back_as_it_was_given(store):
    """All that a worker tells of itself is read, of each worker once, in the order of names."""
    other = replace(SIGN, worker="w-0", processes=2, running=[])
    for sign in (SIGN, replace(SIGN, time=990.0), other, SIGN):
        write_sign(store, sign)

    fleet = read_fleet(store, now=1001.0)

    assert fleet == [other, SIGN]
    assert capacity(fleet) == 6


def test_who_was_not_heard_of_for_long_is_dead_and_then_forgotten(store):
    """A silent worker is not of the fleet, and after a day its sign is gone."""
    write_sign(store, SIGN)

    assert read_fleet(store, now=1000.0 + DEAD_AFTER_S - 1) == [SIGN]
    assert read_fleet(store, now=1000.0 + DEAD_AFTER_S + 1) == []
    assert store.stat(layout.worker_name("w-1")) is not None
    assert read_fleet(store, now=1000.0 + FORGOTTEN_AFTER_S + 1) == []
    assert store.stat(layout.worker_name("w-1")) is None


def test_a_sign_that_cannot_be_read_hides_no_other(store):
    """One of another version, or one that is just being taken back, is passed over."""
    write_sign(store, SIGN)
    store.write(layout.worker_name("w-2"), b'{"worker": "w-2"}')
    write_sign(store, replace(SIGN, worker="w-3"))
    remove_sign(store, "w-3")

    assert read_fleet(store, now=1000.0) == [SIGN]
