"""A slow plain reference of what is published, from records alone: dicts, lists and fractions."""

import json
import math
import re
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from conformance import LEVELS
from published import unpacked

SIMPLE = {"kind": "exponential", "low": 1, "high": 30000, "n_buckets": 50}


def number(value: Any) -> int | None:
    """A number of a definition: a plain one, or a product in text."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d+( *\* *\d+)*", value):
        return math.prod(map(int, value.split("*")))
    return None


def buckets_of(definition: dict[str, Any]) -> int | None:
    """The number of buckets of a definition of the first form; None if it is unusable."""
    kind = definition.get("kind")
    if kind in ("boolean", "flag"):
        return 3
    wanted = {"enumerated": ["n_values"]}.get(kind, ["high", "n_buckets"])
    numbers = [number(definition.get(name)) for name in wanted]
    if None in numbers:
        return None
    return numbers[0] + 1 if kind == "enumerated" else numbers[1]


def lookup(definitions: dict[str, Any], measure: str, buckets: int) -> dict[str, Any] | None:
    """The definition of a measure that has so many buckets."""
    names = [measure, measure.removeprefix("STARTUP_")]
    for definition in [definitions.get(name) for name in names if name in definitions][:1]:
        if buckets_of(definition) == buckets:
            return definition
    if measure.startswith("SIMPLE_MEASURES_") and buckets == 50:
        return SIMPLE
    return None


def simple_bounds() -> list[int]:
    """The bounds of simple measures."""
    bounds = [0, 1]
    for i in range(2, 50):
        c = bounds[-1]
        x = math.floor(math.exp(math.log(c) + (math.log(30000) - math.log(c)) / (50 - i)) + 0.5)
        bounds.append(x if x > c else c + 1)
    return bounds


BOUNDS = simple_bounds()


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number, which a boolean is not."""
    return type(value) in (int, float)


def found_in(payload: dict[str, Any], build: str) -> list[tuple[str, list, list, tuple[str, str]]]:
    """Measure, counts, statistics (None: absent) and (build, revision) of all in a record."""
    found = []
    revision = payload["info"].get("revision")
    newest = build, revision if isinstance(revision, str) else ""
    for measure, array in payload.get("histograms", {}).items():
        if not isinstance(array, list) or len(array) < 6 or not all(map(is_number, array)):
            continue
        if any(count != int(count) for count in array[:-5]):
            continue  # a part of a count
        statistics = [None if value == -1 else value for value in array[-5:]]
        found.append((measure, array[:-5], statistics, newest))
    flat = {}
    for name, value in payload.get("simpleMeasurements", {}).items():
        inner = (
            {f"{name}_{key}": one for key, one in value.items()} if isinstance(value, dict) else {}
        )
        flat |= inner or {name: value}
    for name, value in flat.items():
        if is_number(value):
            counts = [0] * 50
            if value >= 0:
                counts[max(i for i, bound in enumerate(BOUNDS) if bound <= value)] += 1
            log = math.log(abs(value) + 1)
            statistics = [value, log, log * log, None, None]
            measure = "SIMPLE_MEASURES_" + name.upper()
            found.append((measure, counts, statistics, ("0", "simple-measures")))
    return found


def day(text: str) -> date:
    """A date of eight digits."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def path_of(dimensions: dict[str, str], info: dict[str, Any]) -> tuple[str, ...] | None:
    """The filter path of a record; None if it gives nothing."""
    system, version, arch = info.get("OS"), info.get("version"), info.get("arch")
    if is_number(version):
        version = str(version)
    if not all(isinstance(text, str) for text in (system, version, arch)):
        return None
    if system == "Linux":
        version = version[:3]
    return dimensions["reason"], dimensions["appName"], system, version, arch


def expected(
    records: list[tuple[dict[str, str], dict[str, Any]]], definitions: dict[str, Any]
) -> dict[str, Any]:
    """Version to {"measures": {measure: ...}, "left_out": [measure, ...]} for these records.

    A measure has `definition`, `revision` and, for each kind, date to filter path to row (without
    the filter's id).
    """
    cells: dict[tuple, list] = {}
    versions = set()
    for dimensions, payload in records:
        version = f"{dimensions['appUpdateChannel']}/{dimensions['appVersion'].split('.')[0]}"
        versions.add(version)
        build, submitted = dimensions["appBuildID"], dimensions["submission_date"]
        path = path_of(dimensions, payload["info"])
        if path is None:
            continue
        dates = [("by-build-date", build[:8])]
        if (day(submitted) - day(build)).days <= 60:
            dates.append(("by-submission-date", submitted))
        for measure, counts, statistics, newest in found_in(payload, build):
            for kind, when in dates:
                key = (version, measure, kind, when, path, len(counts))
                cells.setdefault(key, []).append((counts, statistics, newest))
    return {version: _version(version, cells, definitions) for version in versions}


def _version(version: str, cells: dict[tuple, list], definitions: dict[str, Any]) -> dict[str, Any]:
    measures: dict[str, Any] = {}
    left_out = []
    for measure in sorted({key[1] for key in cells if key[0] == version}):
        own = {key: rows for key, rows in cells.items() if key[:2] == (version, measure)}
        # The newest build decides, and of equal builds the longer array.
        size = max(
            (max(row[2][0] for row in rows), key[5])
            for key, rows in own.items()
            if key[2] == "by-build-date"
        )[1]
        newest = max(
            row[2]
            for key, rows in own.items()
            if key[2] == "by-build-date" and key[5] == size
            for row in rows
        )
        definition = lookup(definitions, measure, size)
        if definition is None:
            left_out.append(measure)
            continue
        files: dict[str, Any] = {"by-build-date": {}, "by-submission-date": {}}
        for (_, _, kind, when, path, length), rows in own.items():
            if length == size:
                files[kind].setdefault(when, {})[path] = _sum(rows)
        revision = {"revision": newest[1], "buildId": newest[0], "length": size + 6}
        measures[measure] = {"kind": definition["kind"], "revision": revision, **files}
    return {"measures": measures, "left_out": left_out}


def _sum(rows: list[tuple]) -> list[int | float]:
    counts = [sum(column) for column in zip(*(row[0] for row in rows), strict=True)]
    statistics = []
    for column in zip(*(row[1] for row in rows), strict=True):
        present = [value for value in column if value is not None]
        if not present:
            statistics.append(-1)
        elif all(type(value) is int for value in present):
            statistics.append(sum(present))
        else:
            statistics.append(float(sum(map(Fraction, present))))
    return [*counts, *statistics, len(rows)]


def published(root: Path) -> dict[str, Any]:
    """What a published folder holds, in the same form."""
    versions = json.loads(unpacked((root / "versions.json").read_bytes()))
    return {version: _published(root / folder) for version, folder in versions.items()}


def _published(folder: Path) -> dict[str, Any]:
    def read(name: str) -> Any:
        return json.loads(unpacked((folder / name).read_bytes()))

    paths = dict(_leaves(read("filter-tree.json"), ()))
    revisions = read("revisions.json")
    measures = {}
    for measure, definition in read("histograms.json").items():
        files = {
            kind: {
                when: {paths[row[-1]]: row[:-1] for row in rows}
                for when, rows in read(f"{measure}-{kind}.json").items()
            }
            for kind in ("by-build-date", "by-submission-date")
        }
        kind = definition["kind"]
        measures[measure] = {"kind": kind, "revision": revisions[measure], **files}
    left_out = sorted(read("coverage.json")["measures"]["left_out"])
    return {"measures": measures, "left_out": left_out}


def _leaves(node: dict[str, Any], path: tuple[str, ...]):
    if len(path) == len(LEVELS):
        yield node["_id"], path
    for option, child in node.items():
        if option not in ("_id", "name"):
            text = option.replace("%2F", "/").replace("%6Eame", "name").replace("%5Fid", "_id")
            yield from _leaves(child, (*path, text.replace("%25", "%")))
