"""The answer of a job, and how it is written: text, jsonl, json, csv, tsv, parquet.

An answer is a stream of items: pairs, and lines of text that a script wrote. It is never held in
memory; a format that must look twice (parquet: first the column types, then the rows) asks for
the stream again. `docs/output-formats.md` shows how each kind of value prints in each format.
"""

import base64
import contextlib
import csv
import functools
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import simplejson

from mr.errors import StoreUnavailable, UsageError
from mr.items import Item, Line

#: Every output format by name, with the file endings that choose it.
FORMATS = {
    "text": (".txt", ".text"),
    "jsonl": (".jsonl",),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet",),
}

#: Rows in one row group of a parquet file, at most.
ROW_GROUP_ROWS = 65_536

#: Bytes of values in one row group of a parquet file, about: bounds the writer's memory.
ROW_GROUP_BYTES = 16_000_000

#: Levels of nesting that become parquet lists; what is deeper becomes JSON text.
LIST_LEVELS = 4


#: Starts the stream of items anew at each call.
Items = Callable[[], Iterable[Item]]


# Choosing a format and a place


def format_of(path: str, default: str) -> str:
    """Return the format that the ending of `path` chooses, `default` if it has no ending.

    Raises UsageError for an ending that no format has.
    """
    ending = os.path.splitext(path)[1].lower()
    if not ending:
        return default
    for name, endings in FORMATS.items():
        if ending in endings:
            return name
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise UsageError(f"no output format has the ending {ending!r} of {path}: use one of {known}")


def check_output(path: str, format: str) -> None:
    """Raise UsageError when `path` cannot be written as `format`: worth asking before a long job.

    Looks at the format's libraries, the folder and its permissions; creates nothing.
    """
    _writer(format)
    if format == "parquet":
        _pyarrow()
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if os.path.isdir(target):
        raise UsageError(f"cannot write {path}: it is a folder; name a file in it")
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {path}: there is no folder {folder}; create it first")
    place = target if _is_special(target) else folder
    if not os.access(place, os.W_OK):
        raise UsageError(
            f"cannot write {path}: no permission to write to {place}; choose another place"
        )


# Writing


def write_file(items: Items, path: str, format: str) -> int:
    """Write the items to the file `path` and return their number.

    The file appears when it is complete, in place of an older one, or not at all. A device or a
    pipe is written straight through. Raises UsageError when the path cannot be written to, and
    StoreUnavailable when writing fails on the way (a full disk).
    """
    check_output(path, format)
    target = os.path.realpath(path)
    if _is_special(target):
        with _named_failures(path), open(target, "wb") as out:
            return write_items(items, format, out)
    temporary = os.path.join(os.path.dirname(target), f".mr-{secrets.token_hex(8)}.tmp")
    try:
        with _named_failures(path):
            with open(temporary, "xb") as out:
                count = write_items(items, format, out)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return count


def write_items(items: Items, format: str, out: BinaryIO) -> int:
    """Write the items to `out`, which stays open, and return their number.

    Raises UsageError when the format is unknown or its library is not installed.
    """
    write = _writer(format)
    with integers_of_any_length():
        return write(items, out)


def _write_text(items: Items, out: BinaryIO) -> int:
    count = 0
    for count, item in enumerate(items(), 1):  # noqa: B007 - counts
        if isinstance(item, Line):
            text = item.text + item.end
        elif item.text is not None:
            text = item.text
        else:
            text = f"{_listed(item.key)}\t{_listed(item.value)}\n"
        out.write(_utf8(text))
    return count


def _write_jsonl(items: Items, out: BinaryIO) -> int:
    count = 0
    for count, item in enumerate(items(), 1):  # noqa: B007 - counts
        out.write(_json_line(item) + b"\n")
    return count


def _write_json(items: Items, out: BinaryIO) -> int:
    count = 0
    out.write(b"[")
    for count, item in enumerate(items(), 1):
        out.write(b"\n" if count == 1 else b",\n")
        out.write(_json_line(item))
    out.write(b"\n]\n")
    return count


def _write_separated(items: Items, out: BinaryIO, *, delimiter: str) -> int:
    writer = csv.writer(_UnixLines(out), delimiter=delimiter, lineterminator="\r\n")
    count = 0
    for count, item in enumerate(items(), 1):  # noqa: B007 - counts
        if isinstance(item, Line):
            out.write(_utf8(item.text + "\n"))
        else:
            parts = [*_parts(item.key), *_parts(item.value)]
            writer.writerow([cell_text(part) for part in parts])
    return count


class _UnixLines:
    r"""Takes a csv writer's rows and ends them with \n.

    The csv writer itself must believe in \r\n: only then it quotes a field with a \r in it.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, row: str) -> None:
        self._out.write(_utf8(row.removesuffix("\r\n") + "\n"))


def _write_parquet(items: Items, out: BinaryIO) -> int:
    pyarrow = _pyarrow()
    columns = columns_of(items())
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


def _row_groups(columns: "Columns", items: Iterable[Item]) -> Iterator[list[list[Any]]]:
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


# Columns: the one naming that parquet, pandas and the notebook's table share

#: What a column holds: "null", "bool", "int", "double", "string", "binary", "json",
#: ("list", kind), or ("tuple", kinds) for tuples of one length, which become several columns.
Kind = str | tuple[str, Any]

#: The kinds that a parquet list may hold, besides lists.
_LISTABLE = {"null", "bool", "int", "double"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table of items: a key's, a value's, and one for lines of text.

    `names` and `kinds` are parallel. A key or value of several columns is split.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    split_key: bool
    split_value: bool
    has_lines: bool

    def row(self, item: Item) -> tuple[Any, ...]:
        """Return the item's cells, one for each name."""
        if isinstance(item, Line):
            return (None,) * (len(self.names) - 1) + (item.text,)
        key = item.key if self.split_key else (item.key,)
        value = item.value if self.split_value else (item.value,)
        return (*key, *value, None) if self.has_lines else (*key, *value)


def columns_of(items: Iterable[Item]) -> Columns:
    """Return the columns that fit all the items.

    Keys that are all tuples of one length become `key_0`, `key_1`, ...; otherwise there is one
    column `key`. Values likewise. Lines of text stand in a column `line`, which is there when
    there are any. No items give `key` and `value`.
    """
    key: Kind | None = None
    value: Kind | None = None
    has_lines = False
    for item in items:
        if isinstance(item, Line):
            has_lines = True
        else:
            key = _unified(key, _kind_of_part(item.key))
            value = _unified(value, _kind_of_part(item.value))
    if key is None and not has_lines:
        key = value = "null"
    named = [*_named_kinds("key", key), *_named_kinds("value", value)]
    if has_lines:
        named.append(("line", "string"))
    return Columns(
        names=tuple(name for name, _ in named),
        kinds=tuple(kind for _, kind in named),
        split_key=_is_tuple(key),
        split_value=_is_tuple(value),
        has_lines=has_lines,
    )


def _named_kinds(name: str, kind: Kind | None) -> list[tuple[str, Kind]]:
    if kind is None:
        return []
    if _is_tuple(kind):
        return [(f"{name}_{i}", part) for i, part in enumerate(kind[1])]
    return [(name, kind)]


def _kind_of_part(part: Any) -> Kind:
    """Return the kind of a whole key or value: only here a tuple is more than a list."""
    if isinstance(part, tuple) and part:
        return ("tuple", tuple(_kind(cell) for cell in part))
    return _kind(part)


def _kind(cell: Any, levels: int = LIST_LEVELS) -> Kind:
    if cell is None:
        return "null"
    if isinstance(cell, bool):
        return "bool"
    if isinstance(cell, int):
        return "int" if -(2**63) <= cell < 2**63 else "json"
    if isinstance(cell, float):
        return "double"
    if isinstance(cell, str):
        return "string"
    if isinstance(cell, bytes):
        return "binary"
    if hasattr(cell, "tolist"):
        return _kind(cell.tolist(), levels)
    if isinstance(cell, list | tuple) and levels:
        types = set(map(type, cell))
        if types == {float} or types == {int}:  # the many numbers of a histogram, at C's speed
            return _list_kind({_kind(min(cell)), _kind(max(cell))})
        return _list_kind(_kind(element, levels - 1) for element in cell)
    return "json"


def _list_kind(elements: Iterable[Kind]) -> Kind:
    element = functools.reduce(_unified, elements, "null")
    return ("list", element) if element in _LISTABLE or element[0] == "list" else "json"


def _unified(a: Kind | None, b: Kind) -> Kind:
    """Return the narrowest kind that holds both; `a` is None before the first."""
    if a is None or a == b:
        return b
    if _is_tuple(a) and _is_tuple(b) and len(a[1]) == len(b[1]):
        return ("tuple", tuple(map(_unified, a[1], b[1])))
    a, b = _unsplit(a), _unsplit(b)
    if a == b or b == "null":
        return a
    if a == "null":
        return b
    if {a, b} == {"int", "double"}:
        return "double"
    if a[0] == b[0] == "list":
        return _list_kind((a[1], b[1]))
    return "json"


def _unsplit(kind: Kind) -> Kind:
    return _list_kind(kind[1]) if _is_tuple(kind) else kind


def _is_tuple(kind: Kind | None) -> bool:
    return kind is not None and kind[0] == "tuple"


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
        return _utf8(cell).decode()
    if kind[0] == "list":
        return [_arrow_cell(kind[1], element) for element in _unarrayed(cell)]
    return _unarrayed(cell)


def _weight(cell: Any) -> int:
    """Return about how many bytes a cell takes."""
    if isinstance(cell, list):
        return 8 + sum(map(_weight, cell))
    return 8 + (len(cell) if isinstance(cell, str | bytes) else 0)


# Values as text


def cell_text(cell: Any) -> str:
    """Return the text of a csv cell: numbers as Python writes them, containers as compact JSON."""
    if isinstance(cell, str):
        return str(cell)
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int):
        return int.__repr__(cell)
    if isinstance(cell, float):
        return float.__repr__(cell)
    if isinstance(cell, bytes):
        return _base64(cell)
    return json_text(cell)


def json_text(value: Any) -> str:
    """Return compact JSON, in ASCII when a string of the value cannot be UTF-8."""
    text = _COMPACT.encode(value)
    return text if is_utf8(text) else _COMPACT_ASCII.encode(value)


def _json_line(item: Item) -> bytes:
    value = item.text if isinstance(item, Line) else (item.key, item.value)
    try:
        return _JSON.encode(value).encode()
    except UnicodeEncodeError:
        return _JSON_ASCII.encode(value).encode()


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return _base64(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def _encoder(*, ascii_only: bool, compact: bool) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(
        ensure_ascii=ascii_only,
        separators=(",", ":") if compact else (", ", ": "),
        ignore_nan=True,
        encoding=None,  # else bytes would pass as UTF-8 text instead of reaching _jsonable
        namedtuple_as_object=False,
        default=_jsonable,
    )


_JSON = _encoder(ascii_only=False, compact=False)
_JSON_ASCII = _encoder(ascii_only=True, compact=False)
_COMPACT = _encoder(ascii_only=False, compact=True)
_COMPACT_ASCII = _encoder(ascii_only=True, compact=True)


def _parts(part: Any) -> Iterable[Any]:
    """Return the csv cells of a key or value: a sequence is flattened by one level."""
    part = _unarrayed(part)
    return part if isinstance(part, list | tuple) else (part,)


def _unarrayed(value: Any) -> Any:
    # Asks for the method, not for the type: numpy need not be imported to write a result.
    return value.tolist() if hasattr(value, "tolist") else value


def _listed(value: Any) -> Any:
    """Return the value with lists for arrays at every depth: str() of a long array elides."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if type(value) is tuple:
        return tuple(map(_listed, value))
    if isinstance(value, list):
        return list(map(_listed, value))
    if isinstance(value, dict):
        return dict(zip(value, map(_listed, value.values()), strict=True))
    return value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _utf8(text: str) -> bytes:
    r"""Return UTF-8; a lone surrogate, which has none, is written as its escape, \udc80 say."""
    return text.encode("utf-8", "backslashreplace")


def is_utf8(text: str) -> bool:
    """Whether the text has a UTF-8 form: a lone surrogate has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Surroundings


@contextlib.contextmanager
def integers_of_any_length() -> Iterator[None]:
    """Lift Python's limit of 4300 digits, meant for parsing what strangers send."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


@contextlib.contextmanager
def _named_failures(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"cannot write {path}: {error.strerror or error}; free the place or choose another"
        ) from error


def _is_special(path: str) -> bool:
    """Whether the path is a device, pipe or socket, which must not be replaced by a file."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            "parquet output needs pyarrow: pip install 'mr-telemetry[parquet]'"
        ) from None
    return pyarrow


_WRITERS: dict[str, Callable[[Items, BinaryIO], int]] = {
    "text": _write_text,
    "jsonl": _write_jsonl,
    "json": _write_json,
    "csv": functools.partial(_write_separated, delimiter=","),
    "tsv": functools.partial(_write_separated, delimiter="\t"),
    "parquet": _write_parquet,
}


def _writer(format: str) -> Callable[[Items, BinaryIO], int]:
    if format not in _WRITERS:
        raise UsageError(f"unknown output format {format!r}: use one of {', '.join(FORMATS)}")
    return _WRITERS[format]
