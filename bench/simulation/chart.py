"""The curves as a picture: time by size, a line for each fleet, both axes logarithmic."""

import math
from collections.abc import Sequence

from bench.simulation.running import Outcome
from bench.simulation.scenarios import raw_text

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 20, 50
#: Marks of the axis of time: seconds and words.
TIMES = (
    (60, "1 min"),
    (600, "10 min"),
    (3600, "1 h"),
    (36_000, "10 h"),
    (360_000, "100 h"),
    (3_600_000, "1,000 h"),
)
#: Colours that are told apart also by those who see few.
COLOURS = ("#0072b2", "#d55e00", "#009e73")


def chart(found: Sequence[Outcome]) -> str:
    """An SVG document."""
    sizes = sorted({one.scenario.work.raw_bytes for one in found})
    fleets = sorted({one.scenario.fleet.machines for one in found})

    def x(size: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(size, sizes[0], sizes[-1])

    def y(seconds: float) -> float:
        return (
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(seconds, TIMES[0][0], TIMES[-1][0])
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        "<title>Time of the histograms job by raw size and machines (simulated)</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for seconds, words in TIMES:
        parts.append(_line([(LEFT, y(seconds)), (WIDTH - RIGHT, y(seconds))], "#ddd", 1))
        parts.append(_text(LEFT - 8, y(seconds) + 4, words, "end"))
    for size in sizes:
        parts.append(_line([(x(size), TOP), (x(size), HEIGHT - BOTTOM)], "#ddd", 1))
        parts.append(_text(x(size), HEIGHT - BOTTOM + 20, f"{raw_text(size)} raw", "middle"))
    for machines, colour in zip(fleets, COLOURS, strict=False):
        points = sorted(
            (x(one.scenario.work.raw_bytes), y(one.seconds))
            for one in found
            if one.scenario.fleet.machines == machines
        )
        parts.append(_line(points, colour, 2))
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>' for a, b in points]
        last_x, last_y = points[-1]
        parts.append(_text(last_x + 8, last_y + 4, f"{machines:,} machines", "start", colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _share(value: float, low: float, high: float) -> float:
    """Where a value lies between two, by its logarithm."""
    return math.log(value / low) / math.log(high / low)


def _line(points: Sequence[tuple[float, float]], colour: str, width: int) -> str:
    where = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'
