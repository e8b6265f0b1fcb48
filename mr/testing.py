"""For your own tests: run an analysis over a few records, and check its law.

from mr.testing import assert_lawful, ping, run_analysis

def test_counts_by_system():
    records = [ping(info={"OS": "Linux"}), ping(info={"OS": "WINNT"})]
    assert run_analysis(OSDistribution, records) == [("Linux", 1), ("WINNT", 1)]
    assert_lawful(OSDistribution, records)
"""

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from mr.analysis import Analysis, known_parameters
from mr.checking import check_laws
from mr.directory import DirectoryStore
from mr.inline import Manner, RawRecord, run_inline
from mr.items import Line
from mr.schema import clean, load_schema

__all__ = ["assert_lawful", "count_analysis", "ping", "run_analysis"]

#: A record's dimensions unless told otherwise.
DEFAULT_DIMENSIONS = {
    "reason": "saved-session",
    "appName": "Firefox",
    "appUpdateChannel": "nightly",
    "appVersion": "22.0a1",
    "appBuildID": "20130226031002",
    "submission_date": "20130301",
}


def ping(
    payload: Mapping[str, Any] | None = None,
    *,
    id: str = "00000000-0000-4000-8000-000000000000",
    dimensions: Mapping[str, str] | None = None,
    **sections: Mapping[str, Any],
) -> RawRecord:
    """A record to test with.

    Without a payload it is a small valid one, whose sections (`info`, `simpleMeasurements`,
    `histograms`, ...) are updated by those given; with one it is exactly that. `dimensions`
    replaces some of `DEFAULT_DIMENSIONS`, and `info` says the same.
    """
    where = {**DEFAULT_DIMENSIONS, **(dimensions or {})}
    if payload is None:
        info = {name: value for name, value in where.items() if name != "submission_date"}
        info |= {"OS": "WINNT", "version": "6.1", "arch": "x86", "cpucount": 2}
        payload = {"ver": 2, "info": info, "simpleMeasurements": {"uptime": 1}, "histograms": {}}
    payload = dict(payload)
    for name, section in sections.items():
        payload[name] = {**payload.get(name, {}), **section}
    schema = load_schema()
    found = schema.dimensions(clean(where[field]) for field in schema.fields)
    return RawRecord(id, json.dumps(payload).encode("utf-8"), found)


def run_analysis(
    analysis: type[Analysis],
    records: Iterable[RawRecord | Mapping[str, Any]],
    *,
    splits: int = 1,
    combine: bool = True,
    output: str | PathLike[str] | None = None,
    **parameters: Any,
) -> list[Any]:
    """The answer of an analysis over records: (key, value) pairs, and lines of text as strings.

    A mapping among the records is a payload. What user code raises comes out as it is. An analysis
    that publishes does so to the folder `output`; all records of the same dimensions are one
    block, which has the same key wherever it has the same content.
    """
    outcome = run_inline(
        analysis,
        _as_records(records),
        Manner(splits=splits, combine=combine),
        known_parameters(analysis, parameters),
        None if output is None else DirectoryStore(output, durable=False),
    )
    return [
        item.text if isinstance(item, Line) else (item.key, item.value) for _, item in outcome.items
    ]


def count_analysis(
    analysis: type[Analysis],
    records: Iterable[RawRecord | Mapping[str, Any]],
    **parameters: Any,
) -> dict[str, int]:
    """The counters that an analysis leaves over records."""
    outcome = run_inline(
        analysis, _as_records(records), Manner(), known_parameters(analysis, parameters)
    )
    return outcome.tally.counters


def assert_lawful(
    analysis: type[Analysis],
    records: Iterable[RawRecord | Mapping[str, Any]],
    **parameters: Any,
) -> None:
    """Raise AssertionError, with the differing key, if the answer depends on how input is cut."""
    difference = check_laws(analysis, _as_records(records), known_parameters(analysis, parameters))
    if difference is not None:
        raise AssertionError(f"{analysis.__name__}: {difference}")


def _as_records(records: Iterable[RawRecord | Mapping[str, Any]]) -> list[RawRecord]:
    return [one if isinstance(one, RawRecord) else ping(one) for one in records]
