"""What travels with an mrjob job to its tasks: one file with the job, its code and its blocks.

It is an SQLite database, so that a task that gets one block of a million finds it at once.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mr import values
from mr.attempts import Job
from mr.blocks import Block
from mr.bundle import load_bundle
from mr.decoding import from_json
from mr.errors import FormatError
from mr.spec import JobSpec, line_blocks

#: The name of a file that is a block, or a copy of it, or the link to it.
_NUMBERED = re.compile(r"[0-9]{10}")

_TABLES = """
create table job (spec blob not null, bundle blob not null, prepared blob not null);
create table blocks (number integer primary key, uri blob, line blob not null);
create index blocks_by_uri on blocks (uri) where uri is not null;
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """A block in a parcel: its number in the job, and the URI by which mrjob calls it, if any."""

    number: int
    uri: str
    #: As in a plan's line.
    line: tuple[int, str, int, str]


def write_parcel(
    path: Path, spec: JobSpec, bundle: bytes, prepared: bytes, blocks: Iterable[Packed]
) -> None:
    """Write the file."""
    with sqlite3.connect(path) as database:
        database.executescript(_TABLES)
        database.execute(
            "insert into job values (?, ?, ?)", (msgspec.json.encode(spec), bundle, prepared)
        )
        database.executemany(
            "insert into blocks values (?, ?, ?)",
            (
                (one.number, one.uri.encode() or None, msgspec.json.encode(one.line))
                for one in blocks
            ),
        )
    database.close()


class Parcel:
    """An open parcel."""

    def __init__(self, database: sqlite3.Connection, path: str) -> None:
        self._database = database
        self._path = path

    def spec(self) -> JobSpec:
        """The job's description."""
        (spec,) = self._row("spec")
        return from_json(spec, JobSpec)

    def job(self, digest: str, folder: Path) -> Job:
        """The job; its code, whose files go to `folder`, is loaded only if it has this digest."""
        bundle, prepared = self._row("bundle, prepared")
        return Job(self.spec(), load_bundle(bundle, digest, folder), values.decode(prepared))

    def _row(self, columns: str) -> tuple[bytes, ...]:
        row = self._database.execute(f"select {columns} from job").fetchone()
        if row is None:
            raise FormatError(f"{self._path}: there is no job in it.")
        return row

    def block(self, spec: JobSpec, place: int | str) -> tuple[int, Block]:
        """A block and its number, by that or by what mrjob calls it.

        That is its URI, or else the path of a file whose name is its number. Raises FormatError.
        """
        if isinstance(place, int):
            where, known = "number = ?", (place,)
        else:
            name = place.rpartition("/")[2]
            number = int(name) if _NUMBERED.fullmatch(name) else -1
            where, known = "uri = ? or (uri is null and number = ?)", (place.encode(), number)
        row = self._database.execute(
            f"select number, line from blocks where {where}", known
        ).fetchone()
        if row is None:
            raise FormatError(f"{place} is none of the blocks that the job was planned with.")
        number, line = row
        (block,) = line_blocks({"blocks": [msgspec.json.decode(line)]}, spec)
        return number, block


@contextmanager
def open_parcel(path: str) -> Iterator[Parcel]:
    """Open a parcel for reading in a with-block. Raises FormatError."""
    uri = f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1"
    try:
        database = sqlite3.connect(uri, uri=True)
        try:
            yield Parcel(database, path)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise FormatError(f"{path}: the job's file cannot be read: {error}.") from error
