"""What a store is: named objects that are whole or not there.

A job keeps everything in a store: its input, its plan, what its tasks write. What the rest of
the house relies on is little, and every store passes the same contract suite:

- an object becomes visible only when it is complete, and is replaced as a whole;
- of several writers with `if_absent` (or with `if_match` and the same tag) exactly one wins;
- a tag stands for one content of one object, so a reader who names it never gets a mixture;
- a listing holds every object, in no promised order.
"""

import io
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from mr.errors import BadName, ObjectChanged, ObjectExists, UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing: its whole name, its size in bytes, and the tag of its content."""

    name: str
    size: int
    tag: str


#: One level of a listing: the prefixes one level deeper, and the objects.
Level = tuple[list[str], list[Entry]]


class Writer(io.BufferedWriter):
    """What `Store.create` gives: takes bytes from first to last, and cannot seek.

    `tag` is the new object's tag once the with-block has ended, and empty before.
    """

    tag: str = ""


class Store(ABC):
    """Named objects. A name is relative and "/"-separated, as "jobs/j1/commits/map-7".

    Every method raises `StoreUnavailable` when the store does not answer (the same may work
    later), and `BadName` for a name that could leave the store.
    """

    #: What `mr.stores.open_store` turns back into this store.
    url: str
    #: Whether each request takes a round trip, so that reading ahead pays.
    is_remote: bool = False

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object whose name starts with `prefix`, in no promised order."""

    @abstractmethod
    def list_level(self, prefix: str = "") -> Level:
        """Return what lies directly under `prefix`, which is empty or ends in "/".

        The first list holds the prefixes one level deeper, whole and ending in "/" (an empty
        folder may be among them); the second holds the objects. Neither has a promised order.
        """

    @abstractmethod
    def stat(self, name: str) -> Entry | None:
        """Return what `list` says of this one object, without listing; None if there is none."""

    @abstractmethod
    def open(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> BinaryIO:
        """Open the bytes [start, end) of an object for reading; close it, or use `with`.

        A range is cut to the object's size. All bytes are of one content: when the object is
        changed under the reader, it gets the old bytes or an error.

        Raises:
            ObjectMissing: there is no such object.
            ObjectChanged: its tag is not `tag`, or it changed while it was read.
            ShortRead: fewer bytes came than the object has.
        """

    @abstractmethod
    def create(
        self, name: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> AbstractContextManager[Writer]:
        """Write an object in a with-block; it is visible when the block ends, and not before.

        A block left by an exception writes nothing. Without a condition an object of that name
        is replaced.

        Raises (at the end of the block):
            ObjectExists: `if_absent` was asked for and the object is there.
            ObjectChanged: the object's tag is not `if_match`, or there is no object.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete these objects, in few requests where the store can; see `delete`.

        After an error any of them may be deleted already.
        """
        for name in names:
            self.delete(name)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write many objects that a power cut may undo until the block has ended, not after.

        Each is visible when it is written.
        """
        yield

    @abstractmethod
    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store; `target` is replaced as a whole.

        Raises ObjectMissing when there is no `source`.
        """

    def read(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> bytes:
        """Return the bytes [start, end) of an object; raises as `open` does."""
        with self.open(name, start=start, end=end, tag=tag) as reader:
            return reader.read()

    def write(
        self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """Write a whole object and return its tag; raises as `create` does."""
        with self.create(name, if_absent=if_absent, if_match=if_match) as writer:
            writer.write(data)
        return writer.tag

    def sweep(self) -> int:
        """Remove what killed writers left behind (never visible); return how many things."""
        return 0

    def check_conditions(self) -> None:
        """Make sure that this store honours `if_absent` and `if_match`, on which jobs rest.

        Writes and deletes one small object. Raises UsageError that says what is ignored.
        """
        name = f"probes/{secrets.token_hex(16)}"
        try:
            old = self.write(name, b"old", if_absent=True)
            if self._accepts(name, if_absent=True):
                self._refuse("if_absent (two writers would both win)")
            new = self.write(name, b"new one")
            if self._accepts(name, if_match=old):
                self._refuse("if_match (a change could be lost)")
            if not self._accepts(name, if_match=new):
                self._refuse("its own tags (a write with the current tag fails)")
        finally:
            self.delete(name)

    def _accepts(self, name: str, *, if_absent: bool = False, if_match: str | None = None) -> bool:
        try:
            self.write(name, b"probe", if_absent=if_absent, if_match=if_match)
        except (ObjectExists, ObjectChanged):
            return False
        return True

    def _refuse(self, what: str) -> None:
        raise UsageError(f"the store {self.url} ignores {what}: keep the job in another store")


def check_name(name: str) -> None:
    """Raise BadName unless `name` is a relative path that stays inside its store."""
    _check_parts(name, name.split("/"))


def check_prefix(prefix: str) -> None:
    """Raise BadName unless `prefix` can begin the name of an object."""
    # What follows the last "/" may be the beginning of a name: "", ".", or "..x" cut short.
    folders = prefix.split("/")[:-1]
    _check_parts(prefix, folders or ["any"])


def _check_parts(name: str, parts: list[str]) -> None:
    if not all(parts):
        raise BadName(f"{name!r} cannot name an object: it is empty or has an empty part")
    if ".." in parts or "." in parts:
        raise BadName(f'{name!r} cannot name an object: a part is "." or ".."')
    if "\0" in name:
        raise BadName(f"{name!r} cannot name an object: it holds a NUL character")
    try:
        # A name that is not UTF-8 on disk comes as surrogate escapes, and may go back as such.
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadName(f"{name!r} cannot name an object: it is not valid Unicode") from None
