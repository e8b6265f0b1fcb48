"""Files that a reduce task writes: kept apart until its commit names them, then put in place.

All files of an attempt lie in one object, one after the other: a reduce may write thousands, most
of them small.
"""

import io
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from mr.errors import AnalysisError, BadName
from mr.runs import Span, read_exactly
from mr.store import Store, check_name

#: Bytes of an unfinished file that are held in memory; the rest goes to local disk.
SPOOLED_BYTES = 256 * 1024
#: Bytes that are copied at a time.
COPY_BYTES = 1024 * 1024
#: Files that are put in place at a time in a store where each is a round trip.
PLACED_AT_ONCE = 16


class StagedFile(io.BufferedIOBase):
    """A file that is being written: takes bytes from first to last, and cannot seek.

    It counts once it was closed; one left by an exception in its with-block never does.
    """

    def __init__(self, finish: Callable[[BinaryIO], None], folder: Path) -> None:
        self._finish = finish
        self._spool = tempfile.SpooledTemporaryFile(SPOOLED_BYTES, dir=folder)  # noqa: SIM115

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data) -> int:
        """Write bytes."""
        return self._spool.write(data)

    def close(self) -> None:
        """Finish the file."""
        if not self.closed:
            super().close()
            with self._spool:
                self._spool.seek(0)
                self._finish(self._spool)

    def abandon(self) -> None:
        """Drop what was written."""
        if not self.closed:
            super().close()
            self._spool.close()

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        """Do not finish a file because it is forgotten."""


class StagedFiles:
    """The files of one attempt: their bytes go to `out`; unfinished ones may use `folder`."""

    def __init__(self, out: BinaryIO, folder: Path) -> None:
        self._out = out
        self._folder = folder
        self._written = 0
        self._open: dict[str, StagedFile] = {}
        #: The place of each file's bytes in `out`, by the name that it is to have.
        self.spans: dict[str, Span] = {}

    def open(self, name: str) -> StagedFile:
        """Begin a file; raises AnalysisError for a name that was used, or cannot be one."""
        try:
            check_name(name)
        except BadName as error:
            raise AnalysisError(f"output.open: {error}.") from None
        if name in self.spans or (name in self._open and not self._open[name].closed):
            raise AnalysisError(f"output.open: {name} was opened before in this task.")

        def finish(spool: BinaryIO) -> None:
            length = spool.seek(0, io.SEEK_END)
            spool.seek(0)
            shutil.copyfileobj(spool, self._out, COPY_BYTES)
            self.spans[name] = Span(self._written, length)
            self._written += length
            del self._open[name]

        file = self._open[name] = StagedFile(finish, self._folder)
        return file

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Finish every file that is still open; after an exception drop them."""
        for file in list(self._open.values()):
            if kind is None:
                file.close()
            else:
                file.abandon()


def place_files(
    spans: Mapping[str, Span],
    read: Callable[[int, int], BinaryIO],
    target: Store,
    moved: Callable[[], None],
) -> None:
    """Write each file to its place; `read` opens a range of the object that holds them.

    Several at a time where each is a round trip. `moved` hears of each piece.
    """

    def place(reader: BinaryIO, name: str) -> None:
        left = spans[name].length
        with target.create(name) as writer:
            moved()
            while left:
                left -= writer.write(read_exactly(reader, min(left, COPY_BYTES), name))
                moved()

    def place_alone(name: str) -> None:
        span = spans[name]
        with read(span.offset, span.offset + span.length) as reader:
            place(reader, name)

    with target.together():
        if target.is_remote:
            with ThreadPoolExecutor(PLACED_AT_ONCE) as pool:
                for _ in pool.map(place_alone, spans):
                    pass
        elif spans:
            # They lie one after the other: to open each for itself took a fifth of the time.
            with read(0, max(span.offset + span.length for span in spans.values())) as reader:
                for name in spans:
                    place(reader, name)
