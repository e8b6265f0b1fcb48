"""All measures with their rendered histograms, and the choice among them for each record.

Each measure has a few bucket arrays, rendered once; what is drawn afresh for each record is which
measures it has, which of their arrays, and the statistics.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from random import Random

from mr.generate.histograms import Histogram, histogram
from mr.histograms.definitions import Definition, load_definitions

#: Bucket arrays kept for each measure.
VARIANTS = 12
#: Shares of measures are multiplied by up to so many such steps to reach a record's size.
FACTOR_STEP, FACTOR_STEPS = 0.05, 200
#: Bytes of a histogram: longer ones are the rarer the longer they are.
COMMON_BYTES = 150
#: Measures that every record of more than about 10 KB has, and the share that makes sure of it.
CORE_SHARE = 4.0
CORE_MEASURES = ("CYCLE_COLLECTOR", "GC_MS", "MEMORY_RESIDENT", "SHUTDOWN_OK")
#: Measures sent a second time as STARTUP_X, with what was seen until startup was over.
STARTUP_MEASURES = ("MOZ_SQLITE_COOKIES_", "MOZ_SQLITE_PLACES_", "FONT_CACHE_HIT")
#: Measures that records have and the package's definitions do not, as in real data.
UNDEFINED_MEASURES = {
    "GC_REASON_2": Definition("enumerated", n_values=101),
    "MEMORY_EXPLICIT": Definition("exponential", low=32768, high=16777216, n_buckets=200),
    "MULTIPART_XHR_RESPONSE": Definition("boolean"),
    "WORD_CACHE_HITS": Definition("exponential", high=256, n_buckets=30),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: the share of records that have it, its histograms, their mean bytes."""

    share: float
    variants: tuple[Histogram, ...]
    mean_bytes: float


@dataclass(frozen=True, slots=True)
class Measures:
    """All measures; every share times i * FACTOR_STEP gives sizes[i] bytes on average."""

    measures: tuple[Measure, ...]
    sizes: tuple[float, ...]


def histogram_members(rng: Random, target: float) -> str:
    """The members of "histograms", of about `target` bytes."""
    known = all_measures()
    place = min(bisect_left(known.sizes, target), len(known.sizes) - 1)
    low, high = (known.sizes[max(0, place - 1)], known.sizes[place])
    overshoot = min(1.0, (high - target) / (high - low)) if high > low else 0.0
    factor = (place - overshoot) * FACTOR_STEP
    random = rng.random
    return ", ".join(
        measure.variants[int(random() * VARIANTS)].text(random())
        for measure in known.measures
        if random() < measure.share * factor
    )


@cache
def all_measures() -> Measures:
    """The same measures and arrays for every seed: rendering them takes a moment, once."""
    known = load_definitions().definitions
    startup = {
        f"STARTUP_{name}": known[name] for name in known if name.startswith(STARTUP_MEASURES)
    }
    everything = sorted((startup | UNDEFINED_MEASURES | known).items())
    measures = tuple(_measure(name, definition) for name, definition in everything)
    sizes = tuple(
        math.fsum(min(1.0, measure.share * factor) * measure.mean_bytes for measure in measures)
        for factor in (step * FACTOR_STEP for step in range(FACTOR_STEPS))
    )
    return Measures(measures, sizes)


def _measure(name: str, definition: Definition) -> Measure:
    rng = Random(f"measure/{name}")
    variants = tuple(histogram(rng, name, definition) for _ in range(VARIANTS))
    separator_bytes = 2
    mean_bytes = separator_bytes + sum(len(variant.text(0.5)) for variant in variants) / VARIANTS
    # The longest ones are rare: a record of 50 KB has hundreds of histograms.
    share = (0.1 + 0.8 * rng.random()) * min(1, COMMON_BYTES / mean_bytes)
    return Measure(CORE_SHARE if name in CORE_MEASURES else share, variants, mean_bytes)
