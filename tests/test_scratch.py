"""Scratch folders: one's own while it is used, and swept once nobody does."""

import fcntl

import pytest

from mr.directory import DirectoryStore
from mr.scratch import scratch_folder, scratch_root, sweep_scratch


@pytest.fixture
def store(tmp_path):
    """A store without files."""
    return DirectoryStore(tmp_path / "store")


def test_a_folder_is_kept_while_it_is_used(store):
    """A sweep leaves the folder of a living user alone; the end of the block removes it."""
    with scratch_folder(scratch_root(store)) as folder:
        (folder / "spill").write_bytes(b"x")

        assert sweep_scratch(scratch_root(store)) == 0
        assert (folder / "spill").exists()

    assert not folder.exists()


def test_a_sweep_before_the_lock_harms_nobody(store, monkeypatch):
    """A folder that a sweep meets in the moment before its lock is made anew."""
    lock = fcntl.flock
    swept = []

    def sweep_first(file, operation):
        monkeypatch.setattr(fcntl, "flock", lock)
        swept.append(sweep_scratch(scratch_root(store)))
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)

    with scratch_folder(scratch_root(store)) as folder:
        (folder / "spill").write_bytes(b"x")

        assert swept == [1]
        assert sweep_scratch(scratch_root(store)) == 0
