"""From one record to what is counted: its filter path, its histograms, its simple measures.

A record is its payload, a dict or another mapping. What cannot be counted is left out, and the
caller hears why: `skip(reason, name)` is called with one of the reasons below and with the name of
the measure ("" where the fault is not one measure's). The rest of the record counts.
"""

import math
import re
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from mr.histograms.bounds import exponential, linear

#: Numbers at the end of a histogram's array, after its buckets.
STATISTICS = 5
#: What stands for a statistic that is not there.
ABSENT = -1
#: Characters kept of the version of Linux.
LINUX_VERSION_CHARACTERS = 3
#: Buckets that an older histogram may say that it has.
MAX_BUCKETS = 10_000
#: The name of a simple measure begins so, and all of them have these exponential buckets.
SIMPLE_PREFIX = "SIMPLE_MEASURES_"
SIMPLE_LOW, SIMPLE_HIGH, SIMPLE_BUCKETS = 1, 30_000, 50
#: What a simple measure has for the build id and the revision of its definition.
SIMPLE_BUILD, SIMPLE_REVISION = "0", "simple-measures"

# Why a whole record gives nothing.
NO_INFO = "info is no object"
NO_OS = "OS is no text"
NO_VERSION = "version is neither text nor a number"
NO_ARCH = "arch is no text"
# Why a measure, or a section of a record, gives nothing.
NO_SECTION = "the section is no object"
BAD_NAME = "the name has other characters than A-Z a-z 0-9 _ . -"
NO_HISTOGRAM = "neither an array nor an object with range, bucket_count, histogram_type and values"
TOO_SHORT = f"fewer than {STATISTICS + 1} numbers"
NOT_NUMBERS = "something other than numbers"
FRACTION = "a bucket's count is not whole"
TOO_LARGE = "a number is too large"
BAD_BUCKETS = "its range and bucket_count give no buckets"
NO_BUCKET = "a value stands at no bucket's lower bound"

#: Called with the reason and the measure's name for what is left out.
Skip = Callable[[str, str], None]

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_INTS = frozenset({int})
_NUMBERS = frozenset({int, float})
#: Numbers beyond this are not taken: no reader of the published JSON could hold them.
_LARGEST = int(sys.float_info.max)
#: An older histogram's types.
_EXPONENTIAL, _LINEAR, _BOOLEAN, _FLAG, _COUNT = range(5)
_STATISTICS_OF_OLDER = ("sum", "log_sum", "log_sum_squares", "sum_squares_lo", "sum_squares_hi")


class FilterPath(NamedTuple):
    """What of the path through the filters comes from a record."""

    os: str
    os_version: str
    arch: str


class Statistics(NamedTuple):
    """The five numbers after a histogram's buckets; None for one that is absent."""

    sum: int | float | None
    log_sum: int | float | None
    log_sum_squares: int | float | None
    sum_squares_lo: int | float | None
    sum_squares_hi: int | float | None


class Refused(Exception):
    """Raised inside this module when something is left out; its text is the reason."""


def filter_path(info: Any) -> FilterPath | str:
    """Return where a record with this `info` belongs, or the reason why it gives nothing."""
    if not isinstance(info, Mapping):
        return NO_INFO
    os, version, arch = info.get("OS"), info.get("version"), info.get("arch")
    if not isinstance(os, str):
        return NO_OS
    if not isinstance(version, str):
        if type(version) not in _NUMBERS or not -_LARGEST <= version <= _LARGEST:
            return NO_VERSION
        version = str(version)
    if not isinstance(arch, str):
        return NO_ARCH
    if os == "Linux":
        version = version[:LINUX_VERSION_CHARACTERS]
    return FilterPath(os, version, arch)


def revision_of(info: Mapping[str, Any]) -> str:
    """Return the revision of a record's build, "" if it does not tell."""
    revision = info.get("revision")
    return revision if isinstance(revision, str) else ""


# --- histograms ---


def histograms(
    payload: Mapping[str, Any], skip: Skip
) -> Iterator[tuple[str, np.ndarray, Statistics]]:
    """Yield (measure, counts, statistics) of each histogram, packed or of the older form.

    `counts` has one number for each bucket: int64, or Python ints (dtype object) when one of them
    needs more. It may be read-only.
    """
    for name, histogram in _section(payload, "histograms", skip):
        try:
            if not _NAME.fullmatch(name):
                raise Refused(BAD_NAME)
            if type(histogram) is list:
                counts, statistics = _packed(histogram)
            else:
                counts, statistics = _older(histogram)
        except Refused as refused:
            skip(str(refused), name)
        else:
            yield name, counts, statistics


def _section(payload: Mapping[str, Any], section: str, skip: Skip) -> Iterator[tuple[str, Any]]:
    """Yield the items of a section; that it is missing is no fault."""
    items = payload.get(section)
    if isinstance(items, Mapping):
        yield from items.items()
    elif items is not None:
        skip(NO_SECTION, "")


def _packed(array: list) -> tuple[np.ndarray, Statistics]:
    if len(array) <= STATISTICS:
        raise Refused(TOO_SHORT)
    return _counts(array[:-STATISTICS]), _statistics(array[-STATISTICS:])


def _counts(numbers: list) -> np.ndarray:
    # Hundreds of arrays a record: all of this is as few passes as possible, at the speed of C.
    if not _INTS.issuperset(map(type, numbers)):
        numbers = list(map(_whole, numbers))
    try:
        return np.frombuffer(_packer(len(numbers))(*numbers), np.int64)
    except struct.error:
        if max(numbers) > _LARGEST or min(numbers) < -_LARGEST:
            raise Refused(TOO_LARGE) from None
        return np.array(numbers, object)


@lru_cache(maxsize=1024)
def _packer(numbers: int) -> Callable[..., bytes]:
    return struct.Struct(f"{numbers}q").pack


def _whole(number: Any) -> int:
    if type(number) is int:
        return number
    if type(number) is not float or not math.isfinite(number):
        raise Refused(NOT_NUMBERS)
    if not number.is_integer():
        raise Refused(FRACTION)
    return int(number)


def _statistics(numbers: Sequence) -> Statistics:
    if not _NUMBERS.issuperset(map(type, numbers)):
        raise Refused(NOT_NUMBERS)
    try:
        if not all(map(math.isfinite, numbers)):
            raise Refused(NOT_NUMBERS)
    except OverflowError:
        raise Refused(TOO_LARGE) from None
    return Statistics._make([None if number == ABSENT else number for number in numbers])


def _older(histogram: Any) -> tuple[np.ndarray, Statistics]:
    """Read the object form, whose `values` are keyed by the lower bounds of their buckets."""
    if not isinstance(histogram, Mapping) or not isinstance(histogram.get("values"), Mapping):
        raise Refused(NO_HISTOGRAM)
    places = {str(bound): place for place, bound in enumerate(_older_bounds(histogram).tolist())}
    numbers = [0] * len(places)
    for bound, count in histogram["values"].items():
        if bound not in places:
            raise Refused(NO_BUCKET)
        numbers[places[bound]] = count
    statistics = [histogram.get(name, ABSENT) for name in _STATISTICS_OF_OLDER]
    return _counts(numbers), _statistics(statistics)


def _older_bounds(histogram: Mapping[str, Any]) -> np.ndarray:
    kind = histogram.get("histogram_type")
    if type(kind) is int and kind in (_BOOLEAN, _FLAG, _COUNT):
        return np.arange(3)  # whatever its range says, as for these kinds of definitions
    ends, buckets = histogram.get("range"), histogram.get("bucket_count")
    if type(kind) is not int or kind not in (_EXPONENTIAL, _LINEAR) or type(ends) is not list:
        raise Refused(NO_HISTOGRAM)
    if len(ends) != 2 or not _INTS.issuperset(map(type, (*ends, buckets))):
        raise Refused(BAD_BUCKETS)
    low, high = ends[0] or 1, ends[1]
    # So many buckets have room in the range, and doubles hold its ends.
    if not (1 <= low < high < 2**53 and 3 <= buckets <= min(MAX_BUCKETS, high - low + 2)):
        raise Refused(BAD_BUCKETS)
    return (exponential if kind == _EXPONENTIAL else linear)(low, high, buckets)


# --- simple measures ---


def simple_measures(payload: Mapping[str, Any], skip: Skip) -> Iterator[tuple[str, int | float]]:
    """Yield (measure, value) of each number in `simpleMeasurements` and one level below."""
    for name, number in _one_level(_section(payload, "simpleMeasurements", skip)):
        if type(number) not in _NUMBERS:
            continue
        measure = SIMPLE_PREFIX + name.upper()
        if not _NAME.fullmatch(measure):
            skip(BAD_NAME, measure)
        elif number != number:
            skip(NOT_NUMBERS, measure)
        elif not -_LARGEST <= number <= _LARGEST:
            skip(TOO_LARGE, measure)
        else:
            yield measure, number


def _one_level(items: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield what is no object, and what stands in an object as OUTER_INNER."""
    for name, value in items:
        if isinstance(value, Mapping):
            yield from ((f"{name}_{inner}", value[inner]) for inner in value)
        else:
            yield name, value


def simple_histogram(value: int | float) -> tuple[np.ndarray, Statistics]:
    """Return the (counts, statistics) of a simple measure's value; read-only counts.

    A negative value is in no bucket.
    """
    bounds, units = _simple_buckets()
    log = math.log(abs(value) + 1)
    return units[bisect_right(bounds, value)], Statistics(value, log, log * log, None, None)


@cache
def _simple_buckets() -> tuple[list[int], np.ndarray]:
    """Return the lower bounds, and the counts of a value by how many of them are at most it."""
    units = np.eye(SIMPLE_BUCKETS + 1, SIMPLE_BUCKETS, k=-1, dtype=np.int64)
    units.flags.writeable = False
    return exponential(SIMPLE_LOW, SIMPLE_HIGH, SIMPLE_BUCKETS).tolist(), units
