"""A published folder read back, against numbers that are summed by hand."""

import builtins
import gzip
import json
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from mr.analyses.histograms import Histograms
from published import DEFINITIONS, payload, versions, write_definitions
from published import DIMENSIONS as FIRST

import mr.histograms
from mr.errors import MrError, UsageError
from mr.histograms.definitions import Definition
from mr.histograms.evolution import DATES_SHOWN, Evolution
from mr.histograms.reading import ROWS_SHOWN, Version, open_published
from mr.histograms.statistics import Histogram
from mr.testing import ping, run_analysis

#: A block of the next build; one that came long after it; and other versions.
SECOND = FIRST | {
    "reason": "idle_daily",
    "appBuildID": "20140603030201",
    "submission_date": "20140604",
}
LATE = SECOND | {"submission_date": "20141231"}
OTHERS = [
    FIRST | {"appVersion": "9.0"},
    FIRST | {"appVersion": "10.0"},
    FIRST | {"appUpdateChannel": "beta"},
]

#: Buckets of TIMES by build date, then sum, and system: the records of nightly/31.
TIMES = [
    (FIRST, "WINNT", "6.1", [0, 0, 1, 2], 40),
    (FIRST, "WINNT", "6.1", [1, 1, 0, 0], 2),
    (FIRST, "Linux", "3.2.63", [0, 3, 0, 0], 4),
    (SECOND, "WINNT", "6.2", [2, 0, 0, 0], 0),
    (LATE, "WINNT", "6.1", [0, 0, 0, 5], 100),
]


def times(counts: list[int], total: int) -> list[int | float]:
    """A histogram of TIMES, whose logarithms are told and whose squares are not."""
    return [*counts, *[0] * 6, total, 1.5, 2.25, -1, -1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder, not to be changed."""
    root = tmp_path_factory.mktemp("reading")
    records = [
        ping(payload(system, version, TIMES=times(counts, total)), dimensions=where)
        for where, system, version, counts, total in TIMES
    ]
    records += [
        ping(payload(LINES=[0, 1, 0, 0, 0, 3, -1, -1, 9, 0]), dimensions=FIRST),
        ping(payload(UNUSABLE=[1, 0, 0, 1, -1, -1, -1, -1]), dimensions=FIRST),
        ping({"info": {}}, dimensions=FIRST),
    ]
    records += [ping(payload(TIMES=times([1, 0, 0, 0], 0)), dimensions=where) for where in OTHERS]
    definitions = write_definitions(root)
    run_analysis(Histograms, records, output=root / "out", definitions=[str(definitions)])
    return root / "out"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The published folder, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def version(made: Path) -> Version:
    """The version that most tests read."""
    return mr.histograms.open(made)["nightly/31"]


def live(root: Path) -> Path:
    """Where nightly/31 lies."""
    return root / versions(root)["nightly/31"]


def test_versions_are_in_order(made: Path):
    """By channel, then by number and not by text."""
    published = mr.histograms.open(made)
    expected = ["beta/31", "nightly/9", "nightly/10", "nightly/31"]

    assert published.versions == list(published) == expected
    assert len(published) == 4
    assert repr(published) == f"<Published {made}: {', '.join(expected)}>"
    assert {name: published[name].folder for name in published} == versions(made)


def test_a_folder_opens_by_path_text_and_url(made: Path):
    """Whichever is at hand."""
    for place in (made, str(made), made.as_uri()):
        assert open_published(place)["beta/31"].histogram("TIMES").count == 1


def test_measures_and_definitions(version: Version):
    """Those that are published, with the numbers of their definitions."""
    assert version.measures == ["LINES", "SIMPLE_MEASURES_UPTIME", "TIMES"]
    assert version.definition("TIMES") == Definition("exponential", 1, 10_000, 10)
    assert version.definition("TIMES").description == DEFINITIONS["TIMES"]["description"]
    assert version.definition("LINES") == Definition("linear", 1, 9, 5)
    assert version.name == "nightly/31"
    assert repr(version) == f"<Version nightly/31 in {version.folder}: 3 measures>"


def test_revisions_and_coverage(version: Version):
    """They are what the folder's files say."""
    assert version.revisions["TIMES"] == {
        "revision": "http://hg/rev/abc",
        "buildId": "20140603030201",
        "length": 16,
    }
    assert version.coverage["records"] == {"read": 8, "bad": 0, "left_out": 1}
    assert version.coverage["blocks"]["processed"] == 3
    assert list(version.coverage["measures"]["left_out"]) == ["UNUSABLE"]


def test_filters_are_levels_and_their_values(version: Version):
    """In the order of the tree, each with all values of the folder."""
    assert list(version.filters.items()) == [
        ("reason", ["idle_daily", "saved_session"]),
        ("appName", ["Firefox"]),
        ("OS", ["Linux", "WINNT"]),
        ("osVersion", ["3.2", "6.1", "6.2"]),
        ("arch", ["x86"]),
    ]


def test_dates(version: Version):
    """A block that came too late has no submission date; a measure has its own dates."""
    assert version.dates("TIMES") == ["20140601", "20140603"]
    assert version.dates("TIMES", by="submission") == ["20140602", "20140604"]
    assert version.dates("TIMES", "submission") == ["20140602", "20140604"]
    assert version.dates("LINES") == ["20140601"]


@pytest.mark.parametrize(
    ("options", "counts", "total", "submissions"),
    [
        ({}, [3, 4, 1, 7], 146, 5),
        ({"by": "submission"}, [3, 4, 1, 2], 46, 4),
        ({"OS": "WINNT"}, [3, 1, 1, 7], 142, 4),
        ({"OS": "Linux", "osVersion": "3.2"}, [0, 3, 0, 0], 4, 1),
        ({"osVersion": ["3.2", "6.2"]}, [2, 3, 0, 0], 4, 2),
        ({"osVersion": ("6.1",), "reason": "idle_daily"}, [0, 0, 0, 5], 100, 1),
        ({"reason": "saved_session", "osVersion": "6.2"}, [0, 0, 0, 0], None, 0),
        ({"OS": []}, [0, 0, 0, 0], None, 0),
        ({"start": "20140602"}, [2, 0, 0, 5], 100, 2),
        ({"end": "20140602"}, [1, 4, 1, 2], 46, 3),
        ({"start": "20140601", "end": "20140601"}, [1, 4, 1, 2], 46, 3),
        ({"start": "2014-06-03"}, [2, 0, 0, 5], 100, 2),
        ({"start": date(2014, 6, 3), "end": datetime(2014, 6, 3, 12)}, [2, 0, 0, 5], 100, 2),
        ({"start": "20140604"}, [0, 0, 0, 0], None, 0),
        ({"start": "20140603", "end": "20140601"}, [0, 0, 0, 0], None, 0),
        ({"by": "submission", "end": "20140602", "OS": "WINNT"}, [1, 1, 1, 2], 42, 2),
    ],
    ids=str,
)
def test_a_histogram_is_the_sum_of_what_is_chosen(
    version: Version,
    options: dict[str, Any],
    counts: list[int],
    total: int | None,
    submissions: int,
):
    """Dates are included at both ends, values of a level are alternatives, levels are not."""
    found = version.histogram("TIMES", **options)

    assert found.counts.tolist() == [*counts, *[0] * 6]
    assert (found.sum, found.submissions, found.count) == (total, submissions, sum(counts))
    assert found.mean == (total / sum(counts) if total else None)
    assert found.sum_squares is None
    assert found.log_sum == (1.5 * submissions if submissions else None)


def test_an_evolution_is_a_histogram_for_each_date(version: Version):
    """In the order of the dates; dates without a chosen row are not there."""
    found = version.evolution("TIMES")
    linux = version.evolution("TIMES", by="submission", OS="Linux")

    assert list(found) == ["20140601", "20140603"]
    assert found["20140601"].counts.tolist() == [1, 4, 1, 2, *[0] * 6]
    assert found["20140603"].counts.tolist() == [2, 0, 0, 5, *[0] * 6]
    whole = found["20140601"] + found["20140603"]
    assert whole.to_dict() == version.histogram("TIMES").to_dict()
    assert {day: one.sum for day, one in linux.items()} == {"20140602": 4}
    assert list(version.evolution("TIMES", start="20140602")) == ["20140603"]
    assert version.evolution("TIMES", end="20140531") == {}


def test_an_evolution_is_a_table(version: Version):
    """A row for each date, the same to pandas, in text and in HTML."""
    found = version.evolution("TIMES", by="submission", OS=["WINNT", "Linux"])
    first, second = found.values()
    frame = found.to_pandas()

    assert list(frame.columns) == [
        *("date", "submissions", "count", "mean", "p5", "p25", "p50", "p75", "p95"),
    ]
    assert frame["date"].tolist() == ["20140602", "20140604"]
    assert frame["submissions"].tolist() == [3, 1]
    assert frame["count"].tolist() == [8, 2]
    assert frame["mean"].tolist() == [46 / 8, 0]
    assert frame["p50"].tolist() == [first.median, second.median]
    assert frame["p95"].tolist() == [first.percentile(95), second.percentile(95)]
    lines = repr(found).splitlines()
    assert [line.split()[:4] for line in lines[:3]] == [
        ["date", "submissions", "count", "mean"],
        ["20140602", "3", "8", "5.8"],
        ["20140604", "1", "2", "0.0"],
    ]
    assert lines[3:] == [
        "nightly/31 TIMES, by submission date, OS WINNT or Linux",
        "by submission date; percentiles are estimates",
    ]
    assert "<td>20140602</td><td>3</td><td>8</td><td>5.8</td>" in found._repr_html_()
    assert "<p>nightly/31 TIMES, by submission date, OS WINNT or Linux</p>" in found._repr_html_()


def test_an_empty_evolution_shows_that_it_is(version: Version):
    """A choice without rows has no dates."""
    found = version.evolution("TIMES", end="20140531")

    assert len(found) == 0
    assert repr(found).splitlines()[1] == "(no dates)"
    assert found.to_pandas().shape == (0, 9)


def test_a_long_evolution_shows_its_last_dates():
    """Those that are asked for most, and how many there are."""
    empty = Histogram.of_rows(Definition("boolean"), [])
    found = Evolution({str(20140100 + day): empty for day in range(25, 0, -1)})
    lines = repr(found).splitlines()

    assert list(found) == sorted(found)
    assert [line.split()[0] for line in lines[1:-2]] == list(found)[-DATES_SHOWN:]
    assert lines[-2] == f"(the last {DATES_SHOWN} of 25 dates)"


def test_what_is_chosen_has_its_name(version: Version):
    """It says of what it is: version, measure, dates, filters."""
    assert version.histogram("LINES").name == "nightly/31 LINES, by build date"
    chosen = version.histogram(
        "TIMES", "submission", start="2014-06-01", end="20140603", OS="WINNT"
    )
    assert chosen.name == (
        "nightly/31 TIMES, by submission date, from 20140601, to 20140603, OS WINNT"
    )
    (day, one), *_ = version.evolution("TIMES").items()
    assert one.name == f"nightly/31 TIMES, by build date, {day}"


def test_a_folder_and_a_version_show_tables(made: Path, version: Version):
    """Versions and their folders; measures, how they are defined, and how many there are."""
    published = mr.histograms.open(made)
    folders, measures = published._repr_html_(), version._repr_html_()

    assert [f"<tr><td>{name}</td><td>{versions(made)[name]}</td></tr>" in folders
            for name in published] == [True] * 4  # fmt: skip
    assert f"<p>{made}: 4 versions</p>" in folders
    assert "<tr><td>TIMES</td><td>exponential</td><td>10</td><td>Time</td></tr>" in measures
    assert "<p>nightly/31: 3 measures</p>" in measures


def test_a_version_of_many_measures_shows_some(copy: Path):
    """A notebook is not flooded, and what definitions say is escaped."""
    definition = {"kind": "boolean", "description": "<i>a & b</i>"}
    names = [f"M{number:02}" for number in range(30)]
    (live(copy) / "histograms.json").write_text(json.dumps(dict.fromkeys(names, definition)))
    shown = mr.histograms.open(copy)["nightly/31"]._repr_html_()

    assert shown.count("<tr>") == 1 + ROWS_SHOWN
    assert "<td>&lt;i&gt;a &amp; b&lt;/i&gt;</td>" in shown
    assert "<p>nightly/31: 30 measures, of which 20 are shown</p>" in shown


def test_simple_measures_are_measures(version: Version):
    """Each of the seven records with a system has an uptime of 3."""
    found = version.histogram("SIMPLE_MEASURES_UPTIME")

    assert (found.count, found.sum, found.submissions) == (7, 21, 7)
    assert found.mean == 3
    assert found.geometric_mean == pytest.approx(3)


def test_to_pandas_has_a_row_for_each_date_and_path(version: Version):
    """All columns, and the same choice as of a histogram."""
    frame = version.to_pandas("TIMES")
    winnt = version.to_pandas("TIMES", "submission", OS="WINNT", end="20140602")

    assert list(frame.columns) == [
        *("date", "reason", "appName", "OS", "osVersion", "arch"),
        *("submissions", "count", "sum", "mean"),
    ]
    assert sorted(map(tuple, frame.itertuples(index=False))) == [
        ("20140601", "saved_session", "Firefox", "Linux", "3.2", "x86", 1, 3, 4, 4 / 3),
        ("20140601", "saved_session", "Firefox", "WINNT", "6.1", "x86", 2, 5, 42, 42 / 5),
        ("20140603", "idle_daily", "Firefox", "WINNT", "6.1", "x86", 1, 5, 100, 20),
        ("20140603", "idle_daily", "Firefox", "WINNT", "6.2", "x86", 1, 2, 0, 0),
    ]
    assert winnt[["date", "OS", "count"]].to_numpy().tolist() == [["20140602", "WINNT", 5]]
    assert version.to_pandas("TIMES", end="20000101").shape == (0, 10)


def test_to_pandas_needs_pandas(version: Version, monkeypatch: pytest.MonkeyPatch):
    """Without it the sentence says what to install."""
    real = builtins.__import__

    def without_pandas(name: str, *arguments, **options):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(UsageError, match=r"pip install 'mr-telemetry\[notebook\]'"):
        version.to_pandas("TIMES")


def test_gzipped_bodies_are_read_too(copy: Path, version: Version):
    """As a bucket holds them: nothing differs, whichever file is asked for."""
    for path in copy.rglob("*.json"):
        path.write_bytes(gzip.compress(path.read_bytes()))

    found = mr.histograms.open(copy)["nightly/31"]

    assert found.histogram("TIMES").to_dict() == version.histogram("TIMES").to_dict()
    assert (found.filters, found.measures) == (version.filters, version.measures)
    assert (found.coverage, found.revisions) == (version.coverage, version.revisions)


def test_a_folder_of_another_program_has_no_coverage(copy: Path):
    """What a dashboard reads is enough to read it back."""
    (live(copy) / "coverage.json").unlink()
    shutil.rmtree(live(copy) / "state")
    found = mr.histograms.open(copy)["nightly/31"]

    assert found.coverage is None
    assert found.histogram("TIMES").count == 15


def test_values_of_any_text_are_read_back(tmp_path: Path):
    """What would break the tree of filters is escaped in it, and comes back as it was."""
    systems = ["name", "_id", "a/b", "50%2F", "Ö", ""]
    records = [ping(payload(system, "_id"), dimensions=FIRST) for system in systems]
    run_analysis(Histograms, records, output=tmp_path)
    found = mr.histograms.open(tmp_path)["nightly/31"]

    assert found.filters["OS"] == sorted(systems)
    assert found.filters["osVersion"] == ["_id"]
    for system in systems:
        assert found.histogram("SIMPLE_MEASURES_UPTIME", OS=system).submissions == 1


def test_files_are_read_when_they_are_asked_for(copy: Path):
    """A file that is broken hinders only those who need it."""
    for name in ("revisions.json", "LINES-by-build-date.json", "coverage.json"):
        (live(copy) / name).write_text("{")
    found = mr.histograms.open(copy)["nightly/31"]

    assert found.histogram("TIMES").count == 15
    with pytest.raises(UsageError, match=r"LINES-by-build-date\.json is broken"):
        found.histogram("LINES")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is missing: this is no published folder."),
        (b"", "is broken (Expecting value"),
        (b'{"nightly/31": ', "is broken (Expecting value"),
        (b"\xff\xfe\xfd", "is broken ("),
        (b"[" * 200_000, "is broken ("),
        (b"\x1f\x8bnothing", "is broken ("),
        (gzip.compress(b"{}", mtime=0)[:-4], "is broken ("),
        (b'["nightly/31"]', "is no JSON object: publish the folder anew."),
        (b'{"nightly/31": "../x"}', "'nightly/31' names no folder: '../x'."),
        (b'{"nightly/31": ".."}', "'nightly/31' names no folder: '..'."),
        (b'{"nightly/31": "."}', "'nightly/31' names no folder: '.'."),
        (b'{"nightly/31": ""}', "'nightly/31' names no folder: ''."),
        (b'{"nightly/31": "/etc"}', "'nightly/31' names no folder: '/etc'."),
        (b'{"nightly/31": "a\\u0000"}', r"'nightly/31' names no folder: 'a\x00'."),
        (b'{"good/1": "x", "nightly/31": 31}', "'nightly/31' names no folder: 31."),
        (b'{"nightly/31": ["x"]}', "'nightly/31' names no folder: ['x']."),
    ],
    ids=lambda value: str(value)[:24],
)
def test_versions_that_are_none(tmp_path: Path, content: bytes | None, sentence: str):
    """The file is named, and nothing outside of the folder is ever opened."""
    if content is not None:
        (tmp_path / "versions.json").write_bytes(content)

    with pytest.raises(UsageError) as caught:
        mr.histograms.open(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/versions.json")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("place", ["", "s3://bucket/published", "http://host/published"])
def test_places_that_are_no_store(place: str):
    """A place that cannot be opened is refused by name."""
    with pytest.raises(UsageError):
        mr.histograms.open(place)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda found: found["nightly/32"], "has no nightly/32; did you mean nightly/31"),
        (lambda found: found["NIGHTLY/9"], "has no NIGHTLY/9; did you mean nightly/9"),
        (
            lambda found: found["esr"],
            "has no esr; it has beta/31, nightly/9, nightly/10, nightly/31.",
        ),
        (
            lambda found: found["nightly/31"].histogram("TIME"),
            "nightly/31 has no measure TIME; did you mean TIMES",
        ),
        (
            lambda found: found["nightly/31"].definition("simple"),
            "nightly/31 has no measure simple; did you mean SIMPLE_MEASURES_UPTIME.",
        ),
        (
            lambda found: found["nightly/31"].dates("UNUSABLE"),
            "nightly/31 has no measure UNUSABLE; it has LINES, SIMPLE_MEASURES_UPTIME, TIMES.",
        ),
        (
            lambda found: found["nightly/31"].evolution("../TIMES"),
            "nightly/31 has no measure ../TIMES",
        ),
        (
            lambda found: found["nightly/31"].dates("TIMES", by="day"),
            "dates are by build or by submission, not by 'day'.",
        ),
        (
            lambda found: found["nightly/31"].histogram("TIMES", os="WINNT"),
            "there is no filter os; there are reason, appName, OS, osVersion, arch.",
        ),
        (
            lambda found: found["nightly/31"].histogram("TIMES", OS="Darwin"),
            "nightly/31 has no OS 'Darwin'; it has Linux, WINNT.",
        ),
        (
            lambda found: found["nightly/31"].to_pandas("TIMES", osVersion=["6.1", "7"]),
            "nightly/31 has no osVersion '7'; it has 3.2, 6.1, 6.2.",
        ),
        (
            lambda found: found["nightly/31"].histogram("TIMES", start="June"),
            "'June' is no date; write YYYYMMDD.",
        ),
        (
            lambda found: found["nightly/31"].evolution("TIMES", end="201406"),
            "'201406' is no date; write YYYYMMDD.",
        ),
    ],
)
def test_what_is_not_there_is_told(made: Path, ask: Callable[[Any], Any], sentence: str):
    """What, where, and what there is instead."""
    with pytest.raises(UsageError) as caught:
        ask(mr.histograms.open(made))

    assert sentence in str(caught.value)


def test_long_lists_are_cut(copy: Path):
    """A sentence stays one that is read."""
    folder = versions(copy)["nightly/31"]
    many = {f"c/{number}": folder for number in range(40)}
    (copy / "versions.json").write_text(json.dumps(many))

    with pytest.raises(UsageError, match=r"has no xyz; it has c/0, .*c/11, \.\.\.\.$"):
        mr.histograms.open(copy)["xyz"]


ROW = [1, *[0] * 9, 5, 1.5, 2.25, -1, -1, 1]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("histograms.json", None, "is missing: publish the folder anew."),
        ("histograms.json", b"{", "is broken ("),
        ("histograms.json", b"\x1f\x8b\x08", "is broken ("),
        ("histograms.json", b"[]", "is no JSON object: publish the folder anew."),
        ("histograms.json", b'{"TIMES": 3}', ": the definition of TIMES is broken: "),
        ("histograms.json", b'{"TIMES": {"kind": "round"}}', ": the definition of TIMES is broken"),
        ("filter-tree.json", None, "is missing: publish the folder anew."),
        ("filter-tree.json", b"null", "is no JSON object"),
        ("filter-tree.json", b'{"_id": 0, "name": "OS"}', "a filter tree is damaged"),
        ("filter-tree.json", b'{"_id": 0, "name": "reason"}', "does not have the filter"),
        ("TIMES-by-build-date.json", None, "is missing: publish the folder anew."),
        ("TIMES-by-build-date.json", b"nul", "is broken ("),
        ("TIMES-by-build-date.json", b"[]", "is no JSON object"),
        ("TIMES-by-build-date.json", {"20140601": 5}, "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", {"20140601": [5]}, "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", {"20140601": [ROW]}, "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", {"20140601": [[*ROW, 1, 1]]}, "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", {"20140601": [[*ROW, "1"]]}, "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", {"20140601": [[*ROW, True]]}, "a row is not of 17 numbers"),
        ("TIMES-by-build-date.json", {"20140601": [[*ROW, 1]]}, "does not have the filter 1 of"),
    ],
    ids=str,
)
def test_broken_files_are_told(copy: Path, name: str, content: Any, sentence: str):
    """Which file is broken, how, and what to do; never another error."""
    path = live(copy) / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    with pytest.raises(UsageError) as caught:
        mr.histograms.open(copy)["nightly/31"].histogram("TIMES")

    named = "filter-tree.json" if "the filter" in sentence else name
    assert str(caught.value).startswith(f"{live(copy) / named}")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["coverage.json", "revisions.json"])
@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\x1f\x8bnothing", gzip.compress(b"{}", mtime=0)[:-9]], ids=str
)
def test_broken_accounts_are_told(copy: Path, name: str, content: bytes):
    """A file that ends too early is no end of the program."""
    (live(copy) / name).write_bytes(content)
    found = mr.histograms.open(copy)["nightly/31"]

    with pytest.raises(UsageError, match=rf"{name} is .*: publish the folder anew"):
        _ = found.coverage if name == "coverage.json" else found.revisions


def test_measures_that_are_no_names_lead_nowhere(copy: Path):
    """A listed measure whose name would leave the folder opens no file."""
    outside = live(copy).parent / "SECRET-by-build-date.json"
    shutil.copy(live(copy) / "TIMES-by-build-date.json", outside)
    definitions = json.loads((live(copy) / "histograms.json").read_text())
    definitions["../SECRET"] = definitions["TIMES"]
    (live(copy) / "histograms.json").write_text(json.dumps(definitions))

    assert mr.histograms.open(copy)["nightly/31"].histogram("../SECRET").count == 0


def test_every_error_is_one_of_ours(copy: Path):
    """Whatever a byte of a published file is cut to, nothing but a sentence comes of it."""
    path = live(copy) / "TIMES-by-build-date.json"
    data = path.read_bytes()
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(MrError, match="publish the folder anew"):
            mr.histograms.open(copy)["nightly/31"].histogram("TIMES")
