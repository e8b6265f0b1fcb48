"""`mr-telemetry show`: versions, measures and a measure, as tables, CSV and JSON."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer
from mr.analyses.histograms import Histograms
from published import DIMENSIONS, payload, times, versions, write_definitions

import mr.histograms
from mr.testing import ping, run_analysis

SECOND = DIMENSIONS | {"appBuildID": "20140603030201", "submission_date": "20140604"}

Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder of three records of one version and one of another."""
    root = tmp_path_factory.mktemp("show")
    states = [1, 2, 0, 0, 2, -1, -1, 2, 0]
    records = [
        ping(payload(TIMES=times(1, 3, total=3), STATES=states), dimensions=DIMENSIONS),
        ping(payload("Linux", "3.2.63", TIMES=times(2, 0, total=0)), dimensions=DIMENSIONS),
        ping(payload("Linux", "3.2.63", TIMES=times(0, 0, 4, total=14)), dimensions=SECOND),
        ping(payload(UNUSABLE=[1, 0, 0, 1, -1, -1, -1, -1]), dimensions=SECOND),
        ping(payload(), dimensions=DIMENSIONS | {"appVersion": "9.0"}),
    ]
    definitions = write_definitions(root)
    run_analysis(Histograms, records, output=root / "out", definitions=[str(definitions)])
    return root / "out"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The published folder, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def lines(answer: Answer) -> list[str]:
    """Standard output of a command that has succeeded."""
    assert answer.code == 0, answer.err
    return answer.out.decode().splitlines()


def cells(answer: Answer) -> list[list[str]]:
    """A printed table, whose cells hold no space."""
    return [line.split() for line in lines(answer)]


def rows(answer: Answer) -> list[list[str]]:
    """Standard output as CSV."""
    return list(csv.reader(lines(answer)))


def assert_refused(answer: Answer, sentence: str) -> None:
    """It has printed nothing but one sentence, and says that the person has to change something."""
    assert answer.code == 2
    assert answer.out == b""
    assert sentence in answer.err
    assert answer.err.startswith("mr-telemetry: ")
    assert len(answer.err.splitlines()) == 1


def test_versions_in_three_formats(command: Command, made: Path):
    """A row for each version, in order, the same in each format."""
    folders = versions(made)
    expected = [
        ["version", "folder", "measures", "records", "blocks", "bad_blocks"],
        ["nightly/9", folders["nightly/9"], "1", "1", "1", "0"],
        ["nightly/31", folders["nightly/31"], "3", "4", "2", "0"],
    ]
    table = command("show", made)
    found = json.loads(command("show", made, "--format", "json").out)

    assert cells(table) == expected
    assert len({line.index(one[1]) for line, one in zip(lines(table), expected, strict=True)}) == 1
    assert table.err == ""
    assert rows(command("show", made, "--format", "csv")) == expected
    assert [list(map(str, one.values())) for one in found] == expected[1:]
    assert [list(one) for one in found] == [expected[0]] * 2
    assert found[1]["records"] == 4


def test_nothing_is_published_yet(command: Command, tmp_path: Path):
    """That is no error: the table is empty, and a note says so beside it."""
    (tmp_path / "versions.json").write_text("{}")
    table = command("show", tmp_path)

    assert [line.split()[0] for line in lines(table)] == ["version"]
    assert table.err == "Nothing is published yet.\n"
    assert json.loads(command("show", tmp_path, "--format", "json").out) == []


def test_a_folder_of_another_program(command: Command, copy: Path):
    """What it does not tell is empty in a table, and null in JSON."""
    (copy / versions(copy)["nightly/31"] / "coverage.json").unlink()
    table = rows(command("show", copy, "--format", "csv"))
    found = json.loads(command("show", copy, "--format", "json").out)

    assert table[2] == ["nightly/31", versions(copy)["nightly/31"], "3", "", "", ""]
    assert (found[1]["records"], found[1]["blocks"], found[1]["bad_blocks"]) == (None, None, None)
    assert command("show", copy, "nightly/31").code == 0


def test_measures_in_three_formats(command: Command, made: Path):
    """Kind, number of buckets and newest build of each measure."""
    expected = [
        ["measure", "kind", "buckets", "newest_build"],
        ["SIMPLE_MEASURES_UPTIME", "exponential", "50", "0"],
        ["STATES", "enumerated", "4", "20140601030201"],
        ["TIMES", "exponential", "10", "20140603030201"],
    ]
    table = command("show", made, "nightly/31")
    printed = command("show", made, "nightly/31", "--format", "csv")
    found = json.loads(command("show", made, "nightly/31", "--format", "json").out)

    assert cells(table) == rows(printed) == expected
    assert [list(map(str, one.values())) for one in found] == expected[1:]
    assert table.err.splitlines() == [
        "reason: saved_session",
        "appName: Firefox",
        "OS: Linux, WINNT",
        "osVersion: 3.2, 6.1",
        "arch: x86",
        "left out: UNUSABLE: its definition is unusable: n_values is 'JS::NUMBER', and JS::NUMBER "
        "has no value here",
    ]
    assert printed.err == ""


def test_a_level_of_many_values_is_cut(command: Command, tmp_path: Path):
    """Twelve values, and a sign that there are more."""
    records = [ping(payload("WINNT", f"{n:02}"), dimensions=DIMENSIONS) for n in range(13)]
    run_analysis(Histograms, records, output=tmp_path)

    told = command("show", tmp_path, "nightly/31").err.splitlines()

    assert told[3] == f"osVersion: {', '.join(f'{n:02}' for n in range(12))}, ..."


def test_a_measure_as_bars(command: Command, made: Path, environment: dict[str, str]):
    """What is said of it, then a bar for each bucket, the longest for the fullest."""
    environment["COLUMNS"] = "80"
    shown = lines(command("show", made, "nightly/31", "TIMES"))
    head = shown[: shown.index("")]
    bars = [line.split() for line in shown[shown.index("") + 2 :]]
    histogram = mr.histograms.open(made)["nightly/31"].histogram("TIMES")

    assert head[:2] == [
        "nightly/31 TIMES, by build date",
        "exponential, 3 submissions, 10 values",
    ]
    assert head[2].startswith("mean 1.70, geometric mean 0.57")
    estimates = [f"{p}%: {value:.1f}" for p, value in histogram.percentiles().items()]
    assert head[3] == f"percentiles (estimates): {', '.join(estimates)}"
    assert shown[shown.index("") + 1].split() == ["from", "count", "share"]
    assert [bar[0] for bar in bars] == (
        ["0", "1", "3", "10", "32", "101", "319", "1,006", "3,172", "10,000"]
    )
    assert [bar[1:3] for bar in bars[:4]] == [
        ["3", "30.0%"],
        ["3", "30.0%"],
        ["4", "40.0%"],
        ["0", "0.0%"],
    ]
    lengths = [len(bar[3]) if len(bar) > 3 else 0 for bar in bars]
    assert lengths[0] == lengths[1] == round(lengths[2] * 3 / 4)
    assert lengths[3:] == [0] * 7
    assert set(bars[2][3]) == {"█"}
    assert max(map(len, shown[shown.index("") :])) <= 80


@pytest.mark.parametrize("columns", [20, 300])
def test_bars_fit_the_terminal(
    command: Command, made: Path, environment: dict[str, str], columns: int
):
    """Within bounds: the longest bar is at least 10 and at most 60 characters wide."""
    environment["COLUMNS"] = str(columns)
    shown = lines(command("show", made, "nightly/31", "TIMES"))
    widest = max(line.count("█") for line in shown)

    assert widest == {20: 10, 300: 60}[columns]


def test_bars_of_number_signs(command: Command, made: Path, environment: dict[str, str]):
    """Where the output knows ASCII only; nothing else differs."""
    blocks = command("show", made, "nightly/31", "TIMES").out.decode()
    environment["PYTHONIOENCODING"] = "ascii"

    answer = command("show", made, "nightly/31", "TIMES")

    assert answer.code == 0
    assert answer.out.decode("ascii") == blocks.replace("█", "#")
    assert "####" in blocks.replace("█", "#")


def test_a_categorical_measure_has_no_mean(command: Command, made: Path):
    """The mean of states means nothing, so it is not shown."""
    shown = lines(command("show", made, "nightly/31", "STATES"))

    assert shown[1:3] == ["enumerated, 1 submission, 3 values", ""]
    assert [line.split()[:3] for line in shown[4:6]] == [["0", "1", "33.3%"], ["1", "2", "66.7%"]]


def test_a_choice_without_rows(command: Command, made: Path):
    """No values: no mean, no percentile, no bar, and no failure."""
    shown = lines(command("show", made, "nightly/31", "TIMES", "--from", "20150101"))

    assert shown[1:3] == ["exponential, 0 submissions, 0 values", ""]
    assert not any("█" in line for line in shown)


def test_a_measure_as_numbers(command: Command, made: Path):
    """CSV has a row for each bucket; JSON has all that Python's histogram has."""
    histogram = mr.histograms.open(made)["nightly/31"].histogram("TIMES")
    table = rows(command("show", made, "nightly/31", "TIMES", "--format", "csv"))
    found = json.loads(command("show", made, "nightly/31", "TIMES", "--format", "json").out)

    assert table[0] == ["start", "end", "count"]
    assert [int(start) for start, _, _ in table[1:]] == histogram.bounds.tolist()
    assert [float(end) for _, end, _ in table[1:]] == histogram.ends.tolist()
    assert [int(count) for _, _, count in table[1:]] == [3, 3, 4, *[0] * 7]
    assert found == histogram.to_dict()
    assert (found["count"], found["sum"], found["submissions"]) == (10, 17, 3)


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        (["--filter", "OS=Linux", "--filter", "OS=WINNT"], [3, 3, 4]),
        (["--filter", "OS=Linux", "--filter", "osVersion=6.1"], [0, 0, 0]),
        (["--from", "20140602"], [0, 0, 4]),
        (["--by", "submission", "--from", "20140602", "--to", "20140602"], [3, 3, 0]),
    ],
    ids=str,
)
def test_rows_are_chosen(command: Command, made: Path, options: list[str], counts: list[int]):
    """By filters, of which those of one level are alternatives, and by dates."""
    table = rows(command("show", made, "nightly/31", "TIMES", "--format", "csv", *options))

    assert [int(count) for _, _, count in table[1:4]] == counts


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nightly/32"], "has no nightly/32; did you mean nightly/31"),
        (["nightly/31", "TIMEZ"], "nightly/31 has no measure TIMEZ; did you mean TIMES."),
        (
            ["nightly/31", "TIMES", "--filter", "start=x"],
            "levels are reason, appName, OS, osVersion",
        ),
        (["nightly/31", "TIMES", "--filter", "OS"], "--filter OS: must be LEVEL=VALUE, as in"),
        (["nightly/31", "TIMES", "--from", "June"], "'June' is no date; write YYYYMMDD."),
        (["nightly/31", "--to", "20140601"], "choose rows of a measure: name one."),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_told(
    command: Command, made: Path, arguments: list[str], sentence: str
):
    """In one sentence, with exit code 2."""
    assert_refused(command("show", made, *arguments), sentence)


def test_an_unknown_format_is_told(command: Command, made: Path):
    """The sentence names the option and what it can be."""
    answer = command("show", made, "--format", "xml")

    assert answer.code == 2
    assert "'--format': 'xml' is not one of 'table', 'csv', 'json'" in answer.err


def test_what_is_no_published_folder(command: Command, copy: Path, tmp_path: Path):
    """A place that is not there, a damaged list, a name that leads elsewhere, a lost file."""
    assert_refused(
        command("show", tmp_path / "nowhere"),
        f"{tmp_path}/nowhere/versions.json is missing: this is no published folder.",
    )
    (copy / versions(copy)["nightly/31"] / "coverage.json").write_bytes(b"\x1f\x8b\x08")
    assert_refused(command("show", copy), "coverage.json is broken")
    shutil.rmtree(copy / versions(copy)["nightly/31"])
    assert_refused(command("show", copy, "nightly/31"), "histograms.json is missing: publish")
    (copy / "versions.json").write_text('{"nightly/31": "../copy"}')
    assert_refused(command("show", copy), "'nightly/31' names no folder: '../copy'.")
    (copy / "versions.json").write_text("{")
    assert_refused(command("show", copy), "versions.json is broken")
