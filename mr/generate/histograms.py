"""One histogram: its bucket array, drawn and rendered once, and the statistics after it."""

import math
import struct
from dataclasses import dataclass
from random import Random

from mr.generate.drawing import below, skewed
from mr.histograms.definitions import Definition

#: Measures of which the client sent the sum alone, without the sums of logarithms.
WITHOUT_LOG_SUMS = (
    "CACHE_SERVICE_",
    "CYCLE_COLLECTOR",
    "FORGET_",
    "FX_TAB_",
    "GC_",
    "GRADIENT_",
    "HTML_",
    "IMAGE_",
    "XUL_",
)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A histogram whose statistics follow from its buckets."""

    start: str

    def text(self, draw: float) -> str:
        return self.start


@dataclass(frozen=True, slots=True)
class _WithSquares:
    """A linear histogram: where in their buckets its values lie is drawn for each record."""

    start: str
    sum_bounds: tuple[int, int]
    square_bounds: tuple[int, int]

    def text(self, draw: float) -> str:
        total = _between(self.sum_bounds, draw)
        low, high = _words(_between(self.square_bounds, draw))
        return f"{self.start}{total}, -1, -1, {low}, {high}]"


@dataclass(frozen=True, slots=True)
class _WithSum:
    """An exponential histogram of which the sum alone was sent."""

    start: str
    sum_bounds: tuple[int, int]

    def text(self, draw: float) -> str:
        return f"{self.start}{_between(self.sum_bounds, draw)}, 0, 0, -1, -1]"


@dataclass(frozen=True, slots=True)
class _WithLogSums:
    """An exponential histogram: sum, sum of ln(1 + value), and sum of that squared."""

    start: str
    sum_bounds: tuple[int, int]
    log_bounds: tuple[float, float]
    square_bounds: tuple[float, float]

    def text(self, draw: float) -> str:
        total = _between(self.sum_bounds, draw)
        logs = self.log_bounds[0] + draw * (self.log_bounds[1] - self.log_bounds[0])
        squares = self.square_bounds[0] + draw * (self.square_bounds[1] - self.square_bounds[0])
        return f"{self.start}{total}, {logs!r}, {squares!r}, -1, -1]"


#: A rendered histogram: `text(draw)` is its member of "histograms", its statistics set by `draw`,
#: which is from 0 up to 1.
Histogram = _Fixed | _WithSquares | _WithSum | _WithLogSums


def histogram(rng: Random, name: str, definition: Definition) -> Histogram:
    """A histogram of the measure, its buckets drawn."""
    kind = definition.kind
    bounds = definition.bounds().tolist()
    counts = _bucket_counts(rng, kind, len(bounds))
    start = f'"{name}": [' + "".join(f"{count}, " for count in counts)
    filled = [(count, low) for count, low in zip(counts, bounds, strict=True) if count]
    total = sum(count * low for count, low in filled)
    if kind in ("boolean", "flag", "enumerated"):
        low, high = _words(sum(count * low * low for count, low in filled))
        return _Fixed(f"{start}{total}, -1, -1, {low}, {high}]")
    # Values lie from their bucket's bound to just below the next; the last one has no end.
    ends = [*(bound - 1 for bound in bounds[1:]), 2 * bounds[-1]]
    upper = [(count, end) for count, end in zip(counts, ends, strict=True) if count]
    sums = (total, sum(count * end for count, end in upper))
    if kind == "linear":
        squares = [sum(count * value * value for count, value in side) for side in (filled, upper)]
        return _WithSquares(start, sums, (squares[0], squares[1]))
    if sums[1] == 0:
        return _Fixed(f"{start}0, 0, 0, -1, -1]")
    if name.removeprefix("STARTUP_").startswith(WITHOUT_LOG_SUMS):
        return _WithSum(start, sums)
    logs = [math.fsum(count * _log1(value) for count, value in side) for side in (filled, upper)]
    squares = [
        math.fsum(count * _log1(value) * _log1(value) for count, value in side)
        for side in (filled, upper)
    ]
    return _WithLogSums(start, sums, (logs[0], logs[1]), (squares[0], squares[1]))


def _bucket_counts(rng: Random, kind: str, buckets: int) -> list[int]:
    """Counts for each bucket: a lone value, or a hill, often beside many values of 0."""
    counts = [0] * buckets
    if kind == "flag":
        counts[rng.random() < 0.1] = 1
        return counts
    values = skewed(rng, 1, 8_000)
    if kind == "boolean":
        counts[1] = skewed(rng, 0, values)
        counts[0] = values - counts[1]
        return counts
    # The bucket after the last value of an enumeration stays empty.
    usable = buckets - 1 if kind == "enumerated" else buckets
    middle = below(rng, usable)
    if rng.random() < 0.35:
        counts[middle] = 1 + skewed(rng, 0, 3)
        return counts
    width = 1 + below(rng, max(1, usable // 3))
    for bucket in range(max(0, middle - width), min(usable, middle + width + 1)):
        height = 1 - abs(bucket - middle) / (width + 1)
        counts[bucket] = int(values / width * height * height * rng.random() * 2)
    if not any(counts) or rng.random() < 0.5:
        counts[0] += values
    return counts


def _between(bounds: tuple[int, int], draw: float) -> int:
    return bounds[0] + int(draw * (bounds[1] - bounds[0] + 1))


def _words(number: int) -> tuple[int, int]:
    """A sum of squares as the client sent it: its low 32 bits as a signed number, its high ones."""
    low = number & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low, number >> 32


def _log1(value: int) -> float:
    """ln(1 + value) in single precision, as the client's; that hides the platform's last bits."""
    return struct.unpack("<f", struct.pack("<f", math.log(1 + value)))[0]
