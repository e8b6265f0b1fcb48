"""The page that shows what is published, in a browser: its numbers, its controls, its troubles."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
from dashboards import served
from published import DEFINITIONS, payload, times, write_block, write_definitions

import mr.histograms
from mr.dashboard.site import write_site
from mr.generate import generate
from mr.histograms.definitions import load_definitions, parse_definition
from mr.stores import open_store

#: How the page's numbers may differ from ours: sums of floats in another order.
CLOSE = 1e-9


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """What is published of some generated records: several versions, hundreds of measures."""
    folder = tmp_path_factory.mktemp("dashboard")
    generate(folder / "blocks", size=5_000_000, seed=5)
    mr.run("histograms", folder / "blocks", output=folder / "published", quiet=True,
           store=str(folder / "store"))  # fmt: skip
    return folder / "published"


@pytest.fixture(scope="module")
def url(published):
    """The page over it."""
    with served(published) as found:
        yield found


@pytest.fixture(scope="module")
def small_source(tmp_path_factory):
    """Few records of known numbers: two days with one between them, and two systems."""
    folder = tmp_path_factory.mktemp("small")
    for day, system, count in (("01", "WINNT", 1), ("01", "Darwin", 2), ("03", "WINNT", 4)):
        seen = [1, count, 0, count, -1, -1, -1, -1]
        record = payload(system, TIMES=times(1, 0, count), SEEN=seen)
        build = f"201406{day}030201"
        write_block(folder / "blocks", [record], count, appBuildID=build)
    definitions = write_definitions(folder)
    mr.run("histograms", folder / "blocks", output=folder / "published", quiet=True,
           store=str(folder / "store"),
           parameters={"definitions": [str(definitions)]})  # fmt: skip
    return folder / "published"


@pytest.fixture
def small(small_source, tmp_path):
    """A copy of it, for a test to break."""
    return shutil.copytree(small_source, tmp_path / "published")


# Numbers

SUMMARIES = """
const [name, folder, measures] = given;
const version = await loadVersion(name, folder);
const of = async (measure, by) => {
  const { definition, days } = await loadRows(version, measure, by);
  const one = new Distribution(definition, Object.values(days).flat());
  return {
    bounds: definition.bounds, counts: one.counts, ends: one.ends, submissions: one.submissions,
    mean: one.mean, standard_deviation: one.standardDeviation, geometric_mean: one.geometricMean,
    geometric_standard_deviation: one.geometricStandardDeviation,
    percentiles: [0, 5, 25, 50, 75, 95, 100].map((p) => one.percentile(p)),
  };
};
const both = measures.flatMap((measure) => [[measure, "build"], [measure, "submission"]]);
return Promise.all(both.map(async ([measure, by]) => [measure, by, await of(measure, by)]));
"""


def same(found, expected):
    """Whether numbers, or lists of them, are equal but for rounding."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=CLOSE, abs_tol=CLOSE)


def test_the_page_says_what_python_says(browser, url, published):
    """Of every measure of a version, by both dates: the same buckets, statistics, percentiles."""
    version = mr.histograms.open(published)["nightly/26"]
    browser.open(url)
    summaries = browser.run(SUMMARIES, version.name, version.folder, version.measures)
    seen = 0
    for measure, by, found in summaries:
        expected = version.histogram(measure, by)
        assert found.pop("bounds") == expected.bounds.tolist(), measure
        assert found.pop("counts") == expected.counts.tolist(), measure
        assert found.pop("submissions") == expected.submissions, measure
        assert same(found.pop("ends"), expected.ends.tolist()), measure
        percentiles = [expected.percentile(p) for p in (0, 5, 25, 50, 75, 95, 100)]
        assert same(found.pop("percentiles"), percentiles), measure
        for name, value in found.items():
            assert same(value, getattr(expected, name)), (measure, name)
        seen += expected.count > 0
    assert len(summaries) == 2 * len(version.measures)
    assert seen > 600


def test_buckets_are_those_of_python(browser, url):
    """Of every definition of the package; and of those by bucket range."""
    browser.open(url)
    all_ = load_definitions().definitions
    raw = {name: definition.to_json() for name, definition in all_.items()}
    found = browser.run(
        "return Object.fromEntries(Object.entries(given[0])"
        ".map(([name, one]) => [name, parseDefinition(one).bounds]))",
        raw,
    )
    assert len(found) > 600
    assert found == {name: one.bounds().tolist() for name, one in all_.items()}

    ranges = {"kind": "1", "min": 1, "max": 3, "bucket_count": 4, "buckets": [0, 1, 2, 3]}
    assert browser.run("return parseDefinition(given[0]).kind", ranges) == "enumerated"
    assert parse_definition(ranges).kind == "enumerated"


# What a person sees and does


def test_the_first_page_shows_a_measure(browser, url, published):
    """With a link that says what is shown; nothing is asked of anybody else."""
    browser.open(url)

    histogram = mr.histograms.open(published)["nightly/26"].histogram("GC_MS")
    assert browser.text("#measure-name") == "GC_MS"
    assert f"submissions\n{histogram.submissions:,}\n" in browser.text("#summary")
    assert f"values\n{histogram.count:,}\n" in browser.text("#summary")
    assert browser.driver.current_url == f"{url}#version=nightly/26&measure=GC_MS"
    assert browser.problems() == []
    assert browser.errors() == []
    asked = browser.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(asked) > 10
    assert [one for one in asked if not one.startswith((url, "data:"))] == []
    drawn = browser.run(
        "return [...document.querySelectorAll('canvas')].map((canvas) => {"
        " const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        " return new Set(new Uint32Array(data.buffer)).size; })"
    )
    assert len(drawn) == 3
    assert min(drawn) > 5


def test_filters_and_dates_choose_rows(browser, url, published):
    """Several values of a level, and dates from and to, as Python does."""
    version = mr.histograms.open(published)["nightly/25"]
    days = version.dates("GC_MS", "submission")
    start, end = days[2], days[-3]
    expected = version.histogram(
        "GC_MS", "submission", start=start, end=end, OS=["WINNT", "Linux"], arch="x86"
    )
    assert 0 < expected.count < version.histogram("GC_MS", "submission").count

    browser.open(
        f"{url}#version=nightly/25&measure=GC_MS&by=submission&from={start}&to={end}"
        "&OS=WINNT&OS=Linux&arch=x86"
    )

    summary = browser.text("#summary")
    assert f"submissions\n{expected.submissions:,}\n" in summary
    assert f"values\n{expected.count:,}\n" in summary
    assert "OS WINNT or Linux" in browser.text("#selection")


def test_a_choice_goes_into_the_link_and_back_undoes_it(browser, url, published):
    """By the controls, one after the other."""
    first, second = mr.histograms.open(published)["nightly/26"].filters["OS"][:2]
    browser.open(f"{url}#version=nightly/26&measure=GC_MS")
    browser.click("#filters .menu:nth-of-type(3) summary")
    browser.click(f"#filters .menu:nth-of-type(3) input[value={second}]")
    browser.settle()
    # The menu stays open for the next value.
    browser.click(f"#filters .menu:nth-of-type(3) input[value={first}]")
    browser.settle()
    browser.click("input[name=by][value=submission]")
    browser.settle()
    browser.click("input[name=show][value=cumulative]")
    browser.settle()

    link = browser.driver.current_url.partition("#")[2]
    assert link == (
        f"version=nightly/26&measure=GC_MS&by=submission&show=cumulative&OS={first}&OS={second}"
    )
    browser.driver.back()
    browser.until(lambda: "show=" not in browser.driver.current_url, "the link is the one before")
    browser.settle()
    assert (
        browser.run("return document.querySelector('input[name=show]:checked').value") == "percent"
    )
    browser.click("#reset")
    browser.settle()
    assert "OS=" not in browser.driver.current_url


def test_a_measure_is_found_by_keys_alone(browser, published, tmp_path):
    """Among 700, by parts of its name or its description; what was left out says why."""
    folder = tmp_path / "published"
    shutil.copytree(published, folder)
    live = folder / json.loads((folder / "versions.json").read_text())["nightly/26"]
    keys = pytest.importorskip("selenium.webdriver.common.keys", reason="selenium is not installed")
    definitions = json.loads((live / "histograms.json").read_text())
    coverage = json.loads((live / "coverage.json").read_text())
    left_out = min(coverage["measures"]["left_out"])
    before = len(definitions)
    for number in range(700 - before):
        name = f"EXTRA_{number}"
        definitions[name] = {"kind": "boolean", "description": f"How often of kind {number}?"}
        (live / f"{name}-by-build-date.json").write_text("{}")
        (live / f"{name}-by-submission-date.json").write_text("{}")
    (live / "histograms.json").write_text(json.dumps(definitions))
    with served(folder) as url:
        browser.open(url)
        assert browser.text("#measure-help").startswith("700 measures")
        browser.run("document.getElementById('measure').focus()")
        browser.keys("firstpaint")
        assert browser.text("#measures .active .name") == "SIMPLE_MEASURES_FIRSTPAINT"
        active = browser.run(
            "return document.getElementById(document.activeElement"
            ".getAttribute('aria-activedescendant')).innerText"
        )
        assert active.startswith("SIMPLE_MEASURES_FIRSTPAINT")
        browser.keys(keys.Keys.ENTER)
        browser.settle()
        assert "measure=SIMPLE_MEASURES_FIRSTPAINT" in browser.driver.current_url
        assert browser.text("#measure-name") == "SIMPLE_MEASURES_FIRSTPAINT"

        browser.run("document.getElementById('measure').focus()")
        browser.run("document.getElementById('measure').select()")
        browser.keys("kind 7 often")
        names = browser.run(
            "return [...document.querySelectorAll('#measures .name')].map((one) => one.innerText)"
        )
        assert "EXTRA_7" in names
        assert all(name.startswith("EXTRA_") and "7" in name for name in names)
        browser.run("document.getElementById('measure').select()")
        browser.keys(left_out)
        assert "not published: it has no definition" in browser.text("#measures")
        browser.keys(keys.Keys.ESCAPE)
        assert browser.run("return document.getElementById('measures').hidden")
        assert browser.run("return document.getElementById('measure').value") == (
            "SIMPLE_MEASURES_FIRSTPAINT"
        )


def test_dates_are_chosen_by_dragging(browser, small):
    """Over either plot; the date fields and the link say the same, and all dates come back."""
    from selenium.webdriver.common.action_chains import ActionChains

    with served(small) as url:
        browser.open(f"{url}#version=nightly/31&measure=TIMES")
        assert "submissions\n3\n" in browser.text("#summary")
        canvas = browser.driver.find_element("id", "submissions-plot")
        x, width = browser.run(
            "const { scales, width } = plots.get('submissions-plot');"
            "return [scales.x.getPixelForValue(parseDay('20140603').getTime()), width]"
        )
        from_middle = round(x - width / 2)
        ActionChains(browser.driver).move_to_element_with_offset(
            canvas, from_middle - 20, 0
        ).click_and_hold().move_by_offset(30, 0).release().perform()
        browser.settle()

        assert browser.driver.current_url.endswith("&from=20140603&to=20140603")
        assert browser.run("return document.getElementById('from').value") == "2014-06-03"
        assert "submissions\n1\n" in browser.text("#summary")
        browser.click("#all-dates")
        browser.settle()
        assert "from=" not in browser.driver.current_url


def test_values_and_versions_are_compared(browser, url, published):
    """In one plot and one table, each with its own numbers."""
    opened = mr.histograms.open(published)
    browser.open(f"{url}#version=nightly/25&version=nightly/26&measure=GC_MS&compare=OS")

    cells = browser.run(
        "return [...document.querySelectorAll('#summary tr')].map((row) =>"
        " [...row.children].map((cell) => cell.innerText))"
    )
    labels = cells[0][1:]
    expected = {}
    for version in ("nightly/25", "nightly/26"):
        for system in opened[version].filters["OS"]:
            histogram = opened[version].histogram("GC_MS", OS=system)
            if histogram.submissions:
                expected[f"{version} · {system}"] = f"{histogram.submissions:,}"
    assert len(expected) > 3
    assert dict(zip(labels, cells[1][1:], strict=True)) == expected
    lines = browser.run("return plots.get('evolution-plot').data.datasets.map((one) => one.label)")
    assert lines == labels


def test_no_more_series_than_can_be_told_apart(browser, url):
    """The largest; and it is said that there are more."""
    browser.open(f"{url}#version=nightly/25&version=nightly/26&measure=GC_MS&compare=osVersion")

    count = browser.run("return shown.series.length")
    assert count == 8
    assert "the 8 of " in browser.text("#selection")


def test_of_categories_shares_are_shown_and_no_mean(browser, small):
    """A mean, or a percentile, of yes and no means nothing."""
    with served(small) as url:
        browser.open(f"{url}#version=nightly/31&measure=SEEN")
        summary = browser.text("#summary")
        # Three times no, and 1 + 2 + 4 times yes.
        assert "values\n10\n" in summary
        assert "share of true\n70%" in summary
        assert "mean" not in summary
        assert "percentile" not in summary
        browser.open(f"{url}#version=nightly/31&measure=TIMES")
        assert "mean" in browser.text("#summary")
        assert "median (estimated)" in browser.text("#summary")


def test_gaps_are_told(browser, small):
    """Days without data, and what the folder covers."""
    with served(small) as url:
        browser.open(f"{url}#version=nightly/31&measure=TIMES")
        told = browser.text("#coverage")
        assert "3 records of 3 blocks." in told
        assert "data of 2 of 3 days" in told


def test_what_is_damaged_is_told(browser, tmp_path):
    """Bad records and blocks, of which the page shows what could be read."""
    generate(tmp_path / "blocks", size=600_000, seed=4, bad_records=0.1, bad_blocks=0.3)
    mr.run("histograms", tmp_path / "blocks", output=tmp_path / "published", quiet=True,
           max_bad_records="100%", store=str(tmp_path / "store"))  # fmt: skip
    with served(tmp_path / "published") as url:
        versions = mr.histograms.open(tmp_path / "published")
        told = []
        for version in versions:
            browser.open(f"{url}#version={version}")
            told.append(browser.text("#coverage"))
            bad = len(versions[version].coverage["blocks"]["bad"])
            assert ("damaged, read up to the damage" in told[-1]) == (bad > 0)
        assert any("bad record" in one for one in told)
        assert any("damaged" in one for one in told)


def test_numbers_can_be_taken_away(browser, url, published):
    """As CSV and as JSON: those that are shown."""
    browser.open(f"{url}#version=nightly/26&measure=GC_MS&OS=WINNT")
    for what in ("distribution", "evolution"):
        for format_ in ("csv", "json"):
            browser.click(f"[data-export='{what}.{format_}']")

    version = mr.histograms.open(published)["nightly/26"]
    histogram = version.histogram("GC_MS", OS="WINNT")
    rows = browser.downloaded("GC_MS-nightly-26-distribution.csv").decode("utf-8").splitlines()
    table = list(csv.DictReader(rows))
    assert [int(row["count"]) for row in table] == histogram.counts.tolist()
    assert [int(row["start"]) for row in table] == histogram.bounds.tolist()
    found = json.loads(browser.downloaded("GC_MS-nightly-26-distribution.json"))
    assert [row["count"] for row in found["rows"]] == histogram.counts.tolist()
    assert found["filters"]["OS"] == ["WINNT"]
    assert found["definitions"]["nightly/26"]["kind"] == "exponential"
    evolution = version.evolution("GC_MS", OS="WINNT")
    rows = json.loads(browser.downloaded("GC_MS-nightly-26-evolution.json"))["rows"]
    assert {row["date"].replace("-", ""): row["submissions"] for row in rows} == {
        day: one.submissions for day, one in evolution.items()
    }
    assert all(same(row["median"], evolution[row["date"].replace("-", "")].median) for row in rows)
    lines = browser.downloaded("GC_MS-nightly-26-evolution.csv").decode("utf-8").splitlines()
    assert len(lines) == 1 + len(evolution)


def test_tables_say_what_the_plots_show(browser, small):
    """For those who do not see them."""
    with served(small) as url:
        browser.open(f"{url}#version=nightly/31&measure=TIMES&OS=WINNT")
        browser.click("#evolution-table summary")
        browser.click("#distribution-table summary")
        browser.until(lambda: browser.text("#distribution-table table"), "the tables are there")
        rows = browser.run(
            "return [...document.querySelectorAll('#evolution-table tbody tr')].map((row) =>"
            " [...row.children].slice(0, 3).map((cell) => cell.innerText))"
        )
        assert rows == [["2014-06-01", "1", "2"], ["2014-06-03", "1", "5"]]
        rows = browser.run(
            "return [...document.querySelectorAll('#distribution-table tbody tr')].map((row) =>"
            " [...row.children].map((cell) => cell.innerText)).filter((row) => row[2] !== '0')"
        )
        assert rows == [["0", "1", "2", "28.6%", "28.6%"], ["3", "10", "5", "71.4%", "100%"]]


# What goes wrong


def break_file(folder: Path, version: str, name: str, data: str | None) -> Path:
    """Give a file of a version another content, or none."""
    path = folder / json.loads((folder / "versions.json").read_text())[version] / name
    path.unlink()
    if data is not None:
        path.write_text(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("TIMES-by-build-date.json", "[1, 2", "TIMES-by-build-date.json is broken ("),
        ("TIMES-by-build-date.json", "[]", "TIMES-by-build-date.json is no JSON object"),
        ("TIMES-by-build-date.json", None, "TIMES-by-build-date.json is missing: publish"),
        (
            "TIMES-by-build-date.json",
            '{"20140601": [[1, 2]]}',
            "under 20140601 there is a row that is not of 17 numbers",
        ),
        (
            "TIMES-by-build-date.json",
            json.dumps({"20140601": [[*range(16), 7]]}),
            "does not have the filter 7 of TIMES",
        ),
        ("histograms.json", "{", "histograms.json is broken ("),
        ("histograms.json", None, "histograms.json is missing"),
        ("histograms.json", '{"TIMES": {"kind": "odd"}}', "there is no kind odd"),
        ("filter-tree.json", '{"_id": "x"}', "filter-tree.json is no tree of filters"),
        ("coverage.json", "{", "coverage.json is broken ("),
    ],
)
def test_a_broken_file_is_told_and_can_be_tried_again(browser, small, name, data, told):
    """One sentence with its name, no waiting without end; once it is mended it is shown."""
    with served(small) as url:
        folder = json.loads((small / "versions.json").read_text())["nightly/31"]
        good = (small / folder / name).read_text()
        path = break_file(small, "nightly/31", name, data)
        browser.open(f"{url}#version=nightly/31&measure=TIMES")

        (problem,) = browser.problems()
        assert told in problem
        assert folder in problem or "histograms.json" not in name
        # What a folder can do without is no reason to hide it.
        shown = "TIMES, 3 submissions" if name == "coverage.json" else ""
        assert browser.text("#status") == shown
        path.write_text(good)
        browser.click("#problems button")
        browser.until(lambda: browser.problems() == [], "the problem is gone")
        browser.until(lambda: "submissions\n3\n" in browser.text("#summary"), "it is shown")


def test_a_folder_of_another_program_is_shown(browser, small):
    """It has no coverage, and that is said."""
    break_file(small, "nightly/31", "coverage.json", None)
    with served(small) as url:
        browser.open(f"{url}#version=nightly/31&measure=TIMES")
        assert browser.problems() == []
        assert "the folder does not say what it covers" in browser.text("#coverage")


def test_what_a_link_names_and_is_not_there_is_told(browser, small):
    """A version, a measure, filters that leave nothing; and a server that is gone."""
    with served(small) as url:
        browser.open(f"{url}#version=nightly/99&measure=TIMES")
        assert browser.problems() == ["There is no version nightly/99 here."]
        assert "submissions\n3\n" in browser.text("#summary")
        browser.open(f"{url}#version=nightly/31&measure=UNUSABLE")
        assert browser.problems() == ["nightly/31 has no measure UNUSABLE."]
        browser.open(f"{url}#version=nightly/31&measure=TIMES&OS=BeOS")
        assert browser.problems() == ["Nothing matches these filters together: remove some."]
        assert browser.text("#evolution") == ""
        browser.open(f"{url}#version=nightly/31&measure=TIMES&from=20150101")
        assert browser.problems() == [
            "Nothing was submitted in the dates chosen: choose others, or all."
        ]
        browser.open(f"{url}#version=nightly/31&measure=TIMES")
        browser.driver.set_network_conditions(offline=True, latency=0, throughput=0)
        try:
            browser.click("input[name=by][value=submission]")
            browser.settle()
        finally:
            browser.driver.delete_network_conditions()
        (problem,) = browser.problems()
        assert "TIMES-by-submission-date.json could not be fetched" in problem
        assert "is the server still there?" in problem


def test_names_are_text_and_nothing_else(browser, tmp_path):
    """What stands in records or definitions is never read as HTML."""
    evil = "<img src=x onerror=alert(1)>"
    write_block(tmp_path / "blocks", [payload(evil, TIMES=times(1, 2))])
    definitions = {**DEFINITIONS, "TIMES": {**DEFINITIONS["TIMES"], "description": evil}}
    (tmp_path / "definitions.json").write_text(json.dumps(definitions))
    mr.run("histograms", tmp_path / "blocks", output=tmp_path / "published", quiet=True,
           store=str(tmp_path / "store"),
           parameters={"definitions": [str(tmp_path / "definitions.json")]})  # fmt: skip
    with served(tmp_path / "published") as url:
        browser.open(f"{url}#version=nightly/31&measure=TIMES&compare=OS&OS={evil}")
        assert browser.text("#description") == evil
        assert evil in browser.text("#selection")
        assert browser.run("return document.querySelectorAll('img').length") == 0
        assert browser.problems() == []


# For everybody, everywhere


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_people_of_all_kinds_can_use_it(browser, url, axe, theme, width):
    """No rule of accessibility is broken, and nothing is wider than a phone."""
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.open(f"{url}#version=nightly/25&version=nightly/26&measure=GC_MS&OS=WINNT")
    if browser.run("return currentTheme()") != theme:
        browser.click("#theme")
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    browser.run(axe)

    def violations() -> list:
        return [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]

    found = browser.run("return axe.run()")
    assert violations() == []
    assert len(found["passes"]) > 30
    # The list of measures: with some, of which one is not published, and with none.
    for text, least in (("crash", 1), ("no such measure", 1)):
        browser.run(
            "document.getElementById('measure').focus(); measureSearch.open(given[0])", text
        )
        assert browser.run("return measureSearch.list.children.length") >= least
        found = browser.run("return axe.run('#measure-field')")
        assert violations() == []

    assert browser.run(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    assert browser.errors() == []


def test_a_theme_is_remembered(browser, url):
    """And the plots take its colours."""
    browser.open(url)
    before = browser.run("return [currentTheme(), colour('text')]")
    browser.click("#theme")
    after = browser.run("return [currentTheme(), colour('text')]")
    assert before[0] != after[0]
    assert before[1] != after[1]
    browser.open(url)
    assert browser.run("return [currentTheme(), colour('text')]") == after
    drawn = browser.run(
        "return [plots.get('evolution-plot').options.scales.x.ticks.color, colour('muted')]"
    )
    assert drawn[0] == drawn[1]
    browser.click("#theme")


def test_a_site_works_from_a_disk(browser, small, tmp_path):
    """Opened as a file, with no server; and what is broken or missing there is told."""
    site = tmp_path / "site"
    write_site(open_store(str(small)), open_store(str(site)))
    url = (site / "index.html").as_uri()

    browser.open(f"{url}#version=nightly/31&measure=TIMES")
    assert browser.problems() == []
    assert "submissions\n3\n" in browser.text("#summary")
    folder = json.loads((small / "versions.json").read_text())["nightly/31"]
    twin = site / "published" / folder / "TIMES-by-submission-date.json.js"
    good = twin.read_text()
    twin.unlink()
    browser.click("input[name=by][value=submission]")
    browser.settle()
    assert browser.problems() == [
        f"{folder}/TIMES-by-submission-date.json is missing: publish the folder again, or copy all "
        "of it."
    ]
    twin.write_text(good.replace('", "', '", "AAAA'))
    browser.click("#problems button")
    browser.until(lambda: "is broken" in "".join(browser.problems()), "it is told")
    twin.write_text(good)
    browser.open(f"{url}#version=nightly/31&measure=TIMES&by=submission")
    assert browser.problems() == []


def test_a_site_works_from_a_bucket(browser, small, ministack, monkeypatch):
    """Each file with the type and encoding that a browser needs."""
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    from mr.aws.clients import client

    client("s3").create_bucket(Bucket="dashboards")
    write_site(open_store(str(small)), open_store("s3://dashboards/site"))

    browser.open(f"{ministack.url}/dashboards/site/index.html#version=nightly/31&measure=TIMES")
    assert browser.problems() == []
    assert "submissions\n3\n" in browser.text("#summary")
    assert browser.errors() == []
