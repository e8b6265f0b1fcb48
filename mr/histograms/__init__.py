"""Histograms of telemetry records: merging what records hold, publishing it, reading it back.

- `expressions`, `bounds`, `definitions`: what definition files say; the buckets that follow
- `extraction`, `merging`, `gathering`: the measures of one record; sums of many, in any order the
  same; the records of one block at once
- `placing`, `filters`, `entries`, `sections`: where blocks and records belong; what goes from the
  maps to the reduces, and what these write
- `bodies`, `folders`, `updates`, `swapping`, `publication`, `document`: the published folder, and
  how an update takes its place
- `statistics`, `evolution`, `reading`: one distribution; one for each date; the published folder
  read back

For people there are `open`, which opens a published folder, and `Histogram`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mr.histograms.reading import open_published as open
    from mr.histograms.statistics import Histogram

__all__ = ["Histogram", "open"]


def __getattr__(name: str) -> Any:
    # Loaded at first use: the maps need none of it.
    if name == "open":
        from mr.histograms.reading import open_published

        return open_published
    if name == "Histogram":
        from mr.histograms.statistics import Histogram

        return Histogram
    raise AttributeError(f"module 'mr.histograms' has no attribute {name!r}")
