"""The bundled analyses of sections of a record: against a slow plain reading, and odd records."""

import ast
import csv
import statistics
from bisect import bisect_right
from collections import Counter, defaultdict
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mr.analyses._measures import added, counted, median
from reference import records
from test_analyses import place_of, rows_of

import mr
from mr.cells import integers_of_any_length
from mr.generate import generate
from mr.loading import bundled_analyses, load_analysis
from mr.testing import assert_lawful, count_analysis, ping, run_analysis

#: What may stand where something else is expected.
ODD = (
    None, True, 0, -1, 1.5, 10**400, 10**5000, "", "5", [], [[]], [None], {}, {"": None},
    {"a": []},
)  # fmt: skip

#: The sections that the analyses look into, with a sound one of each.
SECTIONS = {
    "info": {
        "OS": "WINNT", "version": "6.1", "flashVersion": "11.8", "activeExperiment": "x@y",
        "activeExperimentBranch": "control",
    },
    "simpleMeasurements": {
        "uptime": 5, "AMI_startup_begin": 700,
        "addonManager": {"exception": {"message": "is null", "file": "a.jsm", "line": 3}},
    },
    "slowSQL": {"mainThread": {"SELECT 'a'": [2, 30]}, "otherThreads": {"SELECT 'b'": [1, 9]}},
    "fileIOReports": {"file": [[1.5, 1, 2, 3, 4, 5], None, [2.5, 1, 2, 3, 4]]},
    "chromeHangs": {
        "memoryMap": [["a.pdb", "A1"], ["b.pdb", "B1"]],
        "stacks": [[[0, 16], [1, 255]], [[-1, 3], [2, 4]]], "durations": [7, 8],
    },
    "lateWrites": {"memoryMap": [["a.pdb", "A1"]], "stacks": [[[0, 17]]]},
    "addonDetails": {"XPI": {"addon": {"scan_MS": 0, "startup_MS": 40000, "shutdown_MS": 3}}},
    "log": [["EXPERIMENT_ACTIVATION", 5, "ACCEPTED", "x@y"]],
}  # fmt: skip

#: Analyses that look into records.
NAMES = [
    "flash_versions", "slow_sql", "main_thread_io", "chrome_hangs", "hang_stacks",
    "addon_performance", "experiments", "app_usage",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Records of all kinds, some of them with odd versions, hangs and experiments."""
    folder = tmp_path_factory.mktemp("more") / "tree"
    generate(folder, size=4_000_000, seed=11)
    return folder


@pytest.fixture(scope="module")
def read(tree):
    """Each record of it, as a plain reading has it: place, id, payload."""
    return [(place_of(key), name, payload) for key, _, name, payload in records(tree)]


@pytest.fixture
def answer(command, tree):
    """Run an analysis by its name, as a person would: the rows of its result."""

    def run(name, *settings):
        done = command("run", name, tree, *(w for one in settings for w in ("--set", one)))
        assert done.code == 0, done.err
        assert done.rows
        return done.rows

    return run


def run(name, pings, **parameters):
    """The rows of an analysis over records at hand."""
    return run_analysis(load_analysis(name), pings, **parameters)


def changed(value):
    """The value with each of its parts, at every depth, replaced by each of the odd ones."""
    yield from ODD
    if isinstance(value, list):
        yield from (value[:n] for n in range(len(value)))
        for place, part in enumerate(value):
            yield from ([*value[:place], odd, *value[place + 1 :]] for odd in changed(part))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from ({**value, name: odd} for odd in changed(part))


@pytest.fixture(scope="module")
def hostile():
    """Sound records, and some with each part of them replaced by what does not belong there."""
    payloads = [SECTIONS, SECTIONS, {}]
    payloads += [
        {**SECTIONS, name: odd} for name, section in SECTIONS.items() for odd in changed(section)
    ]
    with integers_of_any_length():
        return [ping(payload, id=f"{n}") for n, payload in enumerate(payloads)]


@pytest.mark.parametrize("name", NAMES)
def test_records_of_any_shape_are_taken(name, hostile):
    """What is odd is counted; the sound records count whatever stands beside them."""
    analysis = load_analysis(name)
    settings = {} if name in ("chrome_hangs", "app_usage") else {"min_count": 2}

    assert len(hostile) > 500
    assert run_analysis(analysis, hostile, **settings)
    assert sum(count_analysis(analysis, hostile).values()) > 10
    assert_lawful(analysis, hostile[:: len(hostile) // 40], **settings)


@pytest.mark.parametrize("name", bundled_analyses())
def test_every_bundled_analysis_answers(name, command, tree):
    """By its name, and tells what its answer is."""
    text = ast.get_docstring(ast.parse(bundled_analyses()[name].read_text()))

    done = command("run", name, tree, "--set", "min_count=0")

    assert done.code == 0, done.err
    assert len(done.out.splitlines()) > 1
    assert len(text.partition("\n")[0]) < 80
    assert "\n\nOutput: " in text


@pytest.mark.parametrize("name", [name for name in bundled_analyses() if name != "histograms"])
def test_every_bundled_analysis_names_its_columns(name, command, tree, tmp_path):
    """As many as its rows have, in a csv file and in pandas alike."""
    settings = {"min_count": 0} if name != "chrome_hangs" else {}
    if name == "record_count":
        settings["by"] = "appName,reason"
    result = mr.run(name, str(tree), parameters=settings, store=str(tmp_path / "s"), quiet=True)
    result.save(tmp_path / "result.csv")
    with (tmp_path / "result.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    frame = result.to_pandas()

    assert {len(row) for row in rows} == {len(header)}
    assert len(header) == len({*header}) > 1
    assert list(frame.columns) == header == list(result.columns)
    assert len(frame) == len(rows) > 0


# flash_versions


def test_flash_is_counted_on_windows_and_in_fennec(answer, read):
    """A number for the system's version is a text; no Flash is "none"."""
    counts = Counter()
    for place, _, payload in read:
        info = payload["info"]
        if place["appName"] == "Fennec" or (place["appName"], info["OS"]) == ("Firefox", "WINNT"):
            key = (
                *(place[name] for name in ("appName", "appVersion", "appUpdateChannel")),
                info["OS"], str(info["version"]), info.get("flashVersion", "none"),
            )  # fmt: skip
            counts[key] += 1

    assert any(not isinstance(payload["info"]["version"], str) for *_, payload in read)
    assert {key[0] for key in counts} == {"Firefox", "Fennec"}
    assert {key[5] for key in counts} > {"none", "11.8.800.94"}
    assert answer("flash_versions") == rows_of(counts)


def test_what_flash_versions_leaves_out():
    """Other applications and systems silently, odd records counted."""
    infos = [
        {"version": 6.1, "flashVersion": "11.9"}, {"version": "6.1", "flashVersion": "11.9"},
        {"version": 5, "flashVersion": None}, {"flashVersion": ""}, {"OS": "Linux"},
        {"flashVersion": 11.9}, {"version": None}, {"version": True}, {"OS": None},
    ]  # fmt: skip
    fennec = {"appName": "Fennec"}
    pings = [*(ping(info=info) for info in infos), ping(info={"OS": "Android"}, dimensions=fennec)]
    pings += [ping(info={"OS": None}, dimensions=fennec), ping({})]
    firefox = "Firefox", "22.0a1", "nightly", "WINNT"

    assert run("flash_versions", pings) == [
        (("Fennec", "22.0a1", "nightly", "Android", "6.1", "none"), 1),
        ((*firefox, "5", "none"), 1),
        ((*firefox, "6.1", "11.9"), 2),
        ((*firefox, "6.1", "none"), 1),
    ]
    assert count_analysis(load_analysis("flash_versions"), pings) == {
        "records with an odd version of Flash": 1,
        "records without an operating system or its version": 3,
    }


# slow_sql


@pytest.mark.parametrize("least", [1, 40])
def test_slow_statements_are_added_up(answer, read, least):
    """With the median of what one invocation took in each record."""
    found = defaultdict(list)
    for _, _, payload in read:
        for thread, statements in payload.get("slowSQL", {}).items():
            for statement, slow in statements.items():
                found[thread, statement].append(slow)
    expected = []
    for key, slows in sorted(found.items()):
        times, total = (sum(column) for column in zip(*slows, strict=True))
        median_of = statistics.median(ms / n for n, ms in slows)
        if times >= least:
            expected.append([list(key), [times, len(slows), total, median_of]])

    assert answer("slow_sql", f"min_count={least}") == expected
    assert least == 1 or len(expected) < len(found)


def test_slow_statements_need_over_100_invocations_and_are_masked():
    """Literals meet before they are counted, and a record with two of them counts once."""

    def slow(**statements):
        return ping(slowSQL={"mainThread": statements, "otherThreads": {}})

    pings = [
        slow(**{"A 'x'": [50, 100], "A 'y'": [50, 500], "B": [100, 1]}),
        slow(**{"A 'z'": [1, 9]}),
    ]

    assert run("slow_sql", pings) == [(("mainThread", "A :private:"), (101, 2, 609, 7.5))]
    assert run("slow_sql", pings[:1]) == []
    assert len(run("slow_sql", pings, min_count=1, mask_literals=False)) == 4
    assert count_analysis(load_analysis("slow_sql"), pings) == {"rows below min_count": 1}
    assert_lawful(load_analysis("slow_sql"), pings)


def test_odd_statements_are_counted():
    """Numbers that are none, or too few of them; more of them are no harm."""
    odd = [True, 0, -1, 1.5, "5", None, 10**20]
    statements = {f"A {n}": [value, 9] for n, value in enumerate(odd)}
    statements |= {f"B {n}": [5, value] for n, value in enumerate([True, -1, "5", None, 10**20])}
    statements |= {"C": [], "D": [5], "E": 5, "F": {}, "G": [5, 2.5, None], "H": [5, 0]}
    pings = [ping(slowSQL={"mainThread": statements, "otherThreads": []}), ping({"slowSQL": 5})]

    assert run("slow_sql", pings, min_count=1) == [
        (("mainThread", "G"), (5, 1, 2.5, 0.5)),
        (("mainThread", "H"), (5, 1, 0, 0.0)),
    ]
    assert count_analysis(load_analysis("slow_sql"), pings, min_count=1) == {
        "odd statements in slowSQL": 16,
        "odd threads in slowSQL": 1,
        "records without slowSQL": 1,
    }


# main_thread_io


def test_file_reports_are_summed_up(answer, read):
    """The medians over records."""
    found = defaultdict(list)
    for place, _, payload in read:
        for file, reports in payload.get("fileIOReports", {}).items():
            phases = ("startup", "execution", "shutdown")
            for phase, report in zip(phases, reports, strict=True):
                if report:
                    found[place["appName"], phase, file].append((report[0], sum(report[1:])))
    expected = [
        [list(key), [len(reports), *map(statistics.median, zip(*reports, strict=True))]]
        for key, reports in sorted(found.items())
    ]

    assert len(expected) > 10
    assert answer("main_thread_io", "min_count=1") == expected
    assert answer("main_thread_io", "min_count=3") == [row for row in expected if row[1][0] >= 3]


def test_file_reports_need_over_100_records():
    """101 are over 100; five numbers are a report too."""

    def reports(times, *numbers):
        return [ping(fileIOReports={"f": [None, [1.5, *numbers], None]})] * times

    assert run("main_thread_io", reports(100, 1, 1, 1, 1)) == []
    assert run("main_thread_io", reports(100, 1, 1, 1, 1) + reports(1, 9, 9, 9, 9, 9)) == [
        (("Firefox", "execution", "f"), (101, 1.5, 4.0))
    ]


def test_odd_file_reports_are_counted():
    """Of a file as a whole, or of one phase."""
    files = {
        "a": [[1, 1, 1, 1, 1], [1, 1, 1, 1], [True, 1, 1, 1, 1]], "b": [[1, 1, 1, 1, 1], None],
        "c": None, "d": [5, {}, [1, 1, None, 1, 1, 1]], "e": [None, None, [1, 1, 1, 1, 1, 1, 9]],
    }  # fmt: skip
    pings = [ping(fileIOReports=files), ping({"fileIOReports": []})]

    assert run("main_thread_io", pings, min_count=1) == [
        (("Firefox", "shutdown", "e"), (1, 1.0, 5.0)),
        (("Firefox", "startup", "a"), (1, 1.0, 4.0)),
    ]
    assert count_analysis(load_analysis("main_thread_io"), pings, min_count=1) == {
        "odd reports on files": 7,
        "records without fileIOReports": 1,
    }


# chrome_hangs and hang_stacks


def stacks(read):
    """Each stack with its record, as a plain reading finds them."""
    for place, name, payload in read:
        for kind, section in (("hang", "chromeHangs"), ("late write", "lateWrites")):
            found = payload.get(section, {"stacks": []})
            durations = found.get("durations", [None] * len(found["stacks"]))
            for number, stack in enumerate(found["stacks"]):
                frames = [f"{found['memoryMap'][n][0]}+0x{offset:x}" for n, offset in stack]
                yield place, name, kind, number, durations[number], frames


def test_hangs_and_late_writes_are_exported(answer, read):
    """In the order of the input, with their frames by name."""
    names = ("appName", "appUpdateChannel", "appVersion", "appBuildID", "submission_date")
    expected = [
        [[name, kind, number, *(place[field] for field in names)], [duration, frames]]
        for place, name, kind, number, duration, frames in stacks(read)
    ]

    assert {row[0][1] for row in expected} == {"hang", "late write"}
    assert answer("chrome_hangs") == expected


def test_stacks_of_any_shape_are_exported():
    """A library that is not in the map is unknown, and a hang may have no duration."""
    section = {
        "memoryMap": [["a.pdb", "A1"], [], None, [7]],
        "stacks": [
            [[0, 16], [-1, 5], [4, 6], [1, 7], [2, 8], [3, 9], [0, -1], [0], None, [False, 1]],
            5, [],
        ],
        "durations": [3, 4],
    }  # fmt: skip
    pings = [
        ping(id="x", chromeHangs=section),
        ping({"lateWrites": {"stacks": [[[0, 1]]]}}, id="y"),
    ]
    pings += [ping({"chromeHangs": []}), ping({"lateWrites": {"stacks": 1}})]
    place = "Firefox", "nightly", "22.0a1", "20130226031002", "20130301"
    frames = [
        "a.pdb+0x10", "unknown+0x5", "unknown+0x6", "unknown+0x7", "unknown+0x8", "unknown+0x9",
        "a.pdb", "a.pdb", "unknown", "unknown+0x1",
    ]  # fmt: skip

    assert run("chrome_hangs", pings) == [
        (("x", "hang", 0, *place), (3, frames)),
        (("x", "hang", 2, *place), (None, [])),
        (("y", "late write", 0, *place), (None, ["unknown+0x1"])),
    ]
    assert count_analysis(load_analysis("chrome_hangs"), pings) == {
        "odd stacks in chromeHangs": 1, "hangs without a duration": 1,
        "odd sections chromeHangs": 1, "odd sections lateWrites": 1,
    }  # fmt: skip


def test_stacks_are_counted(answer, read):
    """By their innermost frames, within a build."""
    found = defaultdict(list)
    for place, name, kind, _, duration, frames in stacks(read):
        key = place["appName"], place["appBuildID"], kind, " | ".join(frames[:2])
        found[key].append((name, duration or 0))

    assert answer("hang_stacks", "min_count=1", "frames=2") == [
        [list(key), [len(those), len({name for name, _ in those}), sum(s for _, s in those)]]
        for key, those in sorted(found.items())
    ]


def test_stacks_must_come_twice():
    """In one record or in two; of two builds they are not the same."""

    def hangs(name, *stacks, build="20130226031002"):
        section = {"memoryMap": [["a", "1"]], "stacks": stacks, "durations": [2] * len(stacks)}
        return ping(id=name, chromeHangs=section, dimensions={"appBuildID": build})

    deep = [[0, n] for n in range(9)]
    pings = [
        hangs("1", [[0, 1]], [[0, 2]], [[0, 2]]), hangs("2", [[0, 1]]), hangs("3", [[0, 3]]),
        hangs("4", deep), hangs("5", deep[:6]), hangs("6", [[0, 3]], build="20130227031002"),
    ]  # fmt: skip
    place = "Firefox", "20130226031002", "hang"

    assert run("hang_stacks", pings) == [
        ((*place, "a+0x0 | a+0x1 | a+0x2 | a+0x3 | a+0x4"), (2, 2, 4)),
        ((*place, "a+0x1"), (2, 2, 4)),
        ((*place, "a+0x2"), (2, 1, 4)),
    ]
    assert run("hang_stacks", pings, frames=9)[0][0][3] == "a+0x1"
    assert_lawful(load_analysis("hang_stacks"), pings)


# addon_performance


def test_times_of_addons_are_counted_by_bucket(answer, read):
    """Those of simple measures, as docs of the published folder give them; exceptions too."""
    bounds = [0, 1]
    while len(bounds) < 50:  # exponential, from 1 to 30000
        low = bounds[-1]
        bounds.append(max(low + 1, int(low * (30_000 / low) ** (1 / (50 - len(bounds))) + 0.5)))
    found = defaultdict(list)
    for _, _, payload in read:
        problem = payload["simpleMeasurements"]["addonManager"].get("exception")
        if problem:
            text = f"{problem['message']} ({problem['file']}:{problem['line']})"
            found[text, "exception", 0].append(0)
        for addon, details in payload.get("addonDetails", {"XPI": {}})["XPI"].items():
            for measure, time in details.items():
                found[addon, measure, bounds[bisect_right(bounds, time) - 1]].append(time)

    assert any(key[1] == "exception" for key in found)
    assert answer("addon_performance") == [
        [list(key), [len(times), sum(times)]] for key, times in sorted(found.items())
    ]


def test_odd_details_of_addons_are_counted():
    """The last bucket has no end; an exception may be of any kind."""
    details = {"a": {"scan_MS": 30_000, "startup_MS": 99_999, "shutdown_MS": 0.5, "more": []}}
    odd = {"b": {"scan_MS": -1, "startup_MS": "5", "shutdown_MS": None}, "c": 5}
    problems = [
        "broken", {"message": "m", "line": 5}, {"file": "f"}, {"message": 10**5000}, [],
        {"line": []},
    ]  # fmt: skip
    pings = [ping({"addonDetails": {"XPI": details | odd}})]
    with integers_of_any_length():
        pings += [
            ping({"simpleMeasurements": {"addonManager": {"exception": one}}}) for one in problems
        ]

    assert run("addon_performance", pings) == [
        (("a", "scan_MS", 30_000), (1, 30_000)),
        (("a", "shutdown_MS", 0), (1, 0.5)),
        (("a", "startup_MS", 30_000), (1, 99_999)),
        (("broken", "exception", 0), (1, 0)),
        (("m (:5)", "exception", 0), (1, 0)),
        (("no message", "exception", 0), (3, 0)),
        (("no message (f:)", "exception", 0), (1, 0)),
    ]
    assert count_analysis(load_analysis("addon_performance"), pings) == {
        "odd times of add-ons": 3, "odd details of add-ons": 1,
        "records without details of add-ons": 6,
    }  # fmt: skip


# experiments


def test_experiments_are_counted_by_channel(answer, read):
    """Who takes part, who began and who ended."""
    counts = Counter()
    for place, _, payload in read:
        channel, info = place["appUpdateChannel"], payload["info"]
        if "activeExperiment" in info:
            branch = info["activeExperimentBranch"]
            counts[channel, info["activeExperiment"], "active", branch] += 1
        for name, _time, outcome, experiment in payload.get("log", []):
            counts[channel, experiment, name.rpartition("_")[2].lower(), outcome] += 1

    assert {key[2] for key in counts} == {"active", "activation", "termination"}
    assert answer("experiments") == rows_of(counts)


def test_experiments_are_found_in_any_form():
    """The id first or second; once for each record; what is no entry of theirs is passed over."""
    begun, ended = "EXPERIMENT_ACTIVATION", "EXPERIMENT_TERMINATION"
    log = [
        [begun, 1, "a@x"], [begun, 2, "a@x"], [begun, 3, "REJECTED", "b", "minversion"],
        [ended, 4, "a@x", "EXPIRED"], [ended, 5, "plain"], [ended, 6], [begun], ["OTHER", 7], [], 8,
        [None, 1, "a@x"], [[], 1, "a@x"], [ended, 9, None, "a@x", 5],
    ]  # fmt: skip
    pings = [
        ping({"log": log}), ping({"log": {}}), ping(info={"activeExperiment": "a@x"}),
        ping(info={"activeExperiment": 5}), ping(info={"activeExperimentBranch": "lone"}),
    ]  # fmt: skip

    assert run("experiments", pings) == [
        (("nightly", "a@x", "activation", ""), 1),
        (("nightly", "a@x", "active", ""), 1),
        (("nightly", "a@x", "termination", ""), 1),
        (("nightly", "a@x", "termination", "EXPIRED"), 1),
        (("nightly", "b", "activation", "REJECTED minversion"), 1),
        (("nightly", "plain", "termination", ""), 1),
    ]
    assert count_analysis(load_analysis("experiments"), pings) == {
        "odd logs": 1, "odd entries of experiments": 2, "odd active experiments": 1
    }  # fmt: skip
    assert_lawful(load_analysis("experiments"), pings)


# app_usage


def test_documents_are_exported_as_a_table(command, tree, read, tmp_path):
    """That a spreadsheet opens: a header, and a row for each document."""
    done = command(
        "run", "app_usage", tree, "-o", "usage.csv", "--set", "measures=uptime, js.setProto"
    )
    names = ["submission_date", "reason", "appName", "appUpdateChannel", "appVersion", "appBuildID"]
    expected = {}
    for place, name, payload in read:
        info, simple = payload["info"], payload["simpleMeasurements"]
        told = [str(info[field]) if field in info else "" for field in ("OS", "version", "arch")]
        measures = [str(simple["uptime"]), str(simple["js"]["setProto"])]
        expected[name] = [name, *(place[field] for field in names), *told, *measures]

    assert done.code == 0, done.err
    with (tmp_path / "usage.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", *names, "OS", "version", "arch", "uptime", "js.setProto"]
    assert rows == [expected[name] for name in sorted(expected)]
    assert len(rows) > 50


def test_each_document_is_exported_once_as_it_came_first(tmp_path, command):
    """Fields may hold anything, and what is no such field is empty and counted."""

    def submitted(name, day, **info):
        return ping(id=name, dimensions={"submission_date": day}, info=info)

    odd = '6,1 "x"\n\r'
    pings = [
        submitted("a", "20130303", OS="late"), submitted("a", "20130302", OS=odd, version=6.1),
        submitted("b", "20130303", OS=None, version=True, arch={}),
        ping({"simpleMeasurements": {"uptime": -1, "start": "5", "main": 7.5}}, id="c"),
    ]  # fmt: skip

    rows = run("app_usage", pings, measures="uptime,start,main")

    assert [(key, row[0], *row[6:]) for key, row in rows] == [
        ("a", "20130302", odd, "6.1", "x86", 1, None, None),
        ("b", "20130303", None, None, None, 1, None, None),
        ("c", "20130301", None, None, None, None, None, 7.5),
    ]
    assert count_analysis(load_analysis("app_usage"), pings) == {"odd fields": 4}
    assert_lawful(load_analysis("app_usage"), pings)


def test_of_two_submissions_of_a_day_one_is_exported():
    """The same one however the work is cut."""
    pings = [ping(id="a", info={"OS": system}) for system in ("WINNT", "Darwin", "Linux")]

    assert [row[6] for _, row in run("app_usage", pings)] == ["Darwin"]
    assert_lawful(load_analysis("app_usage"), pings)


# ping_latency


def test_days_from_build_to_submission(answer, read):
    """By application and channel."""
    counts = Counter()
    for place, _, _ in read:
        built = datetime.strptime(place["appBuildID"][:8], "%Y%m%d")
        days = (datetime.strptime(place["submission_date"], "%Y%m%d") - built).days
        counts[place["appName"], place["appUpdateChannel"], days] += 1

    assert len(counts) > 5
    assert answer("ping_latency") == rows_of(counts)


def test_dates_are_checked():
    """What was submitted before its build is kept; what has no date is counted."""
    dates = [
        ("20130226031002", "20130301"), ("20130226", "20130301"), ("20130226031002", "20130225"),
        ("20130230031002", "20130301"), ("unknown", "20130301"), ("2013022", "20130301"),
        ("20130226031002", "20131301"), ("20130226031002", "2013_3_1"),
    ]  # fmt: skip
    pings = [
        ping(id=f"{n}", dimensions={"appBuildID": build, "submission_date": day})
        for n, (build, day) in enumerate(dates)
    ]

    assert run("ping_latency", pings) == [
        (("Firefox", "nightly", -1), 1),
        (("Firefox", "nightly", 3), 2),
    ]
    assert count_analysis(load_analysis("ping_latency"), pings) == {
        "records without a date of build or submission": 5
    }
    assert_lawful(load_analysis("ping_latency"), pings)


# Medians


@given(st.lists(st.lists(st.floats(0, 1e9) | st.integers(0, 50), min_size=1), min_size=1))
def test_the_median_is_exact_however_it_is_combined(groups):
    """That of all values, which is no median of medians."""
    combined = added(pair for group in groups for pair in counted(group))

    assert median(combined) == statistics.median([float(v) for group in groups for v in group])


@pytest.mark.parametrize("name", [*NAMES, "ping_latency"])
def test_the_answer_does_not_depend_on_how_the_work_is_cut(name, tree):
    """The law, on generated records."""
    pings = [ping(payload, id=name) for _, _, name, payload in records(tree)][:40]

    assert_lawful(load_analysis(name), pings)
