"""Stores: named objects that are whole or not there, and the directory that is one.

A job keeps everything in a store: its input, its plan, what its tasks write. What the rest of
the house relies on is little, and every store passes the same contract suite:

- an object becomes visible only when it is complete, and is replaced as a whole;
- of several writers with `if_absent` (or with `if_match` and the same tag) exactly one wins;
- a tag stands for one content of one object, so a reader who names it never gets a mixture;
- a listing holds every object, in no promised order.
"""

import errno
import fcntl
import io
import os
import re
import secrets
import shutil
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from mr.errors import (
    BadName,
    MrError,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    ShortRead,
    StoreError,
    StoreUnavailable,
    UsageError,
)

#: Bytes that a reader or a writer of a directory's object holds in memory.
BUFFER_BYTES = 128 * 1024

#: Bytes that `copy` moves at a time.
COPY_BYTES = 1024 * 1024

#: Folder of a directory store for what is not yet visible. No object's name may lie in it.
PENDING = ".tmp"

#: Attempts to place a file whose folder another process keeps removing.
PLACE_ATTEMPTS = 100


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

    #: What `open_store` turns back into this store.
    url: str

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


def open_store(url: str) -> Store:
    """Return the store at `url`: a path or a file:// URL is a directory.

    Raises UsageError for a URL of a kind that is not known.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if scheme is None:
        return DirectoryStore(url)
    if scheme[1].lower() == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"{url} names another machine: write file:///PATH (three slashes)")
        return DirectoryStore(unquote(parts.path, errors="surrogateescape"))
    if scheme[1].lower() == "s3":
        raise UsageError(f"{url}: S3 is not available in this version; give a directory")
    raise UsageError(f"{url}: a store is a directory or a file:// URL, not {scheme[1]}://")


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


class DirectoryStore(Store):
    """A directory as a store: an object is a file, and its name is the path under `path`.

    Safe between threads and processes, and between machines where the file system is (hard
    links and locks are what it needs). A tag is made of a file's time, size and inode, so a
    file that others rewrite in place, with the same size and within one tick of the clock
    (some milliseconds), keeps its tag. Reading creates nothing on disk.

    With `durable`, a power cut leaves each object whole or not there (its bytes are on the
    disk before its name is); without, which is faster for many small objects, an object
    written in the last half minute may then be found empty or cut short. The death of a
    process, by any signal, does no harm either way.

    Raises UsageError when `path` is a file.
    """

    def __init__(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        text = os.fspath(path)
        if not text:
            raise UsageError("a store's path is empty: name a directory")
        self.url = self._root = os.path.abspath(text)
        self._pending = os.path.join(self._root, PENDING)
        self._durable = durable
        if os.path.isfile(self._root):
            raise UsageError(f"{self._root} is a file: a store is a directory")

    def __repr__(self) -> str:
        return f"DirectoryStore({self._root!r})"

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object whose name starts with `prefix`, in no promised order.

        Links to files and folders are followed. A link that leads nowhere is listed with size 0
        (to open it raises ObjectMissing), so that what is missing does not go unseen. Raises
        StoreError for a folder that may not be read, or that holds itself by a link.
        """
        check_prefix(prefix)
        return self._walk(prefix)

    def _walk(self, prefix: str) -> Iterator[Entry]:
        folder, _, start = prefix.rpartition("/")
        # Each folder with the ids of the folders above it: a link upwards would never end.
        todo: list[tuple[str, tuple[tuple[int, int], ...]]] = [(folder and folder + "/", ())]
        while todo:
            folder, above = todo.pop()
            for name, status in self._scan(folder, start):
                if stat.S_ISDIR(status.st_mode):
                    identity = (status.st_dev, status.st_ino)
                    if identity in above:
                        raise StoreError(
                            f"{self._path(name)} is a link to a folder above it: remove the link"
                        )
                    todo.append((name + "/", (*above, identity)))
                else:
                    yield Entry(name, status.st_size, _tag(status))
            start = ""

    def list_level(self, prefix: str = "") -> Level:
        """Return the sub-prefixes and the objects directly under `prefix`, as `list` sees them."""
        if prefix and not prefix.endswith("/"):
            raise ValueError(f'a level is "" or ends in "/", not {prefix!r}')
        check_prefix(prefix)
        folders, entries = [], []
        for name, status in self._scan(prefix, ""):
            if stat.S_ISDIR(status.st_mode):
                folders.append(name + "/")
            else:
                entries.append(Entry(name, status.st_size, _tag(status)))
        return folders, entries

    def _scan(self, folder: str, start: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the files and folders of a folder ("" or ending in "/"): name and status."""
        if folder.startswith(PENDING + "/"):
            return
        try:
            # Whole at once: the caller may delete, and no folder stays open between items.
            with os.scandir(os.path.join(self._root, folder)) as scan:
                found = list(scan)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _explain(error, f"cannot list {self._path(folder)}") from error
        for item in found:
            if not item.name.startswith(start) or (not folder and item.name == PENDING):
                continue
            try:
                status = item.stat()
            except OSError as error:
                if item.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                    status = _NOWHERE
                elif error.errno == errno.ENOENT:
                    continue  # deleted since the folder was read
                else:
                    raise _explain(error, f"cannot list {item.path}") from error
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                yield folder + item.name, status

    def open(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> BinaryIO:
        """Open the bytes [start, end) of an object; see `Store.open`."""
        path = self._object(name)
        _check_range(start, end)
        try:
            # A pipe that somebody left here must not block the opening.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(path) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link to itself, a socket
                raise _missing(path) from None
            raise _explain(error, f"cannot read {path}") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _missing(path)
            if tag is not None and _tag(status) != tag:
                raise _changed(path)
            end = status.st_size if end is None else min(end, status.st_size)
            start = min(start, end)
            if start:
                os.lseek(descriptor, start, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        reader = _RangeReader(descriptor, path, end - start, _tag(status))
        return io.BufferedReader(reader, max(1, min(BUFFER_BYTES, end - start)))

    @contextmanager
    def create(
        self, name: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> Iterator[Writer]:
        """Write an object in a with-block; see `Store.create`."""
        if if_absent and if_match is not None:
            raise ValueError("if_absent and if_match exclude each other")
        path = self._object(name)
        pending, descriptor = self._new_pending(path)
        raw = _PendingFile(descriptor, path)
        try:
            writer = Writer(raw, BUFFER_BYTES)
            yield writer
            if not writer.closed:  # a wrapper around it may have closed it: the bytes are there
                writer.flush()
            if raw.failure is not None:  # somebody caught it, or a finaliser swallowed it
                raise raw.failure
            with _explained(f"cannot write {path}"):
                tag = self._seal(descriptor)
            self._place(pending, path, if_absent=if_absent, if_match=if_match)
            writer.tag = tag
        finally:
            raw.close()  # before its buffer: what an exception left there is not to be written
            with suppress(OSError):
                os.unlink(pending)
            os.close(descriptor)

    def _new_pending(self, path: str) -> tuple[str, int]:
        """Create the file that is to become `path`; locked, so that `sweep` knows it is alive."""
        pending = os.path.join(self._pending, secrets.token_hex(16))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with _explained(f"cannot write {path}"):
            try:
                descriptor = os.open(pending, flags, 0o666)
            except FileNotFoundError:
                os.makedirs(self._pending, exist_ok=True)
                descriptor = os.open(pending, flags, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except BaseException:
                os.close(descriptor)
                raise
        return pending, descriptor

    def _seal(self, descriptor: int) -> str:
        """Fix the file's time, bring its bytes to the disk, and return its tag."""
        # The file system's own time is coarse (milliseconds): two writes could look alike.
        now = time.time_ns()
        os.utime(descriptor, ns=(now, now))
        if self._durable:
            os.fsync(descriptor)
        return _tag(os.fstat(descriptor))

    def _place(self, pending: str, path: str, *, if_absent: bool, if_match: str | None) -> None:
        """Give the finished file its name, if the condition holds."""
        for _ in range(PLACE_ATTEMPTS):
            try:
                if if_absent:
                    os.link(pending, path)  # fails if the name is taken: one winner
                else:
                    with self._lock():
                        if if_match is not None and _tag_at(path) != if_match:
                            raise _changed(path)
                        os.rename(pending, path)
                return
            except FileNotFoundError as error:
                if not os.path.exists(pending):
                    raise _explain(error, f"cannot write {path}") from error
            except OSError as error:
                if os.path.isdir(path):
                    raise BadName(f"cannot write {path}: a folder has that name") from None
                if isinstance(error, FileExistsError):
                    raise ObjectExists(f"{path} exists already") from None
                if if_absent and error.errno in (errno.EPERM, errno.ENOTSUP):
                    raise StoreError(
                        f"cannot write {path}: its file system has no hard links, which a job "
                        "needs; choose a folder elsewhere"
                    ) from None
                raise _explain(error, f"cannot write {path}") from error
            # The folder is not there yet, or a deletion has just removed it (and may again).
            with (
                _explained(f"cannot write {path}"),
                suppress(FileNotFoundError, FileExistsError),
            ):
                os.makedirs(os.path.dirname(path), exist_ok=True)
        raise StoreUnavailable(f"cannot write {path}: its folder is removed again and again")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock under which objects are replaced and deleted; for microseconds only.

        Without it a write could slip in between the check of `if_match` and its renaming.
        """
        # Opened each time: one descriptor would not keep the threads of a process apart.
        descriptor = os.open(os.path.join(self._pending, "lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def delete(self, name: str) -> None:
        """Delete an object, and the folders that this leaves empty; see `Store.delete`."""
        path = self._object(name)
        if not os.path.lexists(path) or (os.path.isdir(path) and not os.path.islink(path)):
            return
        with _explained(f"cannot delete {path}"):
            os.makedirs(self._pending, exist_ok=True)
            with self._lock(), suppress(FileNotFoundError):
                os.unlink(path)
        folder = os.path.dirname(path)
        with suppress(OSError):  # until one is not empty
            while folder != self._root:
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store; see `Store.copy`."""
        with self.open(source) as reader, self.create(target) as writer:
            shutil.copyfileobj(reader, writer, COPY_BYTES)

    def sweep(self) -> int:
        """Remove the unfinished files of writers that were killed; return how many."""
        removed = 0
        try:
            names = os.listdir(self._pending)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise _explain(error, f"cannot list {self._pending}") from error
        for name in names:
            path = os.path.join(self._pending, name)
            if name == "lock":
                continue
            with _explained(f"cannot remove {path}"), suppress(FileNotFoundError, BlockingIOError):
                descriptor = os.open(path, os.O_RDWR)
                try:
                    # A living writer holds this lock; the kernel drops it when a process dies.
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
                    removed += 1
                finally:
                    os.close(descriptor)
        return removed

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name)

    def _object(self, name: str) -> str:
        check_name(name)
        if name == PENDING or name.startswith(PENDING + "/"):
            raise BadName(f"{name!r} cannot name an object: {PENDING} is for unfinished files")
        return self._path(name)


class _RangeReader(io.RawIOBase):
    """A stretch of an open file, which notices when the file is changed or cut under it."""

    def __init__(self, descriptor: int, path: str, length: int, tag: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._left = length
        self._position = 0
        self._tag = tag

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        with memoryview(buffer).cast("B") as view:
            wanted = min(len(view), self._left)
            with _explained(f"cannot read {self._path}"):
                count = os.readv(self._descriptor, [view[:wanted]]) if wanted else 0
        self._left -= count
        self._position += count
        if wanted and (not count or not self._left):
            self._check(count)
        return count

    def readall(self) -> bytes:
        # RawIOBase would read in pieces of 8 KB.
        pieces = []
        while self._left:
            with _explained(f"cannot read {self._path}"):
                piece = os.read(self._descriptor, self._left)
            self._left -= len(piece)
            self._position += len(piece)
            pieces.append(piece)
            if not piece or not self._left:
                self._check(len(piece))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check(self, count: int) -> None:
        """At the end of the range: the bytes are of one content only if the tag still holds."""
        with _explained(f"cannot read {self._path}"):
            status = os.fstat(self._descriptor)
        if _tag(status) != self._tag:
            raise ObjectChanged(f"{self._path} was changed while it was read")
        if not count:
            raise ShortRead(f"{self._path} ended {self._left} bytes early")

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class _PendingFile(io.FileIO):
    """The file under a `Writer`: cannot seek, and remembers that a write failed."""

    def __init__(self, descriptor: int, path: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.failure: MrError | None = None
        self._path = path

    def write(self, data) -> int | None:
        if self.failure is not None:
            raise self.failure
        try:
            return super().write(data)
        except OSError as error:
            self.failure = _explain(error, f"cannot write {self._path}")
            raise self.failure from error

    def seekable(self) -> bool:
        return False

    def truncate(self, size: int | None = None) -> int:
        raise io.UnsupportedOperation("an object is written from first to last byte")


#: The status of a link that leads nowhere: a file of no bytes, whose tag no file has.
_NOWHERE = os.stat_result((stat.S_IFREG, 0, 0, 0, 0, 0, 0, 0, 0, 0), {"st_mtime_ns": 0})


def _tag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def _tag_at(path: str) -> str | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _tag(status) if stat.S_ISREG(status.st_mode) else None


def _check_range(start: int, end: int | None) -> None:
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"[{start}, {end}) is no range of bytes")


def _missing(path: str) -> ObjectMissing:
    return ObjectMissing(f"there is no object {path}")


def _changed(path: str) -> ObjectChanged:
    return ObjectChanged(f"{path} is not the object it was: it was replaced, changed or deleted")


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explain(error, doing) from error


def _explain(error: OSError, doing: str) -> MrError:
    """Return our error for the system's: may it work later, or is it a definite answer?"""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailable(f"{doing}: the disk is full; free some space and go on")
    if error.errno == errno.EFBIG:
        return StoreUnavailable(f"{doing}: no larger file is allowed here (see ulimit -f)")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"{doing}: {error.strerror}; change its permissions or name another")
    if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return BadName(f"{doing}: {error.strerror}; choose another name")
    return StoreUnavailable(f"{doing}: {error.strerror}")
