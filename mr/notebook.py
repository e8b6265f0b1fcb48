"""What Python and notebooks get from a job: a `Result` that iterates and shows itself."""

import html
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from mr import results
from mr.errors import UsageError
from mr.items import Line
from mr.results import Columns, Items, Kind

#: Rows of a result that its table shows.
ROWS_SHOWN = 20

#: Characters of one cell that its table shows.
CELL_CHARACTERS = 60


class Result:
    """The answer of a job: pairs of key and value in the order of the keys, and the job's report.

    Iterating reads the answer from its store, each time anew, so it may be larger than memory.
    A line of text that a script wrote comes as a string in the place of a pair.
    """

    def __init__(self, items: Items, report: dict[str, Any]) -> None:
        self._items = items
        self._length: int | None = None
        self.report = report

    def __iter__(self) -> Iterator[tuple[Any, Any] | str]:
        for item in self._items():
            yield item.text if isinstance(item, Line) else (item.key, item.value)

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(1 for _ in self._items())
        return self._length

    def to_list(self) -> list[tuple[Any, Any] | str]:
        """Return the pairs, and the lines of text, as a list."""
        return [*iter(self)]

    def to_dict(self) -> dict[Any, Any]:
        """Return the values by key.

        Raises UsageError when a key comes twice, or when the result holds lines of text. True, 1
        and 1.0 are three keys here but one in a dict, so they raise it too.
        """
        answer: dict[Any, Any] = {}
        for pair in self:
            if isinstance(pair, str):
                raise UsageError(
                    f"a dict needs keys, but the result holds lines of text ({_short(pair)!r}): "
                    "use to_list()"
                )
            key, value = pair
            if key in answer:
                raise UsageError(
                    f"the key {key!r} comes more than once (to a dict, True, 1 and 1.0 are one "
                    "key), and a dict would keep one value of it: use to_list()"
                )
            answer[key] = value
        return answer

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with the columns that a parquet file of the result has.

        Cells stay Python's where pandas has no type for them. Raises UsageError when pandas is
        not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UsageError("to_pandas() needs pandas: pip install pandas") from None
        items = list(self._items())
        columns = results.columns_of(items)
        cells = zip(*map(columns.row, items), strict=True) if items else ([] for _ in columns.names)
        table = {}
        for name, kind, column in zip(columns.names, columns.kinds, cells, strict=True):
            table[name] = pandas.Series(list(column), dtype=_dtype(kind, column))
        return pandas.DataFrame(table)

    def save(self, path: str, format: str | None = None) -> int:
        """Write the result to a file, in the format of its ending, and return the number of rows.

        The file appears complete or not at all. Raises UsageError when the ending is unknown or
        the file cannot be written, and StoreUnavailable when writing fails on the way.
        """
        path = str(path)
        return results.write_file(self._items, path, format or results.format_of(path, "jsonl"))

    def __repr__(self) -> str:
        columns, rows, note = self._shown()
        table = [columns.names, *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([*lines, *note])

    def _repr_html_(self) -> str:
        columns, rows, note = self._shown()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns.names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in note)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div>{table}{notes}</div>"

    def _shown(self) -> tuple[Columns, list[list[str]], list[str]]:
        """Return the first rows as text, and the lines that stand below them."""
        items = list(itertools.islice(self._items(), ROWS_SHOWN + 1))
        note = []
        if not items:
            note.append("(no rows)")
        if len(items) > ROWS_SHOWN:
            items = items[:ROWS_SHOWN]
            note.append(f"(the first {ROWS_SHOWN} rows of more)")
        columns = results.columns_of(items)
        with results.integers_of_any_length():
            rows = [[_short(results.cell_text(c)) for c in columns.row(item)] for item in items]
        return columns, rows, note + report_lines(self.report)


def report_lines(report: dict[str, Any]) -> list[str]:
    """Return what was read and what was not as one line, or none if the report does not say."""
    names = {
        "records": "records read",
        "bad_records": "bad records",
        "blocks": "blocks",
        "bad_blocks": "bad blocks",
        "missing": "missing blocks",
    }
    said = [f"{name}: {_number(report[key]):,}" for key, name in names.items() if key in report]
    return ["; ".join(said)] if said else []


def _dtype(kind: Kind, cells: Sequence[Any]) -> str | None:
    """Return the pandas type that holds the cells exactly; None where pandas finds it itself."""
    if kind == "int" and None in cells:
        return "Int64"  # else pandas would make them floats, which round large ones
    if kind in ("null", "bool", "int", "double"):
        return None
    if kind == "string" and all(cell is None or results.is_utf8(cell) for cell in cells):
        return None
    return "object"


def _number(count: Any) -> int:
    """Return a count, which a report may give as a number, by reason, or as a list of places."""
    if isinstance(count, dict):
        return sum(count.values())
    return len(count) if isinstance(count, list) else count


def _short(text: str) -> str:
    """Return the text on one line and of bounded length."""
    shown = text[: CELL_CHARACTERS + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    return shown if len(shown) <= CELL_CHARACTERS else shown[: CELL_CHARACTERS - 1] + "…"
