"""Definitions: the kind of each measure and its buckets, for one or several revisions.

A definition file is a JSON object of either form:

- Histograms.json of the client's sources, or a published histograms.json: measure to
  `{"kind": "exponential", "low": 1, "high": "64 * 1024", "n_buckets": 50, "description": "..."}`.
  exponential and linear need `high` and `n_buckets`, and have `low` 1 where it is absent or 0;
  enumerated needs `n_values`; boolean and flag need nothing. Numbers may be text (`expressions`).
- Bucket ranges: `{"histograms": {measure: {"kind": "0", "min": 1, "max": 10000, "bucket_count": 50,
  "buckets": [0, 1, ...]}}}`, of kinds 0 exponential, 1 linear or enumerated, 2 boolean, 3 flag.

Entries of both forms may stand in one file. An entry that cannot be used stops nothing: it is kept
by name with the reason.

Three lengths are in use, all of them counted from a definition's `buckets`: an array in a record
has `length` = buckets + 5 items (the statistics follow), revisions.json says buckets + 6, and a
published array has buckets + 7.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mr.errors import UsageError
from mr.histograms import bounds
from mr.histograms.expressions import whole_number

#: Statistics after the buckets of an array in a record.
STATISTICS = 5
#: Buckets of a boolean or a flag: no, yes, and one for all beyond.
_BUCKETS_OF_TWO = 3
#: A measure has at most so many buckets; the client's largest has a thousand.
MOST_BUCKETS = 10_000
#: No bound is larger: up to here the formulas are exact in floating point.
MOST_BOUND = 2**40
#: Hexadecimal digits that name a revision, at least and at most.
_LEAST_HASH, _MOST_HASH = 7, 40

SIMPLE_MEASURES = "SIMPLE_MEASURES_"
STARTUP = "STARTUP_"

_RANGED = ("exponential", "linear")
#: Numbers that each kind has, as they are called here and in definition files.
_NUMBERS: dict[str, tuple[str, ...]] = {
    "exponential": ("low", "high", "n_buckets"),
    "linear": ("low", "high", "n_buckets"),
    "enumerated": ("n_values",),
    "boolean": (),
    "flag": (),
}
#: The kinds of the second form; a linear one may be an enumerated one.
_RANGE_KINDS = {"0": "exponential", "1": "linear", "2": "boolean", "3": "flag"}

_HASH = re.compile(rf"(?:^|[/:])([0-9a-f]{{{_LEAST_HASH},{_MOST_HASH}}})/?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Definition:
    """A measure's kind and numbers; those that its kind does not have are None.

    kind: exponential, linear, enumerated, boolean or flag.
    low, high, n_buckets: of exponential and linear; low 0 or None becomes 1.
    n_values: of enumerated.

    Raises UsageError, whose text is the reason, when no buckets follow from these numbers.
    """

    kind: str
    low: int | None = None
    high: int | None = None
    n_buckets: int | None = None
    n_values: int | None = None
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in _NUMBERS:
            raise UsageError(f"kind is {self.kind!r}, which is none of {', '.join(_NUMBERS)}")
        if self.kind in _RANGED and not self.low:
            object.__setattr__(self, "low", 1)
        for name in ("low", "high", "n_buckets", "n_values"):
            value = getattr(self, name)
            if name not in _NUMBERS[self.kind] and value is not None:
                raise UsageError(f"kind {self.kind} has no {name}")
            if name in _NUMBERS[self.kind] and type(value) is not int:
                raise UsageError(f"kind {self.kind} needs {name}, a whole number")
        if self.kind in _RANGED:
            self._check_range()
        elif self.kind == "enumerated" and not 1 <= self.n_values < MOST_BUCKETS:
            raise UsageError(f"n_values is {self.n_values}, not from 1 to {MOST_BUCKETS - 1}")

    def _check_range(self) -> None:
        if not 1 <= self.low < self.high <= MOST_BOUND:
            raise UsageError(
                f"low {self.low} and high {self.high} do not rise from at least 1 to at most "
                f"{MOST_BOUND}"
            )
        # Each bound is larger than the one before: 0, then from low to high.
        most = min(self.high - self.low + 2, MOST_BUCKETS)
        if not 3 <= self.n_buckets <= most:
            raise UsageError(f"n_buckets is {self.n_buckets}, not from 3 to {most}")

    @property
    def buckets(self) -> int:
        """The number of buckets; for an enumerated one its values and one bucket beyond."""
        if self.kind in _RANGED:
            return self.n_buckets
        return self.n_values + 1 if self.kind == "enumerated" else _BUCKETS_OF_TWO

    @property
    def length(self) -> int:
        """The number of items of the array in a record: the buckets and five statistics."""
        return self.buckets + STATISTICS

    def bounds(self) -> NDArray[np.int64]:
        """The lower bounds, an int64 array of shape (buckets,); shared, so not to be written to."""
        if self.kind == "exponential":
            return bounds.exponential(self.low, self.high, self.n_buckets)
        if self.kind == "linear":
            return bounds.linear(self.low, self.high, self.n_buckets)
        return bounds.enumerated(self.buckets - 1)

    def to_json(self) -> dict[str, str | int]:
        """The definition as a published histograms.json has it."""
        numbers = {name: getattr(self, name) for name in _NUMBERS[self.kind]}
        return {"kind": self.kind, "description": self.description, **numbers}


#: The definition of every measure made of a simple one.
SIMPLE = Definition("exponential", 1, 30000, 50, description="A simple measure")


@dataclass(frozen=True, slots=True)
class DefinitionSet:
    """What one definition file says: definitions by measure, and why others are unusable."""

    definitions: dict[str, Definition]
    unusable: dict[str, str] = field(default_factory=dict)

    def get(self, measure: str) -> Definition | None:
        """The measure's definition; that of X for a STARTUP_X that has none of its own."""
        return self.definitions.get(measure) or self.definitions.get(measure.removeprefix(STARTUP))


def load_definitions(path: str | Path | None = None) -> DefinitionSet:
    """Read a definition file of either form; without a path, the definitions of this package.

    Raises UsageError when the file cannot be read, is no JSON object, or defines nothing usable.
    """
    if path is None:
        return parse_definitions(
            json.loads(resources.files("mr.conf").joinpath("definitions.json").read_bytes())
        )
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(
            f"Cannot read the definitions {path}: {error.strerror or error}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The definitions {path} are not JSON: {error}.") from None
    try:
        return parse_definitions(data)
    except UsageError as error:
        raise UsageError(f"The definitions {path} cannot be used: {error}.") from None


def parse_definitions(data: Any) -> DefinitionSet:
    """What the JSON of a definition file says. Raises UsageError when nothing in it is usable."""
    if not isinstance(data, dict):
        raise UsageError("they are no JSON object of measures")
    inner = data.get("histograms")
    entries = inner if isinstance(inner, dict) and "kind" not in inner else data
    found = DefinitionSet({}, {})
    for measure, entry in entries.items():
        try:
            found.definitions[measure] = parse_definition(entry)
        except UsageError as error:
            found.unusable[measure] = str(error)
    if found.unusable and not found.definitions:
        measure, reason = next(iter(found.unusable.items()))
        raise UsageError(f"none is usable; of {measure!r}, {reason}")
    return found


def parse_definition(entry: Any) -> Definition:
    """One entry of a definition file. Raises UsageError, whose text is the reason, if unusable."""
    if not isinstance(entry, dict):
        raise UsageError("the entry is no JSON object")
    kind = entry.get("kind")
    if type(kind) in (str, int) and str(kind) in _RANGE_KINDS:
        return _parse_bucket_range(_RANGE_KINDS[str(kind)], entry)
    if type(kind) is not str or kind not in _NUMBERS:
        raise UsageError(f"kind is {kind!r}, which is none of {', '.join(_NUMBERS)}")
    numbers = {name: _number(entry, name) for name in _NUMBERS[kind]}
    return Definition(kind, **numbers, description=_description(entry))


def _parse_bucket_range(kind: str, entry: Mapping[str, Any]) -> Definition:
    low, high, count = (_number(entry, name) for name in ("min", "max", "bucket_count"))
    if kind == "flag" and (low, high, count) != (1, 2, _BUCKETS_OF_TWO):
        kind = "linear"  # or enumerated, by its numbers
    if kind == "linear" and low == 1 and high is not None and count == high + 1:
        # A bucket for each value. The bounds of a linear measure would be the same.
        kind = "enumerated"
    numbers = {"low": low, "high": high, "n_buckets": count, "n_values": high}
    description = _description(entry)
    definition = Definition(
        kind, **{name: numbers[name] for name in _NUMBERS[kind]}, description=description
    )
    listed = entry.get("buckets")
    if listed is not None and listed != definition.bounds().tolist():
        raise UsageError("buckets are not those that follow from kind, min, max and bucket_count")
    return definition


def _number(entry: Mapping[str, Any], name: str) -> int | None:
    if entry.get(name) is None:
        return None
    try:
        return whole_number(entry[name])
    except ValueError as error:
        raise UsageError(f"{name} {error}") from None


def _description(entry: Mapping[str, Any]) -> str:
    """The text, which any JSON file can hold: half a surrogate pair becomes a question mark."""
    text = entry.get("description")
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else ""


def parse_option(text: str) -> tuple[str | None, str]:
    """Revision and path of an option `[REVISION=]PATH`; no revision is None.

    The first `=` ends the revision, so a path that has one itself is written `=PATH`.
    Raises UsageError when either is too short to be one.
    """
    revision, path = text.split("=", 1) if "=" in text else ("", text)
    if not path:
        raise UsageError(f"{text!r} names no file of definitions: write [REVISION=]PATH.")
    if 0 < len(revision) < _LEAST_HASH:
        raise UsageError(
            f"{text!r} begins with a revision of less than {_LEAST_HASH} characters; "
            f"if it is a path, write {'=' + text!r}."
        )
    return revision or None, path


class Definitions:
    """Definitions of several revisions at once, from which each measure gets the best one.

    Sets are asked in this order: those of the revision that is asked for (the closest name first),
    those without a revision, the others; among equals the last one given comes first. Within a
    set a measure has its own definition, else STARTUP_X has that of X. SIMPLE_MEASURES_* are
    always defined.
    """

    def __init__(self, sets: Sequence[tuple[str | None, DefinitionSet]]) -> None:
        """Make it of (revision or None, set) in the order given; there is at least one."""
        self._sets = tuple(sets)
        self._orders: dict[str | None, list[DefinitionSet]] = {}

    @classmethod
    def load(cls, options: Iterable[str] = ()) -> "Definitions":
        """Read the files of options `[REVISION=]PATH`; without any, this package's definitions.

        Raises UsageError, as `parse_option` and `load_definitions` do.
        """
        given = [parse_option(option) for option in options]
        sets = [(revision, load_definitions(path)) for revision, path in given]
        return cls(sets or [(None, load_definitions())])

    def lookup(self, measure: str, revision: str | None = None) -> Definition | None:
        """The measure's definition, if there is one, best that of the revision."""
        return next(self._candidates(measure, revision), None)

    def with_length(
        self, measure: str, buckets: int, revision: str | None = None
    ) -> Definition | None:
        """The first definition of the measure that has so many buckets, best that of the revision.

        `buckets` counts buckets alone, not the statistics after them in an array.
        """
        candidates = self._candidates(measure, revision)
        return next((one for one in candidates if one.buckets == buckets), None)

    def why_missing(self, measure: str, revision: str | None = None) -> str:
        """Why `lookup` finds nothing, for reports."""
        for one in self._order(revision):
            for name in (measure, measure.removeprefix(STARTUP)):
                if name in one.unusable:
                    return f"its definition is unusable: {one.unusable[name]}"
        return "it has no definition"

    def to_json(self) -> list[dict[str, Any]]:
        """Everything as plain JSON values, from which `from_json` makes an equal one."""
        return [
            {
                "revision": revision,
                "definitions": {name: one.to_json() for name, one in found.definitions.items()},
                "unusable": found.unusable,
            }
            for revision, found in self._sets
        ]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> "Definitions":
        """What `to_json` gave."""
        return cls(
            [
                (
                    one["revision"],
                    DefinitionSet(
                        {name: Definition(**entry) for name, entry in one["definitions"].items()},
                        dict(one["unusable"]),
                    ),
                )
                for one in data
            ]
        )

    def _candidates(self, measure: str, revision: str | None) -> Iterator[Definition]:
        for one in self._order(revision):
            if definition := one.get(measure):
                yield definition
        if measure.startswith(SIMPLE_MEASURES):
            yield SIMPLE

    def _order(self, revision: str | None) -> list[DefinitionSet]:
        """The sets, best first. There are few revisions, and every measure asks."""
        if revision not in self._orders:
            ranked = [(_likeness(name, revision), one) for name, one in reversed(self._sets)]
            ranked.sort(key=lambda pair: pair[0], reverse=True)  # stable: equals stay as they are
            self._orders[revision] = [one for _, one in ranked]
        return self._orders[revision]


def _likeness(name: str | None, revision: str | None) -> float:
    """How well the set of one revision serves another: the larger the better."""
    if name is None:
        return 0
    if revision is None:
        return -1
    if name == revision:
        return float("inf")
    ours, theirs = _HASH.search(name), _HASH.search(revision)
    if not ours or not theirs:
        return -1
    shorter, longer = sorted((ours[1].lower(), theirs[1].lower()), key=len)
    return len(shorter) if longer.startswith(shorter) else -1
