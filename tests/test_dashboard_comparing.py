"""The page, over folders written by hand: what is compared, what means nothing, what is odd."""

import csv
import json
import shutil
import time

import pytest
from dashboards import PATHS, row, served, write_published

import mr.histograms
from mr.dashboard.site import write_site
from mr.stores import open_store

DAYS = ("20140601", "20140602", "20140605")
COARSE = {"kind": "exponential", "low": 1, "high": 10_000, "n_buckets": 10}
FINE = {**COARSE, "n_buckets": 20}
LINEAR = {"kind": "linear", "low": 1, "high": 100, "n_buckets": 10}


def states(values: int) -> dict:
    """An enumerated definition."""
    return {"kind": "enumerated", "n_values": values}


def daily(*rows: list) -> dict[str, list]:
    """The same rows on each of the days."""
    return {day: list(rows) for day in DAYS}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two versions, whose measures are alike, or are not."""
    one = {
        "T": COARSE, "E": states(3), "K": COARSE, "B": {"kind": "boolean"}, "Z": states(3),
        "EMPTY": COARSE, "MIXED": LINEAR, "SIMPLE_MEASURES_N": COARSE, "HUGE": COARSE,
        "ZEROS": LINEAR,
    }  # fmt: skip
    other = {"T": FINE, "E": states(6), "K": {"kind": "boolean"}, "A": {"kind": "flag"}}
    squares = [0, 0, 0, 0, 0, 0, 10, 0, 0, 0]
    data = {
        "T": daily(row([10] * 10, 50_000)),
        "E": daily(row([5, 0, 5, 7])),
        "K": daily(row([10] * 10, 5000)),
        "B": {
            "20140601": [row([10, 0, 0])],
            "20140602": [row([2, 8, 0], path=2)],
        },
        "Z": daily(row([0, 0, 0, 0], 0)),
        "EMPTY": daily(row([0] * 10, 0)),
        "MIXED": {
            "20140601": [row(squares, 650, (41.8, 175), (42260, 0), submissions=10)],
            "20140602": [row([99 * one for one in squares], 64350, submissions=990)],
            "20140605": [row(squares), row(squares[::-1], 900, (0, 0), path=2)],
        },
        "SIMPLE_MEASURES_N": {
            "20140601": [row([0] * 10, -5, submissions=2)],
            "20140602": [row([1, 2, *[0] * 8], 4, submissions=4)],
        },
        "HUGE": daily(row([*[10] * 9, 10**15], 1e308, (6.9e17, 4.8e20), (1e15, 1e300))),
        "ZEROS": {
            "20140601": [row([0, 0, 9, *[0] * 7], 200)],
            "20140602": [row([9, *[0] * 9], 0)],
            "20140603": [row([0, 0, 0, 9, *[0] * 6], 300)],
            "20140606": [row([0, 0, 0, 9, *[0] * 6], 300)],
        },
    }  # fmt: skip
    more = {
        "T": daily(row([5] * 20, 50_000)),
        "E": daily(row([5, 0, 0, 4, 0, 5, 3])),
        "K": daily(row([1, 9, 0])),
    }
    root = tmp_path_factory.mktemp("handmade") / "published"
    return write_published(root, {"nightly/25": (one, data), "nightly/26": (other, more)})


@pytest.fixture(scope="module")
def url(published):
    """The page over it."""
    with served(published) as found:
        yield found


BOTH = "#version=nightly/25&version=nightly/26"

PLOT = """
const chart = plots.get(given[0]);
return chart && [chart.data.labels, ...chart.data.datasets.map((one) => one.data)];
"""


def summary(browser) -> dict[str, str]:
    """The statistics of the only series."""
    return browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#summary dl div')].map((one) =>"
        " [...one.children].map((part) => part.innerText)))"
    )


# What is shown, and under which name


def test_while_a_choice_is_loaded_files_name_what_is_shown(browser, published):
    """Numbers, names and the link of a file are those of the plots that a person sees."""
    with served(published) as url:
        browser.open(f"{url}#version=nightly/25&measure=T")
        link = browser.driver.current_url
        browser.run(
            "const fetched = fetch; window.fetch = async (...of) => {"
            " await new Promise((resolve) => { window.goOn = resolve; }); return fetched(...of); };"
            "choose({ measure: 'E', statistic: '' })"
        )
        browser.until(lambda: browser.run("return Boolean(window.goOn)"), "it is asked for")
        browser.click("[data-export='distribution.json']")
        browser.click("#theme")
        browser.run("document.getElementById('distribution-table').open = true")

        found = json.loads(browser.downloaded("T-nightly-25-distribution.json"))
        assert found["measure"] == "T"
        assert found["link"] == link
        assert [one["count"] for one in found["rows"]] == [30] * 10
        assert browser.text("#measure-name") == "T"
        assert browser.run("return document.title") == "T · nightly/25"
        browser.until(lambda: browser.text("#distribution-table table"), "the table is there")
        told = browser.run("return document.querySelector('#distribution-table caption').innerText")
        assert told == "T, distribution"
        browser.run("goOn()")
        browser.settle()
        assert browser.text("#measure-name") == "E"
        assert browser.errors() == []


@pytest.mark.parametrize("measure", ["Z", "EMPTY"])
def test_a_measure_without_values_leaves_no_plot_behind(browser, url, measure):
    """One sentence; and neither the plots of the measure before nor empty ones."""
    browser.open(f"{url}#version=nightly/25&measure=T")
    browser.run("choose({ measure: given[0] })", measure)
    browser.settle()

    assert browser.text("#evolution-note") == "No values: 3 submissions with empty buckets."
    assert browser.run("return [...plots.keys()]") == ["submissions-plot"]
    assert browser.text("#distribution") == ""
    assert not browser.run("return document.getElementById('evolution-plot').checkVisibility()")
    assert browser.problems() == []
    browser.run("choose({ measure: 'T' })")
    browser.settle()
    assert browser.run("return plots.size") == 3
    assert browser.text("#evolution-note") == ""


# Comparing


def test_what_is_cumulative_compares_different_buckets(browser, url):
    """A share below a value stands at the end of a bucket, whatever the buckets are."""
    browser.open(f"{url}{BOTH}&measure=T&show=cumulative")
    labels, *lines = browser.run(PLOT, "distribution-plot")
    bounds = browser.run("return shown.series.map((one) => one.definition.bounds)")

    union = sorted({*bounds[0], *bounds[1]})
    assert labels == [f"{bound:,}" for bound in union] + ["∞"]
    for line, own in zip(lines, bounds, strict=True):
        expected = dict(zip(own, [place / len(own) for place in range(len(own))], strict=True))
        assert line[-1] == 1
        assert line[:-1] == [
            None if bound not in expected else pytest.approx(expected[bound]) for bound in union
        ]
    told = browser.text("#distribution-help")
    assert "The series have different buckets: compare what is cumulative." in told


def test_a_bucket_is_named_by_the_series_that_has_it(browser, url):
    """Its range is its own, not that of the first series."""
    browser.open(f"{url}{BOTH}&measure=T")
    bounds = browser.run("return shown.series[1].definition.bounds")
    told = browser.run(
        "const { config, data } = plots.get('distribution-plot');"
        "const { title, label } = config.options.plugins.tooltip.callbacks;"
        "const dataIndex = data.labels.indexOf(formatNumber(given[0]));"
        "const item = { datasetIndex: 1, dataIndex, parsed: { y: 0.05 }, chart: {} };"
        "return [title([item]), label(item)];",
        bounds[10],
    )
    assert told == [
        f"{bounds[10]:,} to under {bounds[11]:,}",
        "nightly/26: 5% (15 values)",
    ]


def test_values_are_compared_by_what_they_stand_for(browser, url):
    """ "other" of one version is no value of another, and nothing is lost."""
    browser.open(f"{url}{BOTH}&measure=E&show=count")

    labels, *series = browser.run(PLOT, "distribution-plot")
    assert labels == ["0", "1", "2", "3", "4", "5", "other"]
    assert series == [[15, 0, 15, None, None, None, 21], [15, 0, 0, 12, 0, 15, 9]]
    offered = browser.run("return [...document.querySelectorAll('#statistic option')]"
                          ".map((one) => one.text)")  # fmt: skip
    assert sorted(offered) == [f"share of {value}" for value in ("0", "2", "3", "5", "other")]
    assert "what one does not know is in its “other”" in browser.text("#distribution-help")
    browser.open(f"{url}{BOTH}&measure=E&statistic=share-other")
    shares = browser.run("return plots.get('evolution-plot').data.datasets"
                         ".map((one) => one.data[0].y)")  # fmt: skip
    assert shares == [pytest.approx(7 / 17), pytest.approx(3 / 17)]
    browser.click("#distribution-table summary")
    browser.until(lambda: browser.text("#distribution-table table"), "the table is there")
    rows = browser.run("return [...document.querySelectorAll('#distribution-table tbody tr')].map("
                       "(row) => [...row.children].map((cell) => cell.innerText))")  # fmt: skip
    counts = {(label, value): count for value, count, *_, label in rows}
    assert counts["nightly/25", "other"] == "21"
    assert counts["nightly/26", "3"] == "12"
    assert "2 empty buckets left out." in browser.text("#distribution-table")


@pytest.mark.parametrize("order", [(25, 26), (26, 25)])
def test_what_is_of_different_kinds_is_not_compared(browser, url, order):
    """The kind of the first version in the page's order is drawn, whatever the link's order."""
    versions = "&".join(f"version=nightly/{major}" for major in order)
    browser.open(f"{url}#{versions}&measure=K")

    (problem,) = browser.problems()
    assert problem == (
        "K is exponential in nightly/25, boolean in nightly/26; what is of different kinds cannot "
        "be compared: nightly/26 is left out."
    )
    assert browser.run("return shown.series.map((one) => one.label)") == ["nightly/25"]
    assert summary(browser)["values"] == "300"
    assert browser.text("#selection").startswith("exponential · nightly/25")


def test_a_series_keeps_its_colour(browser, tmp_path):
    """In all plots, also where another has nothing in the dates chosen."""
    rows = {day: [row([10] * 10, 5000)] for day in ("20140601", "20140602")}
    first = {"20140601": rows["20140601"]}
    root = write_published(
        tmp_path / "published",
        {
            f"nightly/{major}": ({"T": COARSE}, {"T": data})
            for major, data in ((25, first), (26, rows), (27, rows))
        },
    )
    with served(root) as url:
        browser.open(f"{url}{BOTH}&version=nightly/27&measure=T&from=20140602")
        colours = [
            browser.run(
                "return Object.fromEntries(plots.get(given[0]).data.datasets.map((one) =>"
                " [one.label, one.borderColor ?? one.backgroundColor.at(-1)]))",
                plot,
            )
            for plot in ("evolution-plot", "submissions-plot", "distribution-plot")
        ]
    assert set(colours[2]) == {"nightly/26", "nightly/27"}
    for label in colours[2]:
        assert len({one[label] for one in colours}) == 1


def test_legends_are_buttons(browser, url):
    """They show and hide a series by keyboard, a band with both of its edges; plots stay large."""
    keys = pytest.importorskip("selenium.webdriver.common.keys", reason="selenium is not installed")
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 320, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    browser.open(f"{url}#version=nightly/25&measure=T")
    assert browser.text("#evolution-legend").splitlines() == [
        "mean",
        "median (estimated)",
        "25th to 75th percentile (estimated)",
        "5th to 95th percentile (estimated)",
    ]
    area = browser.run(
        "const { bottom, top } = plots.get('evolution-plot').chartArea; return bottom - top;"
    )
    assert area > 200
    browser.run("document.querySelectorAll('#evolution-legend button')[2].focus()")
    browser.keys(keys.Keys.SPACE)
    shown = (
        "const chart = plots.get('evolution-plot');"
        "return [0, 1, 2, 3, 4, 5].map((place) => chart.isDatasetVisible(place));"
    )
    assert browser.run(shown) == [True, True, False, False, True, True]
    assert browser.run("return document.activeElement.getAttribute('aria-pressed')") == "false"
    browser.click("#theme")
    assert browser.run(shown) == [True, True, False, False, True, True]
    browser.run("document.querySelectorAll('#evolution-legend button')[2].focus()")
    browser.keys(keys.Keys.SPACE)
    assert all(browser.run(shown))


# Statistics


def test_what_some_rows_tell_is_of_their_values(browser, url, published):
    """As in Python: not divided by the values of rows that tell no sum."""
    histogram = mr.histograms.open(published)["nightly/25"].histogram("MIXED")
    assert histogram.mean == pytest.approx((650 + 64350 + 900) / 1010)
    assert histogram.standard_deviation == pytest.approx(1)
    browser.open(f"{url}#version=nightly/25&measure=MIXED")

    found = browser.run(
        "const one = shown.series[0].total; return [one.mean, one.standardDeviation,"
        " one.geometricMean, one.geometricStandardDeviation, one.ends.at(-1)]"
    )
    assert found == pytest.approx(
        [
            histogram.mean,
            histogram.standard_deviation,
            histogram.geometric_mean,
            histogram.geometric_standard_deviation,
            histogram.ends[-1],
        ]
    )
    assert summary(browser)["standard deviation"] == "1"


def test_what_no_number_can_hold_is_not_shown(browser, url, published):
    """Huge numbers are written by their power of ten."""
    browser.open(f"{url}#version=nightly/25&measure=HUGE")
    found = summary(browser)
    assert "mean" not in found
    assert "standard deviation" not in found
    assert found["values"] == "3e15"
    assert not any("NaN" in value or "∞" in value for value in found.values())
    assert mr.histograms.open(published)["nightly/25"].histogram("HUGE").mean is None


def test_the_share_of_yes_is_always_offered(browser, url):
    """And what was chosen stays, even where it is 0."""
    browser.open(f"{url}#version=nightly/25&measure=B&OS=WINNT")
    offered = "return [...document.querySelectorAll('#statistic option')].map((one) => one.text)"
    assert browser.run(offered) == ["share of true", "share of false"]
    points = "return plots.get('evolution-plot').data.datasets[0].data.map((one) => one.y)"
    assert browser.run(points) == [0]
    browser.open(f"{url}#version=nightly/25&measure=B&statistic=share-2")
    assert browser.run("return document.getElementById('statistic').value") == "share-2"
    assert browser.run(points) == [0, 0]


def test_a_logarithmic_scale_says_what_it_cannot_show(browser, url):
    """A point of 0 is a hole in the line; dashes are for days without data alone."""
    browser.open(f"{url}#version=nightly/25&measure=ZEROS&scale=log")
    assert "cannot be shown on a logarithmic scale" in browser.text("#evolution-note")
    mean = browser.run(
        "return plots.get('evolution-plot').data.datasets[0].data.map((one) => one.y)"
    )
    assert mean == [pytest.approx(200 / 9), None, pytest.approx(300 / 9), pytest.approx(300 / 9)]
    told = browser.text("#evolution-note")
    assert told == "1 point of 0 or less cannot be shown on a logarithmic scale."


def test_values_below_zero_are_told(browser, url):
    """They are in no bucket, but are submissions."""
    browser.open(f"{url}#version=nightly/25&measure=SIMPLE_MEASURES_N")
    assert browser.text("#evolution-note") == (
        "3 submissions with a value below 0, which is in no bucket."
    )


# Dates, coverage


def test_gaps_are_told_within_the_dates_chosen(browser, url):
    """Also of several versions; what was opened stays open."""
    browser.open(f"{url}{BOTH}&measure=T")
    assert browser.text("#coverage .gap") == (
        "There is data of 3 of 5 days of nightly/25, 3 of 5 days of nightly/26; dashes lead over "
        "the others."
    )
    browser.click("#coverage summary")
    before = browser.run("return document.querySelector('#coverage details').open")
    browser.click("input[name=show][value=count]")
    browser.settle()
    assert browser.run("return document.querySelector('#coverage details').open") == before
    browser.open(f"{url}#version=nightly/25&measure=T&from=20140602")
    assert "data of 2 of 4 days" in browser.text("#coverage .gap")
    assert browser.run("return document.getElementById('evolution-plot').ariaLabel").startswith(
        "Mean, median and percentiles over time. 2 days from 2014-06-02 to 2014-06-05."
    )
    browser.open(f"{url}#version=nightly/25&measure=T&to=20140602")
    assert browser.text("#coverage .gap") == ""


def test_a_drag_over_the_edge_ends_with_the_last_day(browser, url):
    """And both plots over time stand exactly above each other."""
    actions = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser.open(f"{url}#version=nightly/25&measure=T")
    areas = browser.run(
        "return ['evolution-plot', 'submissions-plot'].map((id) =>"
        " [plots.get(id).chartArea.left, plots.get(id).chartArea.right])"
    )
    assert areas[0] == areas[1]
    left, right = areas[0]
    width = browser.run("return plots.get('submissions-plot').width")
    canvas = browser.driver.find_element("id", "submissions-plot")
    actions.ActionChains(browser.driver).move_to_element_with_offset(
        canvas, round(left - width / 2) + 3, 0
    ).click_and_hold().move_by_offset(round(right - left) + 10, 0).release().perform()
    browser.settle()
    assert browser.driver.current_url.endswith("&from=20140601&to=20140605")


def test_dates_are_taken_once_they_are_typed(browser, url):
    """Not while they are; and dates that leave nothing can be undone."""
    keys = pytest.importorskip("selenium.webdriver.common.keys", reason="selenium is not installed")
    browser.open(f"{url}#version=nightly/25&measure=T")
    before = browser.run("return history.length")
    browser.run("document.getElementById('from').focus()")
    browser.keys("06022014")
    time.sleep(0.1)
    browser.settle()
    assert browser.run("return history.length") == before
    assert browser.run("return document.getElementById('from').value") == "2014-06-02"
    browser.keys(keys.Keys.ENTER)
    browser.settle()
    assert browser.driver.current_url.endswith("&from=20140602")
    assert browser.run("return document.activeElement.id") == "from"
    # The year again, of which 0002 is not taken.
    browser.keys("07022", keys.Keys.TAB, keys.Keys.TAB)
    browser.settle()
    assert browser.run("return document.getElementById('from').value") == "2014-06-02"
    browser.run("document.getElementById('from').focus()")
    browser.keys("07022014", keys.Keys.ENTER)
    browser.settle()
    assert browser.problems() == [
        "Nothing was submitted in the dates chosen: choose others, or all."
    ]
    assert browser.run("return document.activeElement.id") == "from"
    assert not browser.run("return document.getElementById('evolution-plot').checkVisibility()")
    browser.click("#all-dates")
    browser.settle()
    assert browser.problems() == []
    assert "from=" not in browser.driver.current_url
    assert browser.run("return document.activeElement.id") == "all-dates"


def test_a_day_of_the_calendar_is_taken_at_once(browser, url):
    """It needs no Enter; and dates that leave nothing have no end before their beginning."""
    browser.open(f"{url}#version=nightly/25&measure=T")
    pick = (
        "const field = document.getElementById('from'); field.focus();"
        "field.dispatchEvent(new PointerEvent('pointerdown')); field.value = given[0];"
        "for (const type of ['input', 'change']) field.dispatchEvent(new Event(type));"
    )
    browser.run(pick, "2014-06-05")
    browser.settle()
    assert browser.driver.current_url.endswith("&from=20140605")
    assert summary(browser)["submissions"] == "1"
    browser.run(pick, "2014-07-01")
    browser.settle()
    fields = "return ['from', 'to'].map((id) => document.getElementById(id).value)"
    assert browser.run(fields) == ["2014-07-01", ""]
    browser.run(pick, "")
    browser.settle()
    assert browser.problems() == []
    assert browser.driver.current_url.endswith("measure=T")


# Keyboard, screen reader


def test_the_focus_is_never_lost(browser, published, tmp_path):
    """After a button that has nothing more to do, or is gone."""
    keys = pytest.importorskip("selenium.webdriver.common.keys", reason="selenium is not installed")
    folder = tmp_path / "published"
    shutil.copytree(published, folder)
    live = folder / json.loads((folder / "versions.json").read_text())["nightly/25"]
    with served(folder) as url:
        for link, button in (("&OS=WINNT", "reset"), ("&from=20140602", "all-dates")):
            browser.open(f"{url}#version=nightly/25&measure=T{link}")
            browser.run("document.getElementById(given[0]).focus()", button)
            browser.keys(keys.Keys.ENTER)
            browser.settle()
            assert browser.run("return document.activeElement.id") == button
            off = "return document.activeElement.getAttribute('aria-disabled')"
            assert browser.run(off) == "true"
        good = (live / "T-by-build-date.json").read_text()
        (live / "T-by-build-date.json").write_text("{")
        browser.open(f"{url}#version=nightly/25&measure=T")
        assert browser.run("return document.title") == "Telemetry histograms"
        browser.run("document.querySelector('#problems button').focus()")
        (live / "T-by-build-date.json").write_text(good)
        browser.keys(keys.Keys.ENTER)
        browser.until(lambda: browser.problems() == [], "it is shown")
        assert browser.run("return document.activeElement.id") == "measure-name"
        assert browser.text("#status") == "T, 3 submissions"


# What is odd


def test_what_other_programs_write_is_shown(browser, tmp_path):
    """A raw % in the tree, coverage of another form, a key that is no date."""
    data = {"T": {**daily(row([10] * 10, 5000)), "20141399": [row([1] * 10)]}}
    paths = {**PATHS, 1: ("saved_session", "Firefox", "100%", "6.1", "x86")}
    root = write_published(
        tmp_path / "published",
        {"nightly/25": ({"T": COARSE}, data)},
        coverage={"blocks": "many", "records": {"left_out": 2}, "measures": []},
        paths=paths,
    )
    with served(root) as url:
        browser.open(f"{url}#version=nightly/25&measure=T&OS=100%25")
        (problem,) = browser.problems()
        assert problem.endswith("has rows under 20141399, which is no date: they are left out.")
        assert summary(browser)["values"] == "300"
        told = browser.text("#coverage")
        assert "the folder does not say how many records it covers." in told
        assert "2 records left out" in told
        assert "0 records" not in told


def test_a_folder_that_an_update_has_deleted_is_followed(browser, tmp_path):
    """The page that was open shows the new folder; once, not without end."""
    definitions = {"T": COARSE, "U": COARSE}
    data = {name: daily(row([10] * 10, 5000)) for name in definitions}
    root = tmp_path / "published"
    write_published(root, {"nightly/25": (definitions, data)})
    with served(root) as url:
        browser.open(f"{url}#version=nightly/25&measure=T")
        old = json.loads((root / "versions.json").read_text())["nightly/25"]
        shutil.rmtree(root / old)
        more = {"U": daily(row([20] * 10, 5000))}
        write_published(root, {"nightly/25": (definitions, more)}, stamp="20140610000000")
        browser.run("choose({ measure: 'U' })")
        browser.settle()
        assert browser.problems() == []
        assert summary(browser)["values"] == "600"
        shutil.rmtree(root / json.loads((root / "versions.json").read_text())["nightly/25"])
        browser.run("choose({ measure: 'T' })")
        browser.settle()
        (problem,) = browser.problems()
        assert "T-by-build-date.json is missing" in problem


def test_a_server_says_what_is_broken(browser, tmp_path):
    """In its own words."""
    root = write_published(tmp_path / "published", {"nightly/25": ({"T": COARSE}, {})})
    folder = json.loads((root / "versions.json").read_text())["nightly/25"]
    (root / folder / "histograms.json").write_bytes(b"\x1f\x8b\x08 broken")
    with served(root) as url:
        browser.open(f"{url}#version=nightly/25&measure=T")
        (problem,) = browser.problems()
        assert "the server said 502, its gzip is damaged: " in problem


def test_versions_are_themselves(browser, tmp_path):
    """One that is named twice is shown once; two of one folder keep their names."""
    data = {"T": daily(row([10] * 10, 5000))}
    root = write_published(tmp_path / "published", {"nightly/25": ({"T": COARSE}, data)})
    live = json.loads((root / "versions.json").read_text())
    live["aurora/25"] = live["nightly/25"]
    (root / "versions.json").write_text(json.dumps(live))
    labels = "return shown.series.map((one) => one.label)"
    with served(root) as url:
        browser.open(f"{url}#version=nightly/25&version=nightly/25&measure=T")
        assert browser.run(labels) == ["nightly/25"]
        browser.open(f"{url}#version=nightly/25&version=aurora/25&measure=T")
        assert browser.run(labels) == ["aurora/25", "nightly/25"]


def test_tables_hold_what_a_page_can(browser, tmp_path):
    """Of many buckets those that hold anything, up to a number; the file has all."""
    wide = {"kind": "linear", "low": 1, "high": 100_000, "n_buckets": 1000}
    half = [1, 0] * 500
    paths = {n: ("saved_session", "Firefox", f"OS{n}", "6.1", "x86") for n in range(1, 4)}
    data = {"T": {"20140601": [row(half, 5000, path=n) for n in paths]}}
    root = write_published(tmp_path / "published", {"nightly/25": ({"T": wide}, data)}, paths=paths)
    with served(root) as url:
        browser.open(f"{url}#version=nightly/25&measure=T&compare=OS")
        browser.click("#distribution-table summary")
        browser.until(lambda: browser.text("#distribution-table table"), "the table is there")
        told = browser.text("#distribution-table .help")
        assert told.startswith("500 empty buckets left out. 500 of 1,500 rows")
        rows = "return document.querySelectorAll('#distribution-table tbody tr').length"
        assert browser.run(rows) == 500
        browser.click("[data-export='distribution.csv']")
        lines = browser.downloaded("T-nightly-25-distribution.csv").decode().splitlines()
        assert len(lines) == 1 + 3 * 1000


def test_a_spreadsheet_computes_nothing(browser, tmp_path):
    """Names that it would take for formulas are marked as text; numbers are not."""
    paths = {
        n: ("saved_session", "Firefox", value, "6.1", "x86")
        for n, value in enumerate(("=1+1", "@x", "-2"), 1)
    }
    data = {"T": {"20140601": [row([10] * 10, 5000, path=n) for n in paths]}}
    root = write_published(
        tmp_path / "published", {"nightly/25": ({"T": COARSE}, data)}, paths=paths
    )
    with served(root) as url:
        browser.open(f"{url}#version=nightly/25&measure=T&compare=OS")
        text = browser.run(
            "return toCsv([{ name: '=1+1', value: -1 }, { name: '@\\t', value: 2 }])"
        )
        assert text == "name,value\r\n'=1+1,-1\r\n'@\t,2\r\n"
        browser.click("[data-export='distribution.csv']")
        lines = browser.downloaded("T-nightly-25-distribution.csv").decode().splitlines()
        assert {one["series"][0] for one in csv.DictReader(lines)} <= {"n", "'"}


def test_a_linked_page_on_a_disk_fetches_from_the_web(browser, tmp_path):
    """What it reads decides, not where it stands itself."""
    from mr.dashboard.site import write_linked_site

    root = write_published(tmp_path / "published", {"nightly/25": ({"T": COARSE}, {})})
    with served(root) as url:
        write_linked_site(f"{url}published/", open_store(str(tmp_path / "site")))
        browser.driver.get((tmp_path / "site/index.html").as_uri())
        browser.until(browser.problems, "it says that the server does not allow it")
    # Our server lets no other site read: so it was asked, and no script was looked for.
    assert "versions.json could not be fetched" in browser.problems()[0]


def test_a_site_written_again_keeps_to_what_is_published(browser, tmp_path):
    """From a disk too a folder that was replaced is followed."""
    root, site = tmp_path / "published", tmp_path / "site"
    data = {"T": daily(row([10] * 10, 5000)), "U": daily(row([10] * 10, 5000))}
    definitions = {"T": COARSE, "U": COARSE}
    write_published(root, {"nightly/25": (definitions, data)})
    write_site(open_store(str(root)), open_store(str(site)))
    browser.open(f"{(site / 'index.html').as_uri()}#version=nightly/25&measure=T")
    more = {**data, "U": daily(row([20] * 10, 5000))}
    for stamp in ("20140610000000", "20140611000000"):
        write_published(root, {"nightly/25": (definitions, more)}, stamp=stamp)
        write_site(open_store(str(root)), open_store(str(site)))
    browser.run("choose({ measure: 'U' })")
    browser.settle()
    assert browser.problems() == []
    assert summary(browser)["values"] == "600"
