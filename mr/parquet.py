"""The parquet format: a column for each part of a key and a value, in groups of rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from mr.cells import json_text, unarrayed
from mr.columns import Columns, Kind, columns_of
from mr.errors import UsageError
from mr.items import Item, Items
from mr.text import utf8

#: Rows in one row group of a parquet file, at most.
ROW_GROUP_ROWS = 65_536

#: Bytes of values in one row group of a parquet file, about: bounds the writer's memory.
ROW_GROUP_BYTES = 16_000_000


def load_pyarrow() -> Any:
    """Return the library; raises UsageError that says how to install it when it is not there."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            "parquet output needs pyarrow: pip install 'mr-telemetry[parquet]'"
        ) from None
    return pyarrow


def write_parquet(items: Items, out: BinaryIO, names: Sequence[str] = ()) -> int:
    """Write the items, asked for twice, to `out`, which stays open; return their number.

    `names` are those of the columns, see `columns_of`.
    """
    pyarrow = load_pyarrow()
    columns = columns_of(items(), names)
    types = [_arrow_type(pyarrow, kind) for kind in columns.kinds]
    schema = pyarrow.schema(list(zip(columns.names, types, strict=True)))
    count = 0
    with pyarrow.parquet.ParquetWriter(_Appended(out), schema, compression="zstd") as writer:
        for rows in _row_groups(columns, items()):
            arrays = [
                pyarrow.array(cells, type)
                for cells, type in zip(zip(*rows, strict=True), types, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count


def _row_groups(columns: Columns, items: Iterable[Item]) -> Iterator[list[list[Any]]]:
    """Yield bounded lists of rows, each cell as its column's parquet type wants it."""
    rows: list[list[Any]] = []
    size = 0
    for item in items:
        cells = zip(columns.kinds, columns.row(item), strict=True)
        rows.append([_arrow_cell(kind, cell) for kind, cell in cells])
        size += sum(map(_weight, rows[-1]))
        if len(rows) == ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


class _Appended:
    """A writable file for pyarrow that knows its position without asking, and stays open."""

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._position = 0

    def write(self, data: Any) -> int:
        self._position += len(data)
        self._out.write(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        """Leave the file to the caller, who opened it."""


def _arrow_type(pyarrow: Any, kind: Kind) -> Any:
    if kind[0] == "list":
        return pyarrow.list_(_arrow_type(pyarrow, kind[1]))
    types = {
        "null": pyarrow.null(),
        "bool": pyarrow.bool_(),
        "int": pyarrow.int64(),
        "double": pyarrow.float64(),
        "string": pyarrow.string(),
        "binary": pyarrow.binary(),
        "json": pyarrow.string(),
    }
    return types[kind]


def _arrow_cell(kind: Kind, cell: Any) -> Any:
    if cell is None:
        return None
    if kind == "json":
        return json_text(cell)
    if kind == "double":
        return float(cell)
    if kind == "string":
        return utf8(cell).decode()
    if kind[0] == "list":
        return [_arrow_cell(kind[1], element) for element in unarrayed(cell)]
    return unarrayed(cell)


def _weight(cell: Any) -> int:
    """Return about how many bytes a cell takes."""
    if isinstance(cell, list):
        return 8 + sum(map(_weight, cell))
    return 8 + (len(cell) if isinstance(cell, str | bytes) else 0)
