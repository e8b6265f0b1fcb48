"""A block's lines: from its bytes to chunks of whole lines, in bounded memory, and their account.

A line that is too long to hold is skipped. No other is validated here, but for the last one of a
damaged block: it may not be whole.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from mr.codecs import Damage, decompress
from mr.errors import ShortRead
from mr.stopwatch import DECOMPRESS, READ, SPLIT_LINES, WATCH
from mr.validity import MAX_LINE_BYTES, TOO_LONG, check_long_line

if TYPE_CHECKING:
    from mr.blocks import Block

#: Lines of fewer bytes are counted faster by looking at every byte.
SHORT_LINE_BYTES = 2048
#: Bad records of one block whose places are kept; all are counted.
BAD_PLACES_KEPT = 100


@dataclass
class BlockAccount:
    """What one block held: grows as the block is read."""

    #: Lines, good, bad and left out by sampling.
    lines: int = 0
    #: Good records.
    records: int = 0
    #: Bytes after decompression.
    raw_bytes: int = 0
    compressed_bytes: int = 0
    #: Bad records: reason to number.
    bad: Counter[str] = field(default_factory=Counter)
    #: (line, reason) of the first `BAD_PLACES_KEPT` bad records; lines count from 1.
    bad_places: list[tuple[int, str]] = field(default_factory=list)
    #: Why the block could not be read whole, None if it was.
    damage: str | None = None

    def add_bad(self, line: int, reason: str) -> None:
        """Count a bad record."""
        self.bad[reason] += 1
        if len(self.bad_places) < BAD_PLACES_KEPT:
            self.bad_places.append((line, reason))


def read_lines(
    block: "Block", open_block: Callable[[], BinaryIO], account: BlockAccount
) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, bytes) of chunks of whole lines, about 1 MB each.

    Every line ends with a newline. `open_block` opens the block from its start, more than once if
    the block is damaged.

    Raises ShortRead when fewer bytes come than `block.size`, and what `open_block` raises.
    """
    pieces = WATCH.within(DECOMPRESS, _decompressed(block, open_block, account))
    return WATCH.within(SPLIT_LINES, split_lines(pieces, account))


def split_lines(
    pieces: Iterable[bytes], account: BlockAccount, *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes]]:
    """Cut pieces of a block at newlines, as `read_lines` does.

    A line over `max_line_bytes` is skipped and counted as bad (pieces are no longer than that).
    A last line without a newline counts unless the block is damaged: then it counts only if it is
    good, so surely whole.
    """
    number = 1
    tail: list[bytes] = []  # the start of a line, in pieces
    tail_bytes = 0
    for piece in pieces:
        start = 0
        end = piece.rfind(b"\n") + 1
        if end:
            if tail_bytes:
                # Alone, or a long line would be held for as long as the short ones after it.
                start = piece.find(b"\n") + 1
                account.lines += 1
                if tail_bytes + start - 1 > max_line_bytes:
                    account.add_bad(number, TOO_LONG)
                else:
                    tail.append(piece[:start])
                    yield number, _joined(tail)
                number += 1
                tail_bytes = 0
                tail.clear()
            if start < end:
                chunk = piece[start:end]
                lines = _count_lines(chunk)
                account.lines += lines
                yield number, chunk
                number += lines
        tail_bytes += len(piece) - end
        if tail_bytes > max_line_bytes:
            tail.clear()
        elif end < len(piece):
            tail.append(piece[end:])
    if account.damage is not None:
        last = _joined(tail)
        if not last or check_long_line(last, 0, len(last)) is not None:
            return
        tail.append(last)
        del last
    if tail_bytes:
        account.lines += 1
    if tail_bytes > max_line_bytes:
        account.add_bad(number, TOO_LONG)
    elif tail_bytes:
        tail.append(b"\n")
        yield number, _joined(tail)


def lines_of(chunk: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each line of a chunk of whole lines its place among them, its begin and its newline."""
    start = 0
    for line in itertools.count():
        end = chunk.find(b"\n", start)
        if end < 0:
            return
        yield line, start, end
        start = end + 1


def _count_lines(chunk: bytes) -> int:
    # `count` looks at every byte, `find` leaps to the next line: of lines of 50 KB ten times as
    # fast, 3% of a job that counts records.
    if chunk.find(b"\n", 0, SHORT_LINE_BYTES) >= 0:
        return chunk.count(b"\n")
    lines = start = 0
    while start := chunk.find(b"\n", start) + 1:
        lines += 1
    return lines


def _joined(pieces: list[bytes]) -> bytes:
    """Take the pieces out of the list, so that they and what they give are not both kept."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole


def _decompressed(
    block: "Block", open_block: Callable[[], BinaryIO], account: BlockAccount
) -> Iterator[bytes]:
    """Yield the block's decompressed bytes; keep account of sizes and damage."""
    streams: list[_CountingStream] = []

    def reopen() -> BinaryIO:
        before = WATCH.enter(READ)
        streams.append(_CountingStream(open_block(), account))
        WATCH.enter(before)
        return streams[-1]

    def report(damage: Damage) -> None:
        account.damage = str(damage)

    for piece in decompress(reopen, block.key, report=report):
        account.raw_bytes += len(piece)
        yield piece
    if streams[-1].is_at_end and streams[-1].read_bytes < block.size:
        raise ShortRead(
            f"{block.key}: only {streams[-1].read_bytes:,} of {block.size:,} bytes came; "
            "the block is read again."
        )


class _CountingStream:
    """A block's stream that counts what is read of it."""

    def __init__(self, stream: BinaryIO, account: BlockAccount) -> None:
        self._stream = stream
        self._account = account
        self.read_bytes = 0
        self.is_at_end = False

    def read(self, size: int) -> bytes:
        before = WATCH.enter(READ)
        data = self._stream.read(size)
        WATCH.enter(before)
        self.is_at_end = not data
        self.read_bytes += len(data)
        self._account.compressed_bytes = max(self._account.compressed_bytes, self.read_bytes)
        return data

    def __enter__(self) -> "_CountingStream":
        self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)
