"""Plain scripts as analyses: a module with `map`, and perhaps `reduce`, `combine`, `setup_reduce`.

    def map(key, dimensions, value, context): ...     # dimensions: list of str; value: JSON text
    def reduce(key, values, context): ...             # values: list
    def combine(key, values, context): ...
    def setup_reduce(context): ...

Everything is written through the context. This is the form of the pipeline's first jobs (2013).
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from mr.analysis import Analysis
from mr.errors import AnalysisError
from mr.items import Item, Line, Pair

#: The functions that a script may have.
FUNCTIONS = ("map", "reduce", "combine", "setup_reduce")

_DEFAULT_SEPARATORS = ("\t", "\n")


class Context:
    """What a script writes through; `field_separator` and `record_separator` may be set."""

    def __init__(self) -> None:
        self.field_separator, self.record_separator = _DEFAULT_SEPARATORS
        self._items: list[Item] = []

    def write(self, key: Any, value: Any) -> None:
        """Write a pair."""
        separators = (self.field_separator, self.record_separator)
        text = None
        if separators != _DEFAULT_SEPARATORS:
            text = f"{key}{self.field_separator}{value}{self.record_separator}"
        self._items.append(Pair(key, value, text))

    def writeline(self, text: str) -> None:
        """Write a line of text."""
        self._items.append(Line(str(text), self.record_separator))

    def writecsv(self, row: Any) -> None:
        """Write a row as one line of comma-separated values."""
        out = io.StringIO()
        # With this ending every line break within a field is quoted, of whatever kind.
        csv.writer(out, lineterminator="\r\n").writerow(row)
        self.writeline(out.getvalue().removesuffix("\r\n"))

    def take(self) -> list[Item]:
        """What was written since the last call."""
        items, self._items = self._items, []
        return items


class ScriptAnalysis(Analysis):
    """Base of the classes that `script_analysis` makes."""

    _functions: ClassVar[Mapping[str, Callable[..., None]]]

    def setup(self) -> None:
        """Give the task its one context, so that separators set in it last."""
        self._context = Context()

    def map(self, record: Any) -> Iterator[Any]:
        """Call the script's map."""
        value = record.raw.decode("utf-8")
        self._functions["map"](record.id, list(record.dimensions), value, self._context)
        items = self._context.take()
        return iter(items) if self.reduce is None else _pairs(items, "map")


def _pairs(items: list[Item], function: str) -> Iterator[tuple[Any, Any]]:
    for item in items:
        if isinstance(item, Line):
            raise AnalysisError(
                f"{function} wrote a line of text, but what goes to reduce must be pairs: use "
                "context.write(key, value) there."
            )
        yield item.key, item.value


def _reduce(self: ScriptAnalysis, key: Any, values: Iterator[Any]) -> Iterator[Item]:
    self._functions["reduce"](key, list(values), self._context)
    return iter(self._context.take())


def _combine(self: ScriptAnalysis, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    self._functions["combine"](key, list(values), self._context)
    return _pairs(self._context.take(), "combine")


def _setup_reduce(self: ScriptAnalysis, output: Any) -> None:
    self._functions["setup_reduce"](self._context)
    for item in self._context.take():
        output.add(item)


def script_analysis(
    name: str,
    functions: Mapping[str, Callable[..., None]],
    module: str = __name__,
    requirements: Sequence[str] = (),
) -> type[Analysis]:
    """The analysis class of a script with these functions; `map` must be among them.

    `module` is the name of the script's module, of which the class becomes a part; `requirements`
    are the packages that the script needs.
    """
    hooks = {"reduce": _reduce, "combine": _combine, "setup_reduce": _setup_reduce}
    members: dict[str, Any] = {hook: f for hook, f in hooks.items() if hook in functions}
    members |= {"_functions": dict(functions), "__module__": module, "requirements": requirements}
    return type(name, (ScriptAnalysis,), members)
