"""Reading ahead: while one block is mapped, the next ones are on their way, in bounded memory.

For each block on its way a part of the budget is set aside, large enough for all of it or for a
stretch of it, so that none can take another's room. A few threads get piece after piece, always of
the earliest block that has room; none of them waits inside a block. Whoever reads a block that no
thread is at gets the next piece itself. So no block ever waits for one that comes later.
"""

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from mr.blocks import Block

#: Bytes ahead of what is read, at most, and blocks.
BUDGET_BYTES, MOST_BLOCKS = 64_000_000, 32
#: Blocks that are asked for at a time.
THREADS = 8
#: Bytes of a block that are asked for at a time.
PIECE_BYTES = 256 * 1024
#: The part of the budget that one large block may have: another one comes along beside it.
LARGE_PART = 4

OpenBlock = Callable[[Block], BinaryIO]


@contextmanager
def read_ahead(
    blocks: Sequence[Block],
    open_block: OpenBlock,
    *,
    budget_bytes: int = BUDGET_BYTES,
    most_blocks: int = MOST_BLOCKS,
    threads: int = THREADS,
) -> Iterator[OpenBlock]:
    """Give an `open_block` for blocks that will be opened in this order, or not at all.

    What it gives reads as what `open_block` gives, and both raise the same, at the same place. The
    first opening of each of the blocks is prepared; another one, and any other block's, goes
    straight to `open_block`, which must be fit for several threads. A block that is passed over is
    let go once a later one is opened. The end of the with-block ends all threads and closes all
    streams.
    """
    ahead = _Ahead(blocks, open_block, budget_bytes, most_blocks)
    running: list[threading.Thread] = []
    try:
        for _ in range(min(threads, len(blocks))):
            thread = threading.Thread(target=ahead.work, daemon=True)
            thread.start()
            running.append(thread)
        yield ahead.open
    finally:
        ahead.stop()
        for thread in running:
            thread.join()
        ahead.close()


class _Coming:
    """A block on its way. Whoever has set `is_busy` works with its stream, and nobody else."""

    def __init__(self, block: Block, most_bytes: int) -> None:
        self.block = block
        #: Bytes of the budget that are set aside: one more than the block has, to see its end.
        self.room = min(block.size + 1, most_bytes)
        self.stream: BinaryIO | None = None
        self.pieces: deque[bytes] = deque()
        #: Bytes of all pieces, how many of the first one's are read, and of all that ever came.
        self.held = self.used = self.received = 0
        self.is_busy = False
        self.is_open = False
        #: Nothing more comes: it is at its end, or `error` is what the reader is to be told.
        self.is_ended = False
        self.error: BaseException | None = None
        #: The reader has opened it.
        self.is_taken = False
        #: Nobody will read on.
        self.is_dropped = False

    @property
    def piece_bytes(self) -> int:
        """How many bytes to ask for next."""
        left = self.block.size + 1 - self.received
        return min(PIECE_BYTES, self.room, left if left > 0 else PIECE_BYTES)

    @property
    def has_room(self) -> bool:
        """Whether there is something to do for a thread."""
        if self.is_busy or self.is_ended or self.is_dropped:
            return False
        return not self.is_open or self.held + self.piece_bytes <= self.room

    @property
    def set_aside(self) -> int:
        """Bytes of the budget that it has now."""
        return self.held if self.is_ended else self.room

    def close(self) -> None:
        """Let go of all there is."""
        self.pieces.clear()
        self.held = 0
        if self.stream is not None:
            # It was for reading: nothing is lost, and the reader has its answer.
            with suppress(Exception):
                self.stream.close()
            self.stream = None


class _Ahead:
    def __init__(
        self, blocks: Sequence[Block], open_block: OpenBlock, budget_bytes: int, most_blocks: int
    ) -> None:
        unique = {_identity(block): block for block in blocks}
        self._blocks = list(unique.values())
        #: Where each block stands that was not opened yet.
        self._places = {identity: place for place, identity in enumerate(unique)}
        self._open_block = open_block
        self._budget_bytes = budget_bytes
        self._most_blocks = most_blocks
        #: By place, rising.
        self._coming: dict[int, _Coming] = {}
        #: The place of the next block to begin.
        self._next = 0
        self._is_stopped = False
        self._changed = threading.Condition()

    # What the reader's thread calls

    def open(self, block: Block) -> BinaryIO:
        with self._changed:
            place = self._places.pop(_identity(block), None)
            coming = None if place is None else self._take(place)
            self._tidy()
        if coming is None:
            return self._open_block(block)
        self._wait(coming, lambda: coming.is_open or coming.is_ended)
        if not coming.is_open:
            coming.is_dropped = True
            raise coming.error
        return _AheadStream(self, coming)

    def _take(self, place: int) -> _Coming | None:
        """The block at a place, begun if it was not; None if there is no room for it."""
        for earlier, coming in self._coming.items():
            if earlier < place and not coming.is_taken:
                coming.is_dropped = True
        self._tidy()
        if place >= self._next:
            self._next = place
            self._begin_next()
            self._next = place + 1
        coming = self._coming.get(place)
        if coming is None or coming.is_dropped:
            return None
        coming.is_taken = True
        return coming

    def read(self, coming: _Coming, most: int) -> bytes:
        """Up to so many of the next bytes, none at the end. Raises what the store raised."""
        self._wait(coming, lambda: coming.pieces or coming.is_ended or coming.is_dropped)
        with self._changed:
            if coming.is_dropped:
                raise ValueError("read of a block that was closed")
            if not coming.pieces:
                if coming.error is not None:
                    raise coming.error
                return b""
            first, start = coming.pieces[0], coming.used
            coming.used += most
            if coming.used < len(first):
                return first[start : coming.used]
            coming.pieces.popleft()
            coming.held -= len(first)
            coming.used = 0
            self._changed.notify_all()
            return first[start:] if start else first

    def _wait(self, coming: _Coming, is_ready: Callable[[], object]) -> None:
        """Wait for the thread that is at a block; where none is, work at it oneself."""
        while True:
            with self._changed:
                while coming.is_busy and not is_ready():
                    self._changed.wait()
                if is_ready():
                    return
                coming.is_busy = True
            self._advance(coming)

    # What the threads do

    def work(self) -> None:
        """Get piece after piece until `stop`."""
        while True:
            with self._changed:
                while (coming := self._next_to_do()) is None and not self._is_stopped:
                    self._changed.wait()
                if self._is_stopped:
                    return
                coming.is_busy = True
            self._advance(coming)

    def _next_to_do(self) -> _Coming | None:
        for coming in self._coming.values():
            if coming.has_room:
                return coming
        return self._begin_next()

    def _begin_next(self) -> _Coming | None:
        """Set room aside for the next block; None if there is no room, or no block."""
        if self._next == len(self._blocks) or len(self._coming) >= self._most_blocks:
            return None
        coming = _Coming(self._blocks[self._next], max(1, self._budget_bytes // LARGE_PART))
        set_aside = sum(other.set_aside for other in self._coming.values())
        if set_aside + coming.room > self._budget_bytes:
            return None
        self._coming[self._next] = coming
        self._next += 1
        return coming

    def _advance(self, coming: _Coming) -> None:
        """Open a block, or get its next piece; it is marked as busy."""
        stream, piece, error = coming.stream, b"", None
        opens = stream is None
        try:
            if opens:
                stream = self._open_block(coming.block)
            else:
                piece = stream.read(coming.piece_bytes)
        except BaseException as raised:
            error = raised
        with self._changed:
            coming.is_busy = False
            coming.stream = stream
            if error is not None or not (opens or piece):
                coming.is_ended, coming.error = True, error
            else:
                coming.is_open = True
            if piece:
                coming.pieces.append(piece)
                coming.held += len(piece)
                coming.received += len(piece)
            self._tidy()
            self._changed.notify_all()

    def _tidy(self) -> None:
        """Let go of what nobody reads on, and of streams that are at their end."""
        for place, coming in list(self._coming.items()):
            if coming.is_busy:
                continue
            if coming.is_dropped:
                coming.close()
                del self._coming[place]
            elif coming.is_ended and coming.stream is not None:
                with suppress(Exception):
                    coming.stream.close()
                coming.stream = None
        self._changed.notify_all()

    # The end

    def stop(self) -> None:
        """Tell the threads to end."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close all that is open, when the threads have ended."""
        with self._changed:
            for coming in self._coming.values():
                coming.is_dropped = True
            self._tidy()


class _AheadStream(io.BufferedIOBase):
    """A block that is read ahead, as the reader sees it."""

    def __init__(self, ahead: _Ahead, coming: _Coming) -> None:
        self._ahead = ahead
        self._coming = coming

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, fewer only at the end of the block."""
        missing = float("inf") if size is None or size < 0 else size
        parts = []
        while missing > 0 and (part := self._read(missing)):
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        """Return what is there, up to so many bytes; none at the end of the block only."""
        return self._read(PIECE_BYTES if size < 0 else size) if size else b""

    def _read(self, most: float) -> bytes:
        return self._ahead.read(self._coming, int(min(most, PIECE_BYTES)))

    def close(self) -> None:
        # A mark only: what a garbage collector closes, it closes in any thread, at any place.
        self._coming.is_dropped = True
        super().close()


def _identity(block: Block) -> tuple[str, str]:
    return block.store_url, block.key
