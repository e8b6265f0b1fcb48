"""Tables for people: aligned text, HTML for notebooks, and bars in either."""

import html
from collections.abc import Collection, Iterable, Sequence

#: What bars are drawn with, and their colour in HTML: a blue that the colour-blind see as well.
BLOCK = "█"
COLOUR = "#0072B2"


def aligned(rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """The rows as lines of aligned columns; those whose places are in `right` to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def bars(amounts: Sequence[float], room: int, block: str = BLOCK) -> list[str]:
    """A bar for each amount: the largest has `room` characters, what is negative has none."""
    most = max([*amounts, 1])
    return [block * round(room * max(amount, 0) / most) for amount in amounts]


def html_table(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    notes: Iterable[str] = (),
    bars: Sequence[str] | None = None,
) -> str:
    """A table with notes below it, every text escaped; `bars` is a last column without a name."""
    head = _cells("th", names)
    lines = [_cells("td", row) for row in rows]
    if bars is not None:
        head += "<th></th>"
        style = f"text-align:left;color:{COLOUR}"
        lines = [
            f'{line}<td style="{style}">{bar}</td>' for line, bar in zip(lines, bars, strict=True)
        ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
