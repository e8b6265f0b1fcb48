"""The process that writes a piece of a long result, as text, to its standard output.

    python -m mr.writing FOLDER

The folder is on local disk, for what memory should not hold. The parent writes one JSON line to
standard input. When standard input ends, the parent is gone and so are we.
"""

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from mr.decoding import from_json
from mr.garbage import look_for_less
from mr.parts import Piece, read_piece
from mr.results import write_items
from mr.stores import open_store


@dataclass(frozen=True)
class PieceOrder:
    """What the parent asks for: a piece of what lies in a store, in a format of lines."""

    store: str
    piece: Piece
    format: str


def main() -> None:
    """Write the piece that is asked for."""
    look_for_less()
    order = from_json(sys.stdin.buffer.readline(), PieceOrder)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store, folder = open_store(order.store), Path(sys.argv[1])
    with open(1, "wb", closefd=False) as out:
        write_items(lambda: read_piece(store, order.piece, folder), order.format, out)


def _end_with_parent() -> None:
    os.read(0, 1)  # not by `sys.stdin`, which could not be closed at our end
    os._exit(1)


if __name__ == "__main__":
    main()
