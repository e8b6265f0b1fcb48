"""A long result as one file: written in pieces by several processes, and put together."""

import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from mr.parts import Part, Piece, cut_result, read_result, result_parts
from mr.processes import environment_of
from mr.results import LINE_FORMATS, write_items
from mr.spec import JobSpec
from mr.store import Store
from mr.writing import PieceOrder

#: No piece is shorter, as it lies in the store: such a one takes 0.4 s to be written, and a process
#: 0.2 to begin.
PIECE_BYTES = 4 * 1000 * 1000


def write_result_to(
    out: BinaryIO,
    store: Store,
    spec: JobSpec,
    format: str,
    folder: Path,
    *,
    processes: int,
    part: int | None = None,
) -> None:
    """Write a job's result, or one part of it, by up to so many processes, this one among them.

    `folder` is on local disk and takes all pieces but the first meanwhile. Raises as `read_result`
    and `write_items` do.
    """
    parts, first = result_parts(store, spec), 0
    if part is not None:
        parts, first = parts[part : part + 1], part
    first_piece, *others = cut_result(spec, parts, _useful(parts, format, processes), first)

    def write(piece: Piece) -> None:
        write_items(lambda: read_result(store, spec, folder, piece), format, out)

    with ExitStack() as stack:
        writers = []
        for piece in others:
            order = PieceOrder(store.url, spec.job, piece, format, tempfile.mkdtemp(dir=folder))
            writers.append(stack.enter_context(_Writer(order)))
        write(first_piece)
        for piece, writer in zip(others, writers, strict=True):
            if writer.has_written():
                writer.copy_to(out)
            else:
                write(piece)  # if it fails here too, it says why


def _useful(parts: list[Part], format: str, processes: int) -> int:
    """How many processes are worth it."""
    if format not in LINE_FORMATS:
        return 1
    return max(1, min(processes, sum(part.length for part in parts) // PIECE_BYTES))


class _Writer:
    """A process that writes one piece, from the beginning of a with-block to its end."""

    def __init__(self, order: PieceOrder) -> None:
        self._order = order

    def __enter__(self) -> "_Writer":
        self._path = Path(self._order.folder) / "lines"
        python = Path(sys.executable)
        with self._path.open("wb") as lines:
            self._process = subprocess.Popen(
                [str(python), "-m", "mr.writing"],
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=subprocess.DEVNULL,
                env=environment_of(python),
                start_new_session=True,  # whoever stops us stops it through us
            )
        with suppress(BrokenPipeError):  # it has died, as will be seen
            self._process.stdin.write(msgspec.json.encode(self._order) + b"\n")
            self._process.stdin.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._path.unlink(missing_ok=True)

    def has_written(self) -> bool:
        """Whether it has written all of its piece; waits for that."""
        return self._process.wait() == 0

    def copy_to(self, out: BinaryIO) -> None:
        """Copy what it has written, which takes no place on this disk from then on."""
        with self._path.open("rb") as lines:
            shutil.copyfileobj(lines, out, 1024 * 1024)
        self._path.unlink()
