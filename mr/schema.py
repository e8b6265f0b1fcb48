"""Dimensions, and the one JSON language of schemas and filters.

    {"version": 1, "dimensions": [{"field_name": "reason", "allowed_values": A}, ...]}

where A is `"*"`, a string, a list of strings, or `{"min": "20130600", "max": "20130607"}` (either
end may be missing; both are inclusive and compared as strings). A block's path holds its
dimensions: all but the last two are folders, the last two begin the file's name, split at dots.

Values in paths had every character outside `[a-zA-Z0-9_/.]` replaced by `_`; both sides of a
comparison are cleaned so.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from mr.errors import SchemaError

#: Dimensions that stand in the file's name instead of folders of their own.
IN_FILE_NAME = 2
#: What a schema calls a value that it does not allow.
OTHER = "OTHER"

_UNCLEAN = re.compile(r"[^a-zA-Z0-9_/.]")


def _is_component(value: str) -> bool:
    return "/" not in value and value not in ("", ".", "..")


def clean(value: str) -> str:
    """The value as it stands in a path."""
    return _UNCLEAN.sub("_", value)


class Dimensions(tuple):
    """The values of a block's dimensions, in schema order.

    A tuple of strings whose items can also be had by field name: `dimensions.appName`,
    `dimensions["appName"]`, `dict(dimensions)`.
    """

    fields: tuple[str, ...]

    def __new__(cls, fields: tuple[str, ...], values: Iterable[str]) -> "Dimensions":
        """Make one from as many values as there are fields."""
        self = tuple.__new__(cls, values)
        self.fields = fields
        return self

    def __getitem__(self, item):
        if not isinstance(item, str):
            return super().__getitem__(item)
        try:
            return super().__getitem__(self.fields.index(item))
        except ValueError:
            raise KeyError(
                f"no dimension {item!r}; the schema has {', '.join(self.fields)}"
            ) from None

    def __getattr__(self, name: str) -> str:
        if name == "fields":  # while it is being unpickled
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getnewargs__(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.fields, tuple(self)

    def keys(self) -> tuple[str, ...]:
        """The field names, so that `dict(dimensions)` works."""
        return self.fields


@dataclass(frozen=True)
class Allowed:
    """Which values of one dimension are allowed: listed ones, a range, or (neither) any."""

    values: tuple[str, ...] | None = None
    low: str | None = None
    high: str | None = None

    @property
    def any(self) -> bool:
        """Whether every value is allowed."""
        return self.values is None and self.low is None and self.high is None

    def __str__(self) -> str:
        if self.values is not None:
            return " or ".join(self.values) or "nothing"
        ends = (("at least", self.low), ("at most", self.high))
        return " and ".join(f"{words} {end}" for words, end in ends if end) or "anything"

    @property
    def spellings(self) -> list[str] | None:
        """Every name that a folder of an allowed value can have; None where only a look tells.

        That is for a range and for any, and for values with a `_`, which may stand for others.
        """
        if self.values is None or any("_" in value for value in self._clean_values):
            return None
        return sorted(value for value in self._clean_values if _is_component(value))

    @cached_property
    def _clean_values(self) -> frozenset[str]:
        return frozenset(map(clean, self.values or ()))

    def matches(self, value: str) -> bool:
        """Whether a value is allowed, both sides cleaned."""
        if self.any:
            return True
        value = clean(value)
        if self.values is not None:
            return value in self._clean_values
        return (self.low is None or clean(self.low) <= value) and (
            self.high is None or value <= clean(self.high)
        )


@dataclass(frozen=True)
class Schema:
    """The dimensions in order, each with its allowed values; a filter is one too."""

    fields: tuple[str, ...]
    allowed: tuple[Allowed, ...]

    @property
    def folders(self) -> int:
        """How many dimensions are folders."""
        return len(self.fields) - IN_FILE_NAME

    @property
    def layout(self) -> str:
        """The path of a block in words, for messages."""
        folders = "".join(f"<{field}>/" for field in self.fields[: self.folders])
        return folders + ".".join(f"<{field}>" for field in self.fields[self.folders :]) + ".*"

    def dimensions(self, values: Iterable[str]) -> Dimensions:
        """Values in this schema's order as Dimensions."""
        return Dimensions(self.fields, values)

    def dimensions_of(self, key: str) -> Dimensions | None:
        """The dimensions that a block's path holds; None where it is not of the layout."""
        # Once for every block of a listing, and there may be millions.
        folders = key.split("/")
        stems = folders.pop().split(".", IN_FILE_NAME)
        if len(folders) + IN_FILE_NAME != len(self.fields) or len(stems) <= IN_FILE_NAME:
            return None
        values = (*folders, *stems[:IN_FILE_NAME])
        return None if "" in values else Dimensions(self.fields, values)

    def matches(self, dimensions: Sequence[str]) -> bool:
        """Whether every dimension is allowed."""
        return all(a.matches(value) for a, value in zip(self.allowed, dimensions, strict=True))

    def place(self, values: Sequence[str]) -> Dimensions:
        """Where a record with these values belongs: what is not allowed becomes OTHER."""
        return self.dimensions(
            clean(value) if allowed.matches(value) else OTHER
            for allowed, value in zip(self.allowed, values, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "version": 1,
            "dimensions": [
                {"field_name": field, "allowed_values": _allowed_to_json(allowed)}
                for field, allowed in zip(self.fields, self.allowed, strict=True)
            ],
        }


def _allowed_to_json(allowed: Allowed) -> Any:
    if allowed.any:
        return "*"
    if allowed.values is not None:
        return list(allowed.values)
    ends = {"min": allowed.low, "max": allowed.high}
    return {end: value for end, value in ends.items() if value is not None}


def _allowed_from_json(value: Any, where: str) -> Allowed:
    if value == "*":
        return Allowed()
    if isinstance(value, str):
        return Allowed(values=(value,))
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return Allowed() if "*" in value else Allowed(values=tuple(value))
    if (
        isinstance(value, Mapping)
        and value
        and set(value) <= {"min", "max"}
        and all(isinstance(end, str) for end in value.values())
    ):
        return Allowed(low=value.get("min"), high=value.get("max"))
    raise SchemaError(
        f'{where}: allowed_values is {value!r}; it must be "*", a string, a list of strings, '
        'or {"min": string, "max": string}.'
    )


def parse_schema(data: Any, where: str = "schema") -> Schema:
    """A schema from its JSON form; `where` names it in errors. Raises SchemaError."""
    named = _parse_dimensions(data, where)
    if len(named) < IN_FILE_NAME:
        raise SchemaError(f"{where}: needs at least {IN_FILE_NAME} dimensions.")
    return Schema(tuple(named), tuple(named.values()))


def _parse_dimensions(data: Any, where: str) -> dict[str, Allowed]:
    if not isinstance(data, Mapping) or not isinstance(data.get("dimensions"), list):
        raise SchemaError(f'{where}: must be an object with a list "dimensions".')
    if data.get("version") != 1:
        raise SchemaError(f"{where}: version is {data.get('version')!r}; only 1 is known.")
    named: dict[str, Allowed] = {}
    for number, dimension in enumerate(data["dimensions"], 1):
        if not isinstance(dimension, Mapping) or not isinstance(dimension.get("field_name"), str):
            raise SchemaError(f'{where}: dimension {number} has no "field_name".')
        field = dimension["field_name"]
        if field in named:
            raise SchemaError(f"{where}: {field} stands there twice.")
        if "allowed_values" not in dimension:
            raise SchemaError(f'{where}: {field} has no "allowed_values".')
        named[field] = _allowed_from_json(dimension["allowed_values"], f"{where}: {field}")
    return named


def parse_filter(data: Any, schema: Schema, where: str = "filter") -> Schema:
    """A filter for the schema's dimensions; those that it does not name allow everything.

    Takes the JSON form of a schema, or, shorter, a mapping of field name to allowed values.
    Raises SchemaError, also for a field that the schema does not have.
    """
    if isinstance(data, Mapping) and "dimensions" in data:
        named = _parse_dimensions(data, where)
    elif isinstance(data, Mapping):
        named = {
            field: _allowed_from_json(value, f"{where}: {field}") for field, value in data.items()
        }
    else:
        raise SchemaError(f"{where}: must be a JSON object, not {type(data).__name__}.")
    unknown = [str(field) for field in named if field not in schema.fields]
    if unknown:
        raise SchemaError(
            f"{where}: no dimension {', '.join(unknown)}; the schema has "
            f"{', '.join(schema.fields)}."
        )
    return Schema(schema.fields, tuple(named.get(field, Allowed()) for field in schema.fields))


def read_json(path: str | Path) -> Any:
    """The JSON of a schema or filter file; raises SchemaError with the place of the mistake."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SchemaError(
            f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SchemaError(f"{path}: cannot be read: {reason}.") from None


def load_schema(path: str | Path | None = None) -> Schema:
    """The schema of a file; without one the schema that comes with the package."""
    if path is not None:
        return parse_schema(read_json(path), str(path))
    text = resources.files("mr.conf").joinpath("schema.json").read_text(encoding="utf-8")
    return parse_schema(json.loads(text), "conf/schema.json")


def load_filter(source: str | Path | Mapping[str, Any] | None, schema: Schema) -> Schema:
    """The filter of a file or a mapping; without one a filter that allows everything."""
    if source is None:
        return parse_filter({}, schema)
    if isinstance(source, str) and re.search(r"[={]", source) and not Path(source).exists():
        raise SchemaError(
            f"{source}: there is no such file, and a filter is one: write JSON into it, such as "
            '{"appUpdateChannel": "nightly"}.'
        )
    if isinstance(source, str | Path):
        return parse_filter(read_json(source), schema, str(source))
    return parse_filter(source, schema)
