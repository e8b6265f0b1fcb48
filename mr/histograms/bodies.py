"""The bodies of published JSON files: plain in a directory, gzipped in a bucket.

A bucket is read by browsers, which unpack what is announced to them as gzip; what is announced is
the store's part. Whoever reads a body tells by its first bytes which it is: a folder may have been
copied from the one to the other.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from mr.store import Store

#: The first bytes of what gzip has made.
GZIP = b"\x1f\x8b"
#: The ending of the names of these files.
ENDING = ".json"

#: zlib's words for: with the header and the checksum of gzip.
_AS_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 6
#: Bytes of JSON in a piece.
_PIECE_BYTES = 256 * 1024

OpenFile = Callable[[str], BinaryIO]


def body_of(output: Store, data: bytes) -> bytes:
    """JSON as the body of a file in a published folder; the same bytes for the same JSON."""
    if not output.is_remote:
        return data
    packer = _packer()
    return packer.compress(data) + packer.flush()


def packing(open_file: OpenFile, output: Store) -> OpenFile:
    """`open_file`, for whose JSON files the same holds."""
    if not output.is_remote:
        return open_file

    def open_packed(name: str) -> BinaryIO:
        file = open_file(name)
        return PackedFile(file) if name.endswith(ENDING) else file

    return open_packed


class PackedFile:
    """A file that is gzipped as it is written; it counts once it was closed, as the file itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packer = _packer()

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self._file.write(self._packer.compress(data))
        return len(data)

    def close(self) -> None:
        """Finish the file."""
        self._file.write(self._packer.flush())
        self._file.close()


def _packer() -> "zlib._Compress":
    # The header that zlib writes has no name and no time.
    return zlib.compressobj(_LEVEL, wbits=_AS_GZIP)


def read_body(output: Store, name: str, *, tag: str | None = None) -> bytes:
    """Return a file's JSON, whichever body it has.

    Raises ValueError for a damaged one, as the reader of JSON does, and else as `Store.open`.
    """
    return b"".join(pieces(output, name, tag=tag))


def pieces(output: Store, name: str, *, tag: str | None = None) -> Iterator[bytes]:
    """Yield a file's JSON piece by piece; raises as `read_body`."""
    with output.open(name, tag=tag) as stream:
        head = stream.read(len(GZIP))
        if not head.startswith(GZIP):
            yield head
            yield from iter(lambda: stream.read(_PIECE_BYTES), b"")
            return
        with gzip.GzipFile(fileobj=_Continued(head, stream)) as unpacked:
            try:
                yield from iter(lambda: unpacked.read(_PIECE_BYTES), b"")
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"its gzip is damaged: {error}") from None


class _Continued:
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        head, self._head = self._head, b""
        return head + self._stream.read(size - len(head))
