"""Scratch folders: local disk for spills and merges, beside the jobs (/tmp may be too small).

Whoever uses one holds a lock on it; what a killed process left behind has none, and is swept.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mr.directory import DirectoryStore
from mr.files import is_at

_LOCK = "lock"


@contextmanager
def scratch_folder(store: DirectoryStore) -> Iterator[Path]:
    """A folder of one's own, gone at the end of the block."""
    root = _root(store)
    root.mkdir(parents=True, exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(dir=root))
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_at(lock.fileno(), folder / _LOCK):
                continue  # A sweep took it for dead: it was not locked yet.
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


def sweep_scratch(store: DirectoryStore) -> int:
    """Remove the folders of processes that were killed; returns how many."""
    swept = 0
    for lock in _root(store).glob(f"*/{_LOCK}"):
        try:
            with lock.open() as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (FileNotFoundError, BlockingIOError, PermissionError):
            continue  # Its owner lives, has just removed it, or is another person.
        swept += 1
    return swept


def _root(store: DirectoryStore) -> Path:
    return Path(store.url) / ".scratch"
