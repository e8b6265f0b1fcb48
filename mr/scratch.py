"""Scratch folders: local disk for spills and merges; /tmp may be too small.

They lie beside the jobs where these are in a directory, else in the person's cache. Whoever uses
one holds a lock on it; what a killed process left behind has none, and is swept.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mr.directory import DirectoryStore
from mr.files import is_at
from mr.store import Store

_LOCK = "lock"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A folder of one's own below `root`, gone at the end of the block."""
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


def sweep_scratch(root: Path) -> int:
    """Remove the folders of processes that were killed; returns how many."""
    swept = 0
    for lock in root.glob(f"*/{_LOCK}"):
        try:
            with lock.open() as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (FileNotFoundError, BlockingIOError, PermissionError):
            continue  # Its owner lives, has just removed it, or is another person.
        swept += 1
    return swept


def scratch_root(store: Store, named: str = "") -> Path:
    """Where scratch folders lie for the jobs of a store: as the person named it, or by default."""
    if named:
        return Path(named)
    if isinstance(store, DirectoryStore):
        return Path(store.url) / ".scratch"
    return cache_folder() / "scratch"


def cache_folder() -> Path:
    """The person's folder for what can be made anew."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):  # is to be ignored, says the XDG Base Directory Specification
        cache = os.path.expanduser("~/.cache")
    return Path(cache) / "mr-telemetry"
