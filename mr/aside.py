"""A store to be looked at: what is written to it goes elsewhere, and what is deleted stays."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from mr.store import Entry, Level, Store, Writer


class Aside(Store):
    """Reads come from `store`; what is written goes to `elsewhere`, and is never read."""

    def __init__(self, store: Store, elsewhere: Store) -> None:
        self._store = store
        self._elsewhere = elsewhere
        self.url = store.url
        self.is_remote = store.is_remote

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """As `Store.list`."""
        return self._store.list(prefix)

    def list_level(self, prefix: str = "") -> Level:
        """As `Store.list_level`."""
        return self._store.list_level(prefix)

    def stat(self, name: str) -> Entry | None:
        """As `Store.stat`."""
        return self._store.stat(name)

    def open(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> BinaryIO:
        """As `Store.open`."""
        return self._store.open(name, start=start, end=end, tag=tag)

    def create(
        self, name: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> AbstractContextManager[Writer]:
        """Write it elsewhere; a condition on its tag cannot be judged there, and holds."""
        return self._elsewhere.create(name, if_absent=if_absent)

    def delete(self, name: str) -> None:
        """Do nothing."""

    def copy(self, source: str, target: str) -> None:
        """Do nothing."""
