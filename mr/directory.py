"""The directory that is a store: an object is a file, unfinished ones lie in a folder apart."""

import errno
import fcntl
import io
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from mr.errors import BadName, ObjectExists, StoreError, StoreUnavailable, UsageError
from mr.files import (
    PendingFile,
    RangeReader,
    changed,
    explain,
    explained,
    is_at,
    missing,
    sync_file_system,
    tag_at,
    tag_of,
)
from mr.store import Entry, Level, Store, Writer, check_name, check_prefix
from mr.text import is_utf8, utf8

#: Bytes that a reader or a writer of a directory's object holds in memory.
BUFFER_BYTES = 128 * 1024

#: Bytes that `copy` moves at a time.
COPY_BYTES = 1024 * 1024

#: Folder of a directory store for what is not yet visible. No object's name may lie in it.
PENDING = ".tmp"

#: Attempts to place a file whose folder another process keeps removing.
PLACE_ATTEMPTS = 100

#: What the system says of a link that leads nowhere, also when its target could not be there.
_LEADS_NOWHERE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)

#: The status of a link that leads nowhere: a file of no bytes, whose tag no file has.
_NOWHERE = os.stat_result((stat.S_IFREG, 0, 0, 0, 0, 0, 0, 0, 0, 0), {"st_mtime_ns": 0})


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
        if not is_utf8(self._root):
            # It stands in plans and messages.
            raise UsageError(f"{utf8(self._root).decode()}: the name is not UTF-8; rename it.")
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
                    yield Entry(name, status.st_size, tag_of(status))
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
                entries.append(Entry(name, status.st_size, tag_of(status)))
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
            raise explain(error, f"cannot list {self._path(folder)}") from error
        for item in found:
            if not item.name.startswith(start) or (not folder and item.name == PENDING):
                continue
            try:
                status = item.stat()
            except OSError as error:
                if item.is_symlink() and error.errno in _LEADS_NOWHERE:
                    status = _NOWHERE
                elif error.errno == errno.ENOENT:
                    continue  # deleted since the folder was read
                else:
                    raise explain(error, f"cannot list {item.path}") from error
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                yield folder + item.name, status

    def stat(self, name: str) -> Entry | None:
        """Return what `list` says of this one object; see `Store.stat`."""
        path = self._object(name)
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in _LEADS_NOWHERE:
                raise explain(error, f"cannot look at {path}") from error
            if not os.path.islink(path):
                return None
            status = _NOWHERE
        if not stat.S_ISREG(status.st_mode):
            return None
        return Entry(name, status.st_size, tag_of(status))

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
            raise missing(path) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link to itself, a socket
                raise missing(path) from None
            raise explain(error, f"cannot read {path}") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise missing(path)
            if tag is not None and tag_of(status) != tag:
                raise changed(path)
            end = status.st_size if end is None else min(end, status.st_size)
            start = min(start, end)
            if start:
                os.lseek(descriptor, start, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        reader = RangeReader(descriptor, path, end - start, tag_of(status))
        return io.BufferedReader(reader, max(1, min(BUFFER_BYTES, end - start)))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Bring all that is written in the block to the disk at once; see `Store.together`."""
        # One by one they take some milliseconds each: publishing 15,000 files took 46 seconds.
        if not self._durable:
            yield
            return
        self._durable = False
        try:
            yield
        finally:
            self._durable = True
        with explained(f"cannot write {self._root}"):
            sync_file_system(self._root)

    @contextmanager
    def create(
        self, name: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> Iterator[Writer]:
        """Write an object in a with-block; see `Store.create`."""
        if if_absent and if_match is not None:
            raise ValueError("if_absent and if_match exclude each other")
        path = self._object(name)
        pending, descriptor = self._new_pending(path)
        raw = PendingFile(descriptor, path)
        try:
            writer = Writer(raw, BUFFER_BYTES)
            yield writer
            if not writer.closed:  # a wrapper around it may have closed it: the bytes are there
                writer.flush()
            if raw.failure is not None:  # somebody caught it, or a finaliser swallowed it
                raise raw.failure
            with explained(f"cannot write {path}"):
                tag = self._seal(descriptor)
            self._place(pending, path, if_absent=if_absent, if_match=if_match)
            writer.tag = tag
        except BaseException:
            with suppress(OSError):
                os.unlink(pending)
            raise
        finally:
            raw.close()  # before its buffer: what an exception left there is not to be written
            os.close(descriptor)

    def _new_pending(self, path: str) -> tuple[str, int]:
        """Create the file that is to become `path`; locked, so that `sweep` knows it is alive."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with explained(f"cannot write {path}"):
            while True:
                pending = os.path.join(self._pending, secrets.token_hex(16))
                try:
                    descriptor = os.open(pending, flags, 0o666)
                except FileNotFoundError:
                    os.makedirs(self._pending, exist_ok=True)
                    descriptor = os.open(pending, flags, 0o666)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    if is_at(descriptor, pending):
                        return pending, descriptor
                except BaseException:
                    os.close(descriptor)
                    raise
                # A sweep took it for dead: it was not locked yet.
                os.close(descriptor)

    def _seal(self, descriptor: int) -> str:
        """Fix the file's time, bring its bytes to the disk, and return its tag."""
        # The file system's own time is coarse (milliseconds): two writes could look alike.
        now = time.time_ns()
        os.utime(descriptor, ns=(now, now))
        if self._durable:
            os.fsync(descriptor)
        return tag_of(os.fstat(descriptor))

    def _place(self, pending: str, path: str, *, if_absent: bool, if_match: str | None) -> None:
        """Give the finished file its name, if the condition holds."""
        for _ in range(PLACE_ATTEMPTS):
            try:
                if if_absent:
                    os.link(pending, path)  # fails if the name is taken: one winner
                    with suppress(OSError):
                        os.unlink(pending)
                else:
                    with self._lock():
                        if if_match is not None and tag_at(path) != if_match:
                            raise changed(path)
                        os.rename(pending, path)
                return
            except FileNotFoundError as error:
                if not os.path.exists(pending):
                    raise explain(error, f"cannot write {path}") from error
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
                raise explain(error, f"cannot write {path}") from error
            # The folder is not there yet, or a deletion has just removed it (and may again).
            with (
                explained(f"cannot write {path}"),
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
        with explained(f"cannot delete {path}"):
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
            raise explain(error, f"cannot list {self._pending}") from error
        for name in names:
            path = os.path.join(self._pending, name)
            if name == "lock":
                continue
            with (
                explained(f"cannot remove {path}"),
                # Gone by itself, alive, or another person's.
                suppress(FileNotFoundError, BlockingIOError, PermissionError),
            ):
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


def _check_range(start: int, end: int | None) -> None:
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"[{start}, {end}) is no range of bytes")
