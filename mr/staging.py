"""Files that a reduce task writes: kept apart until its commit names them, then put in place."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from mr.errors import AnalysisError, BadName
from mr.store import Store, Writer, check_name

#: Bytes that are copied at a time from one store to another.
COPY_BYTES = 1024 * 1024

#: Creates the object that holds a task's file of this number and name until it is put in place.
Create = Callable[[int, str], AbstractContextManager[Writer]]


class StagedFile(io.BufferedIOBase):
    """A file that is being written: takes bytes from first to last, and cannot seek.

    It counts once it was closed; one left by an exception in its with-block never does.
    """

    def __init__(self, create: AbstractContextManager[Writer]) -> None:
        #: Whether it was dropped.
        self.abandoned = False
        self._stack = ExitStack()
        self._writer = self._stack.enter_context(create)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data) -> int:
        """Write bytes."""
        return self._writer.write(data)

    def close(self) -> None:
        """Finish the file; raises as the end of `Store.create` does."""
        if not self.closed:
            super().close()
            self._stack.close()

    def abandon(self, error: BaseException) -> None:
        """Drop what was written."""
        if not self.closed:
            self.abandoned = True
            super().close()
            self._stack.__exit__(type(error), error, error.__traceback__)

    def __exit__(self, kind, error, trace) -> None:
        if error is None:
            self.close()
        else:
            self.abandon(error)

    def __del__(self) -> None:
        """Do not finish a file because it is forgotten."""


class StagedFiles:
    """The files of one attempt, by the names that they are to have in the output."""

    def __init__(self, create: Create) -> None:
        self._create = create
        self._files: dict[str, StagedFile] = {}

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each file that counts, by its name."""
        return {
            name: number
            for number, (name, file) in enumerate(self._files.items())
            if not file.abandoned
        }

    def open(self, name: str) -> StagedFile:
        """Begin a file; raises AnalysisError for a name that was used, or cannot be one."""
        try:
            check_name(name)
        except BadName as error:
            raise AnalysisError(f"output.open: {error}.") from None
        if name in self._files:
            raise AnalysisError(f"output.open: {name} was opened before in this task.")
        file = self._files[name] = StagedFile(self._create(len(self._files), name))
        return file

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Finish every file that is still open; after an exception drop them."""
        for file in self._files.values():
            if error is None:
                file.close()
            else:
                file.abandon(error)


def copy_between(
    source: Store, name: str, target: Store, new_name: str, moved: Callable[[], None]
) -> None:
    """Copy an object from one store to another; `moved` hears of each piece."""
    if source.url == target.url:
        source.copy(name, new_name)
        moved()
        return
    with source.open(name) as reader, target.create(new_name) as writer:
        while data := reader.read(COPY_BYTES):
            writer.write(data)
            moved()
