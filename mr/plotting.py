"""Pictures by matplotlib, of plain numbers: bars, lines over dates, histograms, evolutions.

Everything draws on the Axes that it is given, or on those of a new figure, and returns them. The
colours are some that the colour-blind tell apart.
"""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from mr.errors import UsageError
from mr.extras import import_pyplot

#: The colours of what is drawn one after the other on the same Axes: blue, orange, green, pink.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
GREY = "#666666"
#: Inches; a figure of bars grows with them.
WIDTH, HEIGHT, BAR_HEIGHT = 7.0, 3.6, 0.24
#: Characters of a label, and how many small ones stand side by side.
LABEL_CHARACTERS, CHARACTERS_PER_INCH = 40, 14

#: The lower bounds of the histograms that are drawn on Axes, and which of their buckets show.
_drawn: WeakKeyDictionary[Any, tuple[list[int], int, int]] = WeakKeyDictionary()


def new_axes(ax: Any = None, height: float = HEIGHT) -> Any:
    """The Axes themselves, or those of a new figure, with few lines."""
    pyplot = import_pyplot()
    if ax is None:
        _, ax = pyplot.subplots(figsize=(WIDTH, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def horizontal_bars(
    labels: Sequence[str],
    numbers: Sequence[float],
    ax: Any = None,
    *,
    x_label: str = "",
    title: str = "",
    color: str | None = None,
) -> Any:
    """A bar for each number, from the top down: its label at the left, itself at the end."""
    ax = new_axes(ax, max(1.2, 0.9 + BAR_HEIGHT * len(labels)))
    places = range(len(labels))
    drawn = ax.barh(places, numbers, color=color or COLOURS[0], height=0.75)
    ax.bar_label(drawn, [_number(one) for one in numbers], padding=3, fontsize=8, color=GREY)
    ax.set_yticks(places, [_label(one) for one in labels], fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.12, y=0.02)
    _finish(ax, "x", x_label, "", title)
    return ax


def line(
    places: Sequence[Any],
    numbers: Sequence[float],
    ax: Any = None,
    *,
    x_label: str = "",
    y_label: str = "",
    title: str = "",
    color: str | None = None,
) -> Any:
    """A line through the numbers at their places: numbers, or dates, of which a gap stays one."""
    ax = new_axes(ax)
    if places and isinstance(places[0], date):
        for start, end in runs(places):
            ax.plot(
                places[start:end], numbers[start:end], "o-", markersize=3.5, linewidth=1.5,
                color=color or COLOURS[0],
            )  # fmt: skip
        _date_labels(ax, places)
    else:
        ax.plot(places, numbers, "o-", markersize=3.5, linewidth=1.5, color=color or COLOURS[0])
    if min(numbers) >= 0:
        ax.set_ylim(0, max(*numbers, *ax.get_ylim()) * 1.05)
    _finish(ax, "y", x_label, y_label, title)
    return ax


def buckets(
    starts: Sequence[int],
    heights: Sequence[float],
    ax: Any = None,
    *,
    x_label: str = "",
    y_label: str = "",
    title: str = "",
    outline: bool = False,
    label: str | None = None,
    color: str | None = None,
) -> Any:
    """A histogram with bars of one width, whatever the buckets' own, labelled by lower bounds.

    Buckets without a value at both ends are left out, unless they are drawn on these Axes already.
    Raises UsageError when a histogram of other buckets is.
    """
    ax = new_axes(ax)
    starts = list(starts)
    filled = [place for place, height in enumerate(heights) if height > 0]
    if not ax.containers:  # cleared meanwhile, or never drawn on
        _drawn.pop(ax, None)
    before, low, high = _drawn.get(ax, (starts, len(starts), -1))
    if before != starts:
        raise UsageError(
            "these Axes have a histogram of other buckets, so bars would stand at wrong places: "
            "draw it on Axes of its own."
        )
    low, high = min([low, *filled[:1]]), max([high, *filled[-1:]])
    _drawn[ax] = starts, low, high
    if color is None:
        color = COLOURS[len(ax.containers) % len(COLOURS)]
    style = {"fill": False, "edgecolor": color, "linewidth": 1.6} if outline else {"color": color}
    places = range(len(starts))
    ax.bar(places, heights, width=1.0 if outline else 0.9, label=label, **style)
    if high < 0:
        low, high = 0, len(starts) - 1
        ax.text(0.5, 0.5, "no values", transform=ax.transAxes, ha="center", color=GREY)
        ax.set_ylim(0, 1)
    ax.set_xlim(low - 0.7, high + 0.7)
    shown = _fitting(ax, {place: f"{starts[place]:,}" for place in range(low, high + 1)})
    ax.set_xticks(list(shown), list(shown.values()))
    ax.yaxis.set_major_formatter(_percent if y_label.startswith("share") else _number_formatter)
    if label is not None:
        ax.legend(frameon=False, fontsize=8)
    _finish(ax, "y", x_label, y_label, title)
    return ax


def evolution(
    days: Sequence[date],
    means: Sequence[float | None],
    percentiles: dict[float, Sequence[float | None]],
    submissions: Sequence[int],
    ax: Any = None,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    color: str | None = None,
) -> Any:
    """Mean, median and bands between percentiles by day, and a panel of submissions below.

    `percentiles` are the 5th, 25th, 50th, 75th and 95th. None of them, and no mean, is drawn where
    it is None. Days that are missing are gaps.
    """
    fresh = ax is None
    ax = new_axes(ax, HEIGHT + 1.0)
    if fresh:
        ax.figure.set_layout_engine("tight")
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    color = color or COLOURS[0]
    below = make_axes_locatable(ax).append_axes("bottom", size="28%", pad=0.12, sharex=ax)
    named: set[str] = set()

    def name(text: str) -> str:
        # matplotlib leaves out of the legend what begins so.
        shown = "_" + text if text in named else text
        named.add(text)
        return shown

    for start, end in runs(days):
        some = slice(start, end)
        for low, high, alpha in ((5, 95, 0.15), (25, 75, 0.3)):
            text = f"{low}% to {high}% (estimated)"
            _band(ax, days[some], percentiles[low][some], percentiles[high][some], color, alpha,
                  name(text))  # fmt: skip
        for numbers, style, text in (
            (percentiles[50], {"color": color, "marker": "o"}, "median (estimated)"),
            (means, {"color": COLOURS[1], "marker": "s", "linestyle": "--"}, "mean"),
        ):
            shown = _numbers(numbers[some])
            if not all(map(math.isnan, shown)):
                ax.plot(days[some], shown, markersize=3, linewidth=1.5, label=name(text), **style)
    room = 6
    if not any(number is not None for number in (*means, *percentiles[50])):
        ax.text(0.5, 0.5, "no values", transform=ax.transAxes, ha="center", color=GREY)
    else:
        columns = 4 if _inches(ax) > 5 else 2
        ax.legend(
            frameon=False, fontsize=7.5, ncols=columns, loc="lower left", bbox_to_anchor=(0, 0.99),
            borderaxespad=0, borderpad=0.3, columnspacing=1.2, handlelength=1.5,
        )  # fmt: skip
        room = 20 if columns == 4 else 32
        if ax.dataLim.y0 >= 0:
            ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(_number_formatter)
    below.bar(days, submissions, color=GREY, width=0.8)
    below.spines[["top", "right"]].set_visible(False)
    below.set_ylabel("submissions", fontsize=9)
    below.yaxis.set_major_formatter(_number_formatter)
    below.locator_params(axis="y", nbins=3)
    below.set_xlabel(x_label, fontsize=9)
    below.tick_params(labelsize=8)
    if days:
        _date_labels(below, days)
    else:
        below.set_xticks([])
    ax.tick_params(labelbottom=False)
    _finish(ax, "y", "", y_label, title, pad=room)
    return ax


def runs(days: Sequence[date]) -> list[tuple[int, int]]:
    """The places where runs of days that follow each other start and end."""
    cuts = [
        place for place in range(1, len(days)) if days[place] - days[place - 1] > timedelta(days=1)
    ]
    return list(zip([0, *cuts], [*cuts, len(days)], strict=True)) if days else []


def day_of(text: str) -> date:
    """The day that `YYYYMMDD` names. Raises ValueError."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no date")
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _band(
    ax: Any,
    days: Sequence[date],
    lows: Sequence[float | None],
    highs: Sequence[float | None],
    color: str,
    alpha: float,
    label: str,
) -> None:
    low, high = _numbers(lows), _numbers(highs)
    style = {"color": color, "alpha": alpha, "label": label}
    if all(map(math.isnan, low)):
        return
    if len(days) > 1:
        ax.fill_between(days, low, high, linewidth=0, **style)
    else:  # a day alone has no area
        ax.vlines(days, low, high, linewidth=6, **style)


def _date_labels(ax: Any, days: Sequence[date]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, DayLocator

    # The other one labels hours where there are few days.
    few = max(days) - min(days) < timedelta(days=4)
    locator = DayLocator() if few else AutoDateLocator(minticks=3, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _fitting(ax: Any, labels: dict[int, str]) -> dict[int, str]:
    """Every label, or every second, or so, that they have room below the Axes."""
    for step in range(1, len(labels) + 1):
        some = dict(list(labels.items())[::step])
        if sum(len(label) + 2 for label in some.values()) <= _inches(ax) * CHARACTERS_PER_INCH:
            return some
    return {}


def _inches(ax: Any) -> float:
    """How wide the Axes are."""
    return ax.get_position().width * ax.figure.get_figwidth()


def _finish(ax: Any, grid: str, x_label: str, y_label: str, title: str, pad: int = 6) -> None:
    ax.grid(axis=grid, color="#dddddd", linewidth=0.6)
    ax.set_xlabel(x_label, fontsize=9)
    ax.set_ylabel(y_label, fontsize=9)
    ax.tick_params(labelsize=8)
    if title and not ax.get_title(loc="left"):
        ax.set_title(title.replace("$", r"\$"), loc="left", fontsize=10, pad=pad)


def _numbers(numbers: Sequence[float | None]) -> list[float]:
    return [math.nan if number is None else number for number in numbers]


def _number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.4g}"


def _number_formatter(number: float, _: Any = None) -> str:
    return f"{number:,.0f}" if number == round(number) else f"{number:,.4g}"


def _percent(share: float, _: Any = None) -> str:
    return f"{share:.0%}" if round(share * 100, 6) % 1 == 0 else f"{share:.1%}"


def _label(text: str) -> str:
    """A label as it is: short, and no formula, which matplotlib reads between two dollars."""
    short = text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"
    return short.replace("$", r"\$")
