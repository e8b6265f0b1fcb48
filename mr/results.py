"""The answer of a job, and how it is written: text, jsonl, json, csv, tsv, parquet.

An answer is a stream of items: pairs, and lines of text that a script wrote. It is never held in
memory; a format that must look twice (parquet: first the column types, then the rows) asks for
the stream again. `docs/output-formats.md` shows how each kind of value prints in each format.
"""

import contextlib
import csv
import functools
import itertools
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from mr.cells import cell_text, integers_of_any_length, json_line, unarrayed
from mr.errors import StoreUnavailable, UsageError
from mr.items import Item, Items, ItemStream, Line, Pairs
from mr.parquet import load_pyarrow, write_parquet
from mr.text import utf8

#: Every output format by name, with the file endings that choose it.
FORMATS = {
    "text": (".txt", ".text"),
    "jsonl": (".jsonl",),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet",),
}

#: Those in which each item is written for itself, so that pieces can stand one after the other.
LINE_FORMATS = ("text", "jsonl", "csv", "tsv")

#: Those that have columns, and so names for them.
TABLES = ("csv", "tsv", "parquet")

#: JSON lines that are written together.
LINES_AT_A_TIME = 1000


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
        load_pyarrow()
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


def write_file(items: Items, path: str, format: str, names: Sequence[str] = ()) -> int:
    """Write the items to the file `path`, under these names of columns; return their number.

    The file appears when it is complete, in place of an older one, or not at all. A device or a
    pipe is written straight through. Raises UsageError when the path cannot be written to, and
    StoreUnavailable when writing fails on the way (a full disk).
    """
    check_output(path, format)
    with whole_file(path) as out:
        return write_items(items, format, out, names)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Write a file in a with-block, as `write_file` does: it appears when the block ends."""
    target = os.path.realpath(path)
    if _is_special(target):
        with _named_failures(path), open(target, "wb") as out:
            yield out
        return
    temporary = os.path.join(os.path.dirname(target), f".mr-{secrets.token_hex(8)}.tmp")
    try:
        with _named_failures(path):
            with open(temporary, "xb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_items(items: Items, format: str, out: BinaryIO, names: Sequence[str] = ()) -> int:
    """Write the items to `out`, which stays open, and return their number.

    `names` are those of the columns, in formats that have columns.

    Raises UsageError when the format is unknown or its library is not installed.
    """
    write = _writer(format)
    with integers_of_any_length():
        return write(items, out, names) if format in TABLES else write(items, out)


def _write_text(items: Items, out: BinaryIO) -> int:
    count = 0
    for count, item in enumerate(items(), 1):  # noqa: B007 - counts
        if isinstance(item, Line):
            text = item.text + item.end
        elif item.text is not None:
            text = item.text
        else:
            text = f"{_listed(item.key)}\t{_listed(item.value)}\n"
        out.write(utf8(text))
    return count


def _write_jsonl(items: Items, out: BinaryIO) -> int:
    count, stream = 0, items()
    for few in stream.many if isinstance(stream, ItemStream) else _few_at_a_time(stream):
        lines = _counts(few.keys, few.values) if isinstance(few, Pairs) else b""
        out.write(lines or b"".join([_json_line(item) + b"\n" for item in few]))
        count += len(few)
    return count


def _few_at_a_time(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Few at first, so that the rows of a slow stream show as they come."""
    count, rest = 0, iter(items)
    while few := list(itertools.islice(rest, min(1 + count // 8, LINES_AT_A_TIME))):
        yield few
        count += len(few)


def _counts(names: list[Any], numbers: list[Any]) -> bytes:
    """Return the lines of texts that need no escape with ints, nothing if others are among them.

    It takes a tenth of the time, and most long results are of that kind.
    """
    if set(map(type, names)) != {str} or set(map(type, numbers)) != {int}:
        return b""
    text = "".join(names)
    if not text.isprintable() or '"' in text or "\\" in text:
        return b""
    lines = [f'["{name}", {number}]\n' for name, number in zip(names, numbers, strict=True)]
    return "".join(lines).encode()


def _write_json(items: Items, out: BinaryIO) -> int:
    count = 0
    out.write(b"[")
    for count, item in enumerate(items(), 1):
        out.write(b"\n" if count == 1 else b",\n")
        out.write(_json_line(item))
    out.write(b"\n]\n")
    return count


def _json_line(item: Item) -> bytes:
    return json_line(item.text if isinstance(item, Line) else (item.key, item.value))


def _write_separated(
    items: Items, out: BinaryIO, names: Sequence[str] = (), *, delimiter: str
) -> int:
    writer = csv.writer(_UnixLines(out), delimiter=delimiter, lineterminator="\r\n")
    if names:
        writer.writerow(names)
    count = 0
    for count, item in enumerate(items(), 1):  # noqa: B007 - counts
        if isinstance(item, Line):
            out.write(utf8(item.text + "\n"))
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
        self._out.write(utf8(row.removesuffix("\r\n") + "\n"))


def _parts(part: Any) -> Iterable[Any]:
    """Return the csv cells of a key or value: a sequence is flattened by one level."""
    part = unarrayed(part)
    return part if isinstance(part, list | tuple) else (part,)


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


# Surroundings


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


_WRITERS: dict[str, Callable[[Items, BinaryIO], int]] = {
    "text": _write_text,
    "jsonl": _write_jsonl,
    "json": _write_json,
    "csv": functools.partial(_write_separated, delimiter=","),
    "tsv": functools.partial(_write_separated, delimiter="\t"),
    "parquet": write_parquet,
}


def _writer(format: str) -> Callable[[Items, BinaryIO], int]:
    if format not in _WRITERS:
        raise UsageError(f"unknown output format {format!r}: use one of {', '.join(FORMATS)}")
    return _WRITERS[format]
