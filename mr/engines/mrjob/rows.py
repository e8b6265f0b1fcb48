"""What mrjob's shuffle carries for us: the frames of our runs, a text line each.

    00003 TAB 0000000017.00000002 TAB run:KLUv/SQ...

First the partition, by which mrjob shuffles and groups; then the place, by which it sorts; then
what it is, and the bytes in base64. A place is where the row comes from (numbers, joined by dots)
and the row's number there. Keys and values stay in our own encoding inside the frames, so that
their types and order are those of every engine.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from mr.cells import integers_of_any_length
from mr.errors import FormatError

#: The kinds of rows: a frame of a map task's run; one of a result part; a piece of the files that a
#: reduce wrote; and what a task tells of itself, once it is through.
RUN, PART, FILES, TOLD = "run", "part", "files", "told"
_KINDS = frozenset({RUN, PART, FILES, TOLD})


@dataclass(frozen=True, slots=True)
class Row:
    """One line between tasks."""

    partition: int
    #: Where it comes from: rows of one source are sorted as they were written.
    source: str
    number: int
    kind: str
    data: bytes

    @property
    def place(self) -> str:
        """By what rows of a partition are sorted."""
        return f"{self.source}.{self.number:08x}"


class RowProtocol:
    """How mrjob writes rows as lines, and reads them."""

    def read(self, line: bytes) -> tuple[int, Row]:
        """The partition and the row of a line; raises FormatError."""
        row = decode_row(line)
        return row.partition, row

    def write(self, _: int, row: Row) -> bytes:
        """A row as a line."""
        return encode_row(row)


class LineProtocol:
    """How mrjob prints a result's lines, and reads them: a key and a value in JSON, or text."""

    def __init__(self, *, is_text: bool) -> None:
        self._is_text = is_text

    def read(self, line: bytes) -> tuple[Any, Any]:
        """The key and the value of a line; of one that a script wrote, None and its text."""
        key, tab, value = line.rstrip(b"\r\n").partition(b"\t")
        if self._is_text or not tab:
            return None, (key + tab + value).decode()
        with integers_of_any_length():
            return json.loads(key), json.loads(value)

    def write(self, _: None, line: bytes) -> bytes:
        """A line as it is."""
        return line


def encode_row(row: Row) -> bytes:
    """A row as a line, without its end."""
    data = base64.b64encode(row.data)
    return b"%05d\t%s\t%s:%s" % (row.partition, row.place.encode(), row.kind.encode(), data)


def decode_row(line: bytes) -> Row:
    """The row of a line; raises FormatError for what is none."""
    try:
        partition, place, value = line.split(b"\t")
        source, _, number = place.decode().rpartition(".")
        kind, _, data = value.partition(b":")
        row = Row(
            int(partition),
            source,
            int(number, 16),
            kind.decode(),
            base64.b64decode(data, validate=True),
        )
    except (ValueError, binascii.Error) as error:
        raise FormatError(f"a line of mrjob's is none of ours: {line[:100]!r}: {error}.") from None
    if row.kind not in _KINDS:
        raise FormatError(f"a line of mrjob's holds a {row.kind!r:.100}, which is not known.")
    return row
