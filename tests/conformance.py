"""Whether a published folder is what its readers expect, by the page of formats alone.

The standard library only, and nothing of ours: buckets, ids and trees are worked out again here.
"""

import gzip
import hashlib
import json
import math
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

LEVELS = ["reason", "appName", "OS", "osVersion", "arch"]
KINDS = ("by-build-date", "by-submission-date")
NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Checked:
    """What a folder holds."""

    folders: int
    measures: int
    rows: int
    #: Submissions of all rows by build date.
    submissions: int


def check_published(root: Path) -> Checked:
    """Raise AssertionError for the first breach that is found."""
    versions = _object(root / "versions.json")
    processed: set[str] = set()
    measures = rows = submissions = 0
    for key, folder in versions.items():
        assert isinstance(folder, str), f"{key}: no folder"
        channel, slash, major = key.partition("/")
        assert NAME.fullmatch(channel), f"{key}: no version"
        assert slash, f"{key}: no version"
        assert NAME.fullmatch(major), f"{key}: no version"
        stamp = re.fullmatch(r"(\d{14})-" + re.escape(f"{major}-{channel}"), folder)
        assert stamp, f"{folder} is no name for {key}"
        datetime.strptime(stamp[1], "%Y%m%d%H%M%S")
        found = _check_folder(root / folder)
        processed |= found.pop("processed")
        measures += found["measures"]
        rows += found["rows"]
        submissions += found["submissions"]
        coverage = _object(root / folder / "coverage.json")
        assert coverage["channel/version"] == key, f"{folder}: coverage of {coverage}"
        assert coverage["measures"]["published"] == found["measures"]
    listed = _list(root / "FILES_PROCESSED")
    assert listed == sorted(processed), "FILES_PROCESSED is not all that the folders hold"
    missing = _list(root / "FILES_MISSING")
    assert not processed.intersection(missing), "FILES_MISSING names what was processed"
    return Checked(len(versions), measures, rows, submissions)


def _check_folder(folder: Path) -> dict[str, Any]:
    definitions, revisions = _object(folder / "histograms.json"), _object(folder / "revisions.json")
    assert definitions.keys() == revisions.keys(), f"{folder}: revisions of other measures"
    ids = _tree(_object(folder / "filter-tree.json"))
    named = {path.name for path in folder.iterdir() if path.name.endswith("-date.json")}
    wanted = {f"{measure}-{kind}.json" for measure in definitions for kind in KINDS}
    assert named == wanted, f"{folder}: {sorted(named ^ wanted)[:3]} should (not) be there"
    rows = submissions = 0
    for measure, definition in definitions.items():
        assert NAME.fullmatch(measure), f"{measure} cannot stand in a URL"
        buckets = _buckets(definition)
        newest = revisions[measure]
        assert set(newest) == {"revision", "buildId", "length"}, f"{measure}: {newest}"
        assert newest["length"] == buckets + 6, f"{measure}: length {newest} of {buckets} buckets"
        totals = []
        for kind in KINDS:
            count, total = _check_file(folder / f"{measure}-{kind}.json", buckets, ids)
            totals.append(total)
            rows += count
        assert totals[1] <= totals[0], f"{measure}: more submissions by submission date"
        assert totals[0] > 0, f"{measure}: no submission"
        submissions += totals[0]
    processed = _list(folder / "FILES_PROCESSED")
    _check_coverage(_object(folder / "coverage.json"), processed)
    _check_state(folder / "state", definitions)
    return {
        "measures": len(definitions),
        "rows": rows,
        "submissions": submissions,
        "processed": set(processed),
    }


def _check_file(path: Path, buckets: int, ids: set[int]) -> tuple[int, int]:
    rows = total = 0
    for date, arrays in _object(path).items():
        assert re.fullmatch(r"\d{8}", date), f"{path}: {date} is no date"
        datetime.strptime(date, "%Y%m%d")
        assert arrays, f"{path}: {date} is empty"
        for array in arrays:
            assert len(array) == buckets + 7, f"{path}: {len(array)} numbers, {buckets} buckets"
            *counts, _sum, log, squares, _low, high, submissions, filter_id = array
            assert {type(number) for number in array} <= {int, float}, f"{path}: {array}"
            # The lower half of the squares is a signed number in the client's own arrays.
            assert min(log, squares, high) >= -1, f"{path}: a statistic of {array}"
            assert all(type(number) is int for number in counts), f"{path}: counts {counts}"
            assert type(submissions) is int, f"{path}: {submissions}"
            assert submissions > 0, f"{path}: {submissions}"
            assert all(map(math.isfinite, map(float, array))), f"{path}: not finite"
            assert filter_id in ids, f"{path}: no filter {filter_id}"
            total += submissions
        chosen = [array[-1] for array in arrays]
        assert len(set(chosen)) == len(chosen), f"{path}: {date} has a filter twice"
        rows += len(arrays)
    return rows, total


def _buckets(definition: dict[str, Any]) -> int:
    """The number of buckets, after a look at the bounds."""
    kind = definition["kind"]
    assert "description" in definition
    if kind in ("boolean", "flag"):
        return 3
    if kind == "enumerated":
        return definition["n_values"] + 1
    low, high, count = definition["low"] or 1, definition["high"], definition["n_buckets"]
    bounds = [0, low] if kind == "exponential" else [0]
    if kind == "exponential":
        for i in range(2, count):
            c = bounds[-1]
            x = math.floor(
                math.exp(math.log(c) + (math.log(high) - math.log(c)) / (count - i)) + 0.5
            )
            bounds.append(x if x > c else c + 1)
    else:
        assert kind == "linear", f"kind {kind}"
        for i in range(1, count):
            value = (low * (count - 1 - i) + high * (i - 1)) / (count - 2)
            bounds.append(math.floor(value + 0.5))
    assert bounds == sorted(set(bounds)), f"{definition}: bounds {bounds}"
    assert bounds[-1] == high, f"{definition}: ends at {bounds[-1]}"
    return count


def _tree(root: dict[str, Any]) -> set[int]:
    """The ids of the leaves, after a check of every node."""
    assert root["_id"] == 0, "the root's id is not 0"
    seen: set[int] = set()
    leaves: set[int] = set()

    def visit(node: dict[str, Any], path: tuple[str, ...]) -> None:
        number = node["_id"]
        assert number not in seen, f"the id {number} comes twice"
        seen.add(number)
        if path:
            digest = hashlib.sha256("/".join(path).encode()).digest()
            assert number == int.from_bytes(digest[:8], "big") >> 12, f"{path}: id {number}"
        children = {key: child for key, child in node.items() if key not in ("_id", "name")}
        if len(path) == len(LEVELS):
            assert set(node) == {"_id"}, f"{path}: a leaf with more than an id"
            leaves.add(number)
            return
        assert node["name"] == LEVELS[len(path)], f"{path}: level {node.get('name')}"
        for option, child in children.items():
            assert "/" not in option
            visit(child, (*path, option))

    visit(root, ())
    return leaves


def _check_coverage(coverage: dict[str, Any], processed: list[str]) -> None:
    records, days = coverage["records"], coverage["by_build_date"].values()
    assert coverage["blocks"]["processed"] == len(processed), "coverage of other blocks"
    assert sum(day["blocks"] for day in days) == len(processed), "blocks by date do not add up"
    assert sum(day["records"] for day in days) == records["read"], "records do not add up"
    assert sum(day["bad_records"] for day in days) == records["bad"], "bad ones do not add up"
    assert records["left_out"] <= records["read"]
    assert not set(coverage["blocks"]["unread"]).intersection(processed)


def _check_state(state: Path, definitions: dict[str, Any]) -> None:
    assert _object(state / "folder.json")["folder"] == state.parent.name
    assert (state / "folder.jsonl.zst").is_file()
    measures = json.loads(_body(state / "measures.json"))
    assert definitions.keys() <= set(measures), "a published measure has no state"
    shelves: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for measure in sorted(measures):
        shelves[f"{zlib.crc32(measure.encode()) % 16:02}.jsonl.zst"].append(measures[measure])
    named = {path.name: path for path in (state / "measures").glob("*")}
    assert named.keys() == shelves.keys(), "states of other measures"
    for name, places in shelves.items():
        ends = [start + length for start, length in places]
        assert [start for start, _ in places] == [0, *ends[:-1]], "states that do not adjoin"
        assert named[name].stat().st_size == ends[-1], "states of other measures"


def _list(path: Path) -> list[str]:
    text = path.read_text()
    assert not text or text.endswith("\n"), f"{path} is cut short"
    lines = text.splitlines()
    assert lines == sorted(set(lines)), f"{path} is not sorted, or repeats"
    return lines


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(_body(path), object_pairs_hook=_once, parse_constant=_refuse)
    assert isinstance(found, dict), f"{path} is no object"
    return found


def _body(path: Path) -> bytes:
    """The JSON of a file: gzipped in a bucket, plain in a folder."""
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key comes twice"
    return dict(pairs)


def _refuse(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")
