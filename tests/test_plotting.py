"""Pictures: what stands on the Axes is what the numbers are, and every text can be read."""

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import matplotlib
import pytest
from matplotlib import dates, pyplot
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from mr.errors import UsageError
from mr.histograms.definitions import Definition
from mr.histograms.evolution import PERCENTILES, Evolution
from mr.histograms.statistics import Histogram
from mr.items import Line, Pair
from mr.notebook import BARS, Result

matplotlib.use("agg")

LINEAR = Definition("linear", 1, 10, 5)
STATES = Definition("enumerated", n_values=4)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No figure outlives its test."""
    yield
    pyplot.close("all")


def result(*pairs: tuple[Any, Any]) -> Result:
    """A result of these pairs."""
    return Result(lambda: (Pair(key, value) for key, value in pairs), {})


def histogram(definition: Definition, counts: Sequence[int], name: str = "") -> Histogram:
    """One with these counts in its first buckets, and a sum of 3 for each value."""
    whole = [*counts, *[0] * (definition.buckets - len(counts))]
    return Histogram.of_rows(definition, [[*whole, 3 * sum(counts), -1, -1, -1, -1, 2]], name)


def evolution(*days: str, definition: Definition = LINEAR, name: str = "") -> Evolution:
    """On each of these days a histogram, of which no two are alike."""
    return Evolution(
        {day: histogram(definition, [1, 2 + n, 3 + n]) for n, day in enumerate(days)}, name
    )


def texts(labels: Sequence[Any]) -> list[str]:
    """What these labels say."""
    return [label.get_text() for label in labels]


def bars(ax: Axes) -> list[tuple[list[float], list[float]]]:
    """Of everything drawn by bars: their middles and their heights."""
    return [
        (
            [bar.get_x() + bar.get_width() / 2 for bar in container],
            [bar.get_height() for bar in container],
        )
        for container in ax.containers
    ]


def days_of(places: Sequence[float]) -> list[str]:
    """Places on an axis as dates."""
    return [f"{dates.num2date(place):%Y%m%d}" for place in places]


def assert_readable(ax: Axes) -> None:
    """No label of an axis lies on another one, and no title on a legend."""
    figure = ax.figure
    figure.canvas.draw()
    boxes = [
        label.get_window_extent()
        for label in ax.get_xticklabels()
        if label.get_text() and label.get_visible()
    ]
    for one, other in pairwise(boxes):
        assert one.x1 < other.x0
    legend, title = ax.get_legend(), ax._left_title
    if legend is not None and title.get_text():
        assert not legend.get_window_extent().overlaps(title.get_window_extent())


# Results


def test_text_keys_are_bars_from_the_top():
    """A bar for each row in the order of the result, with its number beside it."""
    ax = result(("Linux", 1200), ("WINNT", 17.5)).plot(title="Systems")

    assert [bar.get_width() for bar in ax.containers[0]] == [1200, 17.5]
    assert texts(ax.get_yticklabels()) == ["Linux", "WINNT"]
    assert ax.yaxis_inverted()
    assert [one.get_text() for one in ax.texts] == ["1,200", "17.5"]
    assert ax.get_title(loc="left") == "Systems"


def test_top_chooses_the_largest_in_their_order():
    """Of equal ones the first; keys that are numbers become bars, too."""
    ax = result((1, 5), (2, 9), (3, 1), (4, 7), (5, 5)).plot(top=3)

    assert texts(ax.get_yticklabels()) == ["1", "2", "4"]
    assert [bar.get_width() for bar in ax.containers[0]] == [5, 9, 7]


def test_keys_of_several_parts_and_signs_are_labels():
    """Parts are joined; dollars are no formula; long and odd keys are one short line."""
    ax = result((("a", 1), 1), (("$x$", True), 2), ("b\n" + "y" * 99, 3)).plot()

    ax.figure.canvas.draw()
    assert texts(ax.get_yticklabels()) == ["a, 1", r"\$x\$, true", r"b\n" + "y" * 36 + "…"]


@pytest.mark.parametrize("kind", [str, int])
def test_dates_are_a_line_with_gaps(kind: type):
    """Days that follow each other are joined, others are not."""
    keys = ["20130630", "20130701", "20130703", "20130704", "20130709"]
    ax = result(*((kind(key), 10 + n) for n, key in enumerate(keys))).plot()

    found = [(list(one.get_xdata()), list(one.get_ydata())) for one in ax.lines]
    assert [ys for _, ys in found] == [[10, 11], [12, 13], [14]]
    assert [x for xs, _ in found for x in xs] == [
        date(int(key[:4]), int(key[4:6]), int(key[6:])) for key in keys
    ]
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > 14


def test_numbers_are_a_line():
    """One, through all places, also where values are negative; nothing that is no date is one."""
    ax = result((1, -3), (2.5, 4), (20130632, 1)).plot()

    (line,) = ax.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2.5, 20130632], [-3, 4, 1])
    assert ax.get_ylim()[0] < -3


def test_it_draws_on_the_axes_that_it_is_given():
    """And returns these, whatever is drawn."""
    _, axes = pyplot.subplots(4)

    assert result(("a", 1)).plot(axes[0]) is axes[0]
    assert result((1, 1)).plot(axes[1]) is axes[1]
    assert histogram(LINEAR, [1]).plot(axes[2]) is axes[2]
    assert evolution("20140101").plot(axes[3]) is axes[3]


@pytest.mark.parametrize("value", [None, "7", True, float("nan"), 10**400, (1, 2), [1]], ids=str)
def test_what_is_no_number_is_refused(value: Any):
    """With the key, and a way to go on."""
    with pytest.raises(UsageError, match=r"only numbers .* value of 'b' .* to_pandas\(\)"):
        result(("a", 1), ("b", value)).plot()


def test_what_cannot_be_drawn_is_refused():
    """Nothing, lines of text, more bars than there is room for, a top of none."""
    many = [(f"key {n}", n) for n in range(BARS + 1)]

    with pytest.raises(UsageError, match="the result is empty"):
        result().plot()
    with pytest.raises(UsageError, match=r"lines of text cannot be plotted \('head'\)"):
        Result(lambda: iter([Line("head")]), {}).plot()
    with pytest.raises(UsageError, match=r"more rows than .* \(51\): plot\(top=20\)"):
        result(*many).plot()
    with pytest.raises(UsageError, match="at least 1, not 0"):
        result(*many).plot(top=0)
    assert len(result(*many[:BARS]).plot().containers[0]) == BARS


@pytest.mark.parametrize(
    "thing",
    [result(("a", 1)), histogram(LINEAR, [1]), evolution("20140101")],
    ids=lambda thing: type(thing).__name__,
)
def test_plots_need_matplotlib(thing: Any, monkeypatch: pytest.MonkeyPatch):
    """Without it the sentence says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(UsageError, match=r"needs matplotlib: pip install 'mr-telemetry\[notebook"):
        thing.plot()


# Histograms


def test_a_histogram_has_bars_of_one_width():
    """Their heights are shares, their labels lower bounds; empty ends are left out."""
    definition = Definition("exponential", 1, 1000, 10)
    ax = histogram(definition, [0, 0, 1, 0, 3], name="nightly/31 GC_MS").plot()

    ((places, heights),) = bars(ax)
    assert heights == [0, 0, 0.25, 0, 0.75, *[0] * 5]
    assert places == pytest.approx(range(10))
    assert len({round(bar.get_width(), 6) for bar in ax.containers[0]}) == 1
    assert texts(ax.get_xticklabels()) == [f"{one:,}" for one in definition.bounds()[2:5].tolist()]
    assert 1 < ax.get_xlim()[0] < 2
    assert 4 < ax.get_xlim()[1] < 5
    assert ax.get_title(loc="left") == "nightly/31 GC_MS"
    assert ax.get_ylabel() == "share of values"


def test_counts_and_words_as_asked():
    """Counts in the place of shares; a title, a label and a colour of one's own."""
    ax = histogram(STATES, [5, 1], name="x").plot(
        share=False, title="States", label="some", color="red"
    )

    ((_, heights),) = bars(ax)
    assert heights == [5, 1, 0, 0, 0]
    assert (ax.get_title(loc="left"), ax.get_ylabel(), ax.get_xlabel()) == (
        "States", "values", "value",
    )  # fmt: skip
    assert texts(ax.get_legend().get_texts()) == ["some"]
    assert ax.containers[0][0].get_facecolor() == matplotlib.colors.to_rgba("red")


def test_two_are_compared_on_one_axes():
    """Each has its colour, an outline hides nothing, and all of both is seen."""
    ax = histogram(LINEAR, [0, 2, 2]).plot(label="one")
    histogram(LINEAR, [1, 0, 0, 1]).plot(ax, label="other", outline=True)

    assert [heights for _, heights in bars(ax)] == [[0, 0.5, 0.5, 0, 0], [0.5, 0, 0, 0.5, 0]]
    assert [container[0].get_fill() for container in ax.containers] == [True, False]
    first, second = ax.containers
    assert first[0].get_facecolor() != second[0].get_edgecolor()
    assert texts(ax.get_legend().get_texts()) == ["one", "other"]
    assert texts(ax.get_xticklabels()) == ["0", "1", "4", "7"]


def test_other_buckets_on_the_same_axes_are_refused():
    """Their bars would stand at places of other values; once it is cleared they may."""
    ax = histogram(LINEAR, [1]).plot()

    with pytest.raises(UsageError, match="a histogram of other buckets"):
        histogram(Definition("linear", 1, 20, 5), [1]).plot(ax)
    ax.clear()
    histogram(Definition("linear", 1, 20, 5), [1]).plot(ax)


@pytest.mark.parametrize("definition", [LINEAR, STATES], ids=lambda one: one.kind)
def test_an_empty_histogram_says_so(definition: Definition):
    """On the Axes, instead of failing."""
    ax = histogram(definition, []).plot()

    assert texts(ax.texts) == ["no values"]
    assert len(ax.containers[0]) == 5


@pytest.mark.parametrize("buckets", [3, 20, 50, 200])
@pytest.mark.parametrize("high", [300, 10**6, 2**40])
def test_bounds_can_be_read(buckets: int, high: int):
    """As many as have room beside each other, on a wide figure and on a narrow one."""
    found = histogram(Definition("exponential", 1, high, buckets), [1] * buckets)
    _, axes = pyplot.subplots(1, 3, figsize=(10, 3))

    for ax in (found.plot(), found.plot(axes[1])):
        assert_readable(ax)
        assert len(ax.get_xticklabels()) >= 2


# Evolutions


def test_an_evolution_has_mean_percentiles_and_submissions():
    """Lines and bands through each run of days; a gap stays one; what is estimated says so."""
    found = evolution("20140101", "20140102", "20140103", "20140105", "20140106", name="GC_MS")
    ax = found.plot()
    columns = {name: column.tolist() for name, column in found.to_pandas().items()}

    medians, means = ax.lines[::2], ax.lines[1::2]
    for lines, name in ((medians, "p50"), (means, "mean")):
        assert [list(line.get_ydata()) for line in lines] == [columns[name][:3], columns[name][3:]]
        assert [len(line.get_xdata()) for line in lines] == [3, 2]
    bands = [one for one in ax.collections if isinstance(one, PolyCollection)]
    spans = [sorted({*band.get_paths()[0].vertices[:, 1].tolist()}) for band in bands]
    assert [(span[0], span[-1]) for span in spans] == [
        (min(columns[low][some]), max(columns[high][some]))
        for some in (slice(3), slice(3, 5))
        for low, high in (("p5", "p95"), ("p25", "p75"))
    ]
    below = next(one for one in ax.figure.axes if one is not ax)
    ((places, heights),) = bars(below)
    assert days_of([place + 1e-6 for place in places]) == list(found)
    assert heights == columns["submissions"] == [2] * 5
    assert texts(ax.get_legend().get_texts()) == [
        "5% to 95% (estimated)",
        "25% to 75% (estimated)",
        "median (estimated)",
        "mean",
    ]
    assert (ax.get_title(loc="left"), below.get_xlabel()) == ("GC_MS", "build date")
    assert ax.get_shared_x_axes().joined(ax, below)
    assert_readable(ax)
    assert_readable(below)


def test_a_day_alone_has_its_percentiles():
    """A band of one day would have no area."""
    found = evolution("20140101", "20140105")
    ax = found.plot()

    spans = [one.get_segments() for one in ax.collections if isinstance(one, LineCollection)]
    ends = [(span[0][0][1], span[0][1][1]) for span in spans]
    assert ends == [
        (one.percentile(low), one.percentile(high))
        for one in found.values()
        for low, high in ((5, 95), (25, 75))
    ]


@pytest.mark.parametrize("count", [1, 2, 4, 9, 28])
def test_dates_can_be_read(count: int):
    """However many days there are, whole days are labelled."""
    ax = evolution(*(f"201402{day:02}" for day in range(1, count + 1))).plot()
    below = next(one for one in ax.figure.axes if one is not ax)

    assert_readable(below)
    assert all(place == round(place) for place in below.get_xticks())


def test_an_evolution_fits_a_narrow_axes():
    """The legend takes two rows and lies on no title."""
    _, axes = pyplot.subplots(1, 2, figsize=(9, 4))
    ax = evolution("20140101", "20140102", name="a title").plot(axes[1])

    assert_readable(ax)


def test_categories_have_submissions_only():
    """Their mean means nothing, nor do percentiles."""
    found = evolution("20140101", "20140102", definition=STATES)
    ax = found.plot()

    assert len(ax.lines) == len(ax.collections) == 0
    assert found.to_pandas()[["mean", *(f"p{p}" for p in PERCENTILES)]].isna().all().all()
    below = next(one for one in ax.figure.axes if one is not ax)
    assert bars(below)[0][1] == [2, 2]


def test_an_empty_evolution_says_so():
    """On the Axes, instead of failing."""
    ax = evolution().plot(title="none")

    assert texts(ax.texts) == ["no values"]
    ax.figure.canvas.draw()


def test_what_is_no_date_is_refused():
    """Another program may have published it."""
    with pytest.raises(UsageError, match=r"GC_MS has a key that is no date: '2014' is no date"):
        evolution("2014", name="GC_MS").plot()
    with pytest.raises(UsageError, match="no date"):
        evolution("20140231").plot()
