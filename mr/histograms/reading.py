"""Reading what is published: versions, measures, filters, dates, distributions.

published = mr.histograms.open("PUBLISHED")
version = published["nightly/31"]
version.histogram("GC_MS", OS="WINNT").median
for date, histogram in version.evolution("GC_MS", by="submission").items(): ...
"""

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from os import PathLike, fspath
from typing import Any

from mr.errors import FormatError, ObjectMissing, UsageError
from mr.extras import import_pandas
from mr.histograms.bodies import read_body
from mr.histograms.definitions import Definition, parse_definition
from mr.histograms.evolution import Evolution
from mr.histograms.filters import LEVELS, Path, tree_paths
from mr.histograms.folders import VERSIONS
from mr.histograms.placing import is_name
from mr.histograms.statistics import Histogram
from mr.store import Store
from mr.stores import open_store
from mr.tables import html_table
from mr.text import counted

#: Kinds of dates, and how the files that have them are called.
KINDS = {"build": "by-build-date", "submission": "by-submission-date"}

#: Names that an error shows.
_NAMES_SHOWN = 12

#: Measures, or versions, that a table shows.
ROWS_SHOWN = 20


def open_published(place: str | PathLike[str]) -> "Published":
    """Open a published folder: a path, or the URL of a store. Raises UsageError if it is none."""
    return Published(open_store(fspath(place)))


class Published:
    """A published folder: its versions, by `<channel>/<major version>`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        versions = _read(store, VERSIONS)
        if not isinstance(versions, dict):
            raise UsageError(f"{store.url}/{VERSIONS} is no JSON object: publish the folder anew.")
        for key, folder in versions.items():
            if not is_name(folder):
                raise UsageError(f"{store.url}/{VERSIONS}: {key!r} names no folder: {folder!r}.")
        self._folders: dict[str, str] = versions

    @property
    def versions(self) -> list[str]:
        """The versions in order."""
        return sorted(self._folders, key=_version_order)

    def __getitem__(self, version: str) -> "Version":
        """One version. Raises UsageError when it is not there."""
        if version not in self._folders:
            raise UsageError(f"{self._store.url} has no {version}{_near(version, self.versions)}.")
        return Version(self._store, version, self._folders[version])

    def __iter__(self) -> Iterator[str]:
        return iter(self.versions)

    def __len__(self) -> int:
        return len(self._folders)

    def __repr__(self) -> str:
        return f"<Published {self._store.url}: {', '.join(self.versions)}>"

    def _repr_html_(self) -> str:
        rows = [(version, self._folders[version]) for version in self.versions]
        return _html(("version", "folder"), rows, "version", self._store.url)


class Version:
    """One channel and major version; files are read when they are asked for."""

    def __init__(self, store: Store, name: str, folder: str) -> None:
        self._store = store
        self.name = name
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Version {self.name} in {self.folder}: {len(self.measures)} measures>"

    def _repr_html_(self) -> str:
        rows = []
        for measure in self.measures:
            definition = self.definition(measure)
            rows.append((measure, definition.kind, str(definition.buckets), definition.description))
        return _html(("measure", "kind", "buckets", "description"), rows, "measure", self.name)

    @cached_property
    def _definitions(self) -> dict[str, Any]:
        return self._read_object("histograms.json")

    @cached_property
    def revisions(self) -> dict[str, Any]:
        """Measure to revision, buildId and length of its newest build."""
        return self._read_object("revisions.json")

    @cached_property
    def coverage(self) -> dict[str, Any] | None:
        """What the folder covers; None if another program has published it."""
        name = "coverage.json"
        if self._store.stat(f"{self.folder}/{name}") is None:
            return None
        return self._read_object(name)

    @cached_property
    def _paths(self) -> dict[int, Path]:
        name = "filter-tree.json"
        try:
            return {number: path for path, number in tree_paths(self._read_object(name))}
        except FormatError as error:
            raise UsageError(f"{self._where(name)}: {error} Publish the folder anew.") from None

    @property
    def measures(self) -> list[str]:
        """The measures in order."""
        return sorted(self._definitions)

    def definition(self, measure: str) -> Definition:
        """A measure's kind and buckets. Raises UsageError when it is not published."""
        if measure not in self._definitions:
            raise UsageError(
                f"{self.name} has no measure {measure}{_near(measure, self.measures)}."
            )
        try:
            return parse_definition(self._definitions[measure])
        except UsageError as error:
            where = self._where("histograms.json")
            raise UsageError(f"{where}: the definition of {measure} is broken: {error}.") from None

    @property
    def filters(self) -> dict[str, list[str]]:
        """The levels of the filters, each with its values in order."""
        return {
            level: sorted({path[place] for path in self._paths.values()})
            for place, level in enumerate(LEVELS)
        }

    def dates(self, measure: str, by: str = "build") -> list[str]:
        """The dates (YYYYMMDD) that a measure has rows of."""
        return sorted(self._rows(measure, by))

    def histogram(
        self,
        measure: str,
        by: str = "build",
        *,
        start: str | date | None = None,
        end: str | date | None = None,
        **filters: str | Sequence[str],
    ) -> Histogram:
        """The sum over dates from `start` to `end`, both included, and over the chosen filters.

        Each filter is a level (reason, appName, OS, osVersion, arch) and a value, or several.
        Raises UsageError for what is not there.
        """
        definition = self.definition(measure)
        chosen = self._chosen(measure, by, start, end, filters)
        name = self._title(measure, by, start, end, filters)
        return Histogram.of_rows(definition, (row for _, _, row in chosen), name)

    def evolution(
        self,
        measure: str,
        by: str = "build",
        *,
        start: str | date | None = None,
        end: str | date | None = None,
        **filters: str | Sequence[str],
    ) -> Evolution:
        """Date to distribution, in order of the dates; else as `histogram`."""
        definition = self.definition(measure)
        found: dict[str, list] = defaultdict(list)
        for day, _, row in self._chosen(measure, by, start, end, filters):
            found[day].append(row)
        name = self._title(measure, by, start, end, filters)
        histograms = {
            day: Histogram.of_rows(definition, rows, f"{name}, {day}")
            for day, rows in found.items()
        }
        return Evolution(histograms, name, by)

    def to_pandas(
        self,
        measure: str,
        by: str = "build",
        *,
        start: str | date | None = None,
        end: str | date | None = None,
        **filters: str | Sequence[str],
    ) -> Any:
        """A DataFrame with a row for each date and filter path, else as `histogram`.

        Columns: date, reason, appName, OS, osVersion, arch, submissions, count, sum, mean.
        """
        pandas = import_pandas()
        definition = self.definition(measure)
        rows = []
        for day, path, row in self._chosen(measure, by, start, end, filters):
            one = Histogram.of_rows(definition, [row])
            rows.append((day, *path, one.submissions, one.count, one.sum, one.mean))
        columns = ["date", *LEVELS, "submissions", "count", "sum", "mean"]
        return pandas.DataFrame(rows, columns=columns)

    def _title(
        self,
        measure: str,
        by: str,
        start: str | date | None,
        end: str | date | None,
        filters: Mapping[str, str | Sequence[str]],
    ) -> str:
        """What is chosen, in words."""
        words = [f"{self.name} {measure}", f"by {by} date"]
        words += [f"from {_day(start, '')}"] if start is not None else []
        words += [f"to {_day(end, '')}"] if end is not None else []
        for level, values in filters.items():
            words.append(f"{level} {values if isinstance(values, str) else ' or '.join(values)}")
        return ", ".join(words)

    def _chosen(
        self,
        measure: str,
        by: str,
        start: str | date | None,
        end: str | date | None,
        filters: Mapping[str, str | Sequence[str]],
    ) -> Iterator[tuple[str, Path, list]]:
        wanted = self._wanted(filters)
        first, last = _day(start, "00000000"), _day(end, "99999999")
        for day, rows in sorted(self._rows(measure, by).items()):
            if not first <= day <= last:
                continue
            for row in rows:
                path = self._paths.get(row[-1])
                if path is None:
                    raise UsageError(
                        f"{self._where('filter-tree.json')} does not have the filter {row[-1]} of "
                        f"{measure}: publish the folder anew."
                    )
                if all(path[place] in values for place, values in wanted.items()):
                    yield day, path, row

    def _wanted(self, filters: Mapping[str, str | Sequence[str]]) -> dict[int, set[str]]:
        wanted = {}
        known = self.filters
        for level, values in filters.items():
            if level not in LEVELS:
                raise UsageError(f"there is no filter {level}; there are {', '.join(LEVELS)}.")
            chosen = {values} if isinstance(values, str) else set(values)
            for value in chosen - set(known[level]):
                raise UsageError(
                    f"{self.name} has no {level} {value!r}; it has {_shown(known[level])}."
                )
            wanted[LEVELS.index(level)] = chosen
        return wanted

    def _rows(self, measure: str, by: str) -> dict[str, list]:
        if by not in KINDS:
            raise UsageError(f"dates are by {' or by '.join(KINDS)}, not by {by!r}.")
        length = self.definition(measure).buckets + 7
        name = f"{measure}-{KINDS[by]}.json"
        found = self._read_object(name) if is_name(measure) else {}
        for rows in found.values():
            if not isinstance(rows, list) or any(
                not isinstance(row, list)
                or len(row) != length
                or any(type(number) not in (int, float) for number in row)
                for row in rows
            ):
                raise UsageError(
                    f"{self._where(name)} is broken: a row is not of {length} numbers; publish the "
                    "folder anew."
                )
        return found

    def _read_object(self, name: str) -> dict[str, Any]:
        found = _read(self._store, f"{self.folder}/{name}")
        if not isinstance(found, dict):
            raise UsageError(f"{self._where(name)} is no JSON object: publish the folder anew.")
        return found

    def _where(self, name: str) -> str:
        return f"{self._store.url}/{self.folder}/{name}"


def _read(store: Store, name: str) -> Any:
    where = f"{store.url}/{name}"
    try:
        return json.loads(read_body(store, name))
    except ObjectMissing:
        hint = "this is no published folder" if name == VERSIONS else "publish the folder anew"
        raise UsageError(f"{where} is missing: {hint}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is broken ({error}): publish the folder anew.") from None


def _html(names: Sequence[str], rows: Sequence[Sequence[str]], thing: str, where: str) -> str:
    shown = "" if len(rows) <= ROWS_SHOWN else f", of which {ROWS_SHOWN} are shown"
    note = f"{where}: {counted(len(rows), thing)}{shown}"
    return html_table(names, rows[:ROWS_SHOWN], [note])


def _day(day: str | date | None, default: str) -> str:
    if day is None:
        return default
    text = day.strftime("%Y%m%d") if isinstance(day, date) else day.replace("-", "")
    if not re.fullmatch(r"\d{8}", text):
        raise UsageError(f"{day!r} is no date; write YYYYMMDD.")
    return text


def _version_order(version: str) -> tuple:
    channel, _, major = version.partition("/")
    return channel, int(major) if major.isdecimal() else 0, major


def _near(name: str, names: Sequence[str]) -> str:
    """A hint at what was meant."""
    by_capitals = {one.upper(): one for one in names}
    alike = difflib.get_close_matches(name.upper(), by_capitals, 2)
    holding = [one for one in by_capitals if name.upper() in one]
    close = [by_capitals[one] for one in dict.fromkeys([*alike, *holding])][:3]
    if close:
        return f"; did you mean {' or '.join(close)}"
    return f"; it has {_shown(names)}"


def _shown(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return (", ".join(names[:_NAMES_SHOWN]) or "none") + more
