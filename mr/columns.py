"""The columns of a table of items: the one naming that parquet, pandas and the notebook share."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mr.items import Item, Line

#: What a column holds: "null", "bool", "int", "double", "string", "binary", "json",
#: ("list", kind), or ("tuple", kinds) for tuples of one length, which become several columns.
Kind = str | tuple[str, Any]

#: The kinds that a list may hold, besides lists.
_LISTABLE = {"null", "bool", "int", "double"}

#: Levels of nested lists that are of the kind "list"; what is deeper is of the kind "json".
LIST_LEVELS = 4


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


def columns_of(items: Iterable[Item], names: Sequence[str] = ()) -> Columns:
    """Return the columns that fit all the items, under these names if there are as many.

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
        if names:
            key = ("tuple", ("null",) * (len(names) - 1))
    named = [*_named_kinds("key", key), *_named_kinds("value", value)]
    if has_lines:
        named.append(("line", "string"))
    return Columns(
        names=tuple(names if len(names) == len(named) else (name for name, _ in named)),
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
