"""Runs in a store as the sources of a merge: opened together, where an opening is a round trip."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO

from mr.runs import Rows, read_run
from mr.stopwatch import READ, WATCH
from mr.store import Store

#: Runs that are opened at a time.
THREADS = 16
#: A run of so many bytes is read whole when it is opened: 64 MB for all that are merged at a time.
WHOLE_BYTES = 512 * 1000


@dataclass(frozen=True, slots=True)
class Run:
    """A run in a store, and how it is opened; calling it starts reading.

    With `begin` its opening begins at the call, in another thread, else at the first rows. What
    goes wrong is raised at the first rows either way.
    """

    store: Store
    name: str
    offset: int
    length: int
    begin: "Callable[[Run], Iterator[Rows]] | None" = None

    def __call__(self) -> Iterator[Rows]:
        """Start reading."""
        return self.rows(self.open) if self.begin is None else self.begin(self)

    @property
    def is_small(self) -> bool:
        """Whether it is read whole when it is opened ahead."""
        return self.length <= WHOLE_BYTES

    def open(self) -> BinaryIO:
        """Open its bytes."""
        return self.store.open(self.name, start=self.offset, end=self.offset + self.length)

    def fetch(self) -> BinaryIO:
        """Open its bytes; those of a small run are in memory then."""
        if not self.is_small:
            return self.open()
        with self.open() as stream:
            return io.BytesIO(stream.read())

    def rows(self, opened: Callable[[], BinaryIO]) -> Iterator[Rows]:
        """Yield its rows, from the stream that is opened when the first ones are asked for."""
        before = WATCH.enter(READ)
        with opened() as stream:
            WATCH.enter(before)
            yield from read_run(stream, self.length, self.name)


class Sources:
    """Runs of a store, to be merged or read in turn; their number is bounded by who calls them.

    Those of a remote store that are called before the first is read (as a merge does) are opened
    together, several at a time. The end of the with-block closes what is still open.
    """

    def __init__(self, store: Store) -> None:
        self._pool = ThreadPoolExecutor(THREADS) if store.is_remote else None
        self._opened: set[Future[BinaryIO]] = set()

    def __enter__(self) -> "Sources":
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(cancel_futures=True)
        for future in list(self._opened):
            if not future.cancelled() and future.exception() is None:
                future.result().close()

    def of(self, run: Run) -> Run:
        """A run of the store as one of these."""
        return run if self._pool is None else replace(run, begin=self._begin)

    def in_turn(self, runs: Iterable[Run]) -> Iterator[Rows]:
        """Yield the rows of one run after the other.

        While one is read, the next ones, if they are small, come from a remote store already.
        """
        ahead = 0 if self._pool is None else THREADS
        coming: deque[Iterator[Rows]] = deque()
        for run in runs:
            coming.append(run() if run.is_small else run.rows(run.open))
            if len(coming) > ahead:
                yield from coming.popleft()
        while coming:
            yield from coming.popleft()

    def _begin(self, run: Run) -> Iterator[Rows]:
        opened = self._pool.submit(run.fetch)
        self._opened.add(opened)
        return self._rows(run, opened)

    def _rows(self, run: Run, opened: Future[BinaryIO]) -> Iterator[Rows]:
        yield from run.rows(opened.result)
        # At its end it is closed, and its bytes need not be kept.
        self._opened.discard(opened)
