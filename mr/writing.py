"""The process that writes a piece of a long result, as text, to its standard output.

The parent writes one JSON line to standard input. When standard input ends, the parent is gone and
so are we.
"""

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mr.garbage import look_for_less
from mr.parts import Piece, read_result
from mr.results import write_items
from mr.spec import read_spec
from mr.stores import open_store


@dataclass(frozen=True)
class PieceOrder:
    """What the parent asks for; `folder` is for what memory should not hold."""

    store: str
    job: str
    piece: Piece
    format: str
    folder: str


def main() -> None:
    """Write the piece that is asked for."""
    look_for_less()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=PieceOrder)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store, folder = open_store(order.store), Path(order.folder)
    spec = read_spec(store, order.job)
    with open(1, "wb", closefd=False) as out:
        write_items(lambda: read_result(store, spec, folder, order.piece), order.format, out)


def _end_with_parent() -> None:
    os.read(0, 1)  # not by `sys.stdin`, which could not be closed at our end
    os._exit(1)


if __name__ == "__main__":
    main()
