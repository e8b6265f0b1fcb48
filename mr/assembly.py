"""A long result as one file: written in pieces by several processes, and put together."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from mr.config import processors
from mr.parts import Parts, Piece, read_piece
from mr.processes import environment_of
from mr.results import LINE_FORMATS, write_items
from mr.store import Store
from mr.writing import PieceOrder

#: No piece is shorter, as it lies in the store: such a one takes 0.4 s to be written, and a process
#: 0.2 to begin.
PIECE_BYTES = 4 * 1000 * 1000


def write_pieces(
    out: BinaryIO,
    store: Store,
    parts: Parts,
    format: str,
    folder: Path,
    workers: int,
    names: Sequence[str] = (),
) -> None:
    """Write the parts of a result by up to so many processes, this one among them.

    `names` are those of the columns, see `write_items`. `folder` is on local disk and takes all
    pieces but the first meanwhile. Raises as `read_result` and `write_items` do.
    """
    first, *others = parts.cut(_useful(parts, format, workers))

    def write(piece: Piece, names: Sequence[str] = ()) -> None:
        write_items(lambda: read_piece(store, piece, folder), format, out, names)

    with ExitStack() as stack:
        writers = [
            stack.enter_context(_Writer(PieceOrder(store.url, piece, format), folder))
            for piece in others
        ]
        write(first, names)
        for piece, writer in zip(others, writers, strict=True):
            if writer.has_written():
                writer.copy_to(out)
            else:
                write(piece)  # if it fails here too, it says why


def _useful(parts: Parts, format: str, workers: int) -> int:
    """How many processes are worth it."""
    if format not in LINE_FORMATS:
        return 1
    return max(1, min(workers, processors(), parts.length // PIECE_BYTES))


class _Writer:
    """A process that writes one piece, from the beginning of a with-block to its end."""

    def __init__(self, order: PieceOrder, folder: Path) -> None:
        self._order = order
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "_Writer":
        with suppress(OSError):  # no room for it, or it has died: as will be seen
            self._start()
        return self

    def _start(self) -> None:
        folder = tempfile.mkdtemp(dir=self._folder)
        self._path = Path(folder, "lines")
        python = Path(sys.executable)
        with self._path.open("wb") as lines:
            self._process = subprocess.Popen(
                [str(python), "-m", "mr.writing", folder],
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=subprocess.DEVNULL,
                env=environment_of(python),
                start_new_session=True,  # whoever stops us stops it through us
            )
        self._process.stdin.write(msgspec.json.encode(self._order) + b"\n")
        self._process.stdin.flush()

    def __exit__(self, *error: object) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._path.unlink(missing_ok=True)

    def has_written(self) -> bool:
        """Whether it has written all of its piece; waits for that."""
        return self._process is not None and self._process.wait() == 0

    def copy_to(self, out: BinaryIO) -> None:
        """Copy what it has written, which takes no place on this disk from then on."""
        with self._path.open("rb") as lines:
            shutil.copyfileobj(lines, out, 1024 * 1024)
        self._path.unlink()
