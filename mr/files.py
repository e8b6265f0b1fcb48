"""Files as a directory store reads and writes them: their tags, and the system's errors as ours."""

import ctypes
import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mr.errors import (
    BadName,
    MrError,
    ObjectChanged,
    ObjectMissing,
    ShortRead,
    StoreError,
    StoreUnavailable,
)


class RangeReader(io.RawIOBase):
    """A stretch of an open file, which notices when the file is changed or cut under it."""

    def __init__(self, descriptor: int, path: str, length: int, tag: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._left = length
        self._position = 0
        self._tag = tag

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes of the range are read."""
        return self._position

    def readinto(self, buffer) -> int:
        """Read into the buffer once; 0 at the end of the range. Raises as `Store.open` says."""
        with memoryview(buffer).cast("B") as view:
            wanted = min(len(view), self._left)
            with explained(f"cannot read {self._path}"):
                count = os.readv(self._descriptor, [view[:wanted]]) if wanted else 0
        self._left -= count
        self._position += count
        if wanted and (not count or not self._left):
            self._check(count)
        return count

    def readall(self) -> bytes:
        """Return the rest of the range; raises as `Store.open` says."""
        # RawIOBase would read in pieces of 8 KB.
        pieces = []
        while self._left:
            with explained(f"cannot read {self._path}"):
                piece = os.read(self._descriptor, self._left)
            self._left -= len(piece)
            self._position += len(piece)
            pieces.append(piece)
            if not piece or not self._left:
                self._check(len(piece))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check(self, count: int) -> None:
        """At the end of the range: the bytes are of one content only if the tag still holds."""
        with explained(f"cannot read {self._path}"):
            status = os.fstat(self._descriptor)
        if tag_of(status) != self._tag:
            raise ObjectChanged(f"{self._path} was changed while it was read")
        if not count:
            raise ShortRead(f"{self._path} ended {self._left} bytes early")

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class PendingFile(io.FileIO):
    """The file under a `Writer`: cannot seek, and remembers that a write failed."""

    def __init__(self, descriptor: int, path: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.failure: MrError | None = None
        self._path = path

    def write(self, data) -> int | None:
        """Write once; raises our error, and from then on raises it again."""
        if self.failure is not None:
            raise self.failure
        try:
            return super().write(data)
        except OSError as error:
            self.failure = explain(error, f"cannot write {self._path}")
            raise self.failure from error

    def seekable(self) -> bool:
        """Return False."""
        return False

    def truncate(self, size: int | None = None) -> int:
        """Raise UnsupportedOperation."""
        raise io.UnsupportedOperation("an object is written from first to last byte")


def tag_of(status: os.stat_result) -> str:
    """Return the tag that stands for the content of a file of this status."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def tag_at(path: str) -> str | None:
    """Return the tag of the file at `path`, None if there is no file."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return tag_of(status) if stat.S_ISREG(status.st_mode) else None


def is_at(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Whether the open file is the one at `path`: a file may be removed before it is locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def missing(path: str) -> ObjectMissing:
    """Return the error that says there is no such object."""
    return ObjectMissing(f"there is no object {path}")


def changed(path: str) -> ObjectChanged:
    """Return the error that says the object is another by now."""
    return ObjectChanged(f"{path} is not the object it was: it was replaced, changed or deleted")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an OSError of the with-block into our error, which begins with `doing`."""
    try:
        yield
    except OSError as error:
        raise explain(error, doing) from error


def explain(error: OSError, doing: str) -> MrError:
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


def sync_file_system(path: str) -> None:
    """Bring to the disk all that was written to the file system that holds `path`."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # Linux alone has it
        os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "the disk could not be written")
    finally:
        os.close(descriptor)
